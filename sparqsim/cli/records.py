"""Results as flat rows for CSV: names bear units, nothing is rounded, absent values are None."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparqsim.analysis.bandwidth import BandwidthCurves
from sparqsim.memory.traffic import Traffic
from sparqsim.pe import PEDesign
from sparqsim.pe.registry import key_choices
from sparqsim.results.accuracy_report import AccuracyReport
from sparqsim.results.layer_report import LayerReport, Measured
from sparqsim.results.report import Comparison, Report
from sparqsim.rtl import area
from sparqsim.trace import Layer, Trace
from sparqsim.trace.coverage import Coverage
from sparqsim.trace.drawn import DrawnTrace

Record = dict[str, Any]


#: What a row is of, in the column `row`: rows of layers add up to the one of the total.
LAYER_ROW, TOTAL_ROW = "layer", "total"


def of_report(report: Report) -> list[Record]:
    """Return a row per layer, and one of the total."""
    about = _about(report)
    rows = [_layer(layer) for layer in report.layers]
    total = _measured(report.totals, report.totals.traffic) | {"row": TOTAL_ROW}
    design = {"design": report.pe.spec}
    records = [{**design, **dict.fromkeys(rows[0]), **row, **about} for row in (*rows, total)]
    for record in records:
        record["cycles_per_input"] = report.coverage.per_input(record["total_cycles"])
    return records


def of_comparison(comparison: Comparison) -> list[Record]:
    """Return a row per design and layer, and one of every design's total, with its speedup over the baseline."""
    rows = []
    for name in comparison.order:
        *layers, total = of_report(comparison.reports[name])
        speedups = [comparison.layer_speedup(name, at) for at in range(len(layers))]
        for record, speedup in zip(
            (*layers, total), (*speedups, comparison.speedup(name)), strict=True
        ):
            rows.append(record | {"baseline": comparison.baseline, "speedup": speedup})
    return rows


def _about(report: Report) -> Record:
    """Return what is the same for every row of a report."""
    array = report.array
    return {
        "array_rows": array.rows,
        "array_cols": array.cols,
        "dataflow": array.dataflow,
        "coupling": array.coupling,
        "overlap": array.overlap,
        **({} if report.memory is None else {"memory": report.memory.name}),
        "network": report.provenance.network,
        "synthetic": report.provenance.synthetic,
        **of_coverage(report.coverage, report.totals.macs),
        "timing_note": report.pe.timing_note,
    }


def of_coverage(coverage: Coverage, macs: int | None) -> Record:
    """Return for how many inputs cycles are, and what of the network is not in them.

    Parameters
    ----------
    coverage : Coverage
    macs : int or None
        Multiply-accumulates that are in the cycles, where they are known.
    """
    return {
        "inputs": coverage.inputs,
        "macs_left_out_share": None if macs is None else coverage.share_left_out(macs),
        "left_out_operations": "; ".join(operation.name for operation in coverage.left_out),
    }


def _layer(layer: LayerReport) -> Record:
    return {
        "row": LAYER_ROW,
        "layer": layer.name,
        "op": layer.op,
        "run_as": layer.pe,
        "kept_8bit": layer.kept_8bit,
        **layer.gemm.model_dump(),
        **_measured(layer, layer.traffic),
        **({} if layer.traffic is None else {"loop_order": layer.traffic.loop_order}),
    }


def _measured(measured: Measured, traffic: Traffic | None) -> Record:
    """Return what a layer and the total have in common."""
    cycles, bounds, error = measured.cycles, measured.bounds, measured.error
    parts = ("total", "compute", "fill", "drain", "pe_stall", "memory_stall")
    shares = measured.utilization.model_dump()
    return {
        "macs": measured.macs,
        "tiles": measured.tiles,
        "partial_sums": measured.partial_sums,
        **{f"{part}_cycles": getattr(cycles, part) for part in parts},
        "busiest_pe_cycles": bounds.slack_cycles,
        "work_cycles": bounds.work_cycles,
        **{f"{name}_cycles": value for name, value in bounds.gap.model_dump().items()},
        **{f"{name}_utilization": value for name, value in shares.items()},
        "mse": error.mse,
        "max_abs_error": error.max_abs,
        "sqnr_db": error.sqnr_db,
        **({} if traffic is None else _traffic(traffic)),
    }


def _traffic(traffic: Traffic) -> Record:
    return {
        "activation_dram_read_bytes": traffic.activations.dram_read_bytes,
        "weight_dram_read_bytes": traffic.weights.dram_read_bytes,
        "output_dram_write_bytes": traffic.outputs.dram_write_bytes - traffic.psum_spill_bytes,
        "psum_spill_bytes": traffic.psum_spill_bytes,
        "psum_reload_bytes": traffic.psum_reload_bytes,
        "port_stall_cycles": traffic.port_stall,
    }


def of_curves(curves: BandwidthCurves) -> list[Record]:
    """Return a row per design and bandwidth, 'inf' without a limit; one without memory last, which has no bandwidth."""
    coverage = of_coverage(curves.coverage, curves.macs)
    rows, bandwidths = [], ["inf" if limit is None else limit for limit in curves.bandwidths]
    for name in curves.order:
        figures = [
            *zip(bandwidths, curves.cycles[name], curves.speedup[name], strict=True),
            (None, curves.array_cycles[name], curves.array_speedup[name]),
        ]
        for at, (bandwidth, cycles, speedup) in enumerate(figures):
            rows.append(
                {
                    "design": name,
                    "baseline": curves.baseline,
                    "memory_modelled": at < len(curves.bandwidths),
                    "dram_bandwidth_bytes_per_cycle": bandwidth,
                    "total_cycles": cycles,
                    "cycles_per_input": curves.coverage.per_input(cycles),
                    "speedup": speedup,
                    **coverage,
                    "timing_note": curves.timing_notes.get(name, ""),
                }
            )
    return rows


def of_accuracy(report: AccuracyReport) -> list[Record]:
    """Return a row per trial and layer, with the trial's hits; those of the reference have no layer."""
    counts = {
        "pictures": report.pictures,
        "traced_pictures": report.traced_pictures,
        "baseline": report.baseline,
        **of_coverage(report.coverage, report.macs),
    }
    rows: list[Record] = []
    for row in report.rows:
        told = {
            "design": row.pe or report.reference,
            "calibrator": row.calibrator,
            **_hits(row.hits),
            **counts,
            "timing_note": report.timing_notes.get(row.pe or "", ""),
        }
        if row.pe is None:
            rows.append({**told, "layer": None})
        rows += [
            {
                **told,
                "layer": layer.name,
                "design_cycles": row.cycles,
                "design_cycles_per_input": report.coverage.per_input(row.cycles or 0),
                "design_speedup": row.speedup,
                "kept": layer.kept,
                "cycles": result.cycles,
                "sqnr_db": result.sqnr_db,
            }
            for layer, result in zip(report.layers, row.layers, strict=False)
        ]
    return rows


def _hits(hits: Any) -> Record:
    return {f"{name}_pictures": count for name, count in hits.model_dump().items()}


def of_trace(trace: Trace) -> list[Record]:
    """Return a row per layer; reads the activations of one layer at a time, and draws none."""
    counts_zeros = not isinstance(trace, DrawnTrace)
    return [_operands(layer, counts_zeros) for layer in trace.layers]


def _operands(layer: Layer, counts_zeros: bool) -> Record:
    zeros = float((layer.activations == 0).mean()) if counts_zeros else None
    return {
        "layer": layer.name,
        "op": layer.op,
        **{side: getattr(layer.gemm, side) for side in ("m", "k", "n")},
        "groups": layer.gemm.groups,
        "macs": layer.gemm.macs,
        "activation_dtype": str(layer.activations_source.dtype),
        "zero_activation_share": zeros,
        "kept_8bit": layer.keep_8bit,
    }


def of_designs(designs: Mapping[str, type[PEDesign]]) -> list[Record]:
    """Return a row per PE design."""
    return [
        {
            "design": name,
            "lanes": design.lanes,
            "multipliers": design.multipliers,
            "most_step_cycles": design.most_step_cycles,
            "signed_activations": design.signed_activations,
            "keys": "; ".join(
                f"{key}={accepted}" for key, (_, accepted) in key_choices(design).items()
            ),
        }
        for name, design in designs.items()
    ]


def of_areas(table: Mapping[str, Any], cols: int, without_area: Mapping[str, str]) -> list[Record]:
    """Return a row per PE design: relative areas over the table's rows, minimum, median and maximum.

    Parameters
    ----------
    table : mapping
        What `synthesis.measured_table` returns.
    cols : int
        Columns that share a trim unit.
    without_area : mapping
        Designs that the table does not have, and why; each gets a row that says it.
    """
    rows = []
    for name in table["rows"][0]["pe"]:
        ranges = {
            "relative_pe_area": area.relative_pe_area(name, cols=cols, table=table),
            **{
                f"relative_area_per_mac_over_{base}": area.relative_area_per_mac(
                    name, base, cols, table
                )
                for base in area.BASELINES
            },
            "trim_unit_share": area.trim_unit_share(name, cols, table),
        }
        rows.append(
            {
                "design": name,
                "columns_per_trim_unit": cols,
                **{
                    f"{what}_{end}": getattr(found, attribute)
                    for what, found in ranges.items()
                    for end, attribute in (("min", "low"), ("median", "middle"), ("max", "high"))
                },
                "left_out": "",
            }
        )
    nothing = dict.fromkeys(rows[0])
    rows += [
        nothing | {"design": name, "columns_per_trim_unit": cols, "left_out": reason}
        for name, reason in without_area.items()
    ]
    return rows
