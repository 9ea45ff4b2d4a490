"""Tables of docs/how-to/search-resnet20.md, from docs/search/resnet20.json.

python workloads/search_tables.py            # writes them
python workloads/search_tables.py --check    # exit code 1 if the page holds others
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from page_tables import ROOT, Pages, markdown_table

RECORD = ROOT / "docs" / "search" / "resnet20.json"
PAGE = ROOT / "docs" / "how-to" / "search-resnet20.md"

Record = dict[str, Any]


def loaded() -> Record:
    """Return the record."""
    record: Record = json.loads(RECORD.read_text(encoding="utf-8"))
    return record


#: What tables say of a point.
POINT_HEADS = (
    "mean bits",
    "agree",
    "top-1",
    "agree, unseen",
    "top-1, unseen",
    "cycles",
    "less (x)",
    "uJ of `mac-8b8b`",
)


def methods_table(record: Record) -> list[str]:
    """Return what each way to search chose within the budget."""
    heads = ("method", "trials", "of them new", "CPU s", *POINT_HEADS)
    rows = []
    for method, found in record["searches"].items():
        counts = [f"{found[name]:,}" for name in ("trials", "measured_here", "cpu_seconds")]
        rows.append([f"`{method}`", *counts, *_point(record, found["chosen"])])
    return markdown_table(heads, rows)


def _point(record: Record, point: Record) -> list[str]:
    seen, unseen = record["about"]["pictures"], record["unseen_pictures"]
    first = next(iter(record["searches"].values()))["uniform"][0]
    return [
        f"{sum(point['bits']) / len(point['bits']):.2f}",
        f"{point['agree']}/{seen}",
        f"{point['top1']}/{seen}",
        f"{point['unseen_agree']}/{unseen}",
        f"{point['unseen_top1']}/{unseen}",
        f"{point['cycles']:,}",
        f"{first['cycles'] / point['cycles']:.2f}",
        f"{point['mac_energy_pj'] / 1e6:,.0f}",
    ]


def front_table(record: Record) -> list[str]:
    """Return points of uniform bits, and the front of all that was tried, dearest first."""
    searches = record["searches"]
    uniform = next(iter(searches.values()))["uniform"]
    rows = [[f"uniform, {max(each['bits'])}", *_point(record, each)] for each in uniform]
    for point in front_of_all(record):
        choosing = [f"`{name}`" for name, each in searches.items() if each["chosen"] == point]
        words = f"front, chosen by {', '.join(choosing)}" if choosing else "front"
        rows.append([words, *_point(record, point)])
    return markdown_table(("bits", *POINT_HEADS), rows)


def front_of_all(record: Record) -> list[Record]:
    """Return the points of all methods' fronts that no other of them beats, dearest first."""
    found = {
        tuple(point["bits"]): point
        for each in record["searches"].values()
        for point in each["front"]
    }
    kept: list[Record] = []
    for point in sorted(found.values(), key=lambda each: (each["cycles"], -each["agree"])):
        if not kept or point["agree"] > kept[-1]["agree"]:
            kept.append(point)
    return kept[::-1]


def layers_table(record: Record) -> list[str]:
    """Return the bits that each way to search gave to layers."""
    searches, edges = record["searches"], record["about"]["edges"]
    layers = dict.fromkeys(name for edge in edges for name in edge["layers"])
    rows = []
    for layer in layers:
        cells = []
        for found in searches.values():
            bits = {"activations": 8, "weights": 8}
            for edge, own in zip(edges, found["chosen"]["bits"], strict=True):
                if layer in edge["layers"]:
                    bits[edge["kind"]] = own
            cells.append(f"{bits['activations']} x {bits['weights']}")
        rows.append([f"`{layer}`", *cells])
    return markdown_table(["layer", *(f"`{name}`" for name in searches)], rows)


TABLES: dict[str, Callable[[Record], list[str]]] = {
    "methods": methods_table,
    "front": front_table,
    "layers": layers_table,
}

PAGES = Pages(lambda: [PAGE], lambda name: TABLES[name](loaded()))
rendered, write_tables = PAGES.rendered, PAGES.write


if __name__ == "__main__":
    PAGES.write_or_check()
