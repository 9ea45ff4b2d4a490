"""Requantisation as TFLite's reference kernels do it: a real factor as a 31-bit integer and a
shift.

Convolutions, ADD and QUANTIZE round twice, FULLY_CONNECTED once (found by comparing with
ai-edge-litert 2.3: 1200 outputs, 18 differ by one if it is taken to round twice).

Source: the documented scheme of gemmlowp and TFLite (a "saturating rounding doubling high
multiplication", ties away from zero, then a rounding right shift, ties away from zero), restated;
verified here against the interpreter's outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.networks.tflite.model import Array, Tensor

HIGH = 1 << 31
#: The kernels shift left by at most so many bits; what they shift right by more is zero.
MOST_LEFT, MOST_RIGHT = 30, 31

#: Bounds of the fused activations in real units, by their number in the file format.
FUSED = {0: (None, None), 1: (0.0, None), 2: (-1.0, 1.0), 3: (0.0, 6.0)}


def quantised_multiplier(real: float) -> tuple[int, int]:
    """Return (multiplier, exponent) with real = multiplier / 2^31 * 2^exponent, 2^30 <= multiplier
    < 2^31.

    Raises
    ------
    InputError
        For a factor that the kernels cannot apply: 2^30 or more.
    """
    if not real < 1 << MOST_LEFT:
        raise InputError(
            f"its scales give a factor of {real:g} from sums to codes, expected below 2^{MOST_LEFT}"
        )
    fraction, exponent = math.frexp(real)
    multiplier = math.floor(fraction * HIGH + 0.5)
    if multiplier == HIGH:
        multiplier, exponent = multiplier // 2, exponent + 1
    return (multiplier, exponent) if multiplier and exponent >= -MOST_RIGHT else (0, 0)


def multiplied(values: NDArray[np.int64], multiplier: Array, exponent: Array) -> NDArray[np.int64]:
    """Return values * multiplier / 2^31 * 2^exponent, rounded as the kernels do.

    Parameters
    ----------
    values : int64
        Of at most 32 bits, also after a left shift by the exponent.
    multiplier, exponent : ints that broadcast with `values`
    """
    exponent = np.asarray(exponent, np.int64)
    left, right = np.maximum(exponent, 0), np.maximum(-exponent, 0)
    # First rounding, halves up: the kernels add 2^30 (for negative products 1 - 2^30) and cut
    # towards zero, which is the floor of (product + 2^30) / 2^31 for both signs.
    high = (values << left) * np.asarray(multiplier, np.int64)
    high += HIGH >> 1
    high >>= 31
    # Second rounding, halves away from zero: half less one for negative numbers, then the floor;
    # nothing to round at 0.
    nudge = high >> 63
    nudge *= right > 0
    high += nudge
    high += (np.int64(1) << right) >> 1
    high >>= right
    return high


def multiplied_once(
    values: NDArray[np.int64], multiplier: Array, exponent: Array
) -> NDArray[np.int64]:
    """Return the same product, rounded once, halves up."""
    shift = 31 - np.asarray(exponent, np.int64)
    return (values * np.asarray(multiplier, np.int64) + (np.int64(1) << (shift - 1))) >> shift


def requantised(
    values: NDArray[np.int64],
    reals: Array,
    target: Tensor,
    fused: int,
    rounding: Callable[[NDArray[np.int64], Array, Array], NDArray[np.int64]] = multiplied,
) -> Array:
    """Return codes of `target`: zero point + values * reals, cut off at the type's range and the
    fused activation's.

    Parameters
    ----------
    values : int64 (..., channels)
    reals : float64 (channels,) or ()
        Real value of one unit of `values` over that of one output code.
    target : Tensor
    fused : int
        Number of the fused activation in the file format.
    rounding : `multiplied` or `multiplied_once`
    """
    factors = [quantised_multiplier(float(real)) for real in np.atleast_1d(reals)]
    multiplier = np.array([factor for factor, _ in factors], np.int64)
    exponent = np.array([power for _, power in factors], np.int64)
    codes = rounding(values, multiplier, exponent) + target.zero_point
    lowest, highest = output_range(target, fused)
    return np.clip(codes, lowest, highest).astype(target.dtype)


def codes_of(values: Array, target: Tensor) -> Array:
    """Return codes of real values, as the kernel of QUANTIZE does: float32 division, halves away
    from zero.

    Parameters
    ----------
    values : float32
    target : Tensor
    """
    with np.errstate(over="ignore"):
        steps = (np.asarray(values, np.float32) / np.float32(target.scale)).astype(np.float64)
    rounded = np.copysign(np.floor(np.abs(steps) + 0.5), steps)
    limits = np.iinfo(np.dtype(target.dtype))
    codes: Array = np.clip(rounded + target.zero_point, limits.min, limits.max)
    return codes.astype(target.dtype)


def output_range(target: Tensor, fused: int) -> tuple[int, int]:
    """Return the lowest and highest code of a tensor under a fused activation."""
    limits = np.iinfo(np.dtype(target.dtype))
    low, high = FUSED[fused]
    lowest = limits.min if low is None else max(limits.min, _code(target, low))
    highest = limits.max if high is None else min(limits.max, _code(target, high))
    return int(lowest), int(highest)


def _code(target: Tensor, real: float) -> int:
    steps = real / target.scale
    return target.zero_point + int(math.copysign(math.floor(abs(steps) + 0.5), steps))
