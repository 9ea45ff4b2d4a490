"""Exact products of integer matrices, through the float products that processors are fast at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: Integers up to here are exact in float32.
FLOAT32_EXACT = 1 << 24


def exact_matmul(x: Array, w: Array) -> NDArray[np.int64]:
    """Return x @ w for integers of at most 16 bits, exactly, through float BLAS.

    Exact in float64 because |psum| <= K * 2^15 * 2^15 stays below 2^53 for every K below 2^23; and
    in float32, at half the memory and time, where no sum of |x| * |w| can exceed 2^24, whatever the
    order of additions.
    """
    dtype = np.float32 if _exact_in_float32(x, w) else np.float64
    return integer_product(x.astype(dtype), w.astype(dtype))


def integer_product(x: Array, w: Array) -> NDArray[np.int64]:
    """Return x @ w as integers, of floats that hold integers whose sums they hold exactly, too.

    A product that is no number warns as it becomes an integer.
    """
    return np.asarray(float_product(x, w).astype(np.int64))


def float_product(x: Array, w: Array) -> Array:
    """Return x @ w, of finite floats, without warnings that mean nothing.

    OpenBLAS computes with lanes beyond the edge of a matrix and drops what comes of them; what
    happens to lie there can raise the processor's flag of an invalid operation, which NumPy
    reports as a warning of the product (numpy/numpy issues 13173 and 24067).
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(x @ w)


def _exact_in_float32(x: Array, w: Array) -> bool:
    """Return whether no sum of |x| * |w| over K can exceed what float32 holds exactly."""
    largest = _largest_magnitude(x)
    if (
        w.shape[-2] * largest * _largest_magnitude(w) <= FLOAT32_EXACT
    ):  # K is short: no need to look at W
        return True
    return largest * _largest_column(w) <= FLOAT32_EXACT


def _largest_magnitude(x: Array) -> int:
    """Return a bound of |x|: what the type holds for 8-bit integers, else the largest there is."""
    if x.dtype.kind in "iu" and x.dtype.itemsize == 1:
        limits = np.iinfo(x.dtype)
        return max(-int(limits.min), int(limits.max))
    return max(abs(int(x.min(initial=0))), abs(int(x.max(initial=0))))


def _largest_column(w: Array) -> int:
    """Return the largest sum of |w| over K of any column of any matrix (..., K, N)."""
    wide = np.promote_types(w.dtype, np.int32)
    return int(np.abs(w.astype(wide)).sum(axis=-2, dtype=np.int64).max(initial=0))
