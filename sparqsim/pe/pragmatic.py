"""Pragmatic: activations digit by digit, whatever digits a lane has; zeros between them cost
nothing.

Each of the `lanes` lanes holds an activation's digits and its weight. In a cycle every lane that
can spends one digit: the weight, shifted to the digit's position, is added or subtracted; an adder
tree sums the lanes. Shifters come in two stages to be small. The first, one for each lane, shifts
by less than 2^`stage` positions; the second is common to all lanes behind the adder tree. So in a
cycle `lo` is the lowest position that is still pending in any lane, and the lanes whose lowest
pending position is at most lo + 2^`stage` - 1 spend it; the others wait. The step ends when no
digit is pending, and takes at least one cycle. With `stage=3` and binary digits nobody waits within
a PE: a step takes the most ones of any lane. Cycles depend on activations, the result is exact.

Source: Albericio et al., Bit-Pragmatic Deep Neural Network Computing, MICRO 2017: lanes, shifting
in two stages; the rule of a cycle as DNNsim (github.com/isakedo/DNNsim) counts it, which this
equals cycle for cycle with binary digits and coupling `broadcast`. `digits=naf` is our form of the
paper's signed-digit encoding; DNNsim's recoding is another one. int8 activations are taken as sign
and magnitude, which is our reading; and so is that a PE keeps its own `lo`, waiting for others only
as the array's coupling says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import parallel_jit, prange
from sparqsim.pe.base import Array, Cost, Step
from sparqsim.pe.digits import Digits, digit_masks, digits_of
from sparqsim.pe.lanes import LanesDesign

#: Width of the first shifter, as the exponent of how many positions it reaches.
Stage = Literal["0", "1", "2", "3"]


#: Digits stand at positions 0 to 7, or to 8, and the lowest that is pending rises every cycle.
MOST_CYCLES: dict[Digits, int] = {"binary": 8, "naf": 9}


@dataclass(frozen=True)
class Pragmatic(LanesDesign):
    """x * w exactly, one digit of each activation per cycle."""

    name: ClassVar[str] = "pragmatic"
    cost: ClassVar[Cost] = "activations"
    most_step_cycles: ClassVar[int] = MOST_CYCLES["binary"]
    digits: Digits = "binary"
    stage: Stage = "2"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "most_step_cycles", MOST_CYCLES[self.digits])

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Spend digits, cycle by cycle, until none is pending."""
        pending = [list(digits_of(abs(x), self.digits)) for x in xs]
        weights = [w if x >= 0 else -w for x, w in zip(xs, ws, strict=True)]
        value = cycles = 0
        while any(pending):
            lowest = min(digits[0][0] for digits in pending if digits)
            reach = lowest + 2 ** int(self.stage) - 1
            for digits, w in zip(pending, weights, strict=True):
                if digits and digits[0][0] <= reach:
                    position, sign = digits.pop(0)
                    value += sign * w << position
            cycles += 1
        return Step(value, max(cycles, 1))

    def step_cycles(self, x: Array) -> NDArray[np.uint8]:
        """Return the cycles of every step."""
        masks = digit_masks(self.in_steps(x), self.digits)
        by_row = masks.reshape(-1, masks.shape[-2], self.lanes)
        cycles = np.empty(by_row.shape[:2], np.uint8)
        _spend(by_row, 1 << int(self.stage), cycles)
        return cycles.reshape(masks.shape[:-1])


@parallel_jit
def _spend(masks: NDArray[np.uint16], reached: int, cycles: NDArray[np.uint8]) -> None:
    """Count the cycles in which lanes spend their digits, masks (rows, steps, lanes).

    The first shifter reaches `reached` positions, from the lowest that is pending on.
    """
    rows, steps, lanes = masks.shape
    for row in prange(rows):
        pending = np.empty(lanes, np.int64)
        for s in range(steps):
            pending[:] = masks[row, s]
            left = 0
            for lane in range(lanes):
                left |= pending[lane]
            spent = 0
            while left:
                within = ((left & -left) << reached) - 1
                left = 0
                for lane in range(lanes):
                    digits = pending[lane]
                    digits ^= digits & -digits & within
                    pending[lane] = digits
                    left |= digits
                spent += 1
            cycles[row, s] = max(spent, 1)
