"""Elastic: every link is a FIFO of depth D, and every PE goes at its own pace.

A PE starts a step when both its operands have arrived and both links that leave it have a slot that
was free at the start of the cycle. When it starts, it takes its operands out (their slots are free
from the next cycle on), reserves the two slots and sends its operands on (they arrive in the next
cycle). An edge offers item s of a tile from cycle s on, e cycles later at a registered row edge.
Tiles that overlap start max(items, R) cycles apart at the earliest.

Sums that move down (ws, is) exist only when a step has ended: they arrive in the cycle after its
last one. The slot is reserved from the start all the same, so that a step never ends without room
for its sum.

* Sums that stay are handed to a shadow register when complete, if the sum of the tile before has
  moved on; a column drains when all its PEs have handed over.
* Stationary operands enter a column row 0's first, one a cycle, each once the PE it is for has
  taken up the one before, and move down a row a cycle.

With s registers between multipliers and sums, a sum stands s cycles after its step. Sums that move
do so in every PE alike: a PE starts as without, since the sum above and the slot below will be
there s cycles later, when its product is. Sums that stay are handed over s cycles later; the next
tile's first product is no sooner in the PE's sum. Steps of one cycle (other designs have no such
registers) never make a sum wait for the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

import simpy

from sparqsim.array.config import ArrayConfig
from sparqsim.event.array import Processor, Run, StepFunction, StepRecord, Tile, cut_at_starts

Process = Generator[simpy.Event, Any, None]


class Link:
    """A FIFO between neighbours with a registered handshake; without `depth`, an unlimited edge."""

    def __init__(self, env: simpy.Environment, depth: int | None) -> None:
        self._env = env
        self._items = simpy.Store(env)
        self._slots = None if depth is None else simpy.Container(env, init=depth)

    def take(self) -> simpy.Event:
        """Wait for the next item and take it; its slot stays in use until `release`."""
        return self._items.get()

    def release(self) -> None:
        """Free the slot of the item taken, from the next cycle on."""
        slots = self._slots
        if slots is not None:
            after(self._env, 1, lambda: slots.put(1))

    def reserve(self) -> simpy.Event:
        """Wait for a free slot and reserve it."""
        return self._env.timeout(0) if self._slots is None else self._slots.get(1)

    def send(self, item: Any, cycles: int = 1) -> None:
        """Fill the reserved slot: the item arrives so many cycles from now."""
        after(self._env, cycles, lambda: self._items.put(item))

    def offer(self, item: Any) -> None:
        """Show an item at an edge, now."""
        self._items.put(item)


def after(env: simpy.Environment, cycles: int, action: Callable[[], Any]) -> None:
    """Do something `cycles` from now."""
    timeout = env.timeout(cycles)
    timeout.callbacks.append(lambda _: action())


class ElasticArray:
    """Processes of the array, each at its own pace; `run` gives what they did."""

    def __init__(
        self,
        tiles: Sequence[Tile],
        step: StepFunction,
        array: ArrayConfig,
        edge_cycles: int,
        stage_cycles: int = 0,
    ) -> None:
        env = self._env = simpy.Environment()
        self._tiles, self._edge, self._late = tiles, edge_cycles, stage_cycles
        self._rows, self._cols = array.rows, array.cols
        self._period = max(tiles[0].items, array.rows)
        self._holds = tiles[0].held is not None
        grid = [(i, j) for i in range(self._rows) for j in range(self._cols)]
        self._pes = {at: Processor(step, holds=self._holds) for at in grid}
        depth = array.link_depth
        self._from_left = {
            (i, j): Link(env, depth if 0 < j < self._cols else None)
            for i in range(self._rows)
            for j in range(self._cols + 1)
        }
        self._from_above = {
            (i, j): Link(env, depth if 0 < i < self._rows else None)
            for i in range(self._rows + 1)
            for j in range(self._cols)
        }
        self._free_shadow = {at: simpy.Container(env, init=1) for at in grid}
        self._handed = [simpy.Store(env) for _ in range(self._cols)]
        self._loaded = {at: simpy.Store(env) for at in grid}
        self._swapped = {(t, *at): env.event() for t in range(len(tiles)) for at in grid}
        self._run = Run(sums=[{} for _ in tiles])

    def run(self) -> Run:
        """Start every process, run until all PEs and drains are done, and return what happened."""
        env = self._env
        for i in range(self._rows):
            env.process(
                self._feeder(
                    self._from_left[i, 0], [tile.rows[i] for tile in self._tiles], self._edge
                )
            )
        for j in range(self._cols):
            env.process(
                self._feeder(
                    self._from_above[0, j], [self._column_items(tile, j) for tile in self._tiles], 0
                )
            )
        last = [env.process(self._pe(i, j)) for i, j in self._pes]
        for j in range(self._cols):
            env.process(self._collector(j))
            last.append(env.process(self._loader(j) if self._holds else self._drain(j)))
        env.run(until=env.all_of(last))
        self._run.cycles = int(env.now) + (self._late if self._holds else 0)
        env.run()  # sums on their way to the collectors
        return cut_at_starts(
            self._run, len(self._tiles), self._edge + (self._rows if self._holds else 0)
        )

    def _column_items(self, tile: Tile, j: int) -> Sequence[Any]:
        return [0] * tile.items if tile.cols is None else tile.cols[j]

    def _feeder(self, edge: Link, tiles: Sequence[Sequence[Any]], delay: int) -> Process:
        """Offer item s of tile t from cycle t * period + s on, after the first load."""
        delay += self._rows if self._holds else 0
        for t, items in enumerate(tiles):
            for s, item in enumerate(items):
                yield self._env.timeout(t * self._period + s + delay - self._env.now)
                edge.offer(item)

    def _pe(self, i: int, j: int) -> Process:
        pe = self._pes[i, j]
        for t, tile in enumerate(self._tiles):
            if self._holds:
                pe.held = yield self._loaded[i, j].get()
            for s in range(tile.items):
                yield from self._step(t, i, j, s)
            if not self._holds:
                handing_over = self._env.process(self._hand_over(i, j, pe.hand_over()))
                if not self._late:
                    yield handing_over

    def _hand_over(self, i: int, j: int, finished: int) -> Process:
        """Hand a sum over when it is complete and the one before has moved on."""
        yield self._env.timeout(self._late)
        complete = self._env.now
        yield self._free_shadow[i, j].get(1)
        if self._late and self._env.now > complete:
            raise AssertionError(f"PE ({i}, {j}) goes on while its sum waits for the one before")
        self._handed[j].put((i, finished))

    def _step(self, t: int, i: int, j: int, s: int) -> Process:
        left, above = self._from_left[i, j], self._from_above[i, j]
        right, below = self._from_left[i, j + 1], self._from_above[i + 1, j]
        operand = yield left.take()
        from_above = yield above.take()
        yield right.reserve()
        yield below.reserve()
        step, down = self._pes[i, j].work(operand, from_above)
        self._run.steps.append(StepRecord(t, i, j, s, int(self._env.now), step.cycles, step.value))
        if s == 0:
            self._swapped[t, i, j].succeed()
        left.release()
        above.release()
        right.send(operand)
        below.send(down, step.cycles if self._holds else 1)
        yield self._env.timeout(step.cycles)

    def _collector(self, j: int) -> Process:
        """Take the sums that pass the last row."""
        if not self._holds:
            return
        for t, tile in enumerate(self._tiles):
            for s in range(tile.items):
                self._run.sums[t][s, j] = yield self._from_above[self._rows, j].take()

    def _drain(self, j: int) -> Process:
        """Wait until a column has handed over, then let its sums leave, bottom first."""
        for t in range(len(self._tiles)):
            for _ in range(self._rows):
                row, finished = yield self._handed[j].get()
                self._run.sums[t][row, j] = finished
            for row in range(self._rows):
                yield self._env.timeout(1)
                self._free_shadow[row, j].put(1)  # the sums of the rows above have all passed

    def _loader(self, j: int) -> Process:
        last = -1
        for t, tile in enumerate(self._tiles):
            for i in range(self._rows):
                if t > 0:
                    yield self._swapped[t - 1, i, j]
                yield self._env.timeout(max(0, last + 1 - self._env.now))
                last = int(self._env.now)
                after(self._env, i + 1, partial(self._loaded[i, j].put, (tile.held or [])[i][j]))
