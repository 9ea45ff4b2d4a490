"""Broadcast: one clock, and all PEs of a tile do the same step at the same time.

An operand at the left edge of a row reaches every PE of the row in the same wave, one at the top
every PE of its column; sums that move (ws, is) are added down the column within the wave. So there
is no skew. As in lockstep, a wave lasts until the slowest of its steps is done, one cycle if no PE
works, and all registers move when it ends:

* Edges show item s of tile t in wave t * period + s, e waves later where they are registered, and
  after the first load (ws, is); period = max(items, R) where tiles overlap.
* Sums that stay are handed to a column of shadow registers, all at once, when their last step has
  ended; one leaves at the bottom in each wave after that.
* Stationary operands are pushed into a column of shadow registers at its top, the last row's first,
  one in each wave; all PEs take theirs up at once, when their tile starts.
* With s registers between multipliers and sums, a sum stands s waves after its last step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from typing import Any

import simpy

from sparqsim.array.config import ArrayConfig
from sparqsim.event.array import Processor, Run, StepFunction, StepRecord, Tile, cut_at_starts

Process = Generator[simpy.Event, Any, None]


class BroadcastArray:
    """Processes of the array that share every step; `run` gives what they did."""

    def __init__(
        self,
        tiles: Sequence[Tile],
        step: StepFunction,
        array: ArrayConfig,
        edge_cycles: int,
        stage_cycles: int = 0,
    ) -> None:
        env = self._env = simpy.Environment()
        self._tiles, self._items = tiles, tiles[0].items
        self._rows, self._cols = array.rows, array.cols
        self._holds = tiles[0].held is not None
        self._period = max(self._items, self._rows)
        self._first = edge_cycles + (self._rows if self._holds else 0)
        self._late = stage_cycles
        grid = [(i, j) for i in range(self._rows) for j in range(self._cols)]
        self._pes = {at: Processor(step, holds=self._holds) for at in grid}
        #: Column by column: sums on their way out (os), or operands that wait for their tile.
        self._shadow: list[list[Any]] = [[None] * self._rows for _ in range(self._cols)]
        #: Column by column: sums that are complete (os), or what has been added up in this wave.
        self._complete: list[list[int]] = [[] for _ in range(self._cols)]
        self._shown: tuple[int, int] | None = None
        self._starts = [env.event() for _ in tiles]
        self._wave, self._wave_ends = env.event(), env.event()
        self._working: list[simpy.Event] = []
        self._run = Run(sums=[{} for _ in tiles])
        self._sums_inside = len(tiles) * self._cols * (self._items if self._holds else self._rows)

    def run(self) -> Run:
        """Start every process, run the clock until the last sum has left; return what happened."""
        processes = [self._pe(i, j) for i, j in self._pes]
        for j in range(self._cols):
            processes += [self._loader(j), self._adder(j)] if self._holds else [self._drain(j)]
        for process in processes:
            self._env.process(process)
        self._env.run(until=self._env.process(self._clock()))
        self._run.cycles = int(self._env.now)
        return cut_at_starts(self._run, len(self._tiles), self._first)

    def _clock(self) -> Process:
        """Show the operands of a wave, wait for its slowest step, let the registers move."""
        number = 0
        while self._sums_inside:
            self._show(number)
            wave, self._wave = self._wave, self._env.event()
            wave.succeed()
            yield self._env.timeout(1)
            working, self._working = self._working, []
            yield self._env.all_of(working)
            wave_ends, self._wave_ends = self._wave_ends, self._env.event()
            wave_ends.succeed()
            yield self._env.timeout(0)  # registers have moved
            number += 1

    def _show(self, number: int) -> None:
        """Set which tile and item the edges show in a wave."""
        tile, item = divmod(number - self._first, self._period)
        shows = 0 <= tile < len(self._tiles) and item < self._items
        self._shown = (tile, item) if shows else None
        if shows and item == 0:
            self._starts[tile].succeed()

    def _pe(self, i: int, j: int) -> Process:
        pe = self._pes[i, j]
        while True:
            yield self._wave
            if self._shown is None:
                continue
            t, s = self._shown
            tile = self._tiles[t]
            if self._holds and s == 0:
                pe.held = self._taken_up(t, i, j)
            above = 0 if tile.cols is None else tile.cols[j][s]
            step, down = pe.work(tile.rows[i][s], above)
            self._working.append(self._env.timeout(step.cycles))
            self._run.steps.append(
                StepRecord(t, i, j, s, int(self._env.now), step.cycles, step.value)
            )
            if self._holds:
                self._complete[j].append(down)
            elif s == self._items - 1:
                self._complete[j].append(pe.hand_over())

    def _taken_up(self, tile: int, i: int, j: int) -> Any:
        """Return the operand that a PE takes out of its shadow register."""
        if self._shadow[j][i] is None:
            raise AssertionError(f"PE ({i}, {j}) starts tile {tile} without its operand")
        of_tile, operand = self._shadow[j][i]
        if of_tile != tile:
            raise AssertionError(f"PE ({i}, {j}) starts tile {tile} with one of {of_tile}")
        return operand

    def _loader(self, j: int) -> Process:
        """Push operands into a column, those of a tile once the tile before has started."""
        shadow = self._shadow[j]
        for t, tile in enumerate(self._tiles):
            if t > 0:
                yield self._starts[t - 1]
            for row in reversed(tile.held or []):
                yield self._wave_ends
                shadow[1:] = shadow[:-1]
                shadow[0] = (t, row[j])

    def _adder(self, j: int) -> Process:
        """Let the sum of a column leave at the end of every wave in which it works."""
        behind: deque[tuple[int, int, int] | None] = deque([None] * self._late)
        while True:
            yield self._wave_ends
            behind.append(None if self._shown is None else (*self._shown, sum(self._complete[j])))
            self._complete[j].clear()
            complete = behind.popleft()
            if complete is not None:
                tile, item, total = complete
                self._leave(tile, (item, j), total)

    def _drain(self, j: int) -> Process:
        """Let one sum of a column leave at the end of every wave, and take over complete ones."""
        shadow = self._shadow[j]
        behind: deque[list[tuple[int, int, int]]] = deque([[] for _ in range(self._late)])
        while True:
            yield self._wave_ends
            if shadow[-1] is not None:
                tile, row, total = shadow[-1]
                self._leave(tile, (row, j), total)
            shadow[1:] = shadow[:-1]
            shadow[0] = None
            behind.append(self._finished(j))
            complete = behind.popleft()
            if complete and shadow != [None] * self._rows:
                raise AssertionError(f"column {j} hands over while {shadow} is still there")
            shadow[:] = complete or shadow

    def _finished(self, j: int) -> list[tuple[int, int, int]]:
        """Take the sums of a column whose last steps end with this wave: tile, row and sum."""
        if self._shown is None:
            return []
        finished = [(self._shown[0], row, total) for row, total in enumerate(self._complete[j])]
        self._complete[j].clear()
        return finished

    def _leave(self, tile: int, place: tuple[int, int], value: int) -> None:
        self._run.sums[tile][place] = value
        self._sums_inside -= 1
