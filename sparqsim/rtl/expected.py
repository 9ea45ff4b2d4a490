"""What the RTL must show in every cycle, from the simulator's step values and its timeline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.registry import get_dataflow
from sparqsim.rtl.timeline import Timeline


@dataclass(frozen=True)
class Activity:
    """What an array does, cycle by cycle.

    `advance` bool (cycles,): the array moves on; `starts` bool (cycles, rows, cols): the PE starts
    a step; `psums` int64 (cycles, rows, cols): its sum as the cycle begins; `leaving` bool (cycles,
    cols) and `outputs` int64 (cycles, cols): results leaving at the bottom (0 where none).
    """

    advance: NDArray[np.bool_]
    starts: NDArray[np.bool_]
    psums: NDArray[np.int64]
    leaving: NDArray[np.bool_]
    outputs: NDArray[np.int64]

    @property
    def cycles(self) -> int:
        """Cycles up to and including the last in which a result leaves."""
        return int(np.flatnonzero(self.leaving.any(1))[-1]) + 1


def expected(
    dataflow: str,
    shadowed: bool,
    values: NDArray[np.int64],
    partial_values: Iterable[NDArray[np.int64]],
    timeline: Timeline,
) -> Activity:
    """Return what the array must do.

    Parameters
    ----------
    dataflow : str
    shadowed : bool
        Whether sums drain from shadow accumulators (`os` with overlap).
    values : int64 (tiles, stream, rows, cols)
        What each step adds.
    partial_values : iterable of the same
        What each step has added after its first cycle, its second, ...; none for steps of one
        cycle.
    timeline : Timeline
    """
    moves = get_dataflow(dataflow).loads  # sums, down the columns
    after = np.cumsum(values, 2 if moves else 1)
    cycles, (_, _, rows, cols) = len(timeline.advance), values.shape
    history = History(cycles, rows, cols)
    i, j = np.arange(rows)[:, None], np.arange(cols)
    for cycle, partial in enumerate(partial_values):
        history.write(
            timeline.starts + np.minimum(cycle, timeline.costs - 1), after - values + partial
        )
    history.write(timeline.starts + timeline.costs - 1 + timeline.late, after)
    starts = np.zeros((cycles, rows, cols), bool)
    starts[timeline.starts, i, j] = True
    results = after[:, :, -1] if moves else after[:, -1]
    if timeline.drains is not None and not shadowed:
        for shift in range(rows - 1):
            history.write(
                timeline.drains[:, shift, None, :],
                results[:, : rows - 1 - shift],
                slice(shift + 1, None),
            )
    leaving, outputs = np.zeros((cycles, cols), bool), np.zeros((cycles, cols), np.int64)
    leaving[timeline.leaves, j], outputs[timeline.leaves, j] = True, results
    return Activity(timeline.advance, starts, history.held(), leaving, outputs)


class History:
    """A register per PE: what is written at the end of a cycle shows from the next cycle on."""

    def __init__(self, cycles: int, rows: int, cols: int) -> None:
        self.values = np.zeros((cycles + 1, rows, cols), np.int64)
        self.written = np.zeros((cycles + 1, rows, cols), np.int64)

    def write(
        self, cycles: NDArray[np.int64], values: NDArray[np.int64], rows: slice = slice(None)
    ) -> None:
        """Write `values` (..., rows, cols) at the end of `cycles`."""
        i, j = np.arange(self.values.shape[1])[rows, None], np.arange(self.values.shape[2])
        cycles, values = np.broadcast_arrays(cycles, values)
        self.values[cycles + 1, i, j] = values
        self.written[cycles + 1, i, j] = cycles + 1

    def held(self) -> NDArray[np.int64]:
        """Return what each register shows in each cycle."""
        latest = np.maximum.accumulate(self.written, 0)[:-1]
        return np.take_along_axis(self.values, latest, 0)
