"""A bit-serial PE, for tests only: activations and weights decide together how long a step takes.

Each lane multiplies one pair of set bits per cycle (in the manner of Laconic, Sharify et al., ISCA
2019, with plain binary instead of signed digits), so a step takes as many cycles as its slowest
lane has pairs of set bits, at least one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array, Cost, PEDesign, Step


@dataclass(frozen=True)
class BitSerial(PEDesign):
    """x * w exactly, in popcount(x) * popcount(|w|) cycles; lane l takes elements s, s + steps, ...
    of K.
    """

    name: ClassVar[str] = "bit-serial"
    lanes: ClassVar[int] = 2
    multipliers: ClassVar[int] = 2
    cost: ClassVar[Cost] = "pair"
    most_step_cycles: ClassVar[int] = 64

    def k_order(self, k: int) -> NDArray[np.int64]:
        steps = self.steps(k)
        order = np.arange(steps)[:, None] + steps * np.arange(self.lanes)
        return np.where(order < k, order, -1)

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        cycles = max(
            1, *(abs(x).bit_count() * abs(w).bit_count() for x, w in zip(xs, ws, strict=True))
        )
        return Step(sum(x * w for x, w in zip(xs, ws, strict=True)), cycles)

    def pair_step_cycles(self, x: Array, w: Array) -> NDArray[np.uint8]:
        pairs = set_bits(x)[:, :, :, None] * set_bits(w)
        return np.maximum(pairs.max(axis=2), 1)


def set_bits(values: Array) -> NDArray[np.uint8]:
    return np.bitwise_count(np.abs(values.astype(np.int16))).astype(np.uint8)
