"""Tables of docs/how-to/gather.md, from the records in docs/gather/.

python workloads/gather_tables.py            # writes them
python workloads/gather_tables.py --check    # exit code 1 if the page holds others
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from page_tables import ROOT, Pages, markdown_table

from sparqsim.gather.lookups import Lookups
from sparqsim.results.gather_report import GatherEntry, GatherReport

FOLDER = ROOT / "docs" / "gather"
TEXT, ZIPF, BEHIND = (FOLDER / f"{name}.json" for name in ("text", "zipf", "behind"))
ANSWERS = FOLDER / "answers.json"
PAGE = ROOT / "docs" / "how-to" / "gather.md"
#: Pages as they were one day, so that records do not change with pages: a text, and the rows of
#: lines with the page that each stands on.
PINNED_TEXT, PINNED_LINES = (
    ROOT / "workloads" / f"gather_{name}" for name in ("text.txt", "lines.npz")
)
FORMATS = ("fp32", "fp16", "int8", "int4:search=none", "int4", "codebook4")
WIDTHS = (16, 32, 64, 128, 256)


def entry(report: GatherReport, name: str, layout: str, width: int | None = None) -> GatherEntry:
    """Return an entry that is there."""
    found = report.entry(name, layout, width)
    if found is None:
        raise KeyError(name)
    return found


def pinned_lines() -> tuple[list[NDArray[np.int64]], NDArray[np.int64], list[str]]:
    """Return rows of each line, the number of the page it stands on, and the pages' names."""
    with np.load(PINNED_LINES) as held:
        ends = np.cumsum(held["lengths"].astype(np.int64))
        bags = np.split(held["rows"].astype(np.int64), ends[:-1])
        return bags, held["page"].astype(np.int64), held["pages"].tolist()


def lookups(bags: list[NDArray[np.int64]], source: str) -> Lookups:
    """Return bags as look-ups."""
    ends = np.cumsum([len(bag) for bag in bags])
    return Lookups(np.concatenate(bags), np.append(0, ends[:-1]), source)


def bytes_table() -> list[str]:
    """Return what 64 elements take: bytes, bursts, sizes of tables."""
    report = GatherReport.load(TEXT)
    heads = (
        "format",
        "bytes a row",
        "bytes, fp32 / it",
        "bursts, padded",
        "bursts, fp32 / it",
        "table, padded",
        "bursts, packed (mean)",
        "table, packed",
    )
    whole = entry(report, "fp32", "padded", 64)
    rows = []
    for name in FORMATS:
        padded, packed = (entry(report, name, layout, 64) for layout in ("padded", "packed"))
        rows.append(
            [
                f"`{name}`",
                f"{padded.row_bytes}",
                f"{whole.row_bytes / padded.row_bytes:.1f}x",
                f"{padded.bursts_per_lookup:.0f}",
                f"{whole.bursts / padded.bursts:.1f}x",
                f"{report.share_of_reference(padded):.2%}",
                f"{packed.bursts_per_lookup:.2f}",
                f"{report.share_of_reference(packed):.2%}",
            ]
        )
    return markdown_table(heads, rows)


def errors_table() -> list[str]:
    """Return errors of the whole table."""
    report = GatherReport.load(TEXT)
    heads = ("format", "mean", "median", "99th percentile", "worst", "row", "mean of look-ups")
    rows = []
    for name in FORMATS:
        errors = entry(report, name, "padded").errors
        values = (errors.mean, errors.median, errors.p99, errors.worst)
        cells = [f"{value:.5f}" for value in values]
        rows.append([f"`{name}`", *cells, f"{errors.worst_row}", f"{errors.mean_of_lookups:.5f}"])
    return markdown_table(heads, rows)


def widths_table() -> list[str]:
    """Return rates over the width of a row."""
    report = GatherReport.load(TEXT)
    heads = ("format", *(f"{width} elements" for width in WIDTHS))
    rows = []
    for name in FORMATS:
        found = [entry(report, name, "padded", width) for width in WIDTHS]
        cells = [
            f"{1000 * each.lookups_per_cycle:.1f} of {1000 * each.bounds.tightest[1]:.1f}"
            for each in found
        ]
        rows.append([f"`{name}`", *cells])
    return markdown_table(heads, rows)


def pages_table() -> list[str]:
    """Return what row buffers do to drawn look-ups."""
    report = GatherReport.load(ZIPF)
    heads = (
        "format",
        "layout",
        "page found open",
        "look-ups per 1000 cycles",
        "bound",
        "millions per second",
    )
    rows = []
    for name in FORMATS:
        for layout in ("padded", "packed"):
            each = entry(report, name, layout)
            hits = each.page_hits / (each.page_hits + each.page_misses)
            rate = report.per_second(each.lookups_per_cycle) or 0.0
            limit = 1000 * each.bounds.tightest[1]
            cells = [f"{hits:.1%}", f"{1000 * each.lookups_per_cycle:.2f}", f"{limit:.2f}"]
            rows.append([f"`{name}`", layout, *cells, f"{rate / 1e6:.2f}"])
    return markdown_table(heads, rows)


def row_table() -> list[str]:
    """Return the mission's row: what 4 bits gain beside a network, and what they lose."""
    report, record = GatherReport.load(BEHIND), answers()
    heads = (
        "format",
        "table of fp32",
        "cycles an input: gathers",
        "the MLP",
        "gathers of both",
        "speedup of both",
        "right answers",
        "as with fp32",
    )
    whole = entry(report, "fp32", "padded")
    rows = []
    for name in FORMATS:
        each, told = entry(report, name, "padded"), record["answers"][name]
        packed = entry(report, name, "packed")
        rows.append(
            [
                f"`{name}`",
                f"{report.share_of_reference(packed):.2%}",
                f"{gathers(report, each):,.0f}",
                f"{behind(each):,.0f}",
                f"{report.gather_share(each):.1%}",
                f"{both(report, whole) / both(report, each):.2f}",
                f"{told['right']} of {record['unseen']}",
                f"{told['agree']}",
            ]
        )
    return markdown_table(heads, rows)


def answers() -> dict[str, Any]:
    """Return the record of answers."""
    record: dict[str, Any] = json.loads(ANSWERS.read_text(encoding="utf-8"))
    return record


def gathers(report: GatherReport, each: GatherEntry) -> float:
    """Return cycles of the gathers of one input."""
    return each.cycles / (report.mlp.inputs if report.mlp else 1)


def behind(each: GatherEntry) -> float:
    """Return cycles of the network for one input."""
    return each.mlp.input_cycles if each.mlp else 0.0


def both(report: GatherReport, each: GatherEntry) -> float:
    """Return cycles of one input, gathers and network one after the other."""
    return gathers(report, each) + behind(each)


TABLES: dict[str, Callable[[], list[str]]] = {
    "bytes": bytes_table,
    "errors": errors_table,
    "widths": widths_table,
    "pages": pages_table,
    "row": row_table,
}

PAGES = Pages(lambda: [PAGE], lambda name: TABLES[name]())
rendered, write_tables = PAGES.rendered, PAGES.write


if __name__ == "__main__":
    PAGES.write_or_check()
