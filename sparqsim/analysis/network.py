"""Whole networks through the memory system, without values where values cannot change cycles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Timing, Work
from sparqsim.array.registry import get_dataflow
from sparqsim.array.timing import array_timing
from sparqsim.engine.arithmetic import row_blocks
from sparqsim.memory.config import MemoryConfig
from sparqsim.memory.system import Outcome, through_memory
from sparqsim.pe import PEDesign
from sparqsim.trace import Layer, Trace
from sparqsim.trace.lowering import LoweredLayer


def layer_timing(layer: Layer, pe: PEDesign, array: ArrayConfig) -> Timing:
    """Return the array's own timing of a layer; its values are read only if they can change it."""
    if pe.cycles_depend_on_values:
        lowered = layer.lower()
        return array_timing(
            lowered, pe, array, None if pe.times_itself else step_cycles(lowered, pe)
        )
    shape = layer.gemm
    work = Work(shape.m, pe.steps(shape.k), shape.n, shape.groups, pe.edge_cycles)
    return get_dataflow(array.dataflow).timing(work, array)


def step_cycles(layer: LoweredLayer, pe: PEDesign) -> NDArray[np.uint8] | None:
    """Return the cycles of each step, uint8 (groups, M, steps); None where activations do not decide them."""
    blocks = [pe.step_cycles(rows) for rows in row_blocks(layer)]
    known = [block for block in blocks if block is not None]
    return np.concatenate(known, axis=1) if known else None


def outcomes(
    trace: Trace, designs: Sequence[PEDesign], array: ArrayConfig, memory: MemoryConfig
) -> Iterator[tuple[Layer, Timing, Outcome]]:
    """Yield every layer with the array's own timing and what the memory makes of it; `designs` has one per layer."""
    for layer, pe in zip(trace.layers, designs, strict=True):
        timing = layer_timing(layer, pe, array)
        yield layer, timing, through_memory(layer, pe, array, memory, timing.tile_stalls)
