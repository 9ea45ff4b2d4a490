"""Make the tables of docs/how-to/crossbar.md from docs/crossbar/resnet20.json and digits.json.

    python workloads/crossbar_tables.py            # writes them
    python workloads/crossbar_tables.py --check    # exit code 1 if the page holds others

All but what stands between `<!-- table KIND -->` and `<!-- end -->` is written by hand.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from page_tables import ROOT, Pages, markdown_table

PAGE = ROOT / "docs" / "how-to" / "crossbar.md"
RECORD = ROOT / "docs" / "crossbar" / "resnet20.json"

TRAINING = RECORD.with_name("digits.json")

#: Weights of the shared network as they are, in a record.
WITHOUT_TRAINING = "without the training"

ANSWER_HEADS = (
    "weights",
    "design",
    "bits of a conversion, mean",
    "top-1",
    "agree",
    "SQNR of layers, dB: median / lowest",
    "cycles of a picture",
    "conversions",
    "nJ of what has a figure",
)

Row = dict[str, Any]


def loaded(path: Path = RECORD) -> dict[str, Any]:
    """Return a record."""
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def row_of(record: dict[str, Any], pe: str, weights: str = WITHOUT_TRAINING) -> Row:
    """Return the row of a design on some weights."""
    rows = record["rows"]
    return next(row for row in rows if (row["pe"], row["weights"]) == (pe, weights))


def levels(row: Row) -> list[float]:
    """Return the SQNR of every layer, dB; infinite where nothing was lost."""
    return [math.inf if level is None else level for level in row["sqnr_db"]]


def answers_table(record: dict[str, Any]) -> list[str]:
    """Return what converters of so many bits do to answers, cycles and energy."""
    about = (
        f"{record['network']}, {record['pictures']} {record['data']}, none of which calibrated; "
        f"scales from {record['calibration_pictures']} others, bits of `auto` found on "
        f"{record['bits_pictures']} of those. The float network has {record['float_top1']} right; "
        f"agree: with it. All {len(record['layers'])} layers run on crossbars, the first and the "
        f"last too, with codes of `{record['recipe']['weights']}`. SQNR of "
        f"{record['error_pictures']} pictures, against exact sums."
    )
    rows = [_answer_cells(record, row) for row in record["rows"]]
    return [about, "", *markdown_table(ANSWER_HEADS, rows)]


def training_table(_: dict[str, Any]) -> list[str]:
    """Return the same of a network with and without training for slices."""
    record = loaded(TRAINING)
    about = (
        f"{record['network']}, {record['pictures']} {record['data']}; scales from "
        f"{record['calibration_pictures']} of the training split, bits of `auto` found on "
        f"{record['bits_pictures']} of those; weights learned for {record['epochs']} epochs, seed "
        f"{record['seed']}. Agree: with the float network of the same weights. All "
        f"{len(record['layers'])} layers run on crossbars."
    )
    rows = [_answer_cells(record, row) for row in record["rows"]]
    return [about, "", *markdown_table(ANSWER_HEADS, rows)]


def _answer_cells(record: dict[str, Any], row: Row) -> list[str]:
    found, pictures = levels(row), record["pictures"]
    exact = min(found) == math.inf
    lowest = f"{min(found):.1f}"
    middle = "exact" if median(found) == math.inf else f"{median(found):.1f}"
    energy = row.get("nj")
    return [
        row["weights"],
        f"`{row['pe']}`",
        f"{row['mean_bits']:.2f}" if "mean_bits" in row else "-",
        f"{row['top1']}/{pictures} ({row['top1'] / pictures:.1%})",
        f"{row['agree']}/{pictures}",
        "exact" if exact else f"{middle} / {lowest}",
        f"{row['cycles']:,}",
        f"{row['conversions']:,}" if "conversions" in row else "-",
        f"{energy:,.0f}" if energy is not None else "-",
    ]


def sums_table(record: dict[str, Any]) -> list[str]:
    """Return what columns of cells sum up to when every input is 1."""
    heads = (
        "codes",
        "slice, most significant first",
        "cells of zero (%)",
        "largest sum",
        "99th percentile",
        "lossless for any input (bits)",
    )
    rows = [
        [
            kind["codes"],
            str(number),
            f"{kind['zeros_percent'][number]:.1f}",
            str(kind["largest"][number]),
            f"{kind['percentile99'][number]:.0f}",
            str(kind["bits"][number]),
        ]
        for kind in record["column_sums"]
        for number in range(len(kind["largest"]))
    ]
    return markdown_table(heads, rows)


TABLES: Mapping[str, Callable[[dict[str, Any]], list[str]]] = {
    "answers": answers_table,
    "sums": sums_table,
    "training": training_table,
}

PAGES = Pages(lambda: [PAGE], lambda name: TABLES[name](loaded()), spaced=False)
rendered, write_tables = PAGES.rendered, PAGES.write


if __name__ == "__main__":
    PAGES.write_or_check()
