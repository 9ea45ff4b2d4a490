"""Results as flat rows for CSV: names bear units, nothing is rounded, absent values are None."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparqsim.accuracy_report import AccuracyReport
from sparqsim.layer_report import LayerReport
from sparqsim.memory.curves import BandwidthCurves
from sparqsim.pe import PEDesign
from sparqsim.pe.registry import key_choices
from sparqsim.report import Comparison, Report
from sparqsim.rtl import area
from sparqsim.trace import Layer, Trace

Record = dict[str, Any]


def of_report(report: Report) -> list[Record]:
    """Return a row per layer."""
    memory = {} if report.memory is None else {"memory": report.memory.name}
    array = report.array
    setting = {
        "array_rows": array.rows,
        "array_cols": array.cols,
        "dataflow": array.dataflow,
        "coupling": array.coupling,
        "overlap": array.overlap,
        **memory,
        "network": report.provenance.network,
        "synthetic": report.provenance.synthetic,
    }
    return [{"design": report.pe.spec, **_layer(layer), **setting} for layer in report.layers]


def of_comparison(comparison: Comparison) -> list[Record]:
    """Return a row per design and layer, with its speedup over the baseline."""
    return [
        record | {"baseline": comparison.baseline, "speedup": comparison.layer_speedup(name, at)}
        for name in comparison.order
        for at, record in enumerate(of_report(comparison.reports[name]))
    ]


def _layer(layer: LayerReport) -> Record:
    cycles, bounds, error = layer.cycles, layer.bounds, layer.error
    parts = ("total", "compute", "fill", "drain", "pe_stall", "memory_stall")
    return {
        "layer": layer.name,
        "op": layer.op,
        "run_as": layer.pe,
        "kept_8bit": layer.kept_8bit,
        **layer.gemm.model_dump(),
        "macs": layer.macs,
        "tiles": layer.tiles,
        "partial_sums": layer.partial_sums,
        **{f"{part}_cycles": getattr(cycles, part) for part in parts},
        "busiest_pe_cycles": bounds.slack_cycles,
        "work_cycles": bounds.work_cycles,
        **{f"{name}_cycles": value for name, value in bounds.gap.model_dump().items()},
        **{f"{name}_utilization": value for name, value in layer.utilization.model_dump().items()},
        "mse": error.mse,
        "max_abs_error": error.max_abs,
        "sqnr_db": error.sqnr_db,
        **_traffic(layer),
    }


def _traffic(layer: LayerReport) -> Record:
    traffic = layer.traffic
    if traffic is None:
        return {}
    return {
        "loop_order": traffic.loop_order,
        "activation_dram_read_bytes": traffic.activations.dram_read_bytes,
        "weight_dram_read_bytes": traffic.weights.dram_read_bytes,
        "output_dram_write_bytes": traffic.outputs.dram_write_bytes - traffic.psum_spill_bytes,
        "psum_spill_bytes": traffic.psum_spill_bytes,
        "psum_reload_bytes": traffic.psum_reload_bytes,
        "port_stall_cycles": traffic.port_stall,
    }


def of_curves(curves: BandwidthCurves) -> list[Record]:
    """Return a row per design and bandwidth, 'inf' without a limit; one without memory last, which has no bandwidth."""
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
                    "speedup": speedup,
                }
            )
    return rows


def of_accuracy(report: AccuracyReport) -> list[Record]:
    """Return a row per trial and layer, with the trial's hits; those of the reference have no layer."""
    counts = {
        "pictures": report.pictures,
        "traced_pictures": report.traced_pictures,
        "baseline": report.baseline,
    }
    rows: list[Record] = []
    for row in report.rows:
        told = {
            "design": row.pe or report.reference,
            "calibrator": row.calibrator,
            **_hits(row.hits),
            **counts,
        }
        if row.pe is None:
            rows.append({**told, "layer": None})
        rows += [
            {
                **told,
                "layer": layer.name,
                "design_cycles": row.cycles,
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
    """Return a row per layer; reads the activations of one layer at a time."""
    return [_operands(layer) for layer in trace.layers]


def _operands(layer: Layer) -> Record:
    values = layer.activations
    return {
        "layer": layer.name,
        "op": layer.op,
        **{side: getattr(layer.gemm, side) for side in ("m", "k", "n")},
        "groups": layer.gemm.groups,
        "macs": layer.gemm.macs,
        "activation_dtype": str(values.dtype),
        "zero_activation_share": float((values == 0).mean()),
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


def of_areas(table: Mapping[str, Any], cols: int) -> list[Record]:
    """Return a row per PE design: relative areas over the table's rows, minimum, median and maximum."""
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
            }
        )
    return rows
