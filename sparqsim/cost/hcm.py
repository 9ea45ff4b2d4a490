"""Area of a PE by the two fits that the hardware-aware complexity metric (HCM) published.

    A = 12.39 b^2 + 86.07 b - 14.02        b: bits of activations and of weights
    A = 1.694 B + 153.46                   B: bit operations of the PE, HCM's form

in um^2 of TSMC 28 nm, of a PE with one input and one output channel and a kernel of 3x3 (nine
multipliers of b by b bits, an accumulator of b + 4 bits): that PE, and no other. From 4 to 16 bits
the two agree within 8 %; at 2 bits they differ by half, so they are refused outside.

*Source*: figure captions of HCM, Sustainability 2021, 13, 717 (doi 10.3390/su13020717).
"""

from __future__ import annotations

from dataclasses import dataclass

from sparqsim.base.errors import InputError
from sparqsim.cost.bit_operations import hcm_per_pixel

LEAST_BITS, MOST_BITS = 4, 16
#: Products of the PE that was fitted: a kernel of 3x3 on one input channel.
TERMS = 9
#: um^2 per bits^2, per bit, and of none.
BY_BITS = (12.39, 86.07, -14.02)
#: um^2 per bit operation, and of none.
BY_BIT_OPERATIONS = (1.694, 153.46)


@dataclass(frozen=True)
class FittedArea:
    """Area of HCM's PE in um^2 (TSMC 28 nm) by each of the two fits."""

    by_bits_um2: float
    by_bit_operations_um2: float


def fitted_area(activation_bits: int, weight_bits: int) -> FittedArea:
    """Return the area of HCM's PE by both fits.

    Raises
    ------
    InputError
        For operands of unequal bits, and for bits outside 4 to 16: no such PE was fitted.
    """
    bits = activation_bits
    if activation_bits != weight_bits:
        raise InputError(
            f"multipliers of {activation_bits} by {weight_bits} bits: HCM's fits are of PEs whose "
            "activations and weights have equal bits; expected as many of both"
        )
    if not LEAST_BITS <= bits <= MOST_BITS:
        raise InputError(
            f"multipliers of {bits} bits: HCM's fits hold from {LEAST_BITS} to {MOST_BITS} bits; "
            "expected bits in that range"
        )
    square, linear, constant = BY_BITS
    slope, least = BY_BIT_OPERATIONS
    return FittedArea(
        round(square * bits**2 + linear * bits + constant, 2),
        round(slope * hcm_per_pixel(1, TERMS, bits, bits) + least, 2),
    )
