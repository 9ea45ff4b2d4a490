"""Speedup at equal area, where a comparison has it."""

from __future__ import annotations

from collections.abc import Iterator

from sparqsim.html.cells import Cell, Column, Table, decimal
from sparqsim.results.comparison import Comparison
from sparqsim.results.iso_area import IsoArea, IsoDesign, Range, ScaledArray

TERMS = (
    ("speedup", "iso.speedup"),
    ("speedup per area", "iso.speedup_per_area"),
    ("PE area", "iso.relative_pe_area"),
)


def equal_area_tables(comparison: Comparison) -> Iterator[Table]:
    """Yield the table of a comparison at equal area; nothing where there is none."""
    iso = comparison.iso_area
    if iso is not None:
        yield _table(iso, comparison)


def _table(iso: IsoArea, comparison: Comparison) -> Table:
    ranges = [
        Column(f"{label}, {part}", term)
        for label, term in TERMS
        for part in ("low", "median", "high")
    ]
    columns = (
        Column("design", "design", text=True),
        Column("array", "iso.arrays", text=True),
        Column("residue (%)", "iso_array.residue_percent"),
        *ranges,
    )
    rows = tuple(_row(name, iso.designs[name]) for name in comparison.order if name in iso.designs)
    note = f"Areas: {iso.source}, {iso.taken_from}, {iso.combinations} libraries and flows."
    note += "".join(
        f" Layers kept at 8 bits, {name}: not in the area, {needs}."
        for name, needs in iso.kept_without_area.items()
    )
    note += "".join(f" No area: {reason}." for reason in iso.without_area.values())
    return Table(
        f"Equal area instead of equal PEs, over {comparison.baseline}",
        columns,
        rows,
        note=note,
        wide=True,
    )


def _row(name: str, design: IsoDesign) -> tuple[Cell, ...]:
    ranges = (design.speedup, design.speedup_per_area, design.relative_pe_area[design.baseline])
    return (
        Cell(name),
        _array(design.arrays.middle),
        decimal(design.arrays.middle.residue_percent, 1),
        *(cell for figure in ranges for cell in _cells(figure)),
    )


def _array(array: ScaledArray) -> Cell:
    return Cell(f"{array.rows}x{array.cols}", array.rows * array.cols)


def _cells(figure: Range) -> tuple[Cell, Cell, Cell]:
    return decimal(figure.low), decimal(figure.middle), decimal(figure.high)
