"""How long an array takes for a layer, by whatever decides it: shapes, activations, both operands, or the design."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Dataflow, Timing, Work
from sparqsim.array.registry import dataflow_names, get_dataflow
from sparqsim.array.self_timed import self_timed
from sparqsim.base.errors import InputError
from sparqsim.pe import PEDesign
from sparqsim.pe.operands import StepOperands, costs_of_pairs
from sparqsim.trace import Layer
from sparqsim.trace.lowering import LoweredLayer


def check_dataflow(pe: PEDesign, array: ArrayConfig) -> None:
    """Raise InputError for a dataflow that the design does not support, or an array that it cannot time."""
    pe.check_array(array.rows, array.cols)
    flow = get_dataflow(array.dataflow)
    if not supports(pe, flow):
        also = "" if pe.dataflows else f", and others whose {' or '.join(pe.stationary)} stay"
        raise InputError(
            f"dataflow={array.dataflow!r}: {pe.spec} supports "
            f"{', '.join(supported_dataflows(pe)) or 'no dataflow known here'}{also}"
        )


def supports(pe: PEDesign | type[PEDesign], flow: Dataflow) -> bool:
    """Return whether a design runs in a dataflow: one it names, or whose stationary operand it takes."""
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
    layer: LoweredLayer, pe: PEDesign, array: ArrayConfig, step_cycles: NDArray[np.uint8] | None
) -> Timing:
    """Return the array's own timing; `step_cycles` (groups, M, steps) as `PEDesign.step_cycles` gives them, or None."""
    if pe.times_itself:
        return self_timed(layer, pe, array)
    cycles = StepOperands(layer, pe).pair_costs if costs_of_pairs(pe) else step_cycles
    work = Work(layer.m, pe.steps(layer.k), layer.n, layer.groups, pe.edge_cycles)
    return get_dataflow(array.dataflow).timing(work, array, cycles)
