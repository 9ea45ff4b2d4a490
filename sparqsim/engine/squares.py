"""Exact sums of squares of integers, and the largest among them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.exact import float_product
from sparqsim.base.jit import jit
from sparqsim.pe.base import Array

#: Squares of integers below 2^21 can be added 2^21 times in int64.
HALF_BITS = 20
#: Integers up to here are exact in float64.
FLOAT64_EXACT = 1 << 53
#: Bits of a square that are added up apart from those above.
LOW_BITS = 32
#: Bound of the sizes of integers whose squares are added up so.
SQUARED = 1 << 32


def sum_of_squares(values: NDArray[np.int64]) -> int:
    """Return the exact sum of squares of integers below 2^40 in size, as an unbounded int."""
    largest = max(-int(values.min(initial=0)), int(values.max(initial=0)))
    if largest * largest * values.size <= FLOAT64_EXACT:  # so is every sum on the way
        floats = values.ravel().astype(np.float64)
        return int(float_product(floats, floats))
    total = 0
    for part in np.array_split(values.ravel(), -(-values.size >> HALF_BITS) or 1):
        high, low = part >> HALF_BITS, part & ((1 << HALF_BITS) - 1)
        total += (
            (int(high @ high) << 2 * HALF_BITS)
            + (int(high @ low) << HALF_BITS + 1)
            + int(low @ low)
        )
    return total


class Squares:
    """Adds up squares, and keeps the largest size.

    Attributes
    ----------
    total : int
    largest : int
    """

    def __init__(self) -> None:
        self.total = self.largest = 0

    def add(self, values: NDArray[np.int64]) -> None:
        """Take integers below 2^40 in size."""
        self.total += sum_of_squares(values)
        self.largest = max(self.largest, int(np.abs(values).max(initial=0)))

    def add_floats(
        self, values: Array, offset: NDArray[np.int64], exact: NDArray[np.int64] | None = None
    ) -> None:
        """Take values - offset - exact, which are integers below 2^32 in size.

        Parameters
        ----------
        values : float32 (groups, rows, N)
            Integers.
        offset : int64 (groups, 1, N)
        exact : int64 (groups, rows, N), optional
            0 by default.
        """
        sums = np.zeros(3, np.uint64)
        nothing = np.zeros((1, 1, 1), np.int64)
        taken = nothing if exact is None else exact
        _add_squares(np.ascontiguousarray(values), offset, taken, exact is not None, sums)
        low, high, largest = map(int, sums)
        self.total += low + (high << LOW_BITS)
        self.largest = max(self.largest, largest)


@jit
def _add_squares(
    values: NDArray[np.float32],
    offset: NDArray[np.int64],
    exact: NDArray[np.int64],
    against: bool,
    sums: NDArray[np.uint64],
) -> None:
    """Add up the lower and the upper 32 bits of squares; keep the largest size."""
    groups, rows, columns = values.shape
    low, high, largest = np.uint64(0), np.uint64(0), np.uint64(0)
    for group in range(groups):
        for row in range(rows):
            for column in range(columns):
                value = np.int64(values[group, row, column]) - offset[group, 0, column]
                if against:
                    value -= exact[group, row, column]
                size = np.uint64(abs(value))
                square = size * size
                low += square & np.uint64(0xFFFFFFFF)
                high += square >> np.uint64(32)
                largest = max(largest, size)
    sums[0] += low
    sums[1] += high
    sums[2] = max(sums[2], largest)
