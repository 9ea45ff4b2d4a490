"""The array as processes: what they do with a sequence of tiles defines the timing of every
dataflow and coupling.

A tile is what enters the array's edges and what stays in the PEs. Operands enter at the left edge
of each row and move right. From above come either operands that move down while sums stay (`os`),
or sums that move down while operands stay (`ws`, `is`). PEs neither know nor need the dataflow's
name: they hold an operand, or they do not.

* `lockstep.py`: one clock; a wave takes as long as its slowest step, then every register of the
  array moves at once.
* `broadcast.py`: one clock as well, but operands reach all PEs of a row or column at once.
* `elastic.py`: no clock; every link is a FIFO, and each PE starts a step when its operands and two
  free slots are there.

The numba forms in `sparqsim.array` are checked against these processes with ==.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from sparqsim.pe.base import Step

#: What a step does with the operand from the left and the one from above (os) or the one held (ws,
#: is).
StepFunction = Callable[[Any, Any], Step]


@dataclass(frozen=True)
class Tile:
    """The operands of one tile.

    Parameters
    ----------
    rows : [row][item]
        What enters the left edge of each row of the array, in order.
    cols : [column][item], optional
        What enters the top edge of each column (os): PEs keep their sums.
    held : [row][column], optional
        What stays in the PEs (ws, is): sums move down the columns.
    """

    rows: Sequence[Sequence[Any]]
    cols: Sequence[Sequence[Any]] | None = None
    held: Sequence[Sequence[Any]] | None = None

    def __post_init__(self) -> None:
        if (self.cols is None) == (self.held is None):
            raise ValueError("a tile has either column operands or held operands")

    @property
    def items(self) -> int:
        """Items streamed through the tile."""
        return len(self.rows[0])


@dataclass(frozen=True)
class StepRecord:
    """One step of one PE: which, when it started, how many cycles it took, what it gave."""

    tile: int
    row: int
    col: int
    item: int
    start: int
    cycles: int
    value: int


@dataclass
class Run:
    """What the processes did with a sequence of tiles.

    `cycles`: all of them. `tile_cycles`: of each tile, cut where PE (0, 0) starts the next one.
    `sums`: those that left the array, [tile] -> {(row, column): sum} where sums stay, {(item,
    column): sum} where they move. `steps`: every step, in order of time.
    """

    cycles: int = 0
    tile_cycles: list[int] = field(default_factory=list)
    sums: list[dict[tuple[int, int], int]] = field(default_factory=list)
    steps: list[StepRecord] = field(default_factory=list)

    def busy_cycles(self, rows: int, cols: int) -> list[list[int]]:
        """Return the cycles each PE spent in steps, [row][column]."""
        busy = [[0] * cols for _ in range(rows)]
        for step in self.steps:
            busy[step.row][step.col] += step.cycles
        return busy


class Processor:
    """The inside of a PE: it multiplies, and keeps its sum or adds to the one that passes."""

    def __init__(self, step: StepFunction, *, holds: bool) -> None:
        self._step, self._holds = step, holds
        self.held: Any = None
        self.sum = 0

    def work(self, operand: Any, from_above: Any) -> tuple[Step, Any]:
        """Do one step; return it and what moves down: the sum, or the operand from above."""
        if self._holds:
            step = self._step(operand, self.held)
            return step, from_above + step.value
        step = self._step(operand, from_above)
        self.sum += step.value
        return step, from_above

    def hand_over(self) -> int:
        """Return the finished sum and start the next one."""
        finished, self.sum = self.sum, 0
        return finished


def cut_at_starts(run: Run, tiles: int, first: int) -> Run:
    """Fill in `tile_cycles`: a tile reaches from its first step in PE (0, 0) to the next tile's.

    The first one begins at 0, the last one ends with the run; `first` is when an unhindered first
    tile starts.
    """
    starts = {
        step.tile: step.start for step in run.steps if (step.row, step.col, step.item) == (0, 0, 0)
    }
    cuts = [0, *(starts[number] - first for number in range(1, tiles)), run.cycles]
    run.tile_cycles = [end - start for start, end in pairwise(cuts)]
    return run
