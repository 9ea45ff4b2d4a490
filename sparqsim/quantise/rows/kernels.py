"""Searches over many rows at once: greedy ranges and k-means, row by row, on all cores."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import jit, parallel_jit, prange

Singles = NDArray[np.float32]
Doubles = NDArray[np.float64]

#: Steps that the whole range is cut into, and the share of it that is kept at least.
BINS = np.float32(200)
KEPT_BINS = np.float32(BINS * (1.0 - 0.16))
LEVELS4 = np.float32(15)
ZERO, ONE = np.float32(0), np.float32(1)
#: fp16: bits behind the first one, and the exponent of its least step.
HALF_BITS, LEAST_STEP = 11, -24


@jit
def half(value: np.float32) -> np.float32:
    """Return a number rounded to fp16, to nearest, ties to even; it is within fp16."""
    if value == ZERO:
        return ZERO
    exponent = math.frexp(value)[1]
    step = max(exponent - HALF_BITS, LEAST_STEP)
    return np.float32(math.ldexp(np.rint(math.ldexp(np.float64(value), -step)), step))


@jit
def loss_of(row: Singles, low: np.float32, high: np.float32) -> float:
    """Return the squared error of a row whose 4-bit codes cover a range: fp32 codes, fp64 sum."""
    bias = half(low)
    scale = half((high - bias) / LEVELS4)
    if scale == ZERO:
        scale = ONE
    inverse = ONE / scale
    total = 0.0
    for x in row:
        code = min(max(np.float32(np.rint((x - bias) * inverse)), ZERO), LEVELS4)
        error = np.float64(x - (code * scale + bias))
        total += error * error
    return total


@jit
def greedy_range(row: Singles) -> tuple[np.float32, np.float32]:
    """Return the range that a greedy search keeps of a row; it ends where a step moves nothing."""
    low, high = row.min(), row.max()
    kept_low, kept_high = low, high
    step = np.float32((high - low) / BINS)
    least = np.float32(KEPT_BINS * step)
    loss = loss_of(row, low, high)
    best = loss
    while np.float32(low + least) < high:
        without_low = loss_of(row, np.float32(low + step), high)
        without_high = loss_of(row, low, np.float32(high - step))
        if loss < without_low and loss < without_high and loss < best:
            best, kept_low, kept_high = loss, low, high
        last_low, last_high = low, high
        if without_low < without_high:
            low, loss = np.float32(low + step), without_low
        else:
            high, loss = np.float32(high - step), without_high
        if low == last_low and high == last_high:  # the step is lost in fp32: it would go on so
            break
    return kept_low, kept_high


@parallel_jit
def greedy_ranges(rows: Singles) -> tuple[Singles, Singles]:
    """Return the range of each row, float32 (rows,) twice; rows: float32 (rows, width)."""
    lows, highs = np.empty(len(rows), np.float32), np.empty(len(rows), np.float32)
    for at in prange(len(rows)):
        lows[at], highs[at] = greedy_range(rows[at])
    return lows, highs


@jit
def nearest_of(x: float, book: Doubles) -> int:
    """Return the nearest centroid, of equally near ones the lower; `book` ascends."""
    best = 0
    for code in range(1, len(book)):
        if abs(x - book[code]) < abs(x - book[best]):
            best = code
    return best


@jit
def settled(row: Singles, book: Doubles, most: int) -> Doubles:
    """Return the centroids of a row after at most so many iterations."""
    chosen = np.full(len(row), -1, np.int64)
    for _ in range(most):
        sums, counts = np.zeros(len(book)), np.zeros(len(book))
        changed = False
        for at, x in enumerate(row):
            code = nearest_of(np.float64(x), book)
            changed |= code != chosen[at]
            chosen[at] = code
            sums[code] += np.float64(x)
            counts[code] += 1
        if not changed:
            break
        for code in range(len(book)):
            if counts[code]:
                book[code] = sums[code] / counts[code]
    return book


@parallel_jit
def k_means(rows: Singles, start: Doubles, iterations: int) -> Doubles:
    """Return the centroids of each row, float64 (rows, 16), ascending as `start` does.

    Parameters
    ----------
    rows : float32 (rows, width)
    start : float64 (rows, 16)
    iterations : int
    """
    books = start.copy()
    for at in prange(len(rows)):
        books[at] = settled(rows[at], books[at].copy(), iterations)
    return books


@parallel_jit
def nearest_codes(rows: Singles, books: Doubles) -> NDArray[np.uint8]:
    """Return the code of each element, uint8 (rows, width); books: float64 (rows, 16)."""
    codes = np.empty(rows.shape, np.uint8)
    for at in prange(len(rows)):
        for column in range(rows.shape[1]):
            codes[at, column] = nearest_of(np.float64(rows[at, column]), books[at])
    return codes
