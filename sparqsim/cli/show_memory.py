"""What the memory system did, as tables: traffic of a report, speedups over bandwidth."""

from __future__ import annotations

from sparqsim.analysis.bandwidth import BandwidthCurves
from sparqsim.base.errors import printable
from sparqsim.cli.cells import heading_of, layer_label, new_table, percent
from sparqsim.cli.tables import Shown, Table
from sparqsim.memory.traffic import Traffic
from sparqsim.results.layer_report import Cycles
from sparqsim.results.report import Report
from sparqsim.results.setting import note_lines


def traffic_table(report: Report) -> Table:
    """Return the table of DRAM traffic: kB by operand, loop order, share of stalled cycles."""
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
        title="DRAM traffic (1 kB = 1000 bytes), and the share of cycles that memory stalls",
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
    """Return DRAM traffic of operands, finished outputs, partial sums, and shares of stalls."""
    sums = traffic.psum_spill_bytes + traffic.psum_reload_bytes
    moved = [
        traffic.activations.dram_read_bytes,
        traffic.weights.dram_read_bytes,
        traffic.outputs.dram_write_bytes - traffic.psum_spill_bytes,
        sums,
    ]
    stalls = [
        percent(part / cycles.total) for part in (cycles.memory_stall, traffic.port_stall_cycles)
    ]
    return [*(f"{size / 1000:,.1f}" for size in moved), *stalls]


def curves_shown(result: BandwidthCurves) -> Shown:
    """Return speedups, bandwidths down and designs across."""
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
    heading = (
        f"{result.provenance.source()}: {result.array.words}, memory "
        f"{printable(result.memory.name)} (storage {result.memory.storage}, loop order "
        f"{result.memory.loop_order}), {result.coverage.label(result.macs or 0)}"
    )
    notes = [*result.coverage.notes(result.macs or 0), *note_lines(result.timing_notes)]
    return Shown(heading, [table], "\n".join(notes), result.flat_rows, result.to_json)
