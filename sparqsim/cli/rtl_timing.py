"""What `sparqsim rtl timing` does and prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sparqsim.base.wording import counted
from sparqsim.cli.cells import new_table
from sparqsim.cli.tables import Shown, Table
from sparqsim.pe import get_pe
from sparqsim.rtl.designs import MEASURED_DESIGNS
from sparqsim.rtl.synthesis import debian_library, library_of, table_text
from sparqsim.rtl.timing import Part, Period, period, shipped_timing
from sparqsim.rtl.timing_run import measured_timing

BASELINE = "mac-8b8b"
Progress = Callable[[list[Any]], Iterable[Any]]


def timing_table(
    names: Sequence[str], liberty: Sequence[str], measure: bool, progress: Progress
) -> Mapping[str, Any]:
    """Return the table that ships, or time designs now."""
    if not liberty and not measure:
        return shipped_timing()
    library = library_of(liberty) if liberty else debian_library()
    return measured_timing(library, [get_pe(name) for name in names or MEASURED_DESIGNS], progress)


def timing_shown(table: Mapping[str, Any], names: Sequence[str]) -> Shown:
    """Return periods, and the slowest path of each part."""
    designs = list(names) or list(table["rows"][0]["pe"])
    periods = {name: period(name, table) for name in designs}
    return Shown(
        "",
        [_periods(periods, table), _paths(periods)],
        "\n".join(_notes(table)),
        lambda: [_record(name, found, table) for name, found in periods.items()],
        lambda: table_text(table),
    )


def _periods(periods: Mapping[str, Period], table: Mapping[str, Any]) -> Table:
    base = BASELINE if BASELINE in periods else next(iter(periods))
    shown = new_table(
        "design",
        "period\nns",
        "clock\nMHz",
        f"period\nx {base}",
        "PE\nns",
        "edge\nns",
        "PE area\nat it",
        "PE area\nleast",
        title=f"Shortest clock periods in {table['rows'][0]['library'].split()[0]}",
    )
    for name, found in periods.items():
        shown.add_row(
            name,
            f"{found.period_ns:.3f}",
            f"{1000 / found.period_ns:.0f}",
            f"{found.period_ns / periods[base].period_ns:.2f}",
            f"{found.pe.period_ns:.3f}",
            f"{found.edge.period_ns:.3f}" if found.edge else "-",
            f"{found.pe.area:,.0f}",
            f"{found.least_area:,.0f}",
        )
    return shown


def _paths(periods: Mapping[str, Period]) -> Table:
    shown = Table("Slowest paths", ["design", "part", "gates", "path"], text=True)
    for name, found in periods.items():
        for label, part in (("PE", found.pe), ("edge", found.edge)):
            if part is not None:
                shown.add_row(name, label, str(part.cells), part.path)
    return shown


def _notes(table: Mapping[str, Any]) -> list[str]:
    rows = table["rows"]
    corner = rows[0]["corner"]
    return [
        table["label"],
        (
            "Period: the longer one of PE and edge unit (trim unit and its registers), each the "
            f"shortest of {counted(len(rows), 'flow')}. From register to register: operands come "
            "from the registers of neighbouring PEs, at the edge and from the controller from "
            "registers of their own; answers to the controller are not timed. PE area at it, "
            "least: in the library's unit, of the netlist with that period, and of the smallest."
        ),
        (
            f"library: {rows[0]['library']}, corner {corner['name']}, {corner['voltage']} V, "
            f"{corner['temperature']} degrees C"
        ),
        "flow: " + "; ".join(row["flow"] for row in rows),
        "tool: " + "; ".join(rows[0]["tools"].values()),
    ]


def _record(name: str, found: Period, table: Mapping[str, Any]) -> dict[str, Any]:
    corner = table["rows"][0]["corner"]
    return {
        "pe": name,
        "period_ns": found.period_ns,
        "limited_by": found.where,
        **_part_record("pe", found.pe),
        **_part_record("edge", found.edge),
        "library": found.library,
        **{f"corner_{key}": value for key, value in corner.items()},
    }


def _part_record(label: str, part: Part | None) -> dict[str, Any]:
    values = (
        (None,) * 5
        if part is None
        else (part.period_ns, part.area, part.flow, part.cells, part.path)
    )
    fields = ("period_ns", "area", "flow", "gates", "path")
    return dict(zip((f"{label}_{field}" for field in fields), values, strict=True))
