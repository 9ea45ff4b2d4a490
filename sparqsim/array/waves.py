"""Lockstep: how long each wave of a tile takes, from the cycles of its steps."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import SMALL, jit

Costs = NDArray[np.uint8]

#: PEs up to which the form in numpy, a loop over them, takes less than loading numba.
MOST_PES = 1 << 12


def tile_waves(costs: Costs, stream: int, rows: int, cols: int) -> Costs:
    """Return the longest step of every wave of every tile.

    Parameters
    ----------
    costs : uint8 (tiles, stream or 1, rows or 1, columns or 1)
        Cycles of each step; an axis of length 1 means that the cost does not change along it.
    stream : int
        Items streamed through a tile.
    rows, cols : int
        The array's sides.

    Returns
    -------
    uint8 (tiles, stream + rows + cols - 2)
        Wave w is the maximum over all (s, i, j) with s + i + j = w.
    """
    _, items, height, width = costs.shape
    # Row and column enter alike; one column is faster to run through as a row.
    by_row = np.ascontiguousarray(costs.swapaxes(2, 3) if width == 1 else costs)
    waves = np.ones((len(costs), sum(by_row.shape[1:]) - 2), np.uint8)
    few = costs.size <= SMALL and math.prod(costs.shape[2:]) <= MOST_PES
    raised = small_diagonal_maxima if few else diagonal_maxima
    raised(by_row, waves)
    for size, full in ((items, stream), (height, rows), (width, cols)):
        if size == 1:
            waves = sliding_maxima(waves, full)
    return waves


def merged_waves(waves: Costs, period: int) -> Costs:
    """Return the waves of tiles that start `period` waves apart, cut at each tile's start.

    Parameters
    ----------
    waves : uint8 (tiles, waves of one tile)
    period : int

    Returns
    -------
    uint8 (tiles, max(period, waves of one tile))
        Row t holds the waves from the start of tile t to the start of tile t + 1; the last row
        holds the rest. Unused places are 1.
    """
    tiles, length = waves.shape
    line = np.ones(tiles * period + max(length - period, 0), np.uint8)
    for start in range(0, length, period):
        piece = waves[:, start : start + period]
        place = line[start : start + (tiles - 1) * period + piece.shape[1]]
        padded = np.ones((tiles, period), np.uint8)
        padded[:, : piece.shape[1]] = piece
        np.maximum(place, padded.reshape(-1)[: len(place)], out=place)
    merged = np.ones((tiles, max(period, length)), np.uint8)
    merged[:, :period] = line[: tiles * period].reshape(tiles, period)
    merged[-1, period:] = line[tiles * period :]
    return merged


def sliding_maxima(values: Costs, width: int) -> Costs:
    """Return the maximum of the last `width` entries along the last axis, made longer."""
    padding = [(0, 0)] * (values.ndim - 1) + [(width - 1, width - 1)]
    result = np.pad(values, padding, constant_values=1)
    reach = 1  # result[p] is the maximum over p .. p + reach - 1
    while reach < width:
        step = min(reach, width - reach)
        result = np.maximum(result[..., :-step], result[..., step:])
        reach += step
    return result


def small_diagonal_maxima(costs: Costs, waves: Costs) -> None:
    """Raise waves as `diagonal_maxima` does, without a kernel."""
    _, items, rows, cols = costs.shape
    for i in range(rows):
        for j in range(cols):
            place = waves[:, i + j : i + j + items]
            np.maximum(place, costs[:, :, i, j], out=place)


@jit
def diagonal_maxima(costs: Costs, waves: Costs) -> None:
    """Raise waves (tiles, w) to the maximum over diagonals s+i+j = w of costs (tiles, s, i, j).

    One thread: a step takes a fraction of a nanosecond, less than waking others is worth.
    """
    tiles, items, rows, cols = costs.shape
    for tile in range(tiles):
        for s in range(items):
            for i in range(rows):
                place, row = waves[tile, s + i : s + i + cols], costs[tile, s, i]
                for j in range(cols):
                    place[j] = max(place[j], row[j])
