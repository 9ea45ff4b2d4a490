"""Conventional multiply-accumulate arrays: the baselines of every comparison.

`mac-8b8b` is the conventional 8-bit PE: one multiplier, exact. `mac-4b8b` keeps only the top nibble
of each activation and has two multipliers; `mac-4b4b` keeps only the top nibble of both operands
and has four. The nibble is static: of a layer whose operand has b bits it is always bits
b-1..b-4 (7..4 of 8-bit codes), whatever the value; codes of 4 bits or fewer lose nothing.

Source: the arithmetic is this project's definition of a conventional 4-bit array (see docs);
rounding is half to even and saturates (x to 0..15 for unsigned operands, -8..7 for signed ones);
`rounding=trim` drops the low nibble (floor).

`stages=2` is a PE with one register behind its multipliers: its clock can be faster, every sum
comes a cycle later, and nothing else changes.

Layers that stay at 8 bits run nibble by nibble: `mac-4b8b` goes over K with the high nibbles of the
activations and then with the low ones, `mac-4b4b` once for each pair of nibbles. A low nibble has
no sign, so the multipliers must take it as unsigned; nibbles lie in memory in planes of their own,
and each pass fetches those it uses. Sums are added outside the array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from typing import ClassVar, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array, LayerFacts, PEDesign, Step
from sparqsim.pe.kept import KeptMode
from sparqsim.pe.layout import looked_up, mask_examples, nonzero_masks
from sparqsim.pe.trimming import Trimming

#: What a pass over a kept layer has of the design whose circuit it runs on.
SHARED_BY_PASSES = (
    "name",
    "multipliers",
    "edge_cycles",
    "stage_cycles",
    "weight_bits",
    "stationary",
    "dataflows",
)
Rounding = Literal["nearest-even", "trim"]
NIBBLE_BITS = 4
#: What a pass takes of an operand: the value whole, what is left without its low nibble, or that.
Part = Literal["whole", "high", "low"]
Stages = Literal["1", "2"]
Operand = TypeVar("Operand", int, Array)


def lowest_bit(bits: int) -> int:
    """Return the lowest bit of the top nibble of codes of `bits` bits; 0 where all of them fit."""
    return max(0, bits - NIBBLE_BITS)


def top_nibble(
    value: int, lowest: int, highest: int, rounding: Rounding, at: int = NIBBLE_BITS
) -> int:
    """Return u * clamp(value / u), u = 2^at, rounded half to even or floored: the plain
    definition.
    """
    unit = 1 << at
    nibble = value // unit if rounding == "trim" else round(value / unit)
    return unit * max(lowest, min(highest, nibble))


def top_nibbles(values: Array, rounding: Rounding, at: int = NIBBLE_BITS) -> Array:
    """Return `top_nibble` of every element, of the dtype given (uint8 or int8), whose range it
    follows.
    """
    return looked_up(nibble_table(values.dtype == np.int8, rounding, at), values)


def nonzero_of_pairs(pairs: NDArray[np.int64]) -> int:
    """Return the non-zero activations of counted pairs, int64 (256, 256)."""
    return int(pairs[:, 1:].sum() + pairs[1:].sum())


def round_half_even(x: Array, bits: int) -> Array:
    """Return round(x / 2^bits), ties to even, for an integer array, as int32."""
    x = x.astype(np.int32)
    half_less_one = (1 << bits >> 1) - 1
    return (x + half_less_one + (x >> bits & 1)) >> bits if bits else x


@cache
def nibble_table(signed: bool, rounding: Rounding, at: int = NIBBLE_BITS) -> Array:
    """Return `top_nibble` of all 256 bit patterns: uint8 (256,), or int8 (256,) where they are
    `signed`.
    """
    values = np.arange(256, dtype=np.uint8).view(np.int8 if signed else np.uint8)
    lowest, highest = (-8, 7) if signed else (0, 15)
    nibbles = values.astype(np.int16) >> at if rounding == "trim" else round_half_even(values, at)
    table: Array = (np.clip(nibbles, lowest, highest) << at).astype(values.dtype)
    table.flags.writeable = False
    return table


@dataclass(frozen=True)
class Mac(PEDesign):
    """`lanes` multipliers and an adder tree, which stand in one cycle or, with `stages=2`, in two,
    with a register between them.
    """

    one_by_one: ClassVar[bool] = True

    def __post_init__(self) -> None:
        # Of this design with its keys.
        object.__setattr__(self, "stage_cycles", int(getattr(self, "stages", "1")) - 1)

    @property
    def circuit(self) -> str:
        """Operands are rounded before they are stored: only stages change the PE."""
        return f"{self.name}:stages=2" if self.stage_cycles else self.name

    def used_pair(self, x: int, w: int, signed: bool) -> tuple[int, int]:
        """Return the activation and the weight as a multiplier sees them."""
        return x, w

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Multiply each pair of used operands and add."""
        pairs = [self.used_pair(x, w, signed) for x, w in zip(xs, ws, strict=True)]
        working = [lane for lane, (x, w) in enumerate(pairs) if x * w != 0]
        active = {f"multiplier_{lane}": 1 for lane in working}
        if working:
            active["pe"] = 1
        if len(working) > 1:
            active["adder"] = 1
        return Step(
            sum(x * w for x, w in pairs),
            1,
            active,
            {f"x{lane}": x for lane, (x, _) in enumerate(pairs)},
        )

    def activation_states(self, x: Array) -> NDArray[np.uint8]:
        """Return which lanes have a used activation other than zero."""
        return nonzero_masks(self.used_activations(x), self.lanes)

    def state_weights(self, w: Array) -> Array:
        """Return the used weights."""
        return self.used_weights(w)

    def state_examples(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Return masks of operands that survive trimming."""
        return mask_examples(self.lanes, 16), mask_examples(self.lanes, 16)


@dataclass(frozen=True)
class Mac8b8b(Mac):
    """The conventional 8-bit PE: x * w, exact, one pair per cycle."""

    name: ClassVar[str] = "mac-8b8b"
    lanes: ClassVar[int] = 1
    multiplier_bits: ClassVar[tuple[int, int] | None] = (8, 8)
    exact: ClassVar[bool] = True
    stages: Stages = "1"

    def pair_windows(self, pairs: NDArray[np.int64]) -> dict[int, int]:
        """Every non-zero activation is used whole."""
        return {0: nonzero_of_pairs(pairs)}


@dataclass(frozen=True)
class Mac2x8b8b(Mac8b8b):
    """Two 8-bit multipliers that share one accumulator, exact: equal throughput to the two-lane
    designs.
    """

    name: ClassVar[str] = "mac-2x8b8b"
    lanes: ClassVar[int] = 2
    multipliers: ClassVar[int] = 2


@dataclass(frozen=True)
class Mac4b8b(Mac):
    """Two multipliers of a 4-bit activation and an 8-bit weight: x to its top nibble.

    A signed activation keeps -8..7 sixteenths, an unsigned one 0..15.
    """

    name: ClassVar[str] = "mac-4b8b"
    lanes: ClassVar[int] = 2
    multipliers: ClassVar[int] = 2
    multiplier_bits: ClassVar[tuple[int, int] | None] = (NIBBLE_BITS, 8)
    rounding: Rounding = "nearest-even"
    stages: Stages = "1"
    #: The lowest bit of the nibble in the layer's activations.
    activation_at: int = field(default=NIBBLE_BITS, metadata={"key": False})

    @property
    def trimming(self) -> Trimming:
        """The top nibble, whatever the value."""
        operands = "both operands" if self.weight_bits == NIBBLE_BITS else "activations"
        return Trimming(self.rounding, f"top nibble of {operands}", 0.0, 0.0)

    def for_layer(self, facts: LayerFacts) -> Self:
        """Return the design with its nibbles at the top of the layer's bits."""
        return replace(self, activation_at=lowest_bit(facts.activation_bits))

    def activation_pair_bits(self, storage: str) -> int:
        """Operands are stored as they are used: 4 bits each."""
        return 2 * NIBBLE_BITS

    def used_pair(self, x: int, w: int, signed: bool) -> tuple[int, int]:
        """Return the top nibble of the activation, and the weight."""
        lowest, highest = (-8, 7) if signed else (0, 15)
        return top_nibble(x, lowest, highest, self.rounding, self.activation_at), w

    def used_activations(self, x: Array) -> Array:
        """Trim every activation."""
        return top_nibbles(x, self.rounding, self.activation_at)

    def pair_windows(self, pairs: NDArray[np.int64]) -> dict[int, int]:
        """Every non-zero activation is used through its top bits, 7..4 of 8."""
        return {self.activation_at: nonzero_of_pairs(pairs)}

    def kept_8bit(self, facts: LayerFacts) -> KeptMode[PEDesign]:
        """Return a pass for each nibble of the activations, and of weights where those are
        narrow.
        """
        mode = nibble_passes(self, facts)
        return mode if mode.words else KeptMode((self,))  # it loses nothing


@dataclass(frozen=True)
class Mac4b4b(Mac4b8b):
    """Four multipliers of a 4-bit activation and a 4-bit weight: both to their top nibbles."""

    name: ClassVar[str] = "mac-4b4b"
    lanes: ClassVar[int] = 4
    multipliers: ClassVar[int] = 4
    multiplier_bits: ClassVar[tuple[int, int] | None] = (NIBBLE_BITS, NIBBLE_BITS)
    weight_bits: ClassVar[int] = NIBBLE_BITS
    #: The lowest bit of the nibble in the layer's weights.
    weight_at: int = field(default=NIBBLE_BITS, metadata={"key": False})

    def for_layer(self, facts: LayerFacts) -> Self:
        """Return the design with its nibbles at the top of the layer's bits."""
        return replace(super().for_layer(facts), weight_at=lowest_bit(facts.weight_bits))

    def used_pair(self, x: int, w: int, signed: bool) -> tuple[int, int]:
        """Return the top nibbles of both."""
        weight = top_nibble(w, -8, 7, self.rounding, self.weight_at)
        return super().used_pair(x, w, signed)[0], weight

    def used_weights(self, w: Array) -> Array:
        """Trim every weight."""
        return top_nibbles(w, self.rounding, self.weight_at)


def nibble_passes(design: PEDesign, facts: LayerFacts) -> KeptMode[PEDesign]:
    """Return a pass of a design for each nibble of the activations, and of weights where its own
    are narrow.
    """
    of_x = parts(facts.activation_bits)
    of_w = parts(facts.weight_bits) if design.weight_bits == NIBBLE_BITS else parts(NIBBLE_BITS)
    passes = tuple(MacPass(design, x, w) for w, x in product(of_w, of_x))
    if len(passes) == 1:
        return KeptMode(passes)
    split = {"activations": of_x, "weights": of_w}
    nibbles = " by ".join(f"nibbles of {side}" for side, each in split.items() if each[1:])
    count = {2: "two", 4: "four"}[len(passes)]
    return KeptMode(passes, f"{count} passes over K ({nibbles}), sums added outside the array")


def parts(bits: int) -> tuple[Part, ...]:
    """Return what nibble-wide multipliers take of operands of `bits`, one after another."""
    return ("high", "low") if bits > NIBBLE_BITS else ("whole",)


def part_of(values: Operand, part: Part) -> Operand:
    """Return what a pass takes of an operand or of many: the parts of a value add up to it."""
    if part == "whole":
        return values
    low: Operand = values & 15
    return low if part == "low" else values - low


@dataclass(frozen=True)
class MacPass(Mac):
    """A pass of a design over parts of its operands, `pairs` of them per cycle.

    Parameters
    ----------
    design : PEDesign
    of_x, of_w : 'whole', 'high' or 'low'
    pairs : int, optional
        The design's lanes by default.
    """

    design: PEDesign = field(metadata={"key": False})
    of_x: Part = field(default="whole", metadata={"key": False})
    of_w: Part = field(default="whole", metadata={"key": False})
    pairs: int = field(default=0, metadata={"key": False})

    def __post_init__(self) -> None:
        for name in SHARED_BY_PASSES:
            object.__setattr__(self, name, getattr(self.design, name))
        object.__setattr__(self, "lanes", self.pairs or self.design.lanes)

    def activation_pair_bits(self, storage: str) -> int:
        """As the design stores them."""
        return self.design.activation_pair_bits(storage)

    def used_pair(self, x: int, w: int, signed: bool) -> tuple[int, int]:
        """Return the parts of both."""
        return part_of(x, self.of_x), part_of(w, self.of_w)

    def used_activations(self, x: Array) -> Array:
        """Take the part of every activation."""
        return part_of(x, self.of_x)

    def used_weights(self, w: Array) -> Array:
        """Take the part of every weight."""
        return part_of(w, self.of_w)

    def state_examples(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Return masks of operands with both nibbles."""
        return mask_examples(self.lanes, 17), mask_examples(self.lanes, 17)
