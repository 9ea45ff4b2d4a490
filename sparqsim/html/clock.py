"""Clocks and times, where a comparison has them."""

from __future__ import annotations

from collections.abc import Iterator

from sparqsim.html.cells import Cell, Column, Table, decimal
from sparqsim.results.clock import Clock, DesignClock
from sparqsim.results.comparison import Comparison

AREA_TERMS = (
    ("speedup per area", "clock_area.speedup_per_area"),
    ("speedup at equal area", "clock_area.speedup"),
)


def clock_tables(comparison: Comparison) -> Iterator[Table]:
    """Yield the table of clocks and times; nothing where there is none."""
    clock = comparison.clock
    if clock is not None:
        yield _table(clock, comparison)


def _table(clock: Clock, comparison: Comparison) -> Table:
    equal_area = comparison.iso_area is not None
    ranges = [
        Column(f"{label}, {part}", term)
        for label, term in AREA_TERMS
        for part in ("low", "median", "high")
    ]
    columns = (
        Column("design", "design", text=True),
        Column("shortest period (ns)", "clock.shortest_period_ns"),
        Column("limited by", "clock.limited_by", text=True),
        Column("period (ns)", "clock.period_ns"),
        Column("time (us)", "clock.time_us"),
        Column("speedup in time", "clock.speedup"),
        *(ranges if equal_area else ()),
    )
    rows = tuple(
        _row(name, clock.designs[name], equal_area=equal_area)
        for name in comparison.order
        if name in clock.designs
    )
    whose = "each design's own clock" if clock.kind == "own" else "one clock for all"
    corner = f"{clock.corner['name']}, {clock.corner['voltage']} V"
    note = (
        f"Periods: {clock.source} of {clock.timed}, in {clock.library.split()[0]} ({corner}), "
        "without wires."
    )
    note += "".join(f" No period: {reason}." for reason in clock.without_period.values())
    title = f"Time at {whose}, over {comparison.baseline}"
    return Table(title, columns, rows, note=note, wide=equal_area)


def _row(name: str, design: DesignClock, *, equal_area: bool) -> tuple[Cell, ...]:
    ranges: list[Cell] = []
    if equal_area:
        found = design.equal_area
        figures = [found.speedup_per_area, found.speedup] if found else []
        ranges = [
            decimal(value)
            for figure in figures
            for value in (figure.low, figure.middle, figure.high)
        ] or [Cell("-")] * 6
    return (
        Cell(name),
        decimal(design.shortest_period_ns, 3),
        Cell(design.limited_by),
        decimal(design.period_ns, 3),
        decimal(design.time_us, 1),
        decimal(design.speedup),
        *ranges,
    )
