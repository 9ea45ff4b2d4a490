"""Crossbars as processes: the definition of their sums and of their time.

* **Cells** hold digits of weights: for every slice and sign of a block of weights one crossbar.
* **A phase** applies a digit of every activation for `read_cycles`. The current of a column is the
  sum over its rows of digit x cell, an integer here.
* **Converters**, `adcs` of them to a crossbar, are shared by its columns: each column in use waits
  for one, holds it for its conversion, and gets min(sum, 2^R - 1).
* **Shift and add**: the code, times what its slice, sign and phase are worth, is added to its
  output.
* **Rounds**: crossbars of a round work side by side, a phase begins when all of them are done with
  the one before, reading and converting. The rounds follow one another, each over all rows of X.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import simpy

Process = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Converter:
    """What stands at a crossbar's columns: `count` converters of `bits` bits, shared.

    cycles: of a conversion.
    """

    count: int
    bits: int
    cycles: int


@dataclass(frozen=True)
class Crossbar:
    """One crossbar with a part of the weights.

    Parameters
    ----------
    group, first_row, first_col : int
        Where its block begins in the layer.
    cells : sequence of sequence of int
        By row and column, those in use.
    weight : int
        What a unit of its sums is worth: 2^shift of its slice, negative for weights below zero.
    converter : Converter
    """

    group: int
    first_row: int
    first_col: int
    cells: Sequence[Sequence[int]]
    weight: int
    converter: Converter

    @property
    def columns(self) -> int:
        """Columns in use."""
        return len(self.cells[0])

    def current(self, digits: Sequence[int], column: int) -> int:
        """Return the sum of a column when its rows apply `digits`."""
        return sum(digit * row[column] for digit, row in zip(digits, self.cells, strict=True))


#: A digit of every activation, `(code >> shift) & mask`, and what it is worth.
Phase: TypeAlias = tuple[int, int, int]


@dataclass
class Run:
    """What a run does, as it goes on.

    sums: by group, row and column. round_ends: in cycles. busy: cycles that each place of a round
    read or converted, or both. occupied: cycles that places held any of
    the layer. conversions: how many, by bits; clipped: of them those of a sum above 2^R - 1.
    driven, read: digits applied to rows in use, and cells in use in those rows.
    """

    sums: list[list[list[int]]]
    round_ends: list[int] = field(default_factory=list)
    busy: Counter[int] = field(default_factory=Counter)
    occupied: int = 0
    conversions: Counter[int] = field(default_factory=Counter)
    clipped: int = 0
    driven: int = 0
    read: int = 0


def run_crossbars(
    rounds: Sequence[Sequence[Crossbar]],
    codes: Sequence[Sequence[Sequence[int]]],
    columns: int,
    phases: Sequence[Phase],
    read_cycles: int,
) -> Run:
    """Run a layer.

    Parameters
    ----------
    rounds : sequence of sequence of Crossbar
        Those that work side by side, round after round.
    codes : sequence (groups, M, K)
        Activations as they are stored.
    columns : int
        Outputs of a group.
    phases : sequence of (shift, mask, weight)
        In each, `(code >> shift) & mask` is applied, and worth `weight`.
    read_cycles : int
    """
    env = simpy.Environment()
    sums = [[[0] * columns for _ in rows] for rows in codes]
    machine = _Machine(env, Run(sums), codes, phases, read_cycles)
    env.run(env.process(machine.work(rounds)))
    return machine.run


class _Machine:
    """Crossbars, their converters and the control that starts phases."""

    def __init__(
        self,
        env: simpy.Environment,
        run: Run,
        codes: Sequence[Sequence[Sequence[int]]],
        phases: Sequence[Phase],
        read_cycles: int,
    ) -> None:
        self.run = run
        self._env, self._codes, self._phases, self._read_cycles = env, codes, phases, read_cycles

    def work(self, rounds: Sequence[Sequence[Crossbar]]) -> Process:
        """Start every phase of every row of every round."""
        for crossbars in rounds:
            converters = [
                simpy.Resource(self._env, crossbar.converter.count) for crossbar in crossbars
            ]
            for row in range(len(self._codes[0])):
                for phase in self._phases:
                    start = self._env.now
                    working = [
                        self._env.process(self._phase(place, crossbar, converter, row, phase))
                        for place, (crossbar, converter) in enumerate(
                            zip(crossbars, converters, strict=True)
                        )
                    ]
                    yield self._env.all_of(working)
                    self.run.occupied += len(crossbars) * int(self._env.now - start)
            self.run.round_ends.append(int(self._env.now))

    def _phase(
        self, place: int, crossbar: Crossbar, converter: simpy.Resource, row: int, phase: Phase
    ) -> Process:
        """Read and convert: one phase of one crossbar."""
        start = self._env.now
        shift, mask, weight = phase
        first = crossbar.first_row
        codes = self._codes[crossbar.group][row][first : first + len(crossbar.cells)]
        digits = [(code >> shift) & mask for code in codes]
        self.run.driven += len(digits)
        self.run.read += len(digits) * crossbar.columns
        output = self.run.sums[crossbar.group][row]
        conversions = [
            self._env.process(self._convert(crossbar, converter, digits, column, weight, output))
            for column in range(crossbar.columns)
        ]
        yield self._env.all_of([self._env.timeout(self._read_cycles), *conversions])
        self.run.busy[place] += int(self._env.now - start)

    def _convert(
        self,
        crossbar: Crossbar,
        converter: simpy.Resource,
        digits: Sequence[int],
        column: int,
        weight: int,
        output: list[int],
    ) -> Process:
        """Wait for a converter, convert a column's sum, shift it and add it."""
        with converter.request() as granted:
            yield granted
            yield self._env.timeout(crossbar.converter.cycles)
        bits, current = crossbar.converter.bits, crossbar.current(digits, column)
        code = min(current, (1 << bits) - 1)
        output[crossbar.first_col + column] += weight * crossbar.weight * code
        self.run.conversions[bits] += 1
        self.run.clipped += current > code
