"""The report of one layer: what its engine and its memory system make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparqsim.array.dataflow import Timing
from sparqsim.base.errors import InputError
from sparqsim.engine.engines import ENGINES, Outcome
from sparqsim.engine.models import EngineModel, Task
from sparqsim.memory import MemoryConfig
from sparqsim.results.actions import memory_actions
from sparqsim.results.bounds import Bounds
from sparqsim.results.layer_report import Counts, Cycles, Gemm, LayerReport

if TYPE_CHECKING:
    from sparqsim.memory.system import Outcome as Waits


def cycles_on(
    task: Task, model: EngineModel, memory: MemoryConfig | None, engine: str, outcome: Outcome
) -> int:
    """Return the total cycles of a layer that was measured, on the array of `task`."""
    timing = ENGINES[engine].outcome(model, task, outcome.measured).timing
    waits = _waits(task, model, memory, engine, timing)
    return timing.total + (waits.memory_stall if waits else 0)


def layer_report(
    task: Task, model: EngineModel, memory: MemoryConfig | None, engine: str, outcome: Outcome
) -> LayerReport:
    """Return the report of a layer, of which `outcome` is known; `engine`: how it is asked."""
    layer, shape, timing, measured = task.layer, task.shape, outcome.timing, outcome.measured
    waits = _waits(task, model, memory, engine, timing)
    cycles = Cycles(
        compute=timing.compute,
        fill=timing.fill,
        drain=timing.drain,
        pe_stall=timing.pe_stall,
        memory_stall=waits.memory_stall if waits else 0,
    )
    units = model.capacity(task.array).units
    try:
        bounds = Bounds.of(timing, model.unit_steps(task), units, cycles.memory_stall)
    except InputError as error:
        raise InputError(f"layer {layer.name!r}: {model.spec}: {error}") from None
    actions = model.actions(task, timing, measured, units * cycles.total)
    traffic = waits.traffic if waits else None
    return LayerReport(
        name=layer.name,
        op=layer.op,
        run_as=model.spec,
        kept_8bit=False,
        kept_mode=model.kept_mode,
        found_keys=model.found_keys,
        activation_bits=layer.record.activation_bits,
        weight_bits=layer.record.weight_bits,
        gemm=Gemm(m=shape.m, k=shape.k, n=shape.n, groups=shape.groups),
        cycles=cycles,
        bounds=bounds,
        tiles=timing.tiles,
        partial_sums=timing.partial_sums,
        counts=_counts(task, model, cycles.total, outcome, waits),
        traffic=traffic,
        actions=actions | memory_actions(traffic),
        pairs=measured.pairs,
        windows=measured.windows,
        error=measured.error,
    )


def _waits(
    task: Task, model: EngineModel, memory: MemoryConfig | None, engine: str, timing: Timing
) -> Waits | None:
    """Return what the memory system adds, None where it is not modelled."""
    if memory is None:
        return None
    from sparqsim.memory.system import through_memory

    runner = ENGINES[engine].memory_runner()
    return through_memory(task.layer, model.loops(task, timing), memory, runner=runner)


def _counts(
    task: Task, model: EngineModel, cycles: int, outcome: Outcome, waits: Waits | None
) -> Counts:
    capacity, activity = model.capacity(task.array), outcome.measured.activity
    unit_cycles = cycles * capacity.units
    busy = sum(cycles for part, cycles in activity.items() if part.startswith("multiplier_"))
    return Counts(
        macs=task.shape.macs,
        macs_nonzero=outcome.measured.macs_nonzero,
        pe_cycles=unit_cycles,
        lane_cycles=unit_cycles * capacity.lanes,
        multiplier_cycles=unit_cycles * capacity.multipliers,
        used_pe_cycles=outcome.timing.used_pe_cycles + (waits.used_pe_cycles if waits else 0),
        busy_pe_cycles=activity.get("pe", 0) if activity else None,
        busy_multiplier_cycles=busy if activity else None,
    )
