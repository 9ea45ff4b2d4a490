"""The contract of engine models, as checks that anyone can run: `sparqsim pe check NAME` or
`FILE.py:CLASS`.

`define` is the definition of an engine's time, so every check compares its fast form with `define`,
or either of them with what the engine declares. A check returns when the engine keeps it, and
raises `Violation` with the layer, what was expected and what was found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Timing
from sparqsim.base.contract import (
    Check,
    Outcome,
    expect,
    expect_frozen,
    expect_same_of_spec,
    outcomes_of,
    variants,
)
from sparqsim.base.errors import InputError
from sparqsim.base.exact import exact_matmul
from sparqsim.engine.measure import Measurement
from sparqsim.engine.models.base import Capacity, Defined, EngineModel, HostModel, Task
from sparqsim.engine.models.registry import WHAT, get_model
from sparqsim.memory.config import DramConfig, MemoryConfig
from sparqsim.memory.system import Loops, through_memory
from sparqsim.pe.base import Array, PEDesign
from sparqsim.pe.contract import check_design
from sparqsim.results.bounds import Bounds
from sparqsim.trace import Layer

#: (M, K, N): a single product, tiles that do not come out even, K odd and long.
SHAPES = ((1, 1, 1), (3, 4, 5), (2, 17, 3))
#: Shares of operands other than zero.
DENSITIES = (0.0, 0.6)
ARRAYS = (
    ArrayConfig(2, 3),
    ArrayConfig(3, 2, coupling="elastic:2", overlap=True),
    ArrayConfig(2, 2, dataflow="ws"),
    ArrayConfig(2, 2, dataflow="is", overlap=True),
)


def check_variants(asked: str | PEDesign | EngineModel) -> Iterator[tuple[str, Outcome]]:
    """Check what a name stands for, as `sparqsim pe check` does: a PE design, then its engine.

    Yields the name and what each check found. With default keys, every choice of every key is
    checked; with any others what is asked for, as it is.
    """
    named = get_model(asked)
    keyed = named if named.pe is None else named.pe
    known = variants(type(keyed))
    for each in known if keyed == known[0] else [keyed]:
        model = get_model(each)
        if model.pe is not None:
            yield from ((model.spec, outcome) for outcome in check_design(model.pe))
        yield from ((model.spec, outcome) for outcome in check_model(model))


def check_model(model: EngineModel) -> Iterator[Outcome]:
    """Run every check on an engine."""
    return outcomes_of(CHECKS, model)


def check_declaration(model: EngineModel) -> None:
    """Expect a name, and on every array units, lanes and multipliers of at least one."""
    named = model.spec.partition(":")[0]
    expect(
        named != "" and not set(named) & set(",= "),
        f"name={named!r}, expected a text without ':', ',', '=' and spaces",
    )
    for array in _arrays(model):
        capacity = model.capacity(array)
        expect(isinstance(capacity, Capacity), f"capacity is {capacity!r}, expected a Capacity")
        for what in ("units", "lanes", "multipliers"):
            value = getattr(capacity, what)
            expect(
                type(value) is int and value >= 1,
                f"capacity.{what}={value!r} on {array}, expected an integer of at least 1",
            )


def check_frozen(model: EngineModel) -> None:
    """Expect a frozen value: equal keys make equal, hashable engines."""
    expect_frozen(model, "engines")


def check_spec(model: EngineModel) -> None:
    """Expect the text that names an engine, its keys included, to make the same engine again."""
    if not isinstance(model, HostModel):  # there the design's name is the design's contract
        expect_same_of_spec(model, WHAT)


def check_time(model: EngineModel) -> None:
    """Expect the fast form to be the definition, whether values were read before or not."""
    for running, task in _tasks(model):
        defined = _defined(running, task).timing
        for how, timing in (
            ("time", running.time(task)),
            ("time of a measured layer", running.time(task, _collected(running, task))),
        ):
            expect(
                timing == defined,
                f"{_shown(task)}: {how} gives {timing}, define gives {defined}",
            )
            expect(
                _same_stalls(timing, defined),
                f"{_shown(task)}: tile_stalls of {how} are not those of define",
            )


def check_outputs(model: EngineModel) -> None:
    """Expect the definition's values, block by block as at once, operands untouched."""
    for running, task in _tasks(model):
        layer = task.lowered
        x, weights = layer.rows(), layer.weights.copy()
        before = x.copy()
        whole = _collected(running, task)
        parts = _collected(running, task, block=1)
        expect(
            whole == replace(parts, step_cycles=whole.step_cycles),
            f"{_shown(task)}: values row by row give {parts}, at once {whole}",
        )
        expect(
            np.array_equal(x, before) and np.array_equal(layer.weights, weights),
            f"{_shown(task)}: the operands were changed",
        )
        outputs = _defined(running, task).outputs
        if outputs is None:
            continue
        expect(
            outputs.shape == (layer.groups, layer.m, layer.n) and outputs.dtype == np.int64,
            f"{_shown(task)}: outputs are {outputs.dtype} {outputs.shape}, expected int64 "
            f"{(layer.groups, layer.m, layer.n)}",
        )
        noise = int(((outputs - _exact(task)) ** 2).sum())
        expect(
            noise == whole.error.noise,
            f"{_shown(task)}: squared error of define is {noise}, of the fast form "
            f"{whole.error.noise}",
        )


def check_cycles(model: EngineModel) -> None:
    """Expect possible cycles: no part below 0, no unit outruns its work, values if declared."""
    seen: dict[tuple[tuple[int, ...], ArrayConfig], set[int]] = {}
    for running, task in _tasks(model):
        timing, units = running.time(task), running.capacity(task.array).units
        parts = (timing.compute, timing.fill, timing.drain, timing.pe_stall)
        expect(
            min(parts) >= 0 and timing.total >= 1 and timing.tiles >= 1,
            f"{_shown(task)}: cycles are {timing}, expected no part below 0, and at least one",
        )
        expect(
            0 <= timing.used_pe_cycles <= units * timing.total,
            f"{_shown(task)}: used_pe_cycles={timing.used_pe_cycles}, expected at most "
            f"{units} units x {timing.total} cycles",
        )
        bounds = Bounds.of(timing, running.unit_steps(task), units)
        gap = bounds.gap_cycles
        expect(
            min(bounds.work_cycles, gap.ragged_tiles, gap.fill_drain, gap.pe_waiting) >= 0
            and bounds.busiest_pe_cycles <= timing.total,
            f"{_shown(task)}: {bounds} of {timing}: expected no part below 0, no unit busier "
            "than the engine",
        )
        shape = task.shape
        key = (shape.m, shape.k, shape.n, shape.groups), task.array
        seen.setdefault(key, set()).add(timing.total)
    if not model.cycles_depend_on_values:
        for (shape_of, array), totals in seen.items():
            expect(
                len(totals) == 1,
                f"a layer of {shape_of} on {array} takes {sorted(totals)} cycles by its values; "
                "expected cycles_depend_on_values, or one number",
            )


def check_memory(model: EngineModel) -> None:
    """Expect loops whose tiles take the layer's cycles, or a refusal; both memories agree."""
    from sparqsim.event import memory as defined

    memory = MemoryConfig(dram=DramConfig(bandwidth_bytes_per_cycle=2, latency_cycles=3))
    for running, task in _tasks(model):
        timing = running.time(task)
        try:
            loops = running.loops(task, timing)
        except InputError:
            continue
        expect(isinstance(loops, Loops), f"loops are {loops!r}, expected Loops")
        expect(
            (taken := sum(each.tiles.total for each in loops.passes)) == timing.total,
            f"{_shown(task)}: the tiles of loops take {taken} cycles, time says {timing.total}",
        )
        fast = through_memory(task.layer, loops, memory)
        slow = through_memory(task.layer, loops, memory, runner=defined.run)
        expect(
            (fast.memory_stall, fast.used_pe_cycles) == (slow.memory_stall, slow.used_pe_cycles)
            and fast.memory_stall >= 0,
            f"{_shown(task)}: memory adds {fast.memory_stall} cycles, its processes "
            f"{slow.memory_stall}",
        )
        used = timing.used_pe_cycles + fast.used_pe_cycles
        most = running.capacity(task.array).units * (timing.total + fast.memory_stall)
        expect(used <= most, f"{_shown(task)}: used_pe_cycles={used}, expected at most {most}")


#: Every check by the name under which it is reported.
CHECKS: dict[str, Check[EngineModel]] = {
    "engine declares a name and what it can do": check_declaration,
    "engine is frozen, hashable, equal to its twin": check_frozen,
    "engine's spec makes it again": check_spec,
    "engine time = its definition": check_time,
    "engine values = its definition, row by row": check_outputs,
    "engine cycles add up, within their bounds": check_cycles,
    "engine loops take its cycles, with memory": check_memory,
}


def _arrays(model: EngineModel) -> list[ArrayConfig]:
    """Return the arrays that the engine takes; the others it refuses with an InputError."""
    taken = []
    for array in ARRAYS:
        try:
            model.refuse_array(array)
        except InputError:
            continue
        taken.append(array)
    expect(bool(taken), f"refuses every one of the arrays {', '.join(map(str, ARRAYS))}")
    return taken


def _tasks(model: EngineModel) -> Iterator[tuple[EngineModel, Task]]:
    """Yield small layers on the arrays that the engine takes, and the engine as it runs each.

    Those that it refuses are left out.
    """
    for array in _arrays(model):
        for layer in _layers():
            running = model.bound_to(layer)
            try:
                running.refuse_layer(layer, array)
                running.refuse_definition(layer, array)
            except InputError:
                continue
            yield running, Task(layer, array)


@cache
def _layers() -> tuple[Layer, ...]:
    """Return layers of all shapes and densities, signed or not, one of groups with zero points."""
    rng = np.random.default_rng(20261129)
    made = []
    for m, k, n in SHAPES:
        for density in DENSITIES:
            x = _drawn(rng, (m, k), 0, 256, density).astype(np.uint8)
            w = _drawn(rng, (k, n), -128, 128, density).astype(np.int8)
            made.append(Layer.from_gemm(f"{m}x{k}x{n}, density {density}", x, w))
    signed = _drawn(rng, (3, 5), -128, 128, 0.7).astype(np.int8)
    made.append(
        Layer.from_gemm("signed", signed, _drawn(rng, (5, 4), -128, 128, 0.7).astype(np.int8))
    )
    grouped = _drawn(rng, (1, 3, 3, 4), 0, 256, 0.6).astype(np.uint8)
    kernels = _drawn(rng, (4, 4, 2), -128, 128, 0.8).astype(np.int8)
    made.append(
        Layer.conv2d(
            "two groups",
            grouped,
            kernels,
            kernel=(2, 2),
            groups=2,
            activation_zero_point=3,
            zero_point_corrected=True,
        )
    )
    return tuple(made)


def _drawn(
    rng: np.random.Generator, shape: tuple[int, ...], low: int, high: int, density: float
) -> Array:
    return rng.integers(low, high, shape) * (rng.random(shape) < density)


def _defined(model: EngineModel, task: Task) -> Defined:
    """Return what the definition gives; it is slow, so two checks share it."""
    return _defined_once(model, task.layer.name, task.array)


@lru_cache(maxsize=256)
def _defined_once(model: EngineModel, name: str, array: ArrayConfig) -> Defined:
    (layer,) = (layer for layer in _layers() if layer.name == name)
    return model.define(Task(layer, array))


def _collected(model: EngineModel, task: Task, block: int | None = None) -> Measurement:
    """Return what the engine collects of a layer, `block` rows at a time."""
    layer, meter = task.lowered, model.meter(task.lowered)
    for start in range(0, layer.m, block or layer.m):
        x = layer.rows(start, start + (block or layer.m))
        exact = layer.sums(x, layer.weights)
        meter.add(x, exact, int((exact.astype(object) ** 2).sum()))
    return meter.measurement(0)


def _exact(task: Task) -> NDArray[np.int64]:
    layer = task.lowered
    x, w = layer.rows(), layer.weights
    return layer.corrected(exact_matmul(x, w), x, w)


def _same_stalls(one: Timing, other: Timing) -> bool:
    if one.tile_stalls is None or other.tile_stalls is None:
        return not any(
            stalls is not None and stalls.any() for stalls in (one.tile_stalls, other.tile_stalls)
        )
    return np.array_equal(one.tile_stalls, other.tile_stalls)


def _shown(task: Task) -> str:
    return f"layer {task.layer.name!r} on {task.array}"
