"""How wide a PE's accumulator must be, and what becomes of sums that are wider.

An accumulator counts in units of the design's own: what every value a step can add is a multiple
of. Operands that are stored as nibbles are multiplied as nibbles, and sums are scaled where they
leave, so that a 4-bit array drops the bits below (`mac-4b4b`: 8 of them).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.registry import get_dataflow
from sparqsim.base.errors import InputError
from sparqsim.pe.base import LayerFacts, PEDesign

#: Bits of every accumulator, where none are asked for.
USUAL_BITS = 32
#: Bits that an accumulator of the RTL may have.
NARROWEST, WIDEST = 8, 32
#: The K at which the least width is told: 3 x 3 x 512, the longest sum of ResNet-18.
USUAL_K = 4608
OVERFLOWS = ("refuse", "wrap")


@dataclass(frozen=True)
class SumRange:
    """What a sum can be, in units of `unit`: `lowest` <= 0 <= `highest`, integers."""

    lowest: int
    highest: int
    unit: int

    @property
    def bits(self) -> int:
        """Bits of the narrowest two's complement number that holds every such sum."""
        beyond_sign = max(self.highest, -self.lowest - 1, 0)
        return 1 + beyond_sign.bit_length()


def sum_range(design: PEDesign, k: int, *, signed: bool = False) -> SumRange:
    """Return what sums over `k` elements of K can be, of any operands; `signed` for int8
    activations.

    Every step adds at most what it adds with its greatest operands in all lanes: full steps, and a
    last one with the lanes that are left.
    """
    full, rest = divmod(k, design.lanes)
    whole, last = (_step_range(design, lanes, signed) for lanes in (design.lanes, rest))
    return SumRange(
        full * whole.lowest + last.lowest, full * whole.highest + last.highest, whole.unit
    )


@cache
def _step_range(design: PEDesign, lanes: int, signed: bool) -> SumRange:
    """Return what one step adds with so many lanes in use; nothing for none."""
    every_byte = np.arange(256, dtype=np.uint8)
    x = np.repeat(every_byte.view(np.int8 if signed else np.uint8)[:, None], design.lanes, 1)
    w = np.repeat(every_byte.view(np.int8)[None], design.lanes, 0)
    x[:, lanes:], w[lanes:] = 0, 0
    values = design.matmul(x, w)
    unit = unit_of(design, signed)
    return SumRange(int(values.min()) // unit, int(values.max()) // unit, unit)


@cache
def unit_of(design: PEDesign, signed: bool = False) -> int:
    """Return the greatest power of two that divides everything a multiplier can add."""
    every_byte = np.arange(256, dtype=np.uint8)
    x = np.zeros((256, design.lanes), np.int8 if signed else np.uint8)
    w = np.zeros((design.lanes, 256), np.int8)
    x[:, 0], w[0] = every_byte.view(x.dtype), every_byte.view(np.int8)
    ones = int(np.bitwise_or.reduce(design.matmul(x, w).ravel()))
    return ones & -ones


def least_bits(design: PEDesign, k: int = USUAL_K, *, signed: bool = False) -> int:
    """Return the bits of the narrowest accumulator in which no layer of `k` elements can overflow,
    layers that stay at 8 bits included, as the design's circuit runs them.
    """
    return max(sum_range(each, k, signed=signed).bits for each in modes(design, k, signed=signed))


def modes(design: PEDesign, k: int, *, signed: bool) -> Iterator[PEDesign]:
    """Yield the design, unless it does not take int8, and what its PEs are in each pass over a
    layer that stays at 8 bits.
    """
    if design.signed_activations or not signed:
        yield design
    if (mode := design.kept_8bit(LayerFacts(k, signed))) is not None:
        yield from (each for each in mode.passes if each != design)


def summed_in_array(design: PEDesign, array: ArrayConfig, k: int) -> int:
    """Return how many elements of K one accumulator adds up: all, or, where sums move down the
    columns, those of one fold. Folds are added outside the array.
    """
    return min(k, array.rows * design.lanes) if get_dataflow(array.dataflow).loads else k


@dataclass(frozen=True)
class Accumulator:
    """The accumulators of an array, and what a layer does whose sums they may not hold.

    Parameters
    ----------
    bits : int
        8 to 32.
    overflow : {'refuse', 'wrap'}
        'refuse': such a layer is refused, whatever its values; 'wrap': sums are modulo 2^bits, in
        two's complement, before they are scaled.

    Raises
    ------
    InputError
        For another width, or another way to overflow.
    """

    bits: int = USUAL_BITS
    overflow: str = "refuse"

    def __post_init__(self) -> None:
        if type(self.bits) is not int or not NARROWEST <= self.bits <= WIDEST:
            raise InputError(
                f"acc_bits={self.bits!r}: expected an integer from {NARROWEST} to {WIDEST}"
            )
        if self.overflow not in OVERFLOWS:
            raise InputError(f"overflow={self.overflow!r}: expected one of {', '.join(OVERFLOWS)}")

    @property
    def defines(self) -> tuple[str, ...]:
        """What the preprocessor is told."""
        return () if self.bits == USUAL_BITS else (f"ACC={self.bits}",)

    def held(self, sums: NDArray[Any], unit: int = 1) -> NDArray[np.int64]:
        """Return what accumulators hold of sums, scaled: int64 of the same shape."""
        half = 1 << self.bits - 1
        in_units = sums.astype(np.int64) // unit
        wrapped: NDArray[np.int64] = ((in_units + half) % (2 * half) - half) * unit
        return wrapped


def refuse_overflow(
    design: PEDesign, array: ArrayConfig, k: int, acc_bits: int, *, signed: bool, what: str
) -> None:
    """Raise InputError if sums of a layer can overflow; `what` names it."""
    summed = summed_in_array(design, array, k)
    if (needed := sum_range(design, summed, signed=signed).bits) > acc_bits:
        raise InputError(
            f"{what}: sums over {summed} elements of K can take {needed} bits on {design.spec}, "
            f"and its accumulators have acc_bits={acc_bits}; expected at least {needed}"
        )
