"""How long an array takes for a layer, whether shapes, activations or both operands decide."""

from __future__ import annotations

import numpy as np

from sparqsim.array.config import ArrayConfig
from sparqsim.array.costs import SideCosts
from sparqsim.array.dataflow import Dataflow, StepCycles, Timing, Work
from sparqsim.array.registry import dataflow_names, get_dataflow
from sparqsim.base.errors import InputError
from sparqsim.pe import PEDesign
from sparqsim.pe.arithmetic import row_blocks
from sparqsim.pe.declared import activation_cycles, fixed_step_cycles, weight_cycles
from sparqsim.pe.operands import StepOperands
from sparqsim.trace import Layer
from sparqsim.trace.lowering import LoweredLayer


def check_dataflow(pe: PEDesign, array: ArrayConfig) -> None:
    """Raise InputError for a dataflow that the design does not support."""
    flow = get_dataflow(array.dataflow)
    if not supports(pe, flow):
        also = "" if pe.dataflows else f", and others whose {' or '.join(pe.stationary)} stay"
        raise InputError(
            f"dataflow={array.dataflow!r}: {pe.spec} supports "
            f"{', '.join(supported_dataflows(pe)) or 'no dataflow known here'}{also}"
        )


def supports(pe: PEDesign | type[PEDesign], flow: Dataflow) -> bool:
    """Return whether a design runs in a dataflow: one it names, or one of its `stationary`."""
    return flow.stationary in pe.stationary if pe.dataflows is None else flow.name in pe.dataflows


def supported_dataflows(pe: PEDesign | type[PEDesign]) -> list[str]:
    """Return the names of the shipped and installed dataflows that a design supports."""
    return [name for name in dataflow_names() if supports(pe, get_dataflow(name))]


def check_activations(layer: Layer, pe: PEDesign) -> None:
    """Raise InputError, naming the layer, for activations that the design cannot take."""
    try:
        pe.check_signedness(layer.signed)
    except InputError as error:
        raise InputError(f"layer {layer.name!r}: {error}") from None


def array_timing(
    layer: LoweredLayer,
    pe: PEDesign,
    array: ArrayConfig,
    step_costs: SideCosts | None = None,
) -> Timing:
    """Return the array's own timing.

    Parameters
    ----------
    layer : LoweredLayer
    pe : PEDesign
        Bound to the layer (`bound_to`).
    array : ArrayConfig
    step_costs : SideCosts, optional
        What `side_costs` gives, where that is known already.
    """
    steps, registers = pe.steps(layer.k), (pe.edge_cycles, pe.stage_cycles)
    work = Work(layer.m, steps, layer.n, layer.groups, *registers)
    cycles = _cycles_of(layer, pe, step_costs)
    return get_dataflow(array.dataflow).timing(work, array, cycles)


def fixed_cycles(pe: PEDesign) -> int | None:
    """Return the cycles of every step that the array times, None where values decide them."""
    if pe.cost == "unit":
        return 1
    return fixed_step_cycles(pe) if pe.cost == "shape" else None


def _cycles_of(layer: LoweredLayer, pe: PEDesign, step_costs: SideCosts | None) -> StepCycles:
    fixed = fixed_cycles(pe)
    if fixed is not None:
        return fixed
    if pe.cost == "pair":
        return StepOperands(layer, pe).pair_costs
    return side_costs(layer, pe) if step_costs is None else step_costs


def side_costs(layer: LoweredLayer, pe: PEDesign) -> SideCosts:
    """Return the step cycles of a bound design where the operands of one side decide them."""
    if pe.cost == "weights":
        return SideCosts(weight_cycles(pe, layer.weights), "sn")
    blocks = [activation_cycles(pe, rows) for rows in row_blocks(layer)]
    return SideCosts(np.concatenate(blocks, axis=1), "ms")
