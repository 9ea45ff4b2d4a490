"""Clocks and times of a comparison as a table for a terminal."""

from __future__ import annotations

from sparqsim.base.errors import printable
from sparqsim.cli.cells import mark, new_table
from sparqsim.cli.show_iso import spread
from sparqsim.cli.tables import Table
from sparqsim.results.clock import Clock
from sparqsim.results.comparison import Comparison


def clock_table(comparison: Comparison, clock: Clock) -> Table:
    """Return periods, times and speedups in time; '-' for a design without a period."""
    equal_area = ["per area\n(range)", "= area\n(range)"] if comparison.iso_area else []
    whose = "each design's own clock" if clock.kind == "own" else "one clock for all"
    table = new_table(
        "design",
        "shortest\nns",
        "by",
        "period\nns",
        "cycles",
        "time\nus",
        "speedup\nin cycles",
        "speedup\nin time",
        *equal_area,
        title=f"Time at {whose} ({clock.source}): speedup over {comparison.baseline}",
    )
    for name in comparison.order:
        cycles = comparison.reports[name].cycles.total
        table.add_row(
            name + mark(comparison.reports[name]),
            *_periods(clock, name),
            f"{cycles:,}",
            _time(clock, name),
            f"{comparison.speedup(name):.2f}",
            *_gains(clock, name, equal_area=bool(equal_area)),
        )
    return table


def _periods(clock: Clock, name: str) -> tuple[str, str, str]:
    design = clock.designs.get(name)
    if design is None:
        return "-", "-", "-"
    limited_by = {"pe": "PE", "edge": "edge"}[design.limited_by]
    return f"{design.shortest_period_ns:.3f}", limited_by, f"{design.period_ns:.3f}"


def _time(clock: Clock, name: str) -> str:
    design = clock.designs.get(name)
    return "-" if design is None else f"{design.time_us:,.1f}"


def _gains(clock: Clock, name: str, *, equal_area: bool) -> list[str]:
    design = clock.designs.get(name)
    if design is None:
        return ["-"] * (3 if equal_area else 1)
    gains = [f"{design.speedup:.2f}"]
    if equal_area:
        found = design.equal_area
        gains += [spread(found.speedup_per_area), spread(found.speedup)] if found else ["-"] * 2
    return gains


def notes(comparison: Comparison, clock: Clock) -> str:
    """Return what a reader must know."""
    slowest = clock.designs[clock.slowest]
    corner = f"{clock.corner['name']}, {clock.corner['voltage']} V"
    told = [
        (
            f"Periods: {clock.timed}, in {clock.library.split()[0]} ({corner}): gates without "
            f"wires, no paper's figures. Slowest: {clock.slowest}, "
            f"{slowest.shortest_period_ns:.3f} ns. Time: cycles x period."
        )
    ]
    if comparison.iso_area:
        told.append(
            "per area, = area: speedups in time over relative PE area, and on arrays of equal "
            "area. Areas are of the area table, netlists at the shortest period are larger "
            "(`sparqsim rtl timing`)."
        )
    if comparison.reports[comparison.baseline].memory is not None and clock.kind == "own":
        told.append(
            "Memory moves bytes per cycle, so a design with a faster clock has more of them per "
            "second."
        )
    told += [f"No period: {printable(reason)}." for reason in clock.without_period.values()]
    return "\n".join(told)
