"""The fast form of the memory model: the same events as `sparqsim.event.memory`, one loop over
requests.

Possible because only three engines ever wait for the channel, each with one request, and because
nothing that is still unknown when the channel is given away can come earlier than that: an item
takes at least one cycle.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import jit
from sparqsim.memory.config import ARBITRATIONS, UNLIMITED, MemoryConfig, rate
from sparqsim.memory.schedule import ENGINES, Schedule, Times

Indices = NDArray[np.int64]


def settings(memory: MemoryConfig) -> Indices:
    """Return what the kernel needs, int64 (12,).

    Arbitration, latency, burst, request, then bytes and cycles of the DRAM's rate and of each
    engine's port.
    """
    dram = memory.dram
    ports = [getattr(memory, engine).port_bytes_per_cycle for engine in ENGINES]
    rates = [part for each in (dram.bandwidth_bytes_per_cycle, *ports) for part in rate(each)]
    head = [
        ARBITRATIONS.index(dram.arbitration),
        dram.latency_cycles,
        dram.burst_bytes,
        dram.request_bytes,
    ]
    return np.array(head + rates, np.int64)


def run(program: Schedule, memory: MemoryConfig) -> Times:
    """Return when everything of a layer happens."""
    order = np.argsort(program.engine, kind="stable")
    bounds = np.searchsorted(program.engine[order], np.arange(len(ENGINES) + 1))
    return Times(
        *play(
            program.lengths,
            program.needs,
            program.size,
            program.after,
            program.reads,
            order,
            bounds,
            settings(memory),
            UNLIMITED,
        )
    )


@jit
def item_start(array_free: int, needs: Indices, done: Indices) -> int:
    """Return when the next item starts, -1 while something it needs has no known end."""
    start = array_free
    for need in needs:
        if need >= 0:
            if done[need] < 0:
                return -1
            start = max(start, int(done[need]))
    return start


@jit
def post(
    engine: int,
    at: Indices,
    bounds: Indices,
    order: Indices,
    after: Indices,
    item: int,
    item_ends: Indices,
    free_since: Indices,
) -> int:
    """Return when an engine's next transfer asks for the channel, -1 while unknown."""
    if at[engine] == bounds[engine + 1]:
        return -1
    waits_for = after[order[at[engine]]]
    if waits_for >= item:
        return -1
    ready = int(item_ends[waits_for]) if waits_for >= 0 else 0
    return max(ready, int(free_since[engine]))


@jit
def choose(
    policy: int,
    posted: Indices,
    channel_free: int,
    served: int,
    at: Indices,
    bounds: Indices,
    order: Indices,
) -> int:
    """Return the engine whose request gets the channel next, -1 if none ever will."""
    engines = len(posted)
    first = -1
    for engine in range(engines):
        if posted[engine] >= 0 and (first < 0 or posted[engine] < posted[first]):
            first = engine
    chosen = first
    if (
        policy == 1 and first >= 0
    ):  # round-robin among those that wait when the channel is given away
        now = max(channel_free, posted[first])
        for turn in range(engines, 0, -1):
            engine = (served + turn) % engines
            if 0 <= posted[engine] <= now:
                chosen = engine
    elif (
        policy == 2
    ):  # in-order: the first of the program that is left; what it waits for has always been served
        for engine in range(engines):
            if at[engine] < bounds[engine + 1] and order[at[engine]] < order[at[chosen]]:
                chosen = engine
    return chosen


@jit
def channel_cycles(moved: int, engine: int, config: Indices, unlimited: int) -> int:
    """Return how long a request of `moved` bytes takes: the slower of channel and port."""
    cycles = 0
    if config[4] != unlimited:
        cycles = -(-(-(-moved // config[2]) * config[2]) * config[5] // config[4])
    if config[6 + 2 * engine] != unlimited:
        cycles = max(cycles, -(-moved * config[7 + 2 * engine] // config[6 + 2 * engine]))
    return cycles


@jit
def play(
    lengths: Indices,
    needs: Indices,
    size: Indices,
    after: Indices,
    reads: NDArray[np.bool_],
    order: Indices,
    bounds: Indices,
    config: Indices,
    unlimited: int,
) -> tuple[Indices, Indices, Indices, Indices, Indices]:
    """Kernel of `run`. `order[bounds[e]:bounds[e + 1]]` are the transfers of engine e."""
    engines = len(bounds) - 1
    item_starts, item_ends = np.full_like(lengths, -1), np.full_like(lengths, -1)
    starts, ends, done = np.full_like(size, -1), np.full_like(size, -1), np.full_like(size, -1)
    at, free_since, left = bounds[:-1].copy(), np.zeros(engines, np.int64), size.copy()
    posted = np.full(engines, -1, np.int64)
    item = array_free = channel_free = 0
    chosen = engines - 1
    while True:
        while item < len(lengths):
            start = item_start(array_free, needs[item], done)
            if start < 0:
                break
            array_free = start + lengths[item]
            item_starts[item], item_ends[item] = start, array_free
            item += 1
        for engine in range(engines):
            if posted[engine] < 0:
                posted[engine] = post(engine, at, bounds, order, after, item, item_ends, free_since)
        chosen = choose(config[0], posted, channel_free, chosen, at, bounds, order)
        if chosen < 0:
            return item_starts, item_ends, starts, ends, done
        transfer = order[at[chosen]]
        grant = max(channel_free, posted[chosen])
        moved = min(left[transfer], config[3])
        channel_free = grant + channel_cycles(moved, chosen, config, unlimited)
        if starts[transfer] < 0:
            starts[transfer] = grant
        left[transfer] -= moved
        posted[chosen] = channel_free
        if left[transfer] == 0:
            ends[transfer] = free_since[chosen] = channel_free
            done[transfer] = channel_free + (config[1] if reads[transfer] else 0)
            posted[chosen] = -1
            at[chosen] += 1
