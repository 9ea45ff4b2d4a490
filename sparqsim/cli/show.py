"""Results as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sparqsim.cli.cells import (
    decibels,
    heading_of,
    layer_label,
    mark,
    mean_text,
    measured_cells,
    new_table,
    parts_shown,
    percent,
    short,
)
from sparqsim.cli.joined import Joined
from sparqsim.cli.notes import notes
from sparqsim.cli.one_clock import note_of_one_clock
from sparqsim.cli.tables import Shown, Table
from sparqsim.results.comparison import Comparison
from sparqsim.results.engine_notes import cost_lines
from sparqsim.results.layer_report import Measured
from sparqsim.results.report import Report
from sparqsim.results.signed import WITHOUT_SIGNS, signed_layers
from sparqsim.trace import Layer

MAC_BASELINES = ("mac-8b8b", "mac-4b8b", "mac-4b4b")
#: Headings of the parts of `bounds.gap_cycles`.
GAP = {
    "ragged_tiles": "ragged\ntiles",
    "fill_drain": "fill, drain",
    "pe_waiting": "PEs\nwaiting",
    "memory_stall": "memory\nstall",
}


@contextmanager
def layer_progress() -> Iterator[Callable[[Sequence[Layer]], Any]]:
    """Give a wrapper that shows progress over layers on a terminal, nothing in a pipe."""
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    from sparqsim.cli.progress import DESCRIPTION, progress_bar

    columns = (DESCRIPTION, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with progress_bar(*columns) as bar:
        yield lambda layers: bar.track(layers, description="layers")


def report_shown(report: Report, *, actions: bool = False) -> Shown:
    """Return one design's layers and total; with `actions`, also what it did that costs energy."""
    tables = [cycles_table(report), bounds_table(report)]
    if report.memory is not None:
        from sparqsim.cli.show_memory import traffic_table

        tables.append(traffic_table(report))
    remarks = []
    if report.energy is not None:
        from sparqsim.cli import show_energy

        tables.append(show_energy.layers_energy_table(report))
        remarks.append(show_energy.notes([report]))
    if actions:
        from sparqsim.cli.show_actions import actions_table

        tables.append(actions_table([report]))
        remarks += cost_lines([report])
    return Shown(
        report.heading(),
        tables,
        "\n".join([*remarks, notes([report], utilizations=True)]),
        report.flat_rows,
        report.to_json,
    )


def comparison_shown(comparison: Comparison, *, actions: bool = False) -> Shown:
    """Return whole-network figures, then speedup and error layer by layer; with `actions`, also
    what designs did that costs energy.
    """
    reports = [comparison.reports[name] for name in comparison.order]
    speedups = layer_table(
        comparison,
        f"Speedup over {comparison.baseline}, layer by layer",
        lambda name, at: f"{comparison.layer_speedup(name, at):.2f}",
        lambda name: f"{comparison.speedup(name):.2f}",
    )
    errors = layer_table(
        comparison,
        "SQNR of the outputs against exact 8-bit, dB",
        lambda name, at: decibels(comparison.reports[name].layers[at]),
        lambda name: decibels(comparison.reports[name].totals),
    )
    further, remarks = _further_tables(comparison)
    done = []
    if actions:
        from sparqsim.cli.show_actions import actions_table

        done = [actions_table(reports)]
        remarks += cost_lines(reports)
    return Shown(
        comparison.heading(),
        [
            totals_table(comparison),
            *further,
            Joined([speedups, errors], units=("x", "dB")),
            *done,
        ],
        "\n".join([*remarks, notes(reports)]),
        comparison.flat_rows,
        comparison.to_json,
    )


def _further_tables(comparison: Comparison) -> tuple[list[Table], list[str]]:
    """Return what was asked for beside cycles: equal area, clocks; and what must be known of it."""
    tables, remarks = [], []
    if comparison.iso_area is not None:
        from sparqsim.cli import show_iso

        tables.append(show_iso.iso_area_table(comparison, comparison.iso_area))
        remarks.append(show_iso.notes(comparison, comparison.iso_area))
    if comparison.clock is not None:
        from sparqsim.cli import show_clock

        tables.append(show_clock.clock_table(comparison, comparison.clock))
        remarks.append(show_clock.notes(comparison, comparison.clock))
    else:
        remarks += note_of_one_clock(comparison)
    reports = [comparison.reports[name] for name in comparison.order]
    if (comparison.iso_area or comparison.clock) and any(map(signed_layers, reports)):
        remarks.append(f"{WITHOUT_SIGNS}.")
    if any(report.energy is not None for report in reports):
        from sparqsim.cli import show_energy

        tables.append(show_energy.designs_energy_table(reports))
        remarks.append(show_energy.notes(reports))
    return tables, remarks


def cycles_table(report: Report) -> Table:
    """Return the table of cycles and where they went, utilization and error, layers down."""
    cycles = report.cycles  # a sum over the layers
    bits = ["bits\nof X, W"] if report.has_narrow_layers else []
    no_bits = [""] * len(bits)
    table = new_table(
        "layer",
        *bits,
        "cycles",
        *(part.replace("_", "\n") for part in parts_shown([cycles])),
        "PEs\nused\n%",
        "array\n%",
        "eff.\n%",
        "SQNR\ndB",
        title="Cycles and where they went",
    )
    for layer in report.layers:
        of_layer = [f"{layer.activation_bits}, {layer.weight_bits}" for _ in bits]
        table.add_row(layer_label(layer), *of_layer, *measured_cells(layer, cycles))
    table.add_section()
    table.add_row("total", *no_bits, *measured_cells(report.totals, cycles))
    if (report.coverage.inputs or 1) > 1:
        table.add_row("per input", *no_bits, *_per_input_cells(report))
    return table


def _per_input_cells(report: Report) -> list[str]:
    """Return the cells of the row below the total: cycles over the number of inputs; shares are the
    total's.
    """
    parts = ["total", *parts_shown([report.cycles])]
    means = [report.coverage.per_input(getattr(report.cycles, part)) for part in parts]
    return [*("" if mean is None else mean_text(mean) for mean in means), *[""] * 4]


def bounds_table(report: Report) -> Table:
    """Return the table of ideal cycles beside the real ones, layers down.

    From `work` on, the columns of a row add up to its cycles.
    """
    gap = [name for name in GAP if name != "memory_stall" or report.memory is not None]
    table = new_table(
        "layer",
        "cycles",
        "busiest PE",
        "work",
        *(GAP[name] for name in gap),
        title="Ideal cycles (busiest PE, work spread evenly), and work + where the rest went = "
        "cycles",
    )
    for layer in report.layers:
        table.add_row(layer_label(layer), *_bounds_cells(layer, gap))
    table.add_section()
    table.add_row("total", *_bounds_cells(report.totals, gap))
    return table


def _bounds_cells(measured: Measured, gap: Sequence[str]) -> list[str]:
    bounds = measured.bounds
    figures = (
        measured.cycles.total,
        bounds.busiest_pe_cycles,
        bounds.work_cycles,
        *(getattr(bounds.gap_cycles, name) for name in gap),
    )
    return [f"{figure:,}" for figure in figures]


def totals_table(comparison: Comparison) -> Table:
    """Return the table of whole-network figures, one design a row."""
    reports = [comparison.reports[name] for name in comparison.order]
    against = [
        name
        for name in dict.fromkeys((comparison.baseline, *MAC_BASELINES))
        if name in comparison.reports
    ]
    parts = parts_shown([report.cycles for report in reports])
    several = (comparison.coverage.inputs or 1) > 1
    table = new_table(
        "design",
        "cycles",
        *(["per\ninput"] if several else []),
        *(part.replace("_", "\n") + "\n%" for part in parts),
        "array\n%",
        *("over\n" + heading_of(short(name)) for name in against),
        "SQNR\ndB",
        title=(
            f"{comparison.coverage.scope()}: cycles, where they went, utilization, speedup, error"
        ),
    )
    for name, report in zip(comparison.order, reports, strict=True):
        cycles, use = report.cycles, report.totals.utilization
        shares = [percent(getattr(cycles, part) / cycles.total) for part in parts]
        speedups = [f"{comparison.speedup(name, over=other):.2f}" for other in against]
        per_input = comparison.coverage.per_input(cycles.total)
        table.add_row(
            name + mark(report),
            f"{cycles.total:,}",
            *([mean_text(per_input)] if several and per_input is not None else []),
            *shares,
            percent(use.array),
            *speedups,
            decibels(report.totals),
        )
    return table


def layer_table(
    comparison: Comparison, title: str, cell: Callable[[str, int], str], total: Callable[[str], str]
) -> Table:
    """Return a table of one figure, layers down and designs across."""
    names = comparison.order
    table = new_table("layer", *map(heading_of, names), title=title)
    for at, layer in enumerate(comparison.reports[comparison.baseline].layers):
        table.add_row(layer_label(layer), *(cell(name, at) for name in names))
    table.add_section()
    table.add_row("total", *(total(name) for name in names))
    return table
