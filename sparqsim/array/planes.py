"""Step cycles as planes of bits, one for each number of cycles, and the waves that they make late.

Bit b of line a of plane v is set where step (a, b) takes v + 2 cycles or more. A wave takes one
cycle more for every plane in which one of its steps is set, so that the stalls of a tile are the
waves that are *hit*, counted plane by plane: the lines of a tile, each shifted by its number, are
combined 64 waves at a time.

**A window.** A cost that does not change along a side of the array, or along the stream, of length
W, is met by W waves, one after another. So a wave is hit where one of the last W diagonals is set:
with gaps g between neighbours that are set, the diagonals hit W + sum(min(g, W)) waves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import jit

Costs = NDArray[np.uint8]
Words = NDArray[np.uint64]
Stalls = NDArray[np.int64]

WORD_BITS = 64


def bit_planes(costs: Costs) -> Words:
    """Return planes of costs (groups, lines, places), uint64 (planes, groups, lines, words).

    There is a plane less than the most cycles of a step, and a word of zeros behind each line.
    """
    groups, lines, places = costs.shape
    most = int(costs.max(initial=1))
    words = -(-places // WORD_BITS) + 1
    planes = np.zeros((most - 1, groups, lines, words * WORD_BITS // 8), np.uint8)
    for plane, cycles in zip(planes, range(2, most + 1), strict=True):
        packed = np.packbits(costs >= cycles, axis=-1, bitorder="little")
        plane[..., : packed.shape[-1]] = packed
    return planes.view("<u8").astype(np.uint64, copy=False)


def stalls_along_stream(planes: Words, stream: int, side: int, window: int) -> Stalls:
    """Return the stalls of tiles of `side` lines, each `stream` places long.

    Parameters
    ----------
    planes : uint64 (planes, groups, lines, words)
        Lines lie along one side of the array, places along the stream.
    stream : int
        Places of a line.
    side : int
        Lines of a tile: the array's side.
    window : int
        The other side, along which costs do not change.

    Returns
    -------
    int64 (groups, tiles)
    """
    groups, lines = planes.shape[1:3]
    stalls = np.zeros((groups, -(-lines // side)), np.int64)
    for plane in planes:
        _count_along_stream(plane, stream, side, window, stalls)
    return stalls


def stalls_of_corners(planes: Words, places: int, rows: int, cols: int, stream: int) -> Stalls:
    """Return the stalls of tiles whose steps cost the same along the whole stream.

    Parameters
    ----------
    planes : uint64 (planes, groups, lines, words)
        Lines lie along the array's rows, places along its columns.
    places : int
        Of a line.
    rows, cols : int
        The array's sides.
    stream : int
        Items streamed: the window.

    Returns
    -------
    int64 (groups, column tiles, row tiles)
    """
    groups, lines = planes.shape[1:3]
    stalls = np.zeros((groups, -(-places // cols), -(-lines // rows)), np.int64)
    for plane in planes:
        _count_corners(plane, rows, cols, stream, stalls)
    return stalls


@jit
def _hit_waves(hit: Words, window: int) -> int:
    """Return how many waves the diagonals set in `hit` meet, each `window` of them."""
    waves, before = 0, -1
    for k in range(len(hit)):
        word, place = hit[k], k * 64
        while word != np.uint64(0):
            if word & np.uint64(1):
                waves += window if before < 0 else min(place - before, window)
                before = place
            word >>= np.uint64(1)
            place += 1
    return waves


@jit
def _count_along_stream(plane: Words, stream: int, side: int, window: int, stalls: Stalls) -> None:
    """Add the waves that a plane hits to stalls (groups, tiles)."""
    lines, words = plane.shape[1:]
    groups, tiles = stalls.shape
    one, last = np.uint64(1), np.uint64(63)
    for number in range(groups * tiles):
        group, tile = number // tiles, number % tiles
        hit = np.zeros((stream + side - 1) // 64 + words, np.uint64)
        for i in range(min(side, lines - tile * side)):
            line, at, shift = plane[group, tile * side + i], i // 64, np.uint64(i % 64)
            back = last - shift
            for k in range(words - 1):
                hit[at + k] |= line[k] << shift
                # In two shifts, since one by a whole word is not defined.
                hit[at + k + 1] |= (line[k] >> back) >> one
        stalls[group, tile] += _hit_waves(hit, window)


@jit
def _count_corners(plane: Words, rows: int, cols: int, stream: int, stalls: Stalls) -> None:
    """Add the waves that a plane hits to stalls (groups, column tiles, row tiles)."""
    lines, words = plane.shape[1:]
    groups, col_tiles, row_tiles = stalls.shape
    one, last = np.uint64(1), np.uint64(63)
    for number in range(groups * col_tiles):
        group, col_tile = number // col_tiles, number % col_tiles
        begin, skew = col_tile * cols // 64, np.uint64(col_tile * cols % 64)
        of_tile = min((cols + 63) // 64, words - 1 - begin)
        hit = np.zeros((rows + cols - 1) // 64 + of_tile + 1, np.uint64)
        for row_tile in range(row_tiles):
            hit[:] = 0
            for i in range(min(rows, lines - row_tile * rows)):
                line, at, shift = plane[group, row_tile * rows + i], i // 64, np.uint64(i % 64)
                back = last - shift
                for k in range(of_tile):
                    word = line[begin + k] >> skew
                    word |= (line[begin + k + 1] << (last - skew)) << one
                    if cols - 64 * k < 64:
                        word &= (one << np.uint64(cols - 64 * k)) - one
                    hit[at + k] |= word << shift
                    hit[at + k + 1] |= (word >> back) >> one
            stalls[group, col_tile, row_tile] += _hit_waves(hit, stream)


@jit
def folded_sums(costs: NDArray[np.integer], rows: int, cols: int) -> Stalls:
    """Return the sums of costs (lines, places) by place in tiles, int64 (rows, cols)."""
    lines, places = costs.shape
    sums = np.zeros((rows, cols), np.int64)
    along = np.zeros(places, np.int64)
    for row in range(min(rows, lines)):
        # Tiles below one another first: whole lines are added fastest.
        along[:] = 0
        for line in range(row, lines, rows):
            for place in range(places):
                along[place] += costs[line, place]
        for begin in range(0, places, cols):
            for col in range(min(cols, places - begin)):
                sums[row, col] += along[begin + col]
    return sums
