"""Lockstep: one clock for the whole array.

In every wave each PE whose input registers are filled does a step; the wave lasts until the slowest
of them is done, one cycle if none works. Then all registers move at once: operands right and down,
sums down, drains down, stationary operands into the array. Edges are skewed: row i gets item s of a
tile s + i waves after the tile's start, column j s + j waves after it, both e waves later for a
registered edge. With s registers between multipliers and sums, a sum stands s waves after its
step, in every PE alike: so sums that move meet the products they are added to, and only where they
leave, or are handed to drain, are they later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import simpy

from sparqsim.array.config import ArrayConfig
from sparqsim.event.array import Processor, Run, StepFunction, StepRecord, Tile, cut_at_starts

Process = Generator[simpy.Event, Any, None]


@dataclass
class Register:
    """A register of the array: `now` is seen in this wave, `coming` in the next."""

    now: Any = None
    coming: Any = None

    def move(self) -> None:
        """Take over what was written during the wave."""
        self.now, self.coming = self.coming, None


@dataclass(frozen=True)
class Token:
    """An operand or sum on its way: which tile and item it belongs to."""

    tile: int
    item: int
    payload: Any


class LockstepArray:
    """Processes of the array under one clock; `run` gives what they did."""

    def __init__(
        self,
        tiles: Sequence[Tile],
        step: StepFunction,
        array: ArrayConfig,
        edge_cycles: int,
        stage_cycles: int = 0,
    ) -> None:
        self._env = simpy.Environment()
        self._tiles, self._edge, self._late = tiles, edge_cycles, stage_cycles
        self._rows, self._cols, self._items = array.rows, array.cols, tiles[0].items
        self._period = max(self._items, array.rows)
        self._holds = tiles[0].held is not None
        grid = [(i, j) for i in range(self._rows) for j in range(self._cols)]
        self._pes = {at: Processor(step, holds=self._holds) for at in grid}
        self._from_left = {at: Register() for at in grid}
        self._from_above = {at: Register() for at in grid}
        #: Sums waiting to drain (os), or operands waiting for their tile with the wave from which
        #: they may be used (ws, is).
        self._shadow: dict[tuple[int, int], Any] = dict.fromkeys(grid)
        self._handed: dict[tuple[int, int], Token] = {}
        self._swapped = {(t, *at): self._env.event() for t in range(len(tiles)) for at in grid}
        self._wave, self._registers_move = self._env.event(), self._env.event()
        self._number = -1
        self._working: list[simpy.Event] = []
        #: What sums do when they are complete, by the wave in which they are.
        self._due: dict[int, list[Callable[[], None]]] = defaultdict(list)
        self._run = Run(sums=[{} for _ in tiles])
        self._sums_inside = len(tiles) * self._cols * (self._items if self._holds else self._rows)

    def run(self) -> Run:
        """Start every process, run the clock until the last sum has left; return what happened."""
        processes = [self._row_feeder(i) for i in range(self._rows)] + [
            self._pe(i, j) for i, j in self._pes
        ]
        if self._holds:
            processes += [self._sum_feeder(j) for j in range(self._cols)]
            processes += [self._loader(j) for j in range(self._cols)]
        else:
            processes += [self._column_feeder(j) for j in range(self._cols)]
            processes += [self._drain(j) for j in range(self._cols)]
        for process in processes:
            self._env.process(process)
        self._env.run(until=self._env.process(self._clock()))
        self._run.cycles = int(self._env.now)
        return cut_at_starts(
            self._run, len(self._tiles), self._edge + (self._rows if self._holds else 0)
        )

    def _clock(self) -> Process:
        """Move the registers, then let a wave take as long as its slowest step."""
        while True:
            for register in (*self._from_left.values(), *self._from_above.values()):
                register.move()
            moved, self._registers_move = self._registers_move, self._env.event()
            moved.succeed()
            yield self._env.timeout(0)  # edges and drains have moved too
            if not self._sums_inside:
                return
            self._number += 1
            for sum_is_complete in self._due.pop(self._number, []):
                sum_is_complete()
            wave, self._wave = self._wave, self._env.event()
            wave.succeed()
            yield self._env.timeout(1)
            working, self._working = self._working, []
            yield self._env.all_of(working)

    def _pe(self, i: int, j: int) -> Process:
        pe = self._pes[i, j]
        while True:
            yield self._wave
            operand, above = self._from_left[i, j].now, self._from_above[i, j].now
            if operand is None:
                continue
            if (operand.tile, operand.item) != (above.tile, above.item):
                raise AssertionError(f"PE ({i}, {j}) got {operand} and {above} in one wave")
            if self._holds and operand.item == 0:
                self._swap_in(operand.tile, i, j)
            step, down = pe.work(operand.payload, above.payload)
            self._working.append(self._env.timeout(step.cycles))
            self._run.steps.append(
                StepRecord(
                    operand.tile, i, j, operand.item, int(self._env.now), step.cycles, step.value
                )
            )
            self._pass_on(i, j, operand, Token(operand.tile, operand.item, down))

    def _pass_on(self, i: int, j: int, operand: Token, down: Token) -> None:
        """Write the neighbours' registers; a sum past the last row, or complete, leaves the PE."""
        if j + 1 < self._cols:
            self._from_left[i, j + 1].coming = operand
        if i + 1 < self._rows:
            self._from_above[i + 1, j].coming = down
        elif self._holds:
            self._when_complete(partial(self._leave, down.tile, (down.item, j), down.payload))
        if not self._holds and operand.item == self._items - 1:
            finished = Token(operand.tile, i, self._pes[i, j].hand_over())
            self._when_complete(partial(self._handed.__setitem__, (i, j), finished))

    def _when_complete(self, action: Callable[[], None]) -> None:
        """Do something when the sum of this wave's step is complete."""
        if self._late:
            self._due[self._number + self._late].append(action)
        else:
            action()

    def _leave(self, tile: int, place: tuple[int, int], value: int) -> None:
        self._run.sums[tile][place] = value
        self._sums_inside -= 1

    def _feed(self, register: Register, tokens: Sequence[Sequence[Any]], skew: int) -> Process:
        """Fill an edge register: item s of tile t in wave t * period + s + skew after the load."""
        skew += self._edge + (self._rows if self._holds else 0)
        wave = 0
        for t, items in enumerate(tokens):
            for s, payload in enumerate(items):
                while wave <= t * self._period + s + skew:
                    yield self._registers_move
                    wave += 1
                register.now = Token(t, s, payload)

    def _row_feeder(self, i: int) -> Process:
        return self._feed(self._from_left[i, 0], [tile.rows[i] for tile in self._tiles], i)

    def _column_feeder(self, j: int) -> Process:
        return self._feed(self._from_above[0, j], [(tile.cols or [])[j] for tile in self._tiles], j)

    def _sum_feeder(self, j: int) -> Process:
        return self._feed(self._from_above[0, j], [[0] * tile.items for tile in self._tiles], j)

    def _drain(self, j: int) -> Process:
        """Shadow accumulators of a column: they move down, one sum leaving in each wave."""
        moved = self._rows  # how often the sums in work have moved; `rows` times: they have left
        while True:
            yield self._registers_move
            if moved < self._rows:
                self._shift_down(j, moved)
                moved += 1
            for i in range(self._rows):
                token = self._handed.pop((i, j), None)
                if token is None:
                    continue
                if self._shadow[i, j] is not None:
                    raise AssertionError(
                        f"PE ({i}, {j}) hands over {token}, but {self._shadow[i, j]} is still there"
                    )
                self._shadow[i, j] = token
                moved = 0 if i == self._rows - 1 else moved

    def _shift_down(self, j: int, moved: int) -> None:
        """Move sums down one row; the rows above have none any more, or already the next tile's."""
        bottom = self._shadow[self._rows - 1, j]
        for i in range(self._rows - 1, moved, -1):
            self._shadow[i, j] = self._shadow[i - 1, j]
        self._shadow[moved, j] = None
        self._leave(bottom.tile, (bottom.item, j), bottom.payload)

    def _loader(self, j: int) -> Process:
        """Send stationary operands into a column, row 0's first, each when the last is taken up."""
        last = -1
        for t, tile in enumerate(self._tiles):
            for i in range(self._rows):
                if t > 0:
                    yield self._swapped[t - 1, i, j]
                if self._number <= last:
                    yield self._wave
                last = self._number
                self._shadow[i, j] = ((tile.held or [])[i][j], last + i + 1)

    def _swap_in(self, tile: int, i: int, j: int) -> None:
        """Take up the stationary operand of a tile that starts."""
        held, usable = self._shadow[i, j]
        if self._number < usable:
            raise AssertionError(
                f"PE ({i}, {j}) starts tile {tile} in {self._number}, its operand comes in {usable}"
            )
        self._pes[i, j].held = held
        self._swapped[tile, i, j].succeed()
