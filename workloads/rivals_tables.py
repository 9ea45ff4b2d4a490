"""Make the tables of docs/rivals/*.md from docs/rivals/*.json, docs/rivals/predictions/*.json,
and the records that `olive_tables.py` reads.

    python workloads/rivals_tables.py            # writes them
    python workloads/rivals_tables.py --check    # exit code 1 if a page holds others

All but what stands between `<!-- table KIND_NETWORK -->` and `<!-- end -->` is written by hand.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import olive_tables
import prediction_tables
from page_tables import ROOT, Pages, markdown_table

FOLDER = ROOT / "docs" / "rivals"

YARDSTICKS = ("mac-8b8b", "mac-4b8b", "mac-4b4b", "sparq-5opt")
SHIFTS = ("swis:shifts=2", "swis", "swis:shifts=4", "swis:consecutive=on")
BIT_DESIGNS = ("bitfusion", "serial-w", "stripes", "loom")
BITS = (8, 7, 6, 5, 4, 3, 2)

Row = dict[str, Any]
HEADS = (
    "design",
    "bits of weights",
    "top-1",
    "agree",
    "SQNR of layers, dB: median / lowest",
    "cycles",
    "speedup",
    "at equal area: array",
    "cycles",
    "speedup (least to greatest)",
)


def loaded(network: str) -> dict[str, Any]:
    """Return the record of a network."""
    text = (FOLDER / f"{network}.json").read_text(encoding="utf-8")
    record: dict[str, Any] = json.loads(text)
    return record


def row_of(record: dict[str, Any], pe: str, bits: int = 8) -> Row:
    """Return the row of a design on weights of some bits."""
    return next(row for row in record["rows"] if (row["pe"], row["bits"]) == (pe, bits))


def levels(row: Row) -> list[float]:
    """Return the SQNR of every layer that was not kept, dB; infinite where nothing was lost."""
    return [math.inf if level is None else level for level in row["sqnr_db"]]


def cells(record: dict[str, Any], row: Row) -> list[str]:
    """Return a row of the tables."""
    share = [f"{row[key]}/{record['pictures']}" for key in ("top1", "agree")]
    found = levels(row)
    exact = min(found) == math.inf
    speedup = row_of(record, YARDSTICKS[0])["cycles"] / row["cycles"]
    return [
        f"`{row['pe']}`",
        str(row["bits"]),
        f"{share[0]} ({row['top1'] / record['pictures']:.1%})",
        share[1],
        "exact" if exact else f"{median(found):.1f} / {min(found):.1f}",
        f"{row['cycles']:,}",
        f"{speedup:.3f}",
        *_equal_area(row),
    ]


def _equal_area(row: Row) -> list[str]:
    found = row.get("equal_area")
    if found is None:
        return ["-"] * 3
    least, middle, greatest = found["speedup"]
    array = f"{found['rows']}x{found['cols']}"
    return [array, f"{found['cycles']:,}", f"{middle:.3f} ({least:.3f} to {greatest:.3f})"]


def _table(record: dict[str, Any], rows: Sequence[Row]) -> list[str]:
    return markdown_table(HEADS, [cells(record, row) for row in rows])


def _about(record: dict[str, Any]) -> list[str]:
    answered = record["float_network"]["top1"]
    return [
        (
            f"{record['network']}, {record['pictures']} {record['data']}, scales "
            f"from the first {record['calibration_pictures']}. The float network has {answered} "
            f"right; agree: with it. SQNR of {record['error_pictures']} pictures, of the sums of "
            f"{len(record['layers'])} layers, against exact ones of weights of 8 bits. Cycles of 1 "
            f"picture on {record['array']}; the first and the last layer stay at 8 bits and take "
            "what each design's own circuit needs."
        ),
        "",
    ]


def bits_table(record: dict[str, Any]) -> list[str]:
    """Return the table of designs that follow the bits of weights."""
    rows = [row_of(record, pe) for pe in YARDSTICKS]
    rows += [row_of(record, pe, bits) for pe in BIT_DESIGNS for bits in BITS]
    return [*_about(record), *_table(record, rows)]


def gap_table(record: dict[str, Any]) -> list[str]:
    """Return how far `bitfusion` is behind `serial-w`, each over its own 8 bits."""
    lines = []
    for bits in BITS:
        shares = [share(record, pe, bits) for pe in ("serial-w", "bitfusion")]
        figures = [*shares, gap(record, bits), width(bits) / bits]
        lines.append([str(bits), *(f"{figure:.3f}" for figure in figures)])
    heads = ("bits", "`serial-w`", "`bitfusion`", "`bitfusion` / `serial-w`", "of lanes alone")
    return markdown_table(heads, lines)


def share(record: dict[str, Any], pe: str, bits: int) -> float:
    """Return cycles of the layers not kept, over those at 8 bits."""
    fewer, whole = (sum(row_of(record, pe, each)["cycles_of_layers"]) for each in (bits, 8))
    return fewer / whole


def gap(record: dict[str, Any], bits: int) -> float:
    """Return how much less `bitfusion` gains from fewer bits than `serial-w`."""
    return share(record, "bitfusion", bits) / share(record, "serial-w", bits)


def width(bits: int) -> int:
    """Return the least of 2, 4, 8 that holds a weight: what `bitfusion` makes of it."""
    return next(each for each in (2, 4, 8) if each >= bits)


def swis_table(record: dict[str, Any]) -> list[str]:
    """Return the table of weights that share shifts."""
    rows = [row_of(record, pe) for pe in (*YARDSTICKS, *SHIFTS)]
    return [*_about(record), *_table(record, rows)]


TABLES = {"bits": bits_table, "gap": gap_table, "swis": swis_table}


def pages() -> list[Path]:
    """Return the pages that hold tables."""
    return sorted(FOLDER.glob("*.md"))


def lines_of(name: str) -> list[str]:
    """Return the lines of the table KIND_NETWORK; of OliVe, olive_WHAT."""
    kind, network = name.split("_")
    if kind == "olive":
        return olive_tables.TABLES[network]()
    predicted = prediction_tables.TABLES.get(kind)
    return predicted(network) if predicted else TABLES[kind](loaded(network))


PAGES = Pages(pages, lines_of, spaced=False)
rendered, write_tables = PAGES.rendered, PAGES.write


if __name__ == "__main__":
    PAGES.write_or_check()
