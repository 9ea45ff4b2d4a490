"""Make the tables of docs/recipes/*.md from docs/recipes/*.json.

    python workloads/recipe_tables.py            # writes them
    python workloads/recipe_tables.py --check    # exit code 1 if a page holds others

All but what stands between `<!-- table KIND_NETWORK -->` and `<!-- end -->` is written by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accuracy_tables import ROOT, markdown_table
from cost_tables import spread
from page_tables import Pages
from recipe_claim_tables import claims_table

FOLDER = ROOT / "docs" / "recipes"
BASELINE = "mac-8b8b"
NONE = "—"
#: Of all pictures: fewer right answers that count as a network that was kept.
FEWER_RIGHT = 0.01

Row = dict[str, Any]

HEADS = (
    "recipe",
    "design",
    "top-1",
    "agree",
    "SQNR of logits, dB",
    "SQNR of layers, dB: median / lowest",
    "cycles",
    "speedup",
    "PE area, x",
    "speedup per area",
    "energy, uJ",
    "energy, x",
)


def loaded(network: str) -> Row:
    """Return the record of a network."""
    record: Row = json.loads((FOLDER / f"{network}.json").read_text(encoding="utf-8"))
    return record


def row_of(record: Row, recipe: str, pe: str) -> Row:
    """Return the row of a design under a recipe."""
    return next(row for row in record["rows"] if (row["recipe"], row["pe"]) == (recipe, pe))


def reference_of(record: Row) -> Row:
    """Return the row that speedups and energies are over: the first recipe's on `BASELINE`."""
    return row_of(record, next(iter(record["recipes"])), BASELINE)


def cycles_of(row: Row) -> int:
    """Return cycles of the array, and of what adds up columns where that takes longer."""
    return int(row.get("combined_cycles", row["cycles"]))


def speedup(record: Row, row: Row) -> float:
    """Return how many times fewer cycles than the reference's a row takes."""
    return cycles_of(reference_of(record)) / cycles_of(row)


def per_area(record: Row, row: Row) -> list[float]:
    """Return speedup over relative area: least, of the median area, greatest."""
    gained = speedup(record, row)
    return [gained / area for area in reversed(row["pe_area"])]


def points_table(record: Row) -> list[str]:
    """Return every recipe on every design."""
    return markdown_table(HEADS, [_cells(record, row) for row in in_order(record)])


def in_order(record: Row) -> Iterator[Row]:
    """Yield the rows, recipe by recipe."""
    for recipe in record["recipes"]:
        yield from (row for row in record["rows"] if row["recipe"] == recipe)


def _cells(record: Row, row: Row) -> list[str]:
    pictures = record["answered_pictures"]
    return [
        f"`{row['recipe']}`",
        f"`{row['pe']}`",
        *_answers(row, pictures),
        f"{cycles_of(row):,}",
        f"{speedup(record, row):.2f}",
        *(_areas(record, row)),
        *(_energies(record, row)),
    ]


def _answers(row: Row, pictures: int) -> list[str]:
    share = f"{row['top1']}/{pictures} ({row['top1'] / pictures:.1%})"
    level = row["logits_sqnr_db"]
    logits = "exact" if level is None else f"{level:.1f}"
    return [share, f"{row['agree'] / pictures:.1%}", logits, _layers(row)]


def _layers(row: Row) -> str:
    found = row["layers_sqnr_db"]
    return "exact" if found is None else "{:.1f} / {:.1f}".format(*found)


def _areas(record: Row, row: Row) -> list[str]:
    if row["pe_area"] is None:
        return [NONE] * 2
    return [spread(row["pe_area"]), spread(per_area(record, row))]


def _energies(record: Row, row: Row) -> list[str]:
    if row["energy_uj"] is None:
        return [NONE] * 2
    of_reference = reference_of(record)["energy_uj"]
    return [f"{row['energy_uj']:.1f}", f"{row['energy_uj'] / of_reference:.2f}"]


def recipes_table(record: Row) -> list[str]:
    """Return what the recipes say."""
    heads = (
        "recipe",
        "activations",
        "weights",
        "at 8 bits",
        "calibration pictures",
        "bits of a stored weight, mean",
        "CPU s",
    )
    rows = [
        [
            f"`{name}`",
            f"`{made['activations']}`",
            f"`{made['weights']}`",
            {"first-last": "first and last layer", "none": "none"}[made["keep_8bit"]],
            str(made["calibration_pictures"]),
            f"{made['weight_bits']:.2f}",
            f"{made['cpu_seconds']:.0f}",
        ]
        for name, made in record["recipes"].items()
    ]
    return markdown_table(heads, rows)


def about_table(record: Row) -> list[str]:
    """Return what all figures of a record are of."""
    calibration, energies = record["calibration"], record["energies"]
    first = next(iter(record["recipes"].values()))
    cells = (
        f"cells {energies['library']}, {energies['node_nm']:g} nm, {energies['corner']}, "
        f"{energies['voltage_v']:g} V, clock {energies['clock_ns']:g} ns; {energies['source']}"
    )
    pictures = (
        f"{record['data']}; {record['answered_pictures']} are answered; SQNR of layers is of the "
        f"first {record['error_pictures']} of them, cycles and energy are of the first one"
    )
    scales = (
        f"{calibration['pictures']} other pictures, {calibration['words']}, without their labels; "
        f"SHA-256 of what the first layer took `{first['calibration_sha256'][:16]}...`"
    )
    return [
        f"* pictures: {pictures}",
        f"* calibration: {scales}",
        f"* seeds: {record['seeds']}{_compared_by_chance(record)}",
        *_trained(record),
        f"* the float network has {first['float_top1']} of {record['answered_pictures']} right",
        f"* {record['array']}; areas: {record['areas']}",
        f"* energy: array alone, {cells}",
        *(f"* energy: {remark}" for remark in energies["remarks"]),
        *_absent(record),
    ]


def _compared_by_chance(record: Row) -> str:
    """Return what is drawn for a claim and not for a row, where the record has it."""
    if "multipoint" not in record.get("claims", {}):
        return ""
    return " but the random points that those of `multipoint` are compared with (seed 0)"


def _trained(record: Row) -> list[str]:
    """Return which weights a network has that is trained anew, where the record says it."""
    digest = record.get("weights_sha256")
    return [f"* weights: SHA-256 `{digest[:16]}...`"] if digest else []


def _absent(record: Row) -> list[str]:
    """Return why a dash stands where it does, each reason once, and under which recipes where it
    is not all of a design's.
    """
    reasons: dict[tuple[str, str], dict[str, list[str]]] = {}
    recipes: dict[str, list[str]] = {}
    for row in in_order(record):
        recipes.setdefault(row["pe"], []).append(row["recipe"])
        for what, why in row["absent"].items():
            designs = reasons.setdefault((what, why), {})
            designs.setdefault(row["pe"], []).append(row["recipe"])
    lines = []
    for (what, why), designs in reasons.items():
        named = ", ".join(_under(pe, found, recipes[pe]) for pe, found in designs.items())
        lines.append(f"* {NONE} no {what}: {named}: {why}")
    return lines


def _under(pe: str, found: list[str], recipes: list[str]) -> str:
    """Return a design, and recipes of it where they are not all."""
    return f"`{pe}`" if found == recipes else f"`{pe}` ({', '.join(f'`{each}`' for each in found)})"


def near_float(record: Row) -> list[Row]:
    """Return the rows whose network is right on at most `FEWER_RIGHT` fewer pictures than the
    float network, as a share of all.
    """
    pictures = record["answered_pictures"]
    in_float = next(iter(record["recipes"].values()))["float_top1"]
    return [row for row in record["rows"] if in_float - row["top1"] <= FEWER_RIGHT * pictures]


def said(record: Row) -> list[str]:
    """Return which rows are worth most, and of how many, in sentences."""
    rows = near_float(record)
    with_energy = [row for row in rows if row["energy_uj"] is not None]
    with_area = [row for row in rows if row["pe_area"] is not None]
    frugal = min(with_energy, key=lambda row: row["energy_uj"])
    dense = max(with_area, key=lambda row: _worth(record, row))
    saved = frugal["energy_uj"] / reference_of(record)["energy_uj"]
    densest = "the same one" if dense is frugal else _point(record, dense)
    return [
        (
            f"{len(rows)} rows are right on at most {FEWER_RIGHT:.0%} of the pictures fewer than "
            f"the float network. {len(with_energy)} of them have an energy: "
            f"{_point(record, frugal)} takes the least, {saved:.2f} of `{BASELINE}` at 8 bits. "
            f"{len(with_area)} have an area: {densest} has the most throughput per area, "
            f"{per_area(record, dense)[1]:.2f} times that of `{BASELINE}` at 8 bits."
        )
    ]


def _worth(record: Row, row: Row) -> tuple[float, float]:
    """Return throughput per area, and of equal ones the nearness to the float network."""
    return per_area(record, row)[1], row["logits_sqnr_db"]


def _point(record: Row, row: Row) -> str:
    answers = f"{row['top1']}/{record['answered_pictures']}"
    return f"`{row['recipe']}` on `{row['pe']}` ({answers} right)"


TABLES = {
    "said": said,
    "points": points_table,
    "recipes": recipes_table,
    "about": about_table,
    "claims": claims_table,
}


def pages() -> list[Path]:
    """Return the pages that hold tables."""
    return sorted(FOLDER.glob("*.md"))


def lines_of(name: str) -> list[str]:
    """Return the lines of the table KIND_NETWORK."""
    kind, network = name.split("_")
    return TABLES[kind](loaded(network))


PAGES = Pages(pages, lines_of, spaced=False)
rendered, write_tables = PAGES.rendered, PAGES.write


if __name__ == "__main__":
    PAGES.write_or_check()
