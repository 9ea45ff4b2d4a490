"""Whole networks through the memory system, without values where values cannot change cycles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Timing
from sparqsim.engine.models import EngineModel, Task, get_model
from sparqsim.memory.config import MemoryConfig
from sparqsim.memory.system import Outcome, through_memory
from sparqsim.pe import PEDesign
from sparqsim.trace import Layer, Trace


def layer_timing(layer: Layer, pe: PEDesign | EngineModel, array: ArrayConfig) -> Timing:
    """Return the array's own timing of a layer; its values are read only if they can change it."""
    return get_model(pe).bound_to(layer).time(Task(layer, array))


def layer_outcome(
    layer: Layer, pe: PEDesign | EngineModel, array: ArrayConfig, memory: MemoryConfig
) -> tuple[Timing, Outcome]:
    """Return the array's own timing of a layer, and what the memory makes of it."""
    model, task = get_model(pe).bound_to(layer), Task(layer, array)
    timing = model.time(task)
    return timing, through_memory(layer, model.loops(task, timing), memory)


def outcomes(
    trace: Trace,
    designs: Sequence[PEDesign | EngineModel],
    array: ArrayConfig,
    memory: MemoryConfig,
) -> Iterator[tuple[Layer, Timing, Outcome]]:
    """Yield every layer, the array's timing, and what the memory makes of it."""
    for layer, pe in zip(trace.layers, designs, strict=True):
        yield layer, *layer_outcome(layer, pe, array, memory)
