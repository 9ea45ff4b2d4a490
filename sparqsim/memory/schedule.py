"""The program of a layer: items for the array, transfers for the DMA engines, and what waits for
what.

Both models of the timing (`sparqsim.event.memory` and `recurrence`) run this program.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.tiles import TileTimes
from sparqsim.memory.blocks import Fetches, byte_count, held_bits
from sparqsim.memory.config import UNLIMITED, MemoryConfig, rate
from sparqsim.memory.nest import Nest, axes_of
from sparqsim.memory.plan import Plan

Indices = NDArray[np.int64]

#: DMA engines, in the order in which ties are settled.
ENGINES = ("activations", "weights", "outputs")
ACTIVATIONS, WEIGHTS, OUTPUTS = range(3)
#: Columns of the table of transfers: when in the program (item, then rank), for which item, engine,
#: bytes.
TURN, RANK, ITEM, ENGINE, SIZE = range(5)


@dataclass(frozen=True)
class Schedule:
    """A layer's program. Transfers stand in program order; each engine runs its own in that order.

    Attributes
    ----------
    lengths : int64 (items,)
        Cycles the array works on each item once its operands are there.
    generations : int64 (items, 3)
        Filling of each scratchpad that each item uses; filling h stands in half h % 2.
    engine, size, after, item, generation : int64 (transfers,)
        DMA engine; bytes; item whose end it waits for (-1: none); item it is made for; filling it
        is part of.
    reads : bool (transfers,)
        From DRAM; else to it.
    produced : int64 (items,)
        Bytes that each item newly takes up in its half of the outputs.
    needs : int64 (items, 4)
        Last transfer (-1: none) that must be complete before an item starts: activations, weights,
        partial sums brought back, writes that free its half of the outputs.
    """

    lengths: Indices
    generations: Indices
    engine: Indices
    size: Indices
    after: Indices
    item: Indices
    generation: Indices
    reads: NDArray[np.bool_]
    produced: Indices
    needs: Indices


@dataclass(frozen=True)
class Times:
    """When everything of a layer happens, in cycles from its start.

    Attributes
    ----------
    item_starts, item_ends : int64 (items,)
        The array's work on each item.
    starts, ends, done : int64 (transfers,)
        First cycle on the channel, end on the channel, and when the data are there (reads: `ends` +
        latency).
    """

    item_starts: Indices
    item_ends: Indices
    starts: Indices
    ends: Indices
    done: Indices

    @property
    def total(self) -> int:
        """Cycles of the layer: the array is done and the last byte has left."""
        return int(max(self.item_ends[-1], self.ends.max(initial=0)))


def schedule(plan: Plan, times: TileTimes, memory: MemoryConfig, dataflow: str) -> Schedule:
    """Return the program of a layer that follows `plan` on an array whose tiles take `times`."""
    groups, items = times.grid.groups, plan.nest.items
    parts = [
        _fetch_part(ACTIVATIONS, plan.activations),
        _fetch_part(WEIGHTS, plan.weights),
        *_output_parts(plan),
    ]
    table = np.concatenate([_for_groups(part, groups, items) for part in parts])
    table = table[np.lexsort((table[:, RANK], table[:, TURN]))]
    generations = np.stack(
        [
            _over_groups(operand.generations, groups)
            for operand in (plan.activations, plan.weights, plan.outputs)
        ],
        axis=1,
    )
    engine, item, reads = table[:, ENGINE], table[:, ITEM], table[:, RANK] > 0
    generation = generations[item, engine]
    after = np.where(reads, _last_items(generations, engine, generation - 2), item)
    lengths = np.maximum(
        item_lengths(plan.nest, times, dataflow), np.tile(port_cycles(plan, memory), groups)
    )
    return Schedule(
        lengths,
        generations,
        engine,
        table[:, SIZE],
        np.where(reads & (engine == OUTPUTS), -1, after),
        item,
        generation,
        reads,
        np.tile(plan.outputs.produced, groups),
        _needs(generations, engine, item, generation, reads),
    )


def _fetch_part(engine: int, fetches: Fetches) -> Indices:
    """Return the fetches of an operand, each before its item, activations first."""
    return _part(fetches.items, fetches.items, engine + 1, engine, fetches.sizes)


def _output_parts(plan: Plan) -> list[Indices]:
    """Return writes, each before the fetches of the item after the next, and reloads."""
    writes = plan.outputs
    return [
        _part(writes.items + 2, writes.items, 0, OUTPUTS, writes.sizes),
        _part(writes.reload_items, writes.reload_items, OUTPUTS + 1, OUTPUTS, writes.reload_sizes),
    ]


def _part(turns: Indices, items: Indices, rank: int, engine: int, sizes: Indices) -> Indices:
    same = np.ones_like(items)
    return np.stack([turns, rank * same, items, engine * same, sizes], axis=1)


def _for_groups(part: Indices, groups: int, items: int) -> Indices:
    """Repeat one group's transfers for every group."""
    shift = np.zeros((groups, 1, part.shape[1]), np.int64)
    shift[:, 0, TURN] = shift[:, 0, ITEM] = np.arange(groups) * items
    return (part[None] + shift).reshape(-1, part.shape[1])


def _over_groups(generations: Indices, groups: int) -> Indices:
    per_group = int(generations[-1]) + 1
    return (generations[None] + (np.arange(groups) * per_group)[:, None]).ravel()


def _last_items(generations: Indices, engine: Indices, wanted: Indices) -> Indices:
    """Return the last item that uses filling `wanted` of a scratchpad, -1 for a negative one."""
    found = np.full(len(engine), -1, np.int64)
    for each in range(len(ENGINES)):
        mine = engine == each
        found[mine] = np.searchsorted(generations[:, each], wanted[mine], "right") - 1
    return found


def _needs(
    generations: Indices,
    engine: Indices,
    item: Indices,
    generation: Indices,
    reads: NDArray[np.bool_],
) -> Indices:
    items = np.arange(len(generations))
    needs = [
        _last_transfer(np.flatnonzero((engine == each) & reads), item, items)
        for each in range(len(ENGINES))
    ]
    written = _last_transfer(np.flatnonzero(~reads), generation, generations[:, OUTPUTS] - 2)
    return np.stack([*needs, written], axis=1)


def _last_transfer(transfers: Indices, key: Indices, limits: Indices) -> Indices:
    """Return, for each limit, the last of the transfers whose key is at most the limit, or -1."""
    found = np.searchsorted(key[transfers], limits, "right") - 1
    return np.where(found < 0, -1, np.append(transfers, -1)[found])


def item_lengths(nest: Nest, times: TileTimes, dataflow: str) -> Indices:
    """Return the cycles of every item of all groups, int64; they add up to the array's total.

    A chunk holds its own streamed steps; the tile's load goes to its first chunk, skew and drain to
    its last; stalls are spread over the tile's stream evenly, floor(stalls * steps so far / steps).
    """
    rows, cols, stream = axes_of(dataflow)
    piece, last = nest.index[stream], nest.pieces(stream) - 1
    steps = times.grid.stream
    so_far = -(-nest.cuts[stream] // (nest.lanes if stream == "k" else 1))
    so_far = (
        so_far * steps // so_far[-1]
    )  # a design's longest thread can have more steps than ceil(K / lanes)
    starts, ends = so_far[piece], so_far[piece + 1]
    stalls = times.stalls[:, nest.index[cols], nest.index[rows]]
    lengths = ends - starts + stalls * ends // steps - stalls * starts // steps
    lengths += np.where(piece == 0, times.head, 0) + np.where(piece == last, times.tail, 0)
    flat: Indices = lengths.ravel()
    flat[0] += times.first_head - times.head
    flat[-1] += times.last_tail - times.tail
    return flat


def sram_bytes(plan: Plan) -> dict[str, Indices]:
    """Return the bytes that the array moves at each scratchpad in each item of a group, int64
    (items,).

    Operands are read once per use: every element of X of a tile, not every pixel. Sums that are
    added up in the scratchpad are read (but for the first fold of the first pass) and written.
    """
    nest, formats = plan.nest, plan.formats
    back = formats.resumes | (nest.accumulates & (nest.index["k"] > 0))
    return {
        "activations": -(-nest.elements("activations") * formats.pair_bits // 16),
        "weights": byte_count(nest.elements("weights"), formats.weight_bits),
        "outputs": np.where(back, 2, 1) * sums_written(plan),
    }


def sums_written(plan: Plan) -> Indices:
    """Return the bytes put into the output scratchpad in each item of a group, int64 (items,)."""
    nest = plan.nest
    leaves = nest.accumulates | (nest.index["k"] == nest.pieces("k") - 1)
    return np.where(leaves, byte_count(nest.elements("outputs"), held_bits(nest, plan.formats)), 0)


def port_cycles(plan: Plan, memory: MemoryConfig) -> Indices:
    """Return the cycles that the ports need for each item of a group, averaged over the item."""
    slowest = np.zeros(plan.nest.items, np.int64)
    for operand, moved in sram_bytes(plan).items():
        part, cycles = rate(getattr(memory, operand).port_bytes_per_cycle)
        if part != UNLIMITED:
            np.maximum(slowest, -(-moved * cycles // part), out=slowest)
    return slowest
