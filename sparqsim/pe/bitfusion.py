"""Bit Fusion: 16 multipliers of 2 bits that fuse into as many products as the layer's bits allow.

A PE is a fusion unit: 16 BitBricks, each of which multiplies two 2-bit numbers, signed or not. A
product of A x W bits takes (A/2) * (W/2) of them, whose results are shifted and added, A and W
being the least of 2, 4 and 8 that hold the activations' and the weights' bits. So a PE takes
(8/A) * (8/W) pairs of operands per cycle: one at 8x8 bits, 16 at 2x2. It is exact, every step takes
a cycle, and values change nothing.

Source: Sharma et al., Bit Fusion, ISCA 2018: bricks and their fusing in space. Our reconstruction
from its description: no code of the authors was read. 16-bit operands, which their units fuse over
time, are left out, since operands here have 8 bits at most; the array is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from sparqsim.pe.base import LayerFacts, PEDesign, Step
from sparqsim.pe.lanes import NO_LAYER

BRICK_BITS = 2
WIDEST_BITS = 8


def fused_bits(bits: int) -> int:
    """Return the least width that bricks fuse to and that holds operands of `bits`."""
    return next(width for width in (2, 4, 8) if bits <= width)


def brick_digits(value: int, bits: int, *, signed: bool) -> list[int]:
    """Return what the bricks get of an operand, lowest first; the highest is signed if it is."""
    shifts = range(0, bits, BRICK_BITS)
    digits = [value >> shift & (1 << BRICK_BITS) - 1 for shift in shifts]
    if signed and digits[-1] >= 1 << BRICK_BITS - 1:
        digits[-1] -= 1 << BRICK_BITS
    return digits


@dataclass(frozen=True)
class BitFusion(PEDesign):
    """x * w exactly, on as many lanes as the layer's bits leave room for."""

    name: ClassVar[str] = "bitfusion"
    lanes: ClassVar[int] = 1
    multipliers: ClassVar[int] = 16
    exact: ClassVar[bool] = True
    facts: LayerFacts = field(default=NO_LAYER, metadata={"key": False})

    def __post_init__(self) -> None:
        activations, weights = self.widths
        products = (WIDEST_BITS // activations) * (WIDEST_BITS // weights)
        object.__setattr__(self, "lanes", products)

    @property
    def widths(self) -> tuple[int, int]:
        """The bits of activations and of weights that bricks are fused for."""
        return fused_bits(self.facts.activation_bits), fused_bits(self.facts.weight_bits)

    def for_layer(self, facts: LayerFacts) -> Self:
        """Return the design fused for the bits of a layer."""
        return replace(self, facts=facts)

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Multiply in bricks, shift and add."""
        activations, weights = self.widths
        value = 0
        for x, w in zip(xs, ws, strict=True):
            for place, digit in enumerate(brick_digits(x, activations, signed=signed)):
                for other_place, other in enumerate(brick_digits(w, weights, signed=True)):
                    value += digit * other << BRICK_BITS * (place + other_place)
        return Step(value)
