"""Results as tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from sparqsim.cli import records
from sparqsim.cli.markdown import SOFT_HYPHEN
from sparqsim.cli.tables import Shown, Table
from sparqsim.errors import printable
from sparqsim.layer_report import Cycles, LayerReport, Measured
from sparqsim.pe import PEDesign
from sparqsim.report import Comparison, Report
from sparqsim.trace import Layer, Trace

MAC_BASELINES = ("mac-8b8b", "mac-4b8b", "mac-4b4b")
PARTS = ("compute", "fill", "drain", "pe_stall", "memory_stall")


@contextmanager
def layer_progress() -> Iterator[Callable[[Sequence[Layer]], Any]]:
    """Give a wrapper that shows progress over layers on a terminal's stderr, and nothing in a pipe."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        yield lambda layers: bar.track(layers, description="layers")


def report_shown(report: Report) -> Shown:
    """Return one design's layers and total."""
    tables = [cycles_table(report), bounds_table(report)]
    if report.memory is not None:
        from sparqsim.cli.memory import traffic_table

        tables.append(traffic_table(report))
    return Shown(
        heading(report),
        tables,
        notes([report], utilizations=True),
        lambda: records.of_report(report),
        report.to_json,
    )


def comparison_shown(comparison: Comparison) -> Shown:
    """Return whole-network figures, then speedup and error layer by layer."""
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
    equal_area, told = [], []
    if comparison.iso_area is not None:
        from sparqsim.cli import show_iso

        equal_area = [show_iso.iso_area_table(comparison, comparison.iso_area)]
        told = [show_iso.notes(comparison, comparison.iso_area)]
    return Shown(
        heading(comparison.reports[comparison.baseline], design=False),
        [totals_table(comparison), *equal_area, speedups, errors],
        "\n".join([*told, notes(reports)]),
        lambda: records.of_comparison(comparison),
        comparison.to_json,
    )


def cycles_table(report: Report) -> Table:
    """Return the table of cycles and where they went, utilization and error, layers down."""
    table = new_table(
        "layer",
        "cycles",
        *(part.replace("_", "\n") for part in parts_shown([report.cycles])),
        "PEs\nused\n%",
        "array\n%",
        "eff.\n%",
        "SQNR\ndB",
        title="Cycles and where they went",
    )
    for layer in report.layers:
        table.add_row(layer_label(layer), *measured_cells(layer, report.cycles))
    table.add_section()
    table.add_row("total", *measured_cells(report.totals, report.cycles))
    return table


def bounds_table(report: Report) -> Table:
    """Return the table of ideal cycles beside the real ones, layers down."""
    table = new_table(
        "layer",
        "cycles",
        "busiest PE",
        "work",
        "ragged",
        "fill, drain",
        "waiting",
        title="Ideal cycles (busiest PE, work spread evenly), and work + where the rest went = cycles",
    )
    rows = [(layer_label(layer), layer) for layer in report.layers]
    for name, measured in (*rows, ("total", report.totals)):
        bounds = measured.bounds
        figures = (
            measured.cycles.total,
            bounds.slack_cycles,
            bounds.work_cycles,
            *bounds.gap.model_dump().values(),
        )
        table.add_row(name, *(f"{figure:,}" for figure in figures))
    return table


def totals_table(comparison: Comparison) -> Table:
    """Return the table of whole-network figures, one design a row."""
    reports = [comparison.reports[name] for name in comparison.order]
    against = [
        name
        for name in dict.fromkeys((comparison.baseline, *MAC_BASELINES))
        if name in comparison.reports
    ]
    parts = parts_shown([report.cycles for report in reports])
    table = new_table(
        "design",
        "cycles",
        *(part.replace("_", "\n") + " %" for part in parts),
        "array\n%",
        *("over\n" + heading_of(short(name)) for name in against),
        "SQNR\ndB",
        title="Whole network: cycles, where they went, utilization, speedup, error",
    )
    for name, report in zip(comparison.order, reports, strict=True):
        cycles, use = report.cycles, report.totals.utilization
        shares = [percent(getattr(cycles, part) / cycles.total) for part in parts]
        speedups = [f"{comparison.speedup(name, over=other):.2f}" for other in against]
        table.add_row(
            name + mark(report),
            f"{cycles.total:,}",
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


def trace_shown(trace: Trace) -> Shown:
    """Return what a trace holds, reading one layer at a time."""
    document, found = trace.metadata, records.of_trace(trace)
    about = {
        name.replace("_", " "): getattr(document, name)
        for name in ("network", "synthetic", "calibrator", "origin", "license_note")
    }
    arrays = {
        f"array {name}": f"{values.dtype} {values.shape}" for name, values in trace.arrays.items()
    }
    table = new_table(
        "layer",
        "op",
        "M",
        "K",
        "N",
        "groups",
        "MACs",
        "type",
        "zeros\n%",
        "8-bit\nkept",
        title="Layers: per group Y[M,N] = X[M,K] @ W[K,N]",
    )
    for row in found:
        table.add_row(
            printable(row["layer"]),
            row["op"],
            *(f"{row[side]}" for side in ("m", "k", "n", "groups")),
            f"{row['macs']:,}",
            row["activation_dtype"],
            percent(row["zero_activation_share"]),
            "yes" if row["kept_8bit"] else "",
        )
    return Shown(
        fields_text(
            {name: text for name, text in about.items() if text} | {"sha256": trace.sha256}
        ),
        [table],
        fields_text({**document.provenance, **arrays}),
        lambda: found,
        lambda: json_text(
            document.model_dump(mode="json") | {"sha256": trace.sha256, "layers": found}
        ),
    )


def fields_text(fields: Mapping[str, object]) -> str:
    """Return what something says about itself, a line for each field and for each entry of a field that has several."""
    return "\n".join(f"{printable(name)}:{_value_text(value)}" for name, value in fields.items())


def _value_text(value: object) -> str:
    if isinstance(value, Mapping) and value:
        return "".join(
            f"\n  {printable(name)}: {printable(str(entry))}" for name, entry in value.items()
        )
    return " none" if value in ({}, [], "") else f" {printable(str(value))}"


def json_text(value: object) -> str:
    """Return JSON as reports write it."""
    return json.dumps(value, sort_keys=True, indent=1) + "\n"


def designs_shown(designs: Mapping[str, type[PEDesign]], outside: Mapping[str, str]) -> Shown:
    """Return the PE designs there are; of those of other packages the place of each."""
    found = records.of_designs(designs)
    others = "\n".join(f"{name}: from another package ({place})" for name, place in outside.items())
    return Shown("", [design_table(found)], others, lambda: found, lambda: json_text(found))


def design_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of PE designs, a record a row."""
    table = Table(
        "PE designs",
        [
            "design",
            "lanes",
            f"multi{SOFT_HYPHEN}\npliers",
            "cycles\nper step",
            "activations",
            "keys (first: default)",
        ],
        text=True,
    )
    for row in found:
        most = row["most_step_cycles"]
        table.add_row(
            row["design"],
            str(row["lanes"]),
            str(row["multipliers"]),
            "1" if most == 1 else f"1..{most} (values)",
            "uint8, int8" if row["signed_activations"] else "uint8",
            row["keys"],
        )
    return table


def heading(report: Report, *, design: bool = True) -> str:
    """Return what was simulated, on one line."""
    array = report.array
    overlap = "on" if array.overlap else "off"
    source = report.provenance.network or f"trace {report.provenance.trace_sha256[:12]}"
    label = (
        f" [SYNTHETIC values: {report.provenance.synthetic}]" if report.provenance.synthetic else ""
    )
    source = printable(source + label)
    return (
        f"{source}: {f'{report.pe.spec}, ' if design else ''}array {array.rows}x{array.cols}, dataflow "
        f"{array.dataflow}, {array.coupling}, overlap {overlap}, {memory_label(report)}"
    )


def memory_label(report: Report) -> str:
    """Return what surrounds the array, in a few words."""
    memory = report.memory
    if memory is None:
        return "memory not modelled"
    bandwidth = memory.dram.bandwidth_bytes_per_cycle
    rate = "unlimited DRAM" if bandwidth is None else f"DRAM {bandwidth:g} B/cycle"
    return f"memory {memory.name} ({rate}, storage {memory.storage})"


def notes(reports: Sequence[Report], *, utilizations: bool = False) -> str:
    """Return what a reader must know to read the table; with `utilizations`, one that has 'PEs used' and 'eff.'."""
    fixed = [report.pe.spec for report in reports if not report.pe.cycles_depend_on_values]
    varying = [report.pe.spec for report in reports if report.pe.cycles_depend_on_values]
    kept = [printable(layer.name) for layer in reports[0].layers if layer.kept_8bit]
    lines = []
    if fixed:
        lines.append(f"Values cannot change cycles (only shapes can): {', '.join(fixed)}.")
    if varying:
        lines.append(f"~ Cycles depend on values: {', '.join(varying)}.")
    alone = [report.pe.spec for report in reports if report.pe.times_itself]
    if alone:
        lines.append(
            f"{', '.join(alone)}: timed by queues of their own, so coupling and overlap do not apply; tiles "
            "follow one another without refilling and sums leave for free: compare under --overlap on."
        )
    if kept:
        lines.append(
            f"* kept at 8 bits, run as mac-8b8b by every design, as the method does: {', '.join(kept)} "
            "(--all-layers includes them)."
        )
    whose, waits = (
        ("of the array", "")
        if reports[0].memory is None
        else (
            "of the array and its memory",
            ", memory stall = waiting for operands, or for outputs to leave",
        )
    )
    used, effective = (
        (
            " PEs used: over all PEs, mean over tiles.",
            "; eff. (effective) = the same, both operands non-zero",
        )
        if utilizations
        else ("", "")
    )
    lines.append(
        f"Cycles are those {whose}, PE count being equal: compute = steps at one cycle each, fill = skew and "
        f"loads, drain = sums leaving, pe stall = what slower steps add{waits}.{used} "
        f"array = MACs / (cycles x PEs x lanes){effective}. SQNR '-': exact."
    )
    return "\n".join(lines)


def new_table(first: str, *others: str, title: str) -> Table:
    """Return an empty table: names in the first column, figures in the others."""
    return Table(title, [first, *others])


def heading_of(design: str) -> str:
    """Return a design's name as the heading of a narrow column."""
    return design.replace("-", "-\n", 1).replace(":", ":\n").replace(",", ",\n")


def layer_label(layer: LayerReport) -> str:
    """Return a layer's name, with '*' where it was kept at 8 bits."""
    return printable(layer.name) + ("*" if layer.kept_8bit else "")


def short(name: str) -> str:
    """Return a design's name without its family: '8b8b' of 'mac-8b8b'."""
    return name.removeprefix("mac-")


def parts_shown(cycles: Sequence[Cycles]) -> list[str]:
    """Return the attribution classes to show: a stall class only where somebody stalls."""
    return [
        part for part in PARTS if "stall" not in part or any(getattr(each, part) for each in cycles)
    ]


def measured_cells(measured: Measured, network: Cycles) -> list[str]:
    """Return the cells of one layer or the total: cycles, attribution, utilization, SQNR."""
    cycles, use = measured.cycles, measured.utilization
    return [
        f"{cycles.total:,}",
        *(f"{getattr(cycles, part):,}" for part in parts_shown([network])),
        percent(use.mapping),
        percent(use.array),
        percent(use.effective),
        decibels(measured),
    ]


def decibels(measured: Measured) -> str:
    """Return SQNR in dB, '-' for an exact result."""
    value = measured.error.sqnr_db
    return "-" if value is None else f"{value:.1f}"


def percent(share: float) -> str:
    """Return a share in percent with one decimal."""
    return f"{100 * share:.1f}"


def mark(report: Report) -> str:
    """Return '~' for a design whose cycles depend on values."""
    return "~" if report.pe.cycles_depend_on_values else ""
