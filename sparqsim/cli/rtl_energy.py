"""What `sparqsim rtl energy` does and prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import typer

from sparqsim.base.errors import InputError
from sparqsim.cli.cells import heading_of, new_table
from sparqsim.cli.tables import Shown, Table
from sparqsim.pe import get_pe
from sparqsim.rtl.check import MismatchError
from sparqsim.rtl.gates.record import PARTS, DesignSamples, EnergyReference, LayerSamples
from sparqsim.rtl.gates.reference import Plan, measured_energies
from sparqsim.trace import load_trace

#: Part of the mean that a standard error shall not exceed.
TARGET_ERROR = 0.015


def energy_record(
    path: str, names: Sequence[str], plan: Plan, layers: Sequence[str] | None
) -> EnergyReference | None:
    """Measure; None, and a line that says where, at a difference of netlist, RTL and simulator."""
    designs = [get_pe(name) for name in names]
    try:
        return measured_energies(
            load_trace(path), Path(path).name, designs, plan, layers, report=_to_stderr
        )
    except MismatchError as error:
        typer.echo(f"MISMATCH {error}")
        return None


def _to_stderr(line: str) -> None:
    typer.echo(line, err=True)


def energies_shown(record: EnergyReference) -> Shown:
    """Return a table by layer, one by design, and what figures stand on."""
    names = list(dict.fromkeys(layer.layer for design in record.designs for layer in design.layers))
    if not names:
        raise InputError("the record has no layers; expected one that `sparqsim rtl energy` wrote")
    tables = [_by_layer(record, names), _by_design(record), _by_cycle(record)]
    return Shown("", tables, "\n".join(_notes(record)), lambda: flat(record), record.to_json)


def _by_layer(record: EnergyReference, names: Sequence[str]) -> Table:
    shown = new_table(
        "layer",
        *(heading_of(design.design) for design in record.designs),
        title="Energy in pJ per MAC, of a PE and its share of the edge unit, and its standard "
        "error in % of it",
    )
    for name in names:
        shown.add_row(name, *(_layer_cell(design, name, record) for design in record.designs))
    return shown


def _layer_cell(design: DesignSamples, name: str, record: EnergyReference) -> str:
    for layer in design.layers:
        if layer.layer == name:
            mean, error = layer.pj_per_mac(record.cols), layer.standard_error(record.cols)
            beside = ""
            if layer.vectorless is not None:
                beside = f" [{_vectorless(layer, record.cols):.4g}]"
            return f"{mean:.4g} ±{100 * error / mean:.1f}{beside}"
    return "-"


def _vectorless(layer: LayerSamples, cols: int) -> float:
    """Return what the statistical model says, in pJ per MAC."""
    if layer.vectorless is None:
        return math.nan
    return (layer.vectorless.pe_pj + layer.vectorless.edge_pj / cols) / layer.macs


def _by_design(record: EnergyReference) -> Table:
    shown = new_table(
        "design",
        "cells\nPE",
        "cells\nedge",
        *PARTS,
        "edge\nshare",
        "sum",
        "samples\nfor 1.5 %",
        title="Means of the layers in pJ per MAC, by part",
    )
    for design in record.designs:
        parts = [
            fmean(fmean(getattr(layer.pe, f"{part}_pj")) / layer.macs for layer in design.layers)
            for part in PARTS
        ]
        edge = fmean(
            fmean(layer.edge.total_pj) / layer.macs / record.cols for layer in design.layers
        )
        cells = (f"{design.pe_cells:,}", f"{design.edge_cells:,}")
        figures = [f"{value:.3g}" for value in [*parts, edge]]
        total = f"{sum(parts) + edge:.4g}"
        shown.add_row(design.design, *cells, *figures, total, f"{_needed(design, record)}")
    return shown


def _needed(design: DesignSamples, record: EnergyReference) -> int:
    """Return how many samples of a layer keep every standard error within 1.5 %."""
    needed = 1
    for layer in design.layers:
        relative = layer.standard_error(record.cols) / layer.pj_per_mac(record.cols)
        needed = max(needed, math.ceil(len(layer.positions) * (relative / TARGET_ERROR) ** 2))
    return needed


def _by_cycle(record: EnergyReference) -> Table:
    kinds = ("idle", "zero_operands", "padded_row", "padded_column", "drain")
    shown = new_table(
        "design",
        *(kind.replace("_", "\n") for kind in kinds),
        title="Cycles without use: pJ of a PE's cycle (of the edge unit's)",
    )
    for design in record.designs:
        cells = []
        for kind in kinds:
            pe, edge = (getattr(of, kind) for of in (design.pe_cycles, design.edge_cycles))
            beside = f" ({edge.total_pj:.3g})" if edge is not None and design.edge_cells else ""
            cells.append(f"{pe.total_pj:.4g}{beside}")
        shown.add_row(design.design, *cells)
    return shown


def _notes(record: EnergyReference) -> list[str]:
    layers = [layer for design in record.designs for layer in design.layers]
    compared = [layer.compared for layer in layers]
    operands = "operands drawn at random, every code as likely" if record.random else "operands"
    measured = (
        f"{record.trace}: {operands} of up to {record.samples} outputs of each layer, seed "
        f"{record.seed}, {record.rows}x{record.cols} array, every layer on the design."
    )
    source = (
        f"Library: {', '.join(record.library.files)} ({', '.join(record.library.names)}), "
        f"{record.library.corner}, {record.library.voltage_v:g} V. Clock {record.clock_ns:g} ns, "
        f"slew {record.slew_ns:g} ns. Flow: {record.flow}. Source: own measurement, "
        f"{'; '.join(record.tools)}."
    )
    sums = sum(each.sums for each in compared)
    nets = sum(each.nets for each in compared)
    outputs = sum(each.outputs for each in compared)
    equal = (
        f"Equal, without a difference: {sums:,} sums x cycles of netlist and simulator; {nets:,} "
        f"nets x cycles of the netlist, by the fast form and in Icarus; {outputs:,} output bits x "
        "cycles of netlist and RTL."
    )
    notes = [measured, source, equal]
    if any(layer.vectorless for layer in layers):
        notes.append(
            "[ ]: what a statistical model of activity expects, which knows how often each input "
            "is 1 and changes, and takes the inputs of every gate as independent."
        )
    for design in record.designs:
        notes += [f"{design.design}, {left.layer}: {left.reason}" for left in design.left_out]
    return [*notes, *record.notes]


def flat(record: EnergyReference) -> list[dict[str, Any]]:
    """Return a row per design and layer: means over samples in pJ per MAC, and the setting."""
    rows = []
    for design in record.designs:
        for layer in design.layers:
            means = {
                f"{of}_{part}_pj_per_mac": fmean(getattr(getattr(layer, of), f"{part}_pj"))
                / layer.macs
                for of in ("pe", "edge")
                for part in PARTS
            }
            expected = None if layer.vectorless is None else _vectorless(layer, record.cols)
            rows.append(
                {
                    "pe": design.design,
                    "layer": layer.layer,
                    "samples": len(layer.positions),
                    "macs_per_sample": layer.macs,
                    "pj_per_mac": layer.pj_per_mac(record.cols),
                    "standard_error_pj_per_mac": layer.standard_error(record.cols),
                    **means,
                    "vectorless_pj_per_mac": expected,
                    "library": ", ".join(record.library.files),
                    "corner": record.library.corner,
                    "voltage_v": record.library.voltage_v,
                    "clock_ns": record.clock_ns,
                    "slew_ns": record.slew_ns,
                    "columns_per_edge_unit": record.cols,
                }
            )
    return rows
