"""What gathers from an embedding table take, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparqsim.base.errors import printable
from sparqsim.base.wording import counted
from sparqsim.cli.tables import Shown, Table
from sparqsim.results.gather_energy import COUNTER, ROWS
from sparqsim.results.gather_report import GatherEntry, GatherReport

PJ_PER_UJ = 1e6
#: What limits a rate, in words.
LIMITS: Mapping[str, str] = {
    "channel": "channel",
    "lanes": "lanes",
    "issue": "requests",
    "outstanding": "latency",
}


def gather_shown(report: GatherReport, *, actions: bool = False) -> Shown:
    """Return bytes and rates, errors, energy where it was asked for, and shares beside the network
    behind; with `actions`, also what was done that costs energy.
    """
    tables = [_rates(report), _errors(report)]
    if report.energy is not None:
        tables.append(_energies(report))
    if actions:
        tables.append(_actions(report))
    if report.mlp is not None:
        tables.append(_shares(report))
    lookups = report.lookups
    drawn = f" [SYNTHETIC look-ups: {lookups.synthetic}]" if lookups.synthetic else ""
    heading = (
        f"{report.table.name}: {report.table.rows:,} rows of {report.table.width} elements, "
        f"{counted(lookups.lookups, 'look-up')} of {counted(lookups.distinct_rows, 'row')}, "
        f"{counted(lookups.bags, 'bag')}, {lookups.source}{drawn}"
    )
    return Shown(
        printable(heading),
        tables,
        "\n".join(map(printable, _notes(report))),
        report.flat_rows,
        report.to_json,
    )


def _label(report: GatherReport, entry: GatherEntry) -> str:
    widths = {each.width for each in report.entries}
    return entry.format if len(widths) == 1 else f"{entry.format}, {entry.width} wide"


def _rates(report: GatherReport) -> Table:
    table = Table(
        "Bytes, bursts and look-ups per 1000 cycles",
        [
            "format",
            "layout",
            "bytes\na row",
            "table\n% of fp32",
            "bursts a\nlook-up",
            "bound",
            "reached",
            "bound by",
        ],
        text=True,
    )
    for each in report.entries:
        limit, bound = each.bounds.tightest
        table.add_row(
            _label(report, each),
            each.layout,
            f"{each.row_bytes:,}",
            f"{100 * report.share_of_reference(each):.2f}",
            f"{each.bursts_per_lookup:.3f}",
            f"{1000 * bound:.2f}",
            f"{1000 * each.lookups_per_cycle:.2f}",
            LIMITS[limit],
        )
    return table


def _errors(report: GatherReport) -> Table:
    table = Table(
        "Error: |row - as read back| / |row|",
        ["format", "mean", "median", "p99", "worst", "of row", "mean of\nlook-ups"],
    )
    seen = set()
    for each in report.entries:
        label, errors = _label(report, each), each.errors
        if label in seen:  # the same in every layout
            continue
        seen.add(label)
        values = (errors.mean, errors.median, errors.p99, errors.worst)
        cells = [f"{value:.5f}" for value in values]
        table.add_row(label, *cells, str(errors.worst_row), f"{errors.mean_of_lookups:.5f}")
    return table


def _energies(report: GatherReport) -> Table:
    table = Table(
        "Energy of gathers: whole bursts, and row buffers",
        [
            "format",
            "layout",
            "pJ a\nlook-up",
            "of it\nDRAM",
            "of it row\nbuffers",
            "uJ of all\nlook-ups",
        ],
    )
    for each in report.entries:
        energy = each.energy_pj
        if energy is None:
            continue
        parts = (energy.total, energy.dram, energy.row_buffers)
        cells = [f"{part / each.lookups:,.1f}" for part in parts]
        table.add_row(_label(report, each), each.layout, *cells, f"{energy.total / PJ_PER_UJ:,.2f}")
    return table


def _actions(report: GatherReport) -> Table:
    """Return the actions, an entry a row: several are equal by what they are."""
    columns = {
        "bytes of\nrows": f"{ROWS}.dram_read",
        "bytes that\nfill bursts": f"{ROWS}.burst_padding",
        "written to\nbuffers": f"{ROWS}.sram_write",
        "read from\nbuffers": f"{ROWS}.sram_read",
        "pages\nopened": f"{COUNTER}.page_opens",
        "elements\ndequantised": f"{COUNTER}.dequantised",
    }
    title = f"Actions that cost energy, of {counted(report.lookups.lookups, 'request')}"
    table = Table(title, ["format", "layout", *columns])
    for each in report.entries:
        counts = (f"{each.actions[name].count:,}" for name in columns.values())
        table.add_row(_label(report, each), each.layout, *counts)
    return table


def _shares(report: GatherReport) -> Table:
    table = Table(
        "Cycles of one input: gathers, then the network behind",
        ["format", "layout", "gathers", "network", "gathers\n% of both"],
    )
    for each in report.entries:
        share = report.gather_share(each)
        if report.mlp is None or each.mlp is None or share is None:
            continue
        table.add_row(
            _label(report, each),
            each.layout,
            f"{each.cycles / report.mlp.inputs:,.1f}",
            f"{each.mlp.input_cycles:,.1f}",
            f"{100 * share:.1f}",
        )
    return table


def _notes(report: GatherReport) -> Iterator[str]:
    hardware = report.hardware
    bandwidth = hardware.bandwidth_bytes_per_cycle
    limit = "no limit" if bandwidth is None else f"{bandwidth:g} bytes per cycle"
    yield (
        f"{hardware.name}: {limit}, latency {hardware.latency_cycles} cycles, bursts of "
        f"{hardware.burst_bytes} bytes, {counted(hardware.outstanding, 'row')} outstanding, "
        f"{counted(hardware.lanes, 'lane')}."
    )
    if hardware.page_bytes:
        yield (
            f"DRAM pages of {hardware.page_bytes:,} bytes in {counted(hardware.banks, 'bank')}, "
            f"{hardware.page_miss_cycles} cycles to open one; pages found open: {_hits(report)}."
        )
    else:
        yield "DRAM row buffers are not modelled ([gather] page_bytes of the configuration)."
    yield from _rate_note(report)
    if report.energy is not None:
        yield report.energy.words
        yield from report.energy.remarks
    if report.mlp is not None:
        yield from _mlp_notes(report)


def _hits(report: GatherReport) -> str:
    shares = []
    for each in report.entries:
        share = each.page_hits / (each.page_hits + each.page_misses)
        shares.append(f"{_label(report, each)} {each.layout} {100 * share:.1f} %")
    return ", ".join(shares)


def _rate_note(report: GatherReport) -> Iterator[str]:
    fastest = max(report.entries, key=lambda each: each.lookups_per_cycle)
    rate = report.per_second(fastest.lookups_per_cycle)
    if rate is None:
        yield "Rates per second: the configuration has no clock ([gather] clock_mhz)."
        return
    bound = report.per_second(fastest.bounds.tightest[1]) or 0.0
    yield (
        f"At {report.hardware.clock_mhz:g} MHz the highest rate, of {fastest.format} "
        f"{fastest.layout}, is {rate / 1e6:,.4g} million look-ups per second; its bound "
        f"{bound / 1e6:,.4g} million."
    )


def _mlp_notes(report: GatherReport) -> Iterator[str]:
    mlp = report.mlp
    if mlp is None:
        return
    yield (
        f"Network: {mlp.trace}, {counted(mlp.layers, 'layer')}, {mlp.design} on {mlp.array.words}. "
        f"{mlp.first_layer} takes {counted(mlp.bags_per_input, 'pooled vector')} (means, 8-bit "
        f"codes) an input, {counted(mlp.inputs, 'input')} in one; the other layers run on the "
        f"trace's own {counted(mlp.traced_inputs, 'input')}."
    )
    yield "Shares are of both one after the other: that they overlap is not simulated."
