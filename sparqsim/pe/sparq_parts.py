"""The parts of a SPARQ circuit, which its designs and its layers that stay at 8 bits share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array, Step

#: What is told of int8 layers that stay at 8 bits.
SIGNED_WORDS = "int8 by sign and magnitude, not in the paper"


@dataclass(frozen=True)
class PairControl:
    """What the trim unit sends along a row for one pair: 2n data bits, two shift codes and one mux
    bit.

    `negative`: the sign bit of each multiplier's activation (only with `signed=magnitude`).
    """

    q1: int
    shift1: int
    q2: int
    shift2: int
    lone: bool
    negative: tuple[bool, bool] = (False, False)


def lone_of(x1: int, x2: int) -> int | None:
    """Pair-zero detector: return 0 or 1, the position of the lone value, or None."""
    if (x1 == 0) == (x2 == 0):
        return None
    return 0 if x2 == 0 else 1


def split(q: int, shift: int, position: int, bits: int) -> PairControl:
    """Split a lone value's 2n-bit window into halves; its own multiplier gets the high one."""
    high, low = (q >> bits, shift + bits), (q & ((1 << bits) - 1), shift)
    first, second = (high, low) if position == 0 else (low, high)
    return PairControl(*first, *second, lone=True)


def weight_mux(control: PairControl, w1: int, w2: int) -> tuple[int, int]:
    """Return the multipliers' weights; of a lone value the larger shift marks the position."""
    if not control.lone:
        return w1, w2
    return (w1, w1) if control.shift1 > control.shift2 else (w2, w2)


def multiply_shift_add(control: PairControl, w1: int, w2: int) -> Step:
    """Multipliers (with the sign), shift units and adder of one PE: one cycle of a trimmed pair."""
    wa, wb = weight_mux(control, w1, w2)
    sign1, sign2 = (-1 if negative else 1 for negative in control.negative)
    products = sign1 * control.q1 * wa, sign2 * control.q2 * wb
    value = (products[0] << control.shift1) + (products[1] << control.shift2)
    working = {
        "pair_zero_detector": control.lone,
        "multiplier_0": products[0] != 0,
        "multiplier_1": products[1] != 0,
        "weight_mux": control.lone,
        "shifter_0": products[0] != 0 and control.shift1 > 0,
        "shifter_1": products[1] != 0 and control.shift2 > 0,
        "adder": products[0] != 0 and products[1] != 0,
        "pe": products != (0, 0),
    }
    controls = {
        "q0": control.q1,
        "shift0": control.shift1,
        "q1": control.q2,
        "shift1": control.shift2,
        "mux": int(control.lone),
    }
    return Step(value, 1, {part: 1 for part, works in working.items() if works}, controls)


def magnitudes(x: Array) -> NDArray[np.uint8]:
    """Return |x| of int8 activations as uint8 (so -128 gives 128); uint8 ones as they are."""
    return np.abs(x).view(np.uint8) if x.dtype == np.int8 else x
