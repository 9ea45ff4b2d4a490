"""Laconic: digits of the activation times digits of the weight, one pair of them per lane and
cycle.

Each of the `lanes` lanes holds the digits of an activation and of a weight. In a cycle it takes one
digit of each: two powers of two, whose product is one more, so that a lane adds exponents and has
no multiplier. Behind the lanes the products are counted by exponent, shifted and added. A lane
takes n(x) * n(w) cycles, n being the number of digits; the step waits for its slowest lane, and
takes at least one cycle. Cycles depend on both operands, the result is exact.

Source: Sharify et al., Laconic Deep Learning Inference Acceleration, ISCA 2019; the
cycles as DNNsim (github.com/isakedo/DNNsim) counts them, which this equals cycle for cycle with
binary digits and coupling `broadcast`. `digits=naf` is our form of the paper's signed digits;
DNNsim's recoding is another one. Signs are taken as sign and magnitude; the order in which
a lane goes through its pairs is ours and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import jit
from sparqsim.pe.base import Array, Cost, Step
from sparqsim.pe.digits import Digits, digit_counts, digits_of
from sparqsim.pe.lanes import LanesDesign

#: Of 255 and 127 in binary; of 171 and 85 in signed digits.
MOST_CYCLES: dict[Digits, int] = {"binary": 8 * 7, "naf": 5 * 4}


@dataclass(frozen=True)
class Laconic(LanesDesign):
    """x * w exactly, one digit of each per cycle."""

    name: ClassVar[str] = "laconic"
    cost: ClassVar[Cost] = "pair"
    most_step_cycles: ClassVar[int] = MOST_CYCLES["binary"]
    digits: Digits = "binary"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "most_step_cycles", MOST_CYCLES[self.digits])

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Add up the products of all pairs of digits of every lane."""
        value, cycles = 0, 1
        for x, w in zip(xs, ws, strict=True):
            pairs = product(digits_of(abs(x), self.digits), digits_of(abs(w), self.digits))
            products = [sign * other << at + place for (at, sign), (place, other) in pairs]
            value += sum(products) if (x < 0) == (w < 0) else -sum(products)
            cycles = max(cycles, len(products))
        return Step(value, cycles)

    def pair_step_cycles(self, x: Array, w: Array) -> NDArray[np.uint8]:
        """Return the cycles of every step."""
        cycles = np.empty((*x.shape[:2], w.shape[2]), np.uint8)
        _slowest_lanes(digit_counts(x, self.digits), digit_counts(w, self.digits), cycles)
        return cycles


@jit
def _slowest_lanes(x: NDArray[np.uint8], w: NDArray[np.uint8], cycles: NDArray[np.uint8]) -> None:
    """Set cycles (rows, steps, cols) to the largest x * w of x (rows, steps, lanes), w (steps,
    lanes, cols).

    At least one.
    """
    rows, steps, lanes = x.shape
    for row in range(rows):
        for s in range(steps):
            slowest = cycles[row, s]
            slowest[:] = 1
            for lane in range(lanes):
                mine, theirs = x[row, s, lane], w[s, lane]
                for col in range(len(slowest)):
                    slowest[col] = max(slowest[col], np.uint8(mine * theirs[col]))
