"""A whole layer through the processes, every step in plain Python: slowest and plainest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Dataflow, Timing, Work
from sparqsim.array.grid import TileGrid
from sparqsim.event.array import Run, Tile
from sparqsim.event.run import run_tiles
from sparqsim.pe.base import Array, PEDesign, Step
from sparqsim.pe.operands import StepOperands
from sparqsim.trace.lowering import LoweredLayer


@dataclass(frozen=True)
class Operand:
    """What a link carries or a PE holds: a step's operands, and whether they are of the layer."""

    values: tuple[int, ...]
    real: bool


@dataclass(frozen=True)
class LayerRun:
    """What the processes made of a layer.

    `outputs`: int64 (groups, M, N). `activity`: cycles of each part of the PE, padding left out.
    """

    timing: Timing
    outputs: NDArray[np.int64]
    activity: dict[str, int]


def run_layer(
    layer: LoweredLayer, pe: PEDesign, array: ArrayConfig, flow: Dataflow, *, signed: bool
) -> LayerRun:
    """Run every tile of a layer through the array of processes.

    Parameters
    ----------
    layer : LoweredLayer
    pe : PEDesign
        Bound to the layer.
    array : ArrayConfig
    flow : Dataflow
    signed : bool
        Whether activations are int8.
    """
    work = Work(layer.m, pe.steps(layer.k), layer.n, layer.groups, pe.edge_cycles)
    cut = LayerTiles(layer, pe, flow, flow.grid(work, array))
    design_step = step_of(pe, flow, signed=signed)
    activity: Counter[str] = Counter()
    pe_work = 0

    def step(left: Operand, other: Operand) -> Step:
        """Do the design's step, and count the work of PEs that are used."""
        nonlocal pe_work
        done = design_step(left, other)
        if left.real and other.real:
            activity.update(done.active_cycles)
            pe_work += done.cycles
        return done

    run = run_tiles(cut.tiles(), step, array, pe.edge_cycles)
    busiest = max(map(max, run.busy_cycles(array.rows, array.cols)))
    timing = flow.timing_of(work, array, stalls_of(run, work, array, flow), busiest, pe_work)
    if timing.total != run.cycles:
        raise AssertionError(
            f"the processes took {run.cycles} cycles, attributed are {timing.total}"
        )
    return LayerRun(
        timing,
        cut.outputs(run.sums),
        {part: count for part, count in sorted(activity.items()) if count},
    )


def step_of(pe: PEDesign, flow: Dataflow, *, signed: bool) -> Callable[[Operand, Operand], Step]:
    """Return the design's `step`, given operands as they meet in the array.

    Where the values of one side decide how long a step takes, a step whose operands there only pad
    the tile takes one cycle: there is nothing to wait for, whatever the circuit would do with
    zeros.
    """

    def step(left: Operand, other: Operand) -> Step:
        """Do the design's step, whichever side its activations come from."""
        x, w = (left, other) if flow.activations_from_left else (other, left)
        done = pe.step(x.values, w.values, signed)
        deciding = {"activations": x, "weights": w}.get(pe.cost)
        if deciding is None or deciding.real:
            return done
        return replace(done, cycles=1)

    return step


def stalls_of(run: Run, work: Work, array: ArrayConfig, flow: Dataflow) -> NDArray[np.int64]:
    """Return by how much tiles exceed one-cycle ones, int64 (groups, col tiles, row tiles)."""
    grid = flow.grid(work, array)
    unit = flow.timing_of(work, array, None, 0, 0).total
    cycles = np.array(run.tile_cycles, np.int64)
    if array.overlap:
        period = max(grid.stream, array.rows)
        expected = np.full(grid.tiles, period)
        expected[-1] = unit - period * (grid.tiles - 1)
    else:
        expected = np.full(grid.tiles, unit // grid.tiles)
    stalls: NDArray[np.int64] = (cycles - expected).reshape(grid.shape)
    return stalls


class LayerTiles:
    """A layer cut into tiles of operands, and put together again from the sums of its tiles."""

    def __init__(self, layer: LoweredLayer, pe: PEDesign, flow: Dataflow, grid: TileGrid) -> None:
        self._layer, self._flow, self._grid = layer, flow, grid
        self._operands = StepOperands(layer, pe)
        self._sizes = {"m": layer.m, "s": pe.steps(layer.k), "n": layer.n}

    def tiles(self) -> list[Tile]:
        """Return the operands of every tile."""
        return [self.tile(number) for number in range(self._grid.tiles)]

    def _part(self, number: int) -> tuple[int, dict[str, slice]]:
        group, rows, cols = self._grid.slices(number)
        return group, dict(
            zip(self._flow.roles, (slice(0, self._grid.stream), rows, cols), strict=True)
        )

    def tile(self, number: int) -> Tile:
        """Return the operands of one tile."""
        group, part = self._part(number)
        x = self._operands.activations(group, part["m"], part["s"])
        w = self._operands.weights(group, part["s"], part["n"]).swapaxes(1, 2)
        left, other = (x, "ms"), (w, "sn")
        if not self._flow.activations_from_left:
            left, other = other, left
        stream, row, col = tuple(self._flow.roles)
        rows = self._marked(*left, row + stream, part)
        if self._flow.loads:
            return Tile(rows=rows, held=self._marked(*other, row + col, part))
        return Tile(rows=rows, cols=self._marked(*other, col + stream, part))

    def _marked(
        self, values: Array, axes: str, roles: str, part: dict[str, slice]
    ) -> list[list[Operand]]:
        """Return values, whose first two axes are `axes`, by `roles`, the same two; real are those
        within the layer.
        """
        values = values if axes == roles else values.swapaxes(0, 1)
        first, second = (range(part[role].start, part[role].stop) for role in roles)
        ends = [self._sizes[role] for role in roles]
        return [
            [
                Operand(tuple(lanes), one < ends[0] and other < ends[1])
                for other, lanes in zip(second, line, strict=True)
            ]
            for one, line in zip(first, values.tolist(), strict=True)
        ]

    def outputs(self, sums: Sequence[dict[tuple[int, int], int]]) -> NDArray[np.int64]:
        """Return the outputs, int64 (groups, M, N): tiles in place, those of K folds added."""
        result = np.zeros((self._layer.groups, self._layer.m, self._layer.n), np.int64)
        # Sums come with the array's row where they stay, with the streamed item where they move.
        place = self._flow.roles[0] if self._flow.loads else self._flow.roles[1]
        for number, of_tile in enumerate(sums):
            group, part = self._part(number)
            for (first, col), value in of_tile.items():
                at = {place: first, self._flow.roles[2]: col}
                m, n = (at[role] + part[role].start for role in "mn")
                if m < self._layer.m and n < self._layer.n:
                    result[group, m, n] += value
        return result
