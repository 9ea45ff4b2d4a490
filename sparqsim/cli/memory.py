"""What the memory system did, for the terminal; and `sparqsim bandwidth`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from sparqsim.cli.completion import preset
from sparqsim.cli.options import (
    Array,
    Baseline,
    Coupling,
    Dataflow,
    Designs,
    Format,
    Include,
    Output,
    Overlap,
    Trace,
    accelerator_config,
)
from sparqsim.errors import InputError, printable, shown
from sparqsim.parse import real_number
from sparqsim.plugins import named_file
from sparqsim.wording import counted

if TYPE_CHECKING:
    from sparqsim.cli.tables import Shown, Table
    from sparqsim.config import ArrayConfig
    from sparqsim.layer_report import Cycles
    from sparqsim.memory import MemoryConfig
    from sparqsim.memory.curves import BandwidthCurves
    from sparqsim.memory.traffic import Traffic
    from sparqsim.pe import PEDesign
    from sparqsim.report import Report
    from sparqsim.trace import Trace as LoadedTrace


def traffic_table(report: Report) -> Table:
    """Return the table of DRAM traffic: kilobytes by operand, loop order, share of cycles that waited."""
    from sparqsim.cli.show import layer_label, new_table

    table = new_table(
        "layer",
        "loops",
        "chunks",
        "act kB",
        "wgt kB",
        "out kB",
        "psum kB",
        "memory\nstall %",
        "of it\nports %",
        title="DRAM traffic (1 kB = 1000 bytes), and the share of cycles that wait for memory",
    )
    for layer in report.layers:
        if layer.traffic is not None:
            table.add_row(
                layer_label(layer),
                layer.traffic.loop_order,
                str(layer.traffic.stream_chunks),
                *traffic_cells(layer.traffic, layer.cycles),
            )
    table.add_section()
    if report.totals.traffic is not None:
        table.add_row("total", "", "", *traffic_cells(report.totals.traffic, report.cycles))
    return table


def traffic_cells(traffic: Traffic, cycles: Cycles) -> list[str]:
    """Return DRAM traffic of activations, weights, finished outputs and partial sums, then shares of waiting cycles."""
    from sparqsim.cli.show import percent

    sums = traffic.psum_spill_bytes + traffic.psum_reload_bytes
    moved = [
        traffic.activations.dram_read_bytes,
        traffic.weights.dram_read_bytes,
        traffic.outputs.dram_write_bytes - traffic.psum_spill_bytes,
        sums,
    ]
    waiting = [percent(part / cycles.total) for part in (cycles.memory_stall, traffic.port_stall)]
    return [*(f"{size / 1000:,.1f}" for size in moved), *waiting]


def save_timeline(
    path: str,
    trace: LoadedTrace,
    report: Report,
    array: ArrayConfig,
    memory: MemoryConfig,
    pe: PEDesign,
) -> None:
    """Write the timeline of a report's run, of which `pe` is the design; say what was left out."""
    from sparqsim.memory.network import outcomes
    from sparqsim.memory.timeline import MOST_EVENTS, write_timeline
    from sparqsim.pe.registry import resolve

    designs = [resolve(layer.pe, known=[pe]) for layer in report.layers]
    runs = ((layer, outcome) for layer, _, outcome in outcomes(trace, designs, array, memory))
    left_out = write_timeline(path, runs, layers=len(designs))
    if left_out:
        typer.echo(
            f"{printable(path)}: {counted(left_out, 'event')} left out to keep to {MOST_EVENTS:,}: only the "
            "beginning of each layer is shown",
            err=True,
        )


def bandwidth(
    trace: Trace,
    config: Annotated[
        str,
        typer.Option(
            "--config",
            metavar="FILE",
            autocompletion=preset,
            help="Accelerator; its DRAM bandwidth is replaced.",
        ),
    ],
    pe: Designs = None,
    baseline: Baseline = "mac-8b8b",
    bandwidths: Annotated[
        str | None,
        typer.Option(
            "--bandwidths",
            metavar="B,B,...",
            show_default="1,2,4,...,512",
            help="DRAM bandwidths in bytes per cycle.",
        ),
    ] = None,
    array: Array = None,
    dataflow: Dataflow = None,
    coupling: Coupling = None,
    overlap: Overlap = None,
    all_layers: Include = False,
    output: Output = None,
    format_: Format = "table",
    plot: Annotated[
        str | None,
        typer.Option("--plot", metavar="FILE", help="Draw the curves (.svg, .pdf, .png)."),
    ] = None,
) -> None:
    """Show at which DRAM bandwidth the speedup of each design dies."""
    import sparqsim
    from sparqsim.cli.run import split_designs
    from sparqsim.cli.tables import checked_format, deliver, saving
    from sparqsim.files import check_outputs
    from sparqsim.memory.curves import BANDWIDTHS, bandwidth_curves
    from sparqsim.simulation import DEFAULT_PES, KEPT

    checked_format(format_)
    if plot:
        from sparqsim.plot import figure_format

        figure_format(plot)  # a wrong suffix is told before the work, not after it
    shape, memory = accelerator_config(config, array, dataflow, coupling, overlap)
    names = list(dict.fromkeys([baseline, *(split_designs(pe) if pe else DEFAULT_PES)]))
    check_outputs({"-o": output, "--plot": plot}, [trace, config, *map(named_file, names)])
    designs = [sparqsim.get_pe(name) for name in names]
    if memory is None:
        raise InputError("--config: expected an accelerator with a memory")
    result = bandwidth_curves(
        sparqsim.load_trace(trace),
        designs,
        shape,
        memory,
        baseline=sparqsim.get_pe(baseline).spec,
        kept=None if all_layers else sparqsim.get_pe(KEPT),
        bandwidths=parse_bandwidths(bandwidths) if bandwidths else BANDWIDTHS,
    )

    def draw() -> None:
        if plot:
            from sparqsim.plot.bandwidth import plot_bandwidth

            plot_bandwidth(result, plot)

    deliver(curves_shown(result), format_, saving(output, result.to_json), draw)


def parse_bandwidths(text: str) -> list[float]:
    """Return the numbers of a comma-separated list; their range is checked where they are used."""
    parts = [part.strip() for part in text.split(",")]
    numbers = (math.inf if part == "inf" else real_number(part) for part in parts)
    values = [number for number in numbers if number is not None]
    if len(values) < len(parts) or len({*values}) < len(values):
        raise InputError(
            f"--bandwidths {shown(text)}: expected numbers of bytes per cycle, each once, e.g. 1,2.5,16"
        )
    return values


def curves_shown(result: BandwidthCurves) -> Shown:
    """Return speedups, bandwidths down and designs across."""
    from sparqsim.cli import records
    from sparqsim.cli.show import heading_of, new_table
    from sparqsim.cli.tables import Shown
    from sparqsim.report import note_lines

    table = new_table(
        "DRAM B/cycle",
        *map(heading_of, result.order),
        title=f"Speedup over {result.baseline} at equal DRAM bandwidth",
    )
    for at, value in enumerate(result.bandwidths):
        label = "no limit" if value is None else f"{value:g}"
        table.add_row(label, *(f"{result.speedup[name][at]:.2f}" for name in result.order))
    table.add_section()
    table.add_row("no memory", *(f"{result.array_speedup[name]:.2f}" for name in result.order))
    array = result.array
    source = result.network or f"trace {result.trace_sha256[:12]}"
    label = f" [SYNTHETIC values: {result.synthetic}]" if result.synthetic else ""
    heading = (
        f"{printable(source + label)}: array {array.rows}x{array.cols}, dataflow {array.dataflow}, "
        f"{array.coupling}, overlap {'on' if array.overlap else 'off'}, memory {printable(result.memory.name)} "
        f"(storage {result.memory.storage}, loop order {result.memory.loop_order}), "
        f"{result.coverage.label(result.macs or 0)}"
    )
    notes = [*result.coverage.notes(result.macs or 0), *note_lines(result.timing_notes)]
    return Shown(
        heading, [table], "\n".join(notes), lambda: records.of_curves(result), result.to_json
    )
