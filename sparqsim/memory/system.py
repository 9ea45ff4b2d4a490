"""One layer through the memory system: the whole story on one screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Work
from sparqsim.array.registry import get_dataflow
from sparqsim.array.tiles import TileTimes
from sparqsim.memory.config import MemoryConfig
from sparqsim.memory.footprint import InputMap
from sparqsim.memory.nest import axes_of
from sparqsim.memory.plan import Job, Plan, plans_of, used_bytes
from sparqsim.memory.schedule import (
    ENGINES,
    Schedule,
    Times,
    item_lengths,
    schedule,
    sram_bytes,
    sums_written,
)
from sparqsim.memory.traffic import LayerTraffic, OperandTraffic
from sparqsim.trace import GemmShape, Layer
from sparqsim.trace.codebits import ALL_BITS

Runner = Callable[[Schedule, MemoryConfig], Times]
#: Whether a pass takes up the sums of the one before, and whether it is the last.
Part = tuple[bool, bool]
WHOLE: Part = (False, True)


@dataclass(frozen=True)
class Loops:
    """How an engine goes through a layer: all that the memory system must know of it.

    Parameters
    ----------
    array : ArrayConfig
        Its sides cut the layer into tiles, its dataflow says along which dimensions and what is
        streamed.
    lanes : int
        Elements of K that one streamed step takes.
    tiles : TileTimes
        How long each tile takes; together they take what the layer takes without memory.
    used_units : int64 (column tiles, row tiles)
        PEs, or what stands in their place, that hold real work in each tile of a group.
    activation_pair_bits : callable
        `activation_pair_bits(storage)`: bits in memory of two adjacent activations; 16 where they
        are stored raw.
    weight_bits : int
        In memory, as `activation_pair_bits` of a layer of 8-bit codes; codes of fewer bits take no
        more than they have (`job_of`).
    then : tuple of Loops
        Further passes over the layer, each after the one before. Each pass fetches its operands and
        leaves its sums; all but the first bring those of the pass before back, and add to them.
    """

    array: ArrayConfig
    lanes: int
    tiles: TileTimes
    used_units: NDArray[np.int64]
    activation_pair_bits: Callable[[str], int]
    weight_bits: int = 8
    then: tuple[Loops, ...] = ()

    @property
    def passes(self) -> tuple[Loops, ...]:
        """The loops of every pass over the layer, in their order."""
        return (self, *self.then)

    @classmethod
    def of_cycles(
        cls,
        shape: GemmShape,
        array: ArrayConfig,
        cycles: NDArray[np.int64],
        *,
        units: int = 1,
        lanes: int = 1,
    ) -> Loops:
        """Return the loops of an engine whose tiles take `cycles`, with all its units at work in
        each.

        Parameters
        ----------
        shape : GemmShape
        array : ArrayConfig
            As of `Loops`; activations and weights are stored raw, 8 bits each.
        cycles : int64 (groups, column tiles, row tiles)
        units, lanes : int
        """
        work = Work(shape.m, -(-shape.k // lanes), shape.n, shape.groups)
        grid = get_dataflow(array.dataflow).grid(work, array)
        tiles = TileTimes(grid, 0, 0, 0, 0, cycles - grid.stream)
        used_units = np.full(grid.shape[1:], units, np.int64)
        return cls(array, lanes, tiles, used_units, lambda _: 16)


@dataclass(frozen=True)
class Outcome:
    """What the memory system adds to a layer.

    `memory_stall`: cycles beyond the array's own. `used_pe_cycles`: of PEs with real work, in those
    cycles.
    """

    memory_stall: int
    used_pe_cycles: int
    traffic: LayerTraffic
    plan: Plan
    program: Schedule
    times: Times
    #: Of further passes over the layer; stalls and traffic are those of all.
    then: tuple[Outcome, ...] = ()

    @property
    def passes(self) -> tuple[Outcome, ...]:
        """What ran in each pass; of the first, stalls and traffic are those of all."""
        return (self, *self.then)


class StoredOperands(Protocol):
    """How operands lie in memory, and how many a step takes: `Loops` say it, or `Stored`."""

    @property
    def lanes(self) -> int:
        """Elements of K that one step takes."""

    @property
    def weight_bits(self) -> int:
        """Of a weight."""

    @property
    def activation_pair_bits(self) -> Callable[[str], int]:
        """`activation_pair_bits(storage)`: of two adjacent activations."""


class Stored(NamedTuple):
    """How operands of a layer lie in memory, without the loops over it: see `StoredOperands`."""

    lanes: int
    weight_bits: int
    activation_pair_bits: Callable[[str], int]


def job_of(layer: Layer, loops: StoredOperands, memory: MemoryConfig, part: Part = WHOLE) -> Job:
    """Return what a layer asks of the memory when an engine goes through it in these loops."""
    shape, source, bits = layer.gemm, InputMap.of(layer), layer.record.bits
    raw = _stored_bits(loops.activation_pair_bits("raw"), bits["activations"], codes=2)
    stored = raw
    if source.pairs_are_whole:
        of_design = loops.activation_pair_bits(memory.storage)
        stored = _stored_bits(of_design, bits["activations"], codes=2)
    return Job(
        layer.name,
        {"m": shape.m, "k": shape.k, "n": shape.n},
        shape.groups,
        loops.lanes,
        source,
        stored,
        _stored_bits(loops.weight_bits, bits["weights"]),
        memory.storage if stored != raw else "raw",
        *part,
    )


def _stored_bits(of_design: int, bits: int, codes: int = 1) -> int:
    """Return the bits that codes take in memory: as the design stores 8-bit ones, or raw where that
    is less.
    """
    return of_design if bits == ALL_BITS else min(of_design, codes * bits)


@dataclass(frozen=True)
class Prepared:
    """A layer ready to run in one loop order: everything but the DRAM's speed is settled."""

    job: Job
    tiles: TileTimes
    plan: Plan
    program: Schedule


def prepare(layer: Layer, loops: Loops, memory: MemoryConfig) -> list[list[Prepared]]:
    """Return for each pass its program in each loop order that is left open.

    Parameters and errors as in `through_memory`.
    """
    last = len(loops.then)
    return [
        _prepared(layer, each, memory, (number > 0, number == last))
        for number, each in enumerate(loops.passes)
    ]


def _prepared(layer: Layer, loops: Loops, memory: MemoryConfig, part: Part) -> list[Prepared]:
    job, array, tiles = job_of(layer, loops, memory, part), loops.array, loops.tiles
    return [
        Prepared(job, tiles, plan, schedule(plan, tiles, memory, array.dataflow))
        for plan in plans_of(job, array, memory)
    ]


def fastest(programs: Sequence[Prepared], memory: MemoryConfig) -> Prepared:
    """Return the program of the fewest cycles; of equal ones the first, the array's own."""
    from sparqsim.memory import recurrence

    if len(programs) == 1:
        return programs[0]
    return min(programs, key=lambda ready: recurrence.run(ready.program, memory).total)


def through_memory(
    layer: Layer, loops: Loops, memory: MemoryConfig, *, runner: Runner | None = None
) -> Outcome:
    """Return what the memory system makes of a layer.

    Parameters
    ----------
    layer : Layer
    loops : Loops
        How an engine goes through it.
    memory : MemoryConfig
    runner : callable, optional
        `recurrence.run` by default, or `event.memory.run`.

    Raises
    ------
    InputError
        Where a block of an operand fits no scratchpad half.
    """
    from sparqsim.memory import recurrence

    first, *then = (
        _outcome(fastest(programs, memory), each, memory, runner or recurrence.run)
        for programs, each in zip(prepare(layer, loops, memory), loops.passes, strict=True)
    )
    if not then:
        return first
    passes = (first, *then)
    bits = layer.record.bits  # of whole operands, whatever part of them a pass fetches
    raw = replace(
        job_of(layer, loops, memory), pair_bits=2 * bits["activations"], weight_bits=bits["weights"]
    )
    stalls = sum(each.memory_stall for each in passes)
    used_pe_cycles = sum(each.used_pe_cycles for each in passes)
    traffic = LayerTraffic.of_passes([each.traffic for each in passes], used_bytes(raw, memory))
    return replace(
        first,
        memory_stall=stalls,
        used_pe_cycles=used_pe_cycles,
        traffic=traffic,
        then=tuple(then),
    )


def _outcome(ready: Prepared, loops: Loops, memory: MemoryConfig, runner: Runner) -> Outcome:
    plan, tiles, program = ready.plan, ready.tiles, ready.program
    times = runner(program, memory)
    waits = spent_by_item(times) - item_lengths(plan.nest, tiles, loops.array.dataflow)
    traffic = layer_traffic(ready.job, plan, memory, int(program.lengths.sum()) - tiles.total)
    used_pe_cycles = int((waits * used_pes(plan, loops)).sum())
    return Outcome(int(waits.sum()), used_pe_cycles, traffic, plan, program, times)


def spent_by_item(times: Times) -> NDArray[np.int64]:
    """Return the cycles between items' ends; the last one's reach to the end of the layer."""
    return np.diff(np.append(times.item_ends[:-1], times.total), prepend=0)


def used_pes(plan: Plan, loops: Loops) -> NDArray[np.int64]:
    """Return the PEs with real work in each item of all groups."""
    rows, cols, _ = axes_of(loops.array.dataflow)
    index = plan.nest.index
    return np.tile(loops.used_units[index[cols], index[rows]], loops.tiles.grid.groups)


def layer_traffic(
    job: Job, plan: Plan, memory: MemoryConfig, port_stall_cycles: int
) -> LayerTraffic:
    """Return what a layer moves."""
    groups, outputs = job.groups, plan.outputs
    used, by_array = used_bytes(job, memory), sram_bytes(plan)
    moved = {operand: groups * int(by_array[operand].sum()) for operand in ENGINES}
    fetched = {"activations": plan.activations.sizes, "weights": plan.weights.sizes}
    operands = {
        name: OperandTraffic(
            used_bytes=used[name],
            dram_read_bytes=groups * int(sizes.sum()),
            dram_write_bytes=0,
            sram_read_bytes=moved[name],
            sram_write_bytes=groups * int(sizes.sum()),
            burst_padding_bytes=groups * _padding(sizes, memory),
        )
        for name, sizes in fetched.items()
    }
    written, reloaded = groups * int(outputs.sizes.sum()), groups * int(outputs.reload_sizes.sum())
    made = groups * int(sums_written(plan).sum())
    operands["outputs"] = OperandTraffic(
        used_bytes=used["outputs"],
        dram_read_bytes=reloaded,
        dram_write_bytes=written,
        sram_read_bytes=written + moved["outputs"] - made,
        sram_write_bytes=reloaded + made,
        burst_padding_bytes=groups
        * (_padding(outputs.sizes, memory) + _padding(outputs.reload_sizes, memory)),
    )
    stream = plan.nest.order[2]
    resident = {
        "activations": plan.activations.scope,
        "weights": plan.weights.scope,
        "outputs": outputs.scope,
    }
    return LayerTraffic(
        **operands,
        psum_spill_bytes=groups * outputs.spilled,
        psum_reload_bytes=reloaded,
        port_stall_cycles=port_stall_cycles,
        loop_order=plan.nest.order,
        stream_chunks=plan.nest.pieces(stream),
        storage=job.storage,
        activation_pair_bits=job.pair_bits,
        weight_bits=job.weight_bits,
        resident=resident,
    )


def _padding(sizes: NDArray[np.int64], memory: MemoryConfig) -> int:
    """Return the bytes that fill up the last burst of each transfer."""
    return int((-sizes % memory.dram.burst_bytes).sum())
