"""Passes over the values of a layer, one kernel each; each is what its NumPy counterpart gives.

They take arrays of float32 (or float64) that hold integers, as PyTorch multiplies them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import jit

Array = NDArray[Any]
Single = NDArray[np.float32]


class Compared(NamedTuple):
    """Sums of squares, which may outgrow int64: a carry counts 2^32."""

    signal: int
    signal_carry: int
    noise: int
    noise_carry: int
    largest: int

    @property
    def whole_signal(self) -> int:
        """The sum of squares of exact sums."""
        return self.signal + (self.signal_carry << 32)

    @property
    def whole_noise(self) -> int:
        """The sum of squares of differences."""
        return self.noise + (self.noise_carry << 32)


@jit
def codes_of(
    values: Single, codes: Single, scale: float, lowest: float, highest: float
) -> int:  # pragma: no cover - compiled
    """Write the codes of `values`, as `sparqsim.quantise.codes.quantise` has them.

    Parameters
    ----------
    values, codes : float32 (size,)
    scale, lowest, highest : float32

    Returns
    -------
    int
        How many values are NaN or infinite; their codes mean nothing.
    """
    largest = np.float32(3.4028234663852886e38)
    bad = 0
    for at in range(values.size):
        value = values[at]
        bad += not abs(value) <= largest
        codes[at] = min(max(np.rint(value / scale), lowest), highest)
    return bad


@jit
def looked_up(codes: Single, used: Single, table: Single) -> None:  # pragma: no cover - compiled
    """Write what a design uses in place of each code.

    Parameters
    ----------
    codes, used : float32 (size,)
    table : float32 (256,)
        By the lowest byte of the code.
    """
    for at in range(codes.size):
        used[at] = table[np.int32(codes[at]) & 255]


@jit
def pairs_of_planes(
    codes: Single, used: Single, table: NDArray[np.int32]
) -> None:  # pragma: no cover - compiled
    """Write what a design uses in place of pairs of codes that lie in two adjacent planes.

    Parameters
    ----------
    codes, used : float32 (pairs of planes, 2, pixels)
    table : int32 (65536,)
        By the lowest bytes, first + 256 * second: the first used value in the lower 16 bits, the
        second in the upper ones.
    """
    pairs, _, pixels = codes.shape
    indices = np.empty(pixels, np.int32)
    for pair in range(pairs):
        for pixel in range(pixels):
            first, second = np.int32(codes[pair, 0, pixel]), np.int32(codes[pair, 1, pixel])
            indices[pixel] = (first & 255) | ((second & 255) << 8)
        for pixel in range(pixels):
            both = table[indices[pixel]]
            used[pair, 0, pixel] = np.int32(both << 16) >> 16
            used[pair, 1, pixel] = both >> 16


@jit
def pairs_in_rows(
    codes: Single, used: Single, table: NDArray[np.int32]
) -> None:  # pragma: no cover - compiled
    """As `pairs_of_planes`, for pairs of adjacent codes (pairs, 2)."""
    for pair in range(len(codes)):
        first, second = np.int32(codes[pair, 0]), np.int32(codes[pair, 1])
        both = table[(first & 255) | ((second & 255) << 8)]
        used[pair, 0] = np.int32(both << 16) >> 16
        used[pair, 1] = both >> 16


@jit
def planes_to_real(
    sums: Array, real: Array, units: NDArray[np.float64], bias: NDArray[np.float64], factor: int
) -> None:  # pragma: no cover - compiled
    """Write sum * factor * unit + bias, in float64, rounded once to the type of `real`.

    Parameters
    ----------
    sums, real : (planes, pixels)
        Sums are integers below 2^31 in size.
    units, bias : float64 (planes,)
    factor : int
    """
    planes, pixels = sums.shape
    for plane in range(planes):
        unit, added = units[plane], bias[plane]
        for pixel in range(pixels):
            whole = np.float64(np.int32(sums[plane, pixel]))  # of zeros, only +0
            real[plane, pixel] = whole * factor * unit + added


@jit
def rows_to_real(
    sums: Array, real: Array, units: NDArray[np.float64], bias: NDArray[np.float64], factor: int
) -> None:  # pragma: no cover - compiled
    """As `planes_to_real`, for (rows, columns), units and bias (columns,)."""
    rows, columns = sums.shape
    for row in range(rows):
        for column in range(columns):
            whole = np.float64(np.int32(sums[row, column]))
            real[row, column] = whole * factor * units[column] + bias[column]


@jit
def compared(
    sums: Array, exact: Array, run: int
) -> tuple[int, int, int, int, int]:  # pragma: no cover - compiled
    """Return the sum of squares of exact sums and of their differences, and the largest of these.

    Parameters
    ----------
    sums, exact : (size,)
        Integers below 2^30 in size.
    run : int
        So many squares of either can be added in 63 bits.

    Returns
    -------
    The fields of `Compared`.
    """
    mask = (1 << 32) - 1
    signal: Any = 0
    noise: Any = 0
    signal_carry = noise_carry = lowest = highest = signal
    for start in range(0, sums.size, run):
        some, true = sums[start : start + run], exact[start : start + run]
        squares = lost = np.int64(0)
        for at in range(some.size):
            whole = np.int64(np.int32(true[at]))
            off = np.int64(np.int32(some[at])) - whole
            squares += whole * whole
            lost += off * off
            lowest, highest = min(lowest, off), max(highest, off)
        signal, signal_carry = signal + (squares & mask), signal_carry + (squares >> 32)
        noise, noise_carry = noise + (lost & mask), noise_carry + (lost >> 32)
    return signal, signal_carry, noise, noise_carry, max(highest, -lowest)
