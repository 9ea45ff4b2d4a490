"""A comparison at equal area as a table for a terminal."""

from __future__ import annotations

from sparqsim.array.registry import reported_dataflow
from sparqsim.base.errors import printable
from sparqsim.cli.cells import mark, new_table, short
from sparqsim.cli.tables import Table
from sparqsim.results.comparison import Comparison
from sparqsim.results.iso_area import IsoArea, IsoDesign, Range
from sparqsim.rtl.area import BASELINES


def iso_area_table(comparison: Comparison, iso: IsoArea) -> Table:
    """Return areas, arrays, speedups, ranges in a second line; '-' for a design without an area."""
    areas = tuple(dict.fromkeys((*BASELINES, comparison.baseline)))
    table = new_table(
        "design",
        *("PE area\nx " + short(name) for name in areas),
        "array\n(range)",
        "off\n%",
        "speedup\n= PEs",
        "per area\n(range)",
        "= area\n(range)",
        title=f"Equal area ({iso.source}): speedup over {comparison.baseline}",
    )
    for name in comparison.order:
        label = name + mark(comparison.reports[name])
        design = iso.designs.get(name)
        cells = (
            ["-"] * (len(areas) + 2)
            if design is None
            else [*(spread(design.relative_pe_area[area]) for area in areas), *array_cells(design)]
        )
        gains = (
            ["-"] * 2
            if design is None
            else [spread(design.speedup_per_area), spread(design.speedup)]
        )
        table.add_row(label, *cells, f"{comparison.speedup(name):.2f}", *gains)
    return table


def spread(figure: Range) -> str:
    """Return a figure, and below it its range where it has one."""
    low, high = f"{figure.low:.2f}", f"{figure.high:.2f}"
    return f"{figure.middle:.2f}" + (f"\n{low}-{high}" if low != high else "")


def array_cells(design: IsoDesign) -> list[str]:
    """Return the array of the median area, below it the range's; and their residues."""
    arrays = design.arrays
    sizes, residues = zip(
        *(
            (f"{array.rows}x{array.cols}", f"{array.residue_percent:+.1f}")
            for array in (arrays.middle, arrays.high, arrays.low)
        ),
        strict=True,
    )
    if len(set(sizes)) == 1:
        return [sizes[0], residues[0]]
    return [f"{sizes[0]}\n{sizes[1]}-{sizes[2]}", residues[0]]


def notes(comparison: Comparison, iso: IsoArea) -> str:
    """Return what a reader must know."""
    array = comparison.reports[comparison.baseline].array
    by_row = reported_dataflow(array.dataflow).activations_from_left
    lines, length = ("rows", array.cols) if by_row else ("columns", array.rows)
    told = [
        (
            f"Areas: {iso.taken_from}; median (range) over {iso.combinations} libraries x flows: "
            "gates of whole arrays, with skew, edge units and control, no timing, placement or "
            f"wires; no paper's figures. = area: as many {lines} of {length} PEs as come nearest "
            f"to the area of {array.rows}x{array.cols} PEs of {comparison.baseline}; off: what "
            "whole lines miss the median's by. per area: speedup at equal PEs / PE area, free of "
            "whole numbers. Layers kept at 8 bits run on the same arrays, in the cycles that the "
            "design's circuit needs."
        )
    ]
    told += [f"No area: {printable(reason)}." for reason in iso.without_area.values()]
    told += [
        f"Layers kept at 8 bits, {name}: not in the area, {printable(needs)}."
        for name, needs in iso.kept_without_area.items()
    ]
    told += [
        f"{name}: area of {printable(design.area_of)}."
        for name, design in iso.designs.items()
        if design.area_of != name
    ]
    return "\n".join(told)
