"""Activations by their top bits: what layers of fewer bits of activations compute with, as a design
of 8-bit codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import PEDesign, Step
from sparqsim.quantise.codes import top_bits
from sparqsim.trace.codebits import ALL_BITS

Array = NDArray[Any]


@dataclass(frozen=True)
class TopBits(PEDesign):
    """The exact multiplier on the top bits of activations: it computes, and is never timed."""

    name: ClassVar[str] = "top-bits"
    lanes: ClassVar[int] = 1

    bits: int = ALL_BITS

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Return the product of an activation's top bits and a weight."""
        x = np.array(xs, np.int8 if signed else np.uint8)
        return Step(int(self.used_activations(x)[0]) * ws[0])

    def used_activations(self, x: Array) -> Array:
        """Return codes rounded to multiples of 2^(8 - bits), half to even, and saturated."""
        return np.asarray(top_bits(x, self.bits) << (ALL_BITS - self.bits), x.dtype)
