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
from sparqsim.pe.encoded import Entering
from sparqsim.pe.operands import StepOperands

#: Which m, s and n a tile has.
Part = dict[str, slice]


@dataclass(frozen=True)
class Operand:
    """What a link carries or a PE holds: a step's operands, and whether they are of the layer.

    `design`: what steps weights, that of their filter; the first filter's in columns that only pad.
    """

    values: tuple[int, ...]
    real: bool
    design: PEDesign | None = None


@dataclass(frozen=True)
class LayerRun:
    """What the processes made of a layer.

    `outputs`: int64 (groups, M, N). `activity`: cycles of each part of the PE, padding left out.
    """

    timing: Timing
    outputs: NDArray[np.int64]
    activity: dict[str, int]


def run_layer(
    layer: Entering, pe: PEDesign, array: ArrayConfig, flow: Dataflow, *, signed: bool
) -> LayerRun:
    """Run every tile of a layer through the array of processes.

    Parameters
    ----------
    layer : LoweredLayer or EncodedLayer
    pe : PEDesign
        Bound to the layer.
    array : ArrayConfig
    flow : Dataflow
    signed : bool
        Whether activations are int8.
    """
    steps, registers = pe.steps(layer.k), (pe.edge_cycles, pe.stage_cycles)
    work = Work(layer.m, steps, layer.n, layer.groups, *registers)
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

    run = run_tiles(cut.tiles(), step, array, pe.edge_cycles, pe.stage_cycles)
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
    """Return the `step` of the filter's design, given operands as they meet in the array.

    Where the values of one side decide how long a step takes, a step whose operands there only pad
    the tile takes one cycle: there is nothing to wait for, whatever the circuit would do with
    zeros.
    """

    def step(left: Operand, other: Operand) -> Step:
        """Do the design's step, whichever side its activations come from."""
        x, w = (left, other) if flow.activations_from_left else (other, left)
        done = (w.design or pe).step(x.values, w.values, signed)
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


@dataclass(frozen=True)
class Side:
    """The activations of a tile, axes 'ms', or its weights, 'sn': operands along both axes."""

    axes: str
    operands: Sequence[Sequence[Operand]]

    def by(self, axes: str) -> Sequence[Sequence[Operand]]:
        """Return the operands along the same axes in the order asked for."""
        return self.operands if axes == self.axes else list(zip(*self.operands, strict=True))


class LayerTiles:
    """A layer cut into tiles of operands, and put together again from the sums of its tiles."""

    def __init__(self, layer: Entering, pe: PEDesign, flow: Dataflow, grid: TileGrid) -> None:
        self._layer, self._flow, self._grid = layer, flow, grid
        self._operands = StepOperands(layer, pe)
        self._sizes = {"m": layer.m, "s": pe.steps(layer.k), "n": layer.n}
        self._designs = [pe.of_filters(matrix) for matrix in layer.weights]

    def tiles(self) -> list[Tile]:
        """Return the operands of every tile."""
        return [self.tile(number) for number in range(self._grid.tiles)]

    def _part(self, number: int) -> tuple[int, Part]:
        group, rows, cols = self._grid.slices(number)
        return group, dict(
            zip(self._flow.roles, (slice(0, self._grid.stream), rows, cols), strict=True)
        )

    def tile(self, number: int) -> Tile:
        """Return the operands of one tile."""
        group, part = self._part(number)
        left, other = self._activations(group, part), self._weights(group, part)
        if not self._flow.activations_from_left:
            left, other = other, left
        stream, row, col = tuple(self._flow.roles)
        rows = left.by(row + stream)
        if self._flow.loads:
            return Tile(rows=rows, held=other.by(row + col))
        return Tile(rows=rows, cols=other.by(col + stream))

    def _activations(self, group: int, part: Part) -> Side:
        values = self._operands.activations(group, part["m"], part["s"])
        return Side("ms", self._marked(values, "ms", part))

    def _weights(self, group: int, part: Part) -> Side:
        values = self._operands.weights(group, part["s"], part["n"]).swapaxes(1, 2)
        designs = self._designs[group]
        filters = self._operands.filters(group)[part["n"]].tolist()
        padding = part["n"].stop - part["n"].start - len(filters)
        by_column = [designs[number] for number in filters] + [designs[0]] * padding
        lines = [
            [replace(each, design=design) for each, design in zip(line, by_column, strict=True)]
            for line in self._marked(values, "sn", part)
        ]
        return Side("sn", lines)

    def _marked(self, values: Array, axes: str, part: Part) -> list[list[Operand]]:
        """Return values, whose first two axes are `axes`; real are those within the layer."""
        first, second = (range(part[axis].start, part[axis].stop) for axis in axes)
        ends = [self._sizes[axis] for axis in axes]
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
            filters = self._operands.filters(group)
            for (first, col), value in of_tile.items():
                at = {place: first, self._flow.roles[2]: col}
                m, n = (at[role] + part[role].start for role in "mn")
                if m < self._layer.m and n < self._layer.n:
                    result[group, m, filters[n]] += value
        return result
