"""Exact sums of squares of integers, and the largest among them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.exact import float_product
from sparqsim.pe.base import Array

#: Squares of integers below 2^21 can be added 2^21 times in int64.
HALF_BITS = 20
#: Integers up to here are exact in float64.
FLOAT64_EXACT = 1 << 53
#: Integers that are squared at once: they stay in the processor's nearer memory.
AT_ONCE = 1 << 15


def sum_of_squares(values: Array) -> int:
    """Return the exact sum of squares of integers below 2^40 in size, as an unbounded int.

    values: integers, also as floats that hold them.
    """
    return _sum_of_squares(values, largest_size(values))


def largest_size(values: Array) -> int:
    """Return the largest size of integers, also of floats that hold them; 0 of none."""
    return max(-int(values.min(initial=0)), int(values.max(initial=0)))


def _sum_of_squares(values: Array, largest: int) -> int:
    if largest**2 * values.size <= FLOAT64_EXACT:  # so is every sum on the way
        floats = values.ravel().astype(np.float64, copy=False)
        return int(float_product(floats, floats))
    total = 0
    whole = values.ravel().astype(np.int64, copy=False)
    for part in np.array_split(whole, -(-whole.size >> HALF_BITS) or 1):
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

    def add_differences(
        self, sums: Array, offset: NDArray[np.int64], exact: NDArray[np.int64] | None = None
    ) -> None:
        """Take sums - offset - exact, below 2^40 in size.

        Parameters
        ----------
        sums : float32 or int64 (groups, rows, N)
            Integers.
        offset : int64 (groups, 1, N)
        exact : int64 (groups, rows, N), optional
            0 by default.
        """
        groups, rows, columns = sums.shape
        at_once = -(-AT_ONCE // (groups * columns))
        for start in range(0, rows, at_once):
            part = slice(start, start + at_once)
            differences = sums[:, part] - offset.astype(np.float64)
            if exact is not None:
                differences -= exact[:, part]
            largest = largest_size(differences)
            self.total += _sum_of_squares(differences, largest)
            self.largest = max(self.largest, largest)
