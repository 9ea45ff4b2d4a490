"""Tables of the page: cells with the value they sort by, columns with the term that defines
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sparqsim.html.cells import (
    WIDE,
    Cell,
    Column,
    Table,
    count,
    decimal,
    share,
    sqnr,
    squared_error,
)
from sparqsim.plot.layer_names import LayerNames
from sparqsim.results.comparison import Comparison
from sparqsim.results.layer_report import Cycles, LayerReport, Measured
from sparqsim.results.report import Report
from sparqsim.results.setting import note_lines


def layer_cells(layers: Sequence[LayerReport]) -> list[Cell]:
    """Return layers' names without what all begin with, * where they are kept at 8 bits."""
    short = _short_names(layers)
    return [
        Cell(label, said=layer.name if short.prefix else "")
        for label, layer in zip(short.labels, layers, strict=True)
    ]


def prefix_note(layers: Sequence[LayerReport]) -> str:
    """Return the sentence that says once what all names begin with; '' where they share nothing."""
    prefix = _short_names(layers).prefix
    return f"Names of layers begin with {prefix}" if prefix else ""


def _short_names(layers: Sequence[LayerReport]) -> LayerNames:
    marks = ["*" if layer.kept_8bit else "" for layer in layers]
    return LayerNames.of([layer.name for layer in layers], marks=marks)


def design_name(report: Report) -> Cell:
    """Return a design's name, ~ where its cycles depend on values."""
    return Cell(report.pe.spec + (" ~" if report.pe.cycles_depend_on_values else ""))


def parts_of(reports: Sequence[Report]) -> list[str]:
    """Return the classes of cycles to show: stalls only where somebody stalls."""
    cycles = [report.cycles for report in reports]
    return [
        part
        for part in Cycles.model_fields
        if "stall" not in part or any(getattr(each, part) for each in cycles)
    ]


def reports_of(comparison: Comparison) -> list[Report]:
    """Return the reports in the comparison's order."""
    return [comparison.reports[name] for name in comparison.order]


def designs_table(comparison: Comparison) -> Table:
    """Return whole-network cycles, speedup, attribution, utilization and error, one design a
    row.
    """
    reports = reports_of(comparison)
    parts = parts_of(reports)
    columns = (
        Column("design", "design", text=True),
        Column("cycles", "cycles.total"),
        Column("speedup (x)", "speedup"),
        *(Column(f"{part.replace('_', ' ')} (%)", f"cycles.{part}") for part in parts),
        Column("PEs used (%)", "utilization.used_pes"),
        Column("array (%)", "utilization.array"),
        Column("effective (%)", "utilization.effective"),
        Column("SQNR (dB)", "error.sqnr_db"),
    )
    rows = []
    for report in reports:
        cycles, use = report.cycles, report.totals.utilization
        rows.append(
            (
                design_name(report),
                count(cycles.total),
                decimal(comparison.speedup(report.pe.spec)),
                *(share(getattr(cycles, part) / cycles.total) for part in parts),
                share(use.used_pes),
                share(use.array),
                share(use.effective),
                sqnr(report.totals.error),
            )
        )
    return Table(
        f"Designs, {scope_of(comparison)}; speedup over {comparison.baseline}",
        columns,
        tuple(rows),
        note=" ".join(note_lines(comparison.timing_notes)),
    )


def scope_of(comparison: Comparison) -> str:
    """Return what totals are totals of, as a part of a title."""
    scope = comparison.coverage.scope()
    return scope[0].lower() + scope[1:]


def values_table(comparison: Comparison) -> Table:
    """Return what designs make of the values: classes of pairs, and the error."""
    classes = ("both_zero", "one_zero", "both_nonzero_exact", "trimmed", "one_zero_changed")
    columns = (
        Column("design", "design", text=True),
        *(Column(name.replace("_", " "), f"pairs.{name}") for name in classes),
        Column("mean squared error", "error.mse"),
        Column("largest error", "error.max_abs"),
        Column("SQNR (dB)", "error.sqnr_db"),
    )
    rows = []
    for report in reports_of(comparison):
        totals = report.totals
        rows.append(
            (
                design_name(report),
                *(count(getattr(totals.pairs, name)) for name in classes),
                squared_error(totals.error),
                count(totals.error.max_abs),
                sqnr(totals.error),
            )
        )
    return Table(
        "What designs make of the values: pairs of activations, error of the outputs",
        columns,
        tuple(rows),
    )


def by_layer(
    comparison: Comparison, title: str, term: str, cell: Callable[[str, int | None], Cell]
) -> Table:
    """Return one number for each layer and design; `cell` gives it, for layer None that of the
    whole network.
    """
    reports = reports_of(comparison)
    heads = [Column(design_name(report).text, term) for report in reports]
    layers = reports[0].layers
    rows = tuple(
        (named, *(cell(name, at) for name in comparison.order))
        for at, named in enumerate(layer_cells(layers))
    )
    foot = (Cell("total"), *(cell(name, None) for name in comparison.order))
    return Table(
        title,
        (Column("layer", "layer.name", text=True), *heads),
        rows,
        foot,
        note=prefix_note(layers),
        wide=len(reports) > WIDE,
    )


def speedup_table(comparison: Comparison) -> Table:
    """Return speedups over the baseline."""

    def cell(name: str, layer: int | None) -> Cell:
        return decimal(
            comparison.speedup(name) if layer is None else comparison.layer_speedup(name, layer)
        )

    return by_layer(
        comparison, f"Speedup (x) over {comparison.baseline}, layer by layer", "speedup", cell
    )


def sqnr_table(comparison: Comparison) -> Table:
    """Return the SQNR of every layer's outputs."""

    def cell(name: str, layer: int | None) -> Cell:
        report = comparison.reports[name]
        return sqnr((report.totals if layer is None else report.layers[layer]).error)

    return by_layer(comparison, "SQNR of the outputs (dB), layer by layer", "error.sqnr_db", cell)


def shapes_table(report: Report) -> Table:
    """Return the layers' shapes, and bits where a layer has fewer than 8."""
    bits = ("activation_bits", "weight_bits") if report.has_narrow_layers else ()
    columns = (
        Column("layer", "layer.name", text=True),
        Column("kind", "layer.op", text=True),
        Column("M", "gemm.m"),
        Column("K", "gemm.k"),
        Column("N", "gemm.n"),
        Column("groups", "gemm.groups"),
        *(Column(name.replace("_", " "), f"layer.{name}") for name in bits),
        Column("MACs", "measured.macs"),
    )
    rows = []
    for named, layer in zip(layer_cells(report.layers), report.layers, strict=True):
        numbers = (*_sizes(layer), *(getattr(layer, name) for name in bits), layer.macs)
        rows.append((named, Cell(layer.op), *map(count, numbers)))
    foot = (Cell("total"), *[Cell("")] * (5 + len(bits)), count(report.totals.macs))
    title, note = "Layers, per group Y[M,N] = X[M,K] @ W[K,N]", prefix_note(report.layers)
    return Table(title, columns, tuple(rows), foot, note)


def _sizes(layer: LayerReport) -> tuple[int, int, int, int]:
    return layer.gemm.m, layer.gemm.k, layer.gemm.n, layer.gemm.groups


def design_table(report: Report) -> Table:
    """Return everything about one design, layer by layer."""
    parts = parts_of([report])
    columns = (
        Column("layer", "layer.name", text=True),
        Column("tiles", "layer.tiles"),
        Column("cycles", "cycles.total"),
        *(Column(part.replace("_", " "), f"cycles.{part}") for part in parts),
        Column("busiest PE", "bounds.busiest_pe_cycles"),
        Column("work", "bounds.work_cycles"),
        Column("ragged tiles", "bounds.gap_cycles.ragged_tiles"),
        Column("fill, drain", "bounds.gap_cycles.fill_drain"),
        Column("PEs waiting", "bounds.gap_cycles.pe_waiting"),
        Column("PEs used (%)", "utilization.used_pes"),
        Column("array (%)", "utilization.array"),
        Column("effective (%)", "utilization.effective"),
        Column("MSE", "error.mse"),
        Column("SQNR (dB)", "error.sqnr_db"),
    )
    rows = tuple(
        (named, *_measured(layer, parts))
        for named, layer in zip(layer_cells(report.layers), report.layers, strict=True)
    )
    foot, note = (Cell("total"), *_measured(report.totals, parts)), prefix_note(report.layers)
    return Table(design_name(report).text, columns, rows, foot, note)


def _measured(measured: Measured, parts: Sequence[str]) -> list[Cell]:
    cycles, bounds, use = measured.cycles, measured.bounds, measured.utilization
    figures = (
        measured.tiles,
        cycles.total,
        *(getattr(cycles, part) for part in parts),
        bounds.busiest_pe_cycles,
        bounds.work_cycles,
        bounds.gap_cycles.ragged_tiles,
        bounds.gap_cycles.fill_drain,
        bounds.gap_cycles.pe_waiting,
    )
    return [
        *(count(figure) for figure in figures),
        share(use.used_pes),
        share(use.array),
        share(use.effective),
        squared_error(measured.error),
        sqnr(measured.error),
    ]


def traffic_table(comparison: Comparison) -> Table | None:
    """Return DRAM traffic of the whole network, one design a row; None where memory is not
    modelled.
    """
    columns = (
        Column("design", "design", text=True),
        Column("activations (kB)", "traffic.activations"),
        Column("weights (kB)", "traffic.weights"),
        Column("outputs (kB)", "traffic.outputs"),
        Column("partial sums (kB)", "traffic.partial_sums"),
        Column("memory stall (%)", "cycles.memory_stall"),
        Column("of it ports (%)", "traffic.port_stall_cycles"),
    )
    rows = []
    for report in reports_of(comparison):
        traffic, cycles = report.totals.traffic, report.cycles
        if traffic is None:
            return None
        sums = traffic.psum_spill_bytes + traffic.psum_reload_bytes
        moved = (
            traffic.activations.dram_read_bytes,
            traffic.weights.dram_read_bytes,
            traffic.outputs.dram_write_bytes - traffic.psum_spill_bytes,
            sums,
        )
        rows.append(
            (
                design_name(report),
                *(decimal(size / 1000, 1) for size in moved),
                *(
                    share(part / cycles.total)
                    for part in (cycles.memory_stall, traffic.port_stall_cycles)
                ),
            )
        )
    return Table("DRAM traffic, and the cycles that it stalled", columns, tuple(rows))
