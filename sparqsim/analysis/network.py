"""Whole networks through the memory system, without values where values cannot change cycles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Timing, Work
from sparqsim.array.registry import get_dataflow
from sparqsim.array.timing import array_timing, fixed_cycles
from sparqsim.memory.config import MemoryConfig
from sparqsim.memory.system import Outcome, through_memory
from sparqsim.pe import PEDesign
from sparqsim.pe.binding import bound_to
from sparqsim.trace import Layer, Trace


def layer_timing(layer: Layer, pe: PEDesign, array: ArrayConfig) -> Timing:
    """Return the array's own timing of a layer; its values are read only if they can change it.

    `pe` is bound to the layer (`bound_to`).
    """
    fixed = None if pe.times_itself else fixed_cycles(pe)
    if fixed is None:
        return array_timing(layer.lower(), pe, array)
    shape = layer.gemm
    work = Work(shape.m, pe.steps(shape.k), shape.n, shape.groups, pe.edge_cycles)
    return get_dataflow(array.dataflow).timing(work, array, fixed)


def outcomes(
    trace: Trace, designs: Sequence[PEDesign], array: ArrayConfig, memory: MemoryConfig
) -> Iterator[tuple[Layer, Timing, Outcome]]:
    """Yield every layer with the array's own timing and what the memory makes of it; `designs` has one per layer."""
    for layer, design in zip(trace.layers, designs, strict=True):
        pe = bound_to(layer, design)
        timing = layer_timing(layer, pe, array)
        yield layer, timing, through_memory(layer, pe, array, memory, timing.tile_stalls)
