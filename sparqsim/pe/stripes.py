"""Stripes, serial weights and Loom: the bits of one operand, or of both, one after another.

In a cycle every lane multiplies one bit by an operand, or one bit by one bit (AND gates), an adder
tree sums the lanes, and the sum is shifted to the bit's position and added. So a step takes as many
cycles as there are bits to go through: those of the layer's activations (`stripes`), of its weights
(`serial-w`), or each of one with each of the other (`loom`). A PE has no multiplier. Signed
operands are in two's complement: the plane of the highest bit is subtracted. Bits are those of a
layer, so values cannot change cycles, and the control is one for the array: padded PEs take as
long.

`stripes:precision=dynamic` looks at the `lanes` activations of a step first: it goes through
the bits of the largest magnitude only, at least one, and for signed layers through one more for the
sign, never through more than the layer has. Then activations decide cycles.

Source: Stripes, Judd et al., MICRO 2016; precision by group, Delmas et al., Dynamic Stripes, 2017
(arXiv:1706.00504); Loom, Sharify et al., DAC 2018. `serial-w` is the mirror image of Stripes;
serial weights are those of UNPU (Lee et al., ISSCC 2018). That cycles are proportional to bits is
theirs; `stripes` at 8 bits equals DNNsim (github.com/isakedo/DNNsim) cycle for cycle with coupling
`broadcast`. Our reconstruction: that the lanes of a step are those of one PE and share an adder
tree, that finding a precision takes no time, and that each PE has a precision of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array, Cost, LayerFacts, Step
from sparqsim.pe.lanes import NO_LAYER, LanesDesign

Precision = Literal["layer", "dynamic"]
#: The bits of all lanes at one position as a number, and what a one there is worth.
Plane = tuple[int, int]


def planes(values: Sequence[int], bits: int, *, signed: bool) -> Iterator[Plane]:
    """Yield the bit planes of one operand's lanes, lowest first, in two's complement if
    `signed`.
    """
    for position in range(bits):
        ones = sum((value >> position & 1) << lane for lane, value in enumerate(values))
        worth = 1 << position
        yield ones, -worth if signed and position == bits - 1 else worth


def added_where(ones: int, values: Sequence[int]) -> int:
    """Return the sum of the lanes whose bit is one: what the adder tree gives in a cycle."""
    return sum(value for lane, value in enumerate(values) if ones >> lane & 1)


@dataclass(frozen=True)
class BitSerialDesign(LanesDesign):
    """A design that goes through bits; `facts` says how many the operands of its layer have."""

    cost: ClassVar[Cost] = "shape"
    facts: LayerFacts = field(default=NO_LAYER, metadata={"key": False})

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "most_step_cycles", self.fixed_step_cycles())

    def for_layer(self, facts: LayerFacts) -> Self:
        """Return the design that knows the bits of a layer."""
        return replace(self, facts=facts)


@dataclass(frozen=True)
class Stripes(BitSerialDesign):
    """x * w exactly, bit by bit of the activations: as many cycles as those have bits."""

    name: ClassVar[str] = "stripes"
    #: 'activations' where `precision` is dynamic.
    cost: ClassVar[Cost] = "shape"
    most_step_cycles: ClassVar[int] = 8
    precision: Precision = "layer"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.precision == "dynamic":
            object.__setattr__(self, "cost", "activations")

    def fixed_step_cycles(self) -> int:
        """Return the bits of the layer's activations."""
        return self.facts.activation_bits

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Add the weights of the lanes that have a one, plane by plane."""
        bits = self._bits_of(xs, signed) if self.precision == "dynamic" else self.most_step_cycles
        value = sum(
            added_where(ones, ws) * worth for ones, worth in planes(xs, bits, signed=signed)
        )
        return Step(value, bits)

    def _bits_of(self, xs: Sequence[int], signed: bool) -> int:
        """Return the bits of the largest magnitude, and of a sign, within those of the layer."""
        largest = max(1, *(abs(x).bit_length() for x in xs))
        return min(self.facts.activation_bits, largest + signed)

    def step_cycles(self, x: Array) -> NDArray[np.uint8]:
        """Return the cycles of every step with `precision=dynamic`."""
        magnitudes = np.abs(self.in_steps(x).astype(np.int16))
        # All ones below the highest one of any lane: their number is the bits of the largest.
        largest = np.bitwise_or.reduce(magnitudes, axis=-1)
        for shift in (1, 2, 4):
            largest |= largest >> shift
        sign = np.uint8(x.dtype == np.int8)
        bits: NDArray[np.uint8] = np.maximum(np.bitwise_count(largest), 1) + sign
        return np.minimum(bits, np.uint8(self.facts.activation_bits))


@dataclass(frozen=True)
class SerialWeights(BitSerialDesign):
    """x * w exactly, bit by bit of the weights: as many cycles as those have bits."""

    name: ClassVar[str] = "serial-w"
    most_step_cycles: ClassVar[int] = 8

    def fixed_step_cycles(self) -> int:
        """Return the bits of the layer's weights."""
        return self.facts.weight_bits

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Add the activations of the lanes that have a one, plane by plane."""
        bits = self.fixed_step_cycles()
        value = sum(added_where(ones, xs) * worth for ones, worth in planes(ws, bits, signed=True))
        return Step(value, bits)


@dataclass(frozen=True)
class Loom(BitSerialDesign):
    """x * w exactly, one bit of each per cycle: bits of activations times bits of weights."""

    name: ClassVar[str] = "loom"
    most_step_cycles: ClassVar[int] = 64

    def fixed_step_cycles(self) -> int:
        """Return the pairs of bits of the layer's operands."""
        return self.facts.activation_bits * self.facts.weight_bits

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Count the lanes that have a one in both operands, plane by plane of both."""
        of_weights = list(planes(ws, self.facts.weight_bits, signed=True))
        value = cycles = 0
        for ones, worth in planes(xs, self.facts.activation_bits, signed=signed):
            for others, other_worth in of_weights:
                value += (ones & others).bit_count() * worth * other_worth
                cycles += 1
        return Step(value, cycles)
