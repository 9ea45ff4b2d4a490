"""Which outputs of a layer are sampled, and what the PEs that make them receive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.pe.base import Array, PEDesign
from sparqsim.pe.encoded import Entering
from sparqsim.rtl.tiles import Tiles, cut, partial_values, step_cycles, step_values

#: An array of one PE: each sample is a tile of its own.
ONE_PE = ArrayConfig(rows=1, cols=1)


class Position(NamedTuple):
    """An output of a layer: which group, row of X and column of W of the group."""

    group: int
    m: int
    n: int


@dataclass(frozen=True)
class Operands:
    """Operands of sampled outputs: `x`, `w` (samples, K); `x_above` (samples, K): of the PE above,
    zeros in an array's first row; `inner` bool (samples,): whether there is a PE above.
    """

    positions: tuple[Position, ...]
    x: Array
    w: Array
    x_above: Array
    inner: NDArray[np.bool_]


def sampled_positions(
    sizes: tuple[int, int, int], array: ArrayConfig, count: int, rng: np.random.Generator
) -> list[Position]:
    """Return `count` outputs of (groups, M, N), one drawn in each of as many equal parts.

    Outputs are ordered by group, then by tile of an output-stationary array, so every tile or group
    has its share. All outputs where there are no more; where there are few more, one that lies in
    two parts can be drawn for both.
    """
    groups, rows, cols = sizes
    outputs = groups * rows * cols
    if outputs <= count:
        return [_position(at, sizes, array) for at in range(outputs)]
    drawn = (np.arange(count) + rng.random(count)) * outputs / count
    return [_position(min(int(at), outputs - 1), sizes, array) for at in drawn]


def _position(at: int, sizes: tuple[int, int, int], array: ArrayConfig) -> Position:
    """Return output number `at` in the order by tile, columns of tiles outermost."""
    _, rows, cols = sizes
    group, within = divmod(at, rows * cols)
    left = within // (rows * array.cols) * array.cols
    within -= rows * left
    width = min(array.cols, cols - left)
    top = within // (width * array.rows) * array.rows
    row, column = divmod(within - width * top, width)
    return Position(group, top + row, left + column)


def operands_of(lowered: Entering, positions: list[Position], array: ArrayConfig) -> Operands:
    """Return what the PEs of these outputs, and those above them, multiply."""
    x = np.stack([lowered.rows(at.m, at.m + 1)[at.group, 0] for at in positions])
    w = np.stack([lowered.weights[at.group, :, at.n] for at in positions])
    inner = np.array([at.m % array.rows != 0 for at in positions])
    x_above = np.zeros_like(x)
    for sample in np.flatnonzero(inner):
        at = positions[sample]
        x_above[sample] = lowered.rows(at.m - 1, at.m)[at.group, 0]
    return Operands(tuple(positions), x, w, x_above, inner)


@dataclass(frozen=True)
class Steps:
    """Sampled outputs as steps of a design, and what its definition says they do.

    `tiles`: operands, a tile of one PE per sample. `cycles`: int64 (samples, steps). `sums`: int64
    (samples, cycles of the longest sample), each sum after each of its cycles. `sums_above`:
    (samples, steps), of the PE above, after each step.
    """

    tiles: Tiles
    cycles: NDArray[np.int64]
    sums: NDArray[np.int64]
    sums_above: NDArray[np.int64]


def steps_of(design: PEDesign, operands: Operands) -> Steps:
    """Lay operands out in the steps of a design that is bound to its layer."""
    tiles = _tiles(design, operands.x, operands.w)
    values = _of_one_pe(step_values(design, tiles))
    costs = np.broadcast_to(step_cycles(design, tiles), (len(tiles), 1, values.shape[1], 1))
    cycles = _of_one_pe(costs).astype(np.int64)
    within = [_of_one_pe(partial) for partial in partial_values(design, tiles)]
    above = _tiles(design, operands.x_above, operands.w)
    sums_above = np.cumsum(_of_one_pe(step_values(design, above)), axis=1)
    sums_above[~operands.inner] = 0
    return Steps(tiles, cycles, _sums(values, cycles, within), sums_above)


def _of_one_pe(by_tile: Array) -> Array:
    """Return (samples, steps) of (samples, 1, steps, 1): the array has one PE."""
    return by_tile[:, 0, :, 0]


def _tiles(design: PEDesign, x: Array, w: Array) -> Tiles:
    pieces = [
        cut(design, ONE_PE, row[None], column[:, None]) for row, column in zip(x, w, strict=True)
    ]
    return Tiles(
        np.concatenate([piece.x for piece in pieces]), np.concatenate([piece.w for piece in pieces])
    )


def _sums(
    values: NDArray[np.int64], cycles: NDArray[np.int64], within: list[NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Return each sample's sum after each of its cycles, the last one to the end."""
    totals = np.cumsum(values, 1)
    ends = np.cumsum(cycles, 1)
    sums = np.zeros((len(values), int(ends[:, -1].max())), np.int64)
    for sample, (total, costs) in enumerate(zip(totals, cycles, strict=True)):
        before = np.repeat(total - values[sample], costs)
        after = np.repeat(total, costs)
        steps = np.repeat(np.arange(len(costs)), costs)
        at = np.arange(len(steps)) - np.repeat(ends[sample] - costs, costs)
        unfinished = at < costs[steps] - 1
        if unfinished.any():
            added = np.stack([partial[sample] for partial in within])
            after[unfinished] = before[unfinished] + added[at[unfinished], steps[unfinished]]
        sums[sample, : len(steps)] = after
        sums[sample, len(steps) :] = total[-1]
    return sums
