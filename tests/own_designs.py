"""PE designs from outside the package, one class each, as a user writes them.

All are exact. `WeightSerial`: weights alone decide how long a step takes. `Fused`: lanes by the
bits of the layer's weights. `FixedSerial`: every step takes as many cycles as the layer's
activations have bits. `WindowedSerial`: activations decide, but a step of zeros takes two cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim import PEDesign
from sparqsim.pe import Step
from sparqsim.pe.base import Cost, LayerFacts
from sparqsim.pe.layout import arranged


def product(xs: Sequence[int], ws: Sequence[int]) -> int:
    return sum(x * w for x, w in zip(xs, ws, strict=True))


@dataclass(frozen=True)
class WeightSerial(PEDesign):
    """Two lanes; as many cycles as a weight of the step has set bits at most, at least one."""

    name: ClassVar[str] = "weight-serial"
    lanes: ClassVar[int] = 2
    multipliers: ClassVar[int] = 2
    exact: ClassVar[bool] = True
    cost: ClassVar[Cost] = "weights"
    most_step_cycles: ClassVar[int] = 7

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        return Step(product(xs, ws), max(1, *(abs(w).bit_count() for w in ws)))

    def weight_step_cycles(self, w: NDArray[Any]) -> NDArray[np.uint8]:
        by_step = arranged(w.swapaxes(-1, -2).astype(np.int16), self.k_order(w.shape[-2]))
        most = np.bitwise_count(np.abs(by_step)).max(axis=-1)
        return np.maximum(most, 1).astype(np.uint8).swapaxes(-1, -2)


@dataclass(frozen=True)
class Fused(PEDesign):
    """A multiplier that splits: one pair of 8-bit weights, two of 4 bits, four of 2 bits per cycle.

    Named, it is as it runs weights of 2 bits, so that what runs unbound shows.
    """

    name: ClassVar[str] = "fused"
    exact: ClassVar[bool] = True
    lanes: int = field(default=4, metadata={"key": False})

    def for_layer(self, facts: LayerFacts) -> PEDesign:
        bits = next(bits for bits in (2, 4, 8) if bits >= facts.weight_bits)
        return replace(self, lanes=8 // bits)

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        return Step(product(xs, ws))


@dataclass(frozen=True)
class FixedSerial(PEDesign):
    """Activations bit by bit: as many cycles per step as a layer's activations have bits."""

    name: ClassVar[str] = "fixed-serial"
    lanes: ClassVar[int] = 3
    exact: ClassVar[bool] = True
    cost: ClassVar[Cost] = "shape"
    most_step_cycles: ClassVar[int] = 8
    bits: int = field(default=1, metadata={"key": False})

    def for_layer(self, facts: LayerFacts) -> PEDesign:
        return replace(self, bits=facts.activation_bits)

    def fixed_step_cycles(self) -> int:
        return self.bits

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        return Step(product(xs, ws), self.bits)


@dataclass(frozen=True)
class WindowedSerial(PEDesign):
    """Activations bit by bit, as many as the largest has, and a cycle for the sign: zeros take
    two.
    """

    name: ClassVar[str] = "windowed-serial"
    lanes: ClassVar[int] = 2
    exact: ClassVar[bool] = True
    cost: ClassVar[Cost] = "activations"
    most_step_cycles: ClassVar[int] = 9

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        return Step(product(xs, ws), 1 + max(1, *(abs(x).bit_length() for x in xs)))

    def step_cycles(self, x: NDArray[Any]) -> NDArray[np.uint8]:
        by_step = np.abs(arranged(x.astype(np.int16), self.k_order(x.shape[-1])))
        bits = np.frexp(by_step.max(axis=-1))[1]
        return (1 + np.maximum(bits, 1)).astype(np.uint8)
