"""Lockstep: how long each wave of a tile takes, from the cycles of its steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Costs = NDArray[np.uint8]


def tile_waves(costs: Costs, stream: int, rows: int, cols: int) -> Costs:
    """Return the longest step of every wave of every tile.

    Parameters
    ----------
    costs : uint8 (groups, stream or 1, size along rows, size along columns or 1)
        Cycles of each step; an axis of length 1 means that the cost does not change along it.
    stream : int
        Items streamed through a tile.
    rows, cols : int
        The array's sides.

    Returns
    -------
    uint8 (groups, column tiles or 1, row tiles, stream + rows + cols - 2)
        Wave w is the maximum over all (s, i, j) with s + i + j = w; padded PEs take one cycle.
    """
    by_tile = _cut(costs, rows, cols)
    extents = [(by_tile.shape[axis], full) for axis, full in ((3, stream), (4, rows), (5, cols))]
    waves = _diagonal_maxima(by_tile)
    for size, full in extents:
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
        Row t holds the waves from the start of tile t to the start of tile t + 1; the last row holds the rest. Unused
        places are 1.
    """
    tiles, length = waves.shape
    line = np.ones(tiles * period + max(length - period, 0), np.uint8)
    for start in range(0, length, period):
        piece = waves[:, start:start + period]
        place = line[start:start + (tiles - 1) * period + piece.shape[1]]
        padded = np.ones((tiles, period), np.uint8)
        padded[:, :piece.shape[1]] = piece
        np.maximum(place, padded.reshape(-1)[:len(place)], out=place)
    merged = np.ones((tiles, max(period, length)), np.uint8)
    merged[:, :period] = line[:tiles * period].reshape(tiles, period)
    merged[-1, period:] = line[tiles * period:]
    return merged


def sliding_maxima(values: Costs, width: int) -> Costs:
    """Return the maximum of the last `width` entries at each place of the last axis, `width` - 1 places longer."""
    padding = [(0, 0)] * (values.ndim - 1) + [(width - 1, width - 1)]
    result = np.pad(values, padding, constant_values=1)
    reach = 1  # result[p] is the maximum over p .. p + reach - 1
    while reach < width:
        step = min(reach, width - reach)
        result = np.maximum(result[..., :-step], result[..., step:])
        reach += step
    return result


def _cut(costs: Costs, rows: int, cols: int) -> Costs:
    """Return costs as (groups, column tiles, row tiles, stream, rows, cols), padded PEs at one cycle."""
    groups, stream, along_rows, along_cols = costs.shape
    width = 1 if along_cols == 1 else cols
    short = (-along_rows % rows, -along_cols % width)
    padded = np.pad(costs, ((0, 0), (0, 0), (0, short[0]), (0, short[1])), constant_values=1)
    by_tile = padded.reshape(groups, stream, -1, rows, padded.shape[3] // width, width)
    return by_tile.transpose(0, 4, 2, 1, 3, 5)


def _diagonal_maxima(by_tile: Costs) -> Costs:
    """Return the maximum over each diagonal s + i + j = w of the last three axes."""
    stream, rows, cols = by_tile.shape[3:]
    waves = np.ones((*by_tile.shape[:3], stream + rows + cols - 2), np.uint8)
    for i in range(rows):
        for j in range(cols):
            place = waves[..., i + j:i + j + stream]
            np.maximum(place, by_tile[..., i, j], out=place)
    return waves
