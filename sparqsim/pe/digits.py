"""Magnitudes as the digits that digit-serial circuits spend, one at a time.

`binary`: the ones of the magnitude. `naf`: its non-adjacent form, signed digits of which no two
neighbours are both non-zero; no signed-digit form has fewer (Reitwiesner, 1960). 7 = 8 - 1 has two.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array

Digits = Literal["binary", "naf"]
#: A digit of a magnitude: its position, and 1 or -1.
Digit = tuple[int, int]


@cache
def digits_of(magnitude: int, form: Digits) -> tuple[Digit, ...]:
    """Return the non-zero digits of a magnitude, lowest position first: the plain definition."""
    digits: list[Digit] = []
    position = 0
    while magnitude:
        if magnitude % 2:
            sign = 2 - magnitude % 4 if form == "naf" else 1
            digits.append((position, sign))
            magnitude -= sign
        magnitude //= 2
        position += 1
    return tuple(digits)


def digit_masks(values: Array, form: Digits) -> NDArray[np.uint16]:
    """Return which positions of each magnitude have a digit, uint16 masks, for 8-bit values."""
    return np.take(_masks(form, values.dtype == np.int8), values.view(np.uint8))


def digit_counts(values: Array, form: Digits) -> NDArray[np.uint8]:
    """Return how many digits each magnitude has, for uint8 or int8 values."""
    return np.take(_counts(form, values.dtype == np.int8), values.view(np.uint8))


@cache
def _masks(form: Digits, signed: bool) -> NDArray[np.uint16]:
    """Return the masks of all 256 bit patterns, read as int8 where they are `signed`."""
    values = np.arange(256, dtype=np.uint8).view(np.int8 if signed else np.uint8).tolist()
    masks = [sum(1 << position for position, _ in digits_of(abs(v), form)) for v in values]
    return np.array(masks, np.uint16)


@cache
def _counts(form: Digits, signed: bool) -> NDArray[np.uint8]:
    return np.bitwise_count(_masks(form, signed))
