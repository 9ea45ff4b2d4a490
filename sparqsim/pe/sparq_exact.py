"""Exact SPARQ: the SPARQ circuit, but a pair that would lose bits takes a second cycle instead.

If one activation of a pair is zero, or both fit their windows (those of `sparq-5opt`) without
losing a bit, the step takes one cycle, as in SPARQ. Otherwise each activation is lone for one
cycle: x1 on both multipliers, then x2. The result is exact; cycles depend on activations.

Source: **not** the published design, which always trims and never waits: this is our variant, to
show what exactness costs in time. How neighbouring PEs wait for each other is the array's coupling.
`signed=magnitude` is the extension of `sparq.py`, ours as well: signs beside magnitudes, for int8
activations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array, Cost, LayerFacts, PEDesign, Step
from sparqsim.pe.kept import KeptMode
from sparqsim.pe.sparq import Sparq5opt, numbered_states, pair_codes, pair_tables
from sparqsim.pe.sparq_parts import (
    SIGNED_WORDS,
    PairControl,
    lone_of,
    magnitudes,
    multiply_shift_add,
    split,
)
from sparqsim.pe.trimming import EXACT, Trimming
from sparqsim.pe.windows import WindowSet

TRIMMED = Sparq5opt(rounding="trim")


@dataclass(frozen=True)
class SparqExact(PEDesign):
    """x * w exactly; one cycle where SPARQ would lose nothing, else two."""

    name: ClassVar[str] = "sparq-exact"
    lanes: ClassVar[int] = 2
    multipliers: ClassVar[int] = 2
    signed_activations: ClassVar[bool] = False
    cost: ClassVar[Cost] = "activations"
    most_step_cycles: ClassVar[int] = 2
    edge_cycles: ClassVar[int] = 1
    windows_of_pair: ClassVar[WindowSet] = Sparq5opt.windows_of_pair
    signed: Literal["refuse", "magnitude"] = "refuse"

    def __post_init__(self) -> None:
        object.__setattr__(self, "signed_activations", self.signed == "magnitude")

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Take the SPARQ step if it is exact, else two steps with one lone value each."""
        self.check_signedness(signed)
        if lone_of(*xs) is not None or all(_fits(abs(x)) for x in xs):
            return multiply_shift_add(
                (TRIMMED.signed_trim_unit if signed else TRIMMED.trim_unit)(*xs), *ws
            )
        halves = [
            multiply_shift_add(self._made_lone(x, position), *ws) for position, x in enumerate(xs)
        ]
        active: Counter[str] = Counter()
        for half in halves:
            active.update(half.active_cycles)
        # Neither activation is zero, so the detector found nothing: the control unit made them
        # lone.
        active.pop("pair_zero_detector", None)
        return Step(halves[0].value + halves[1].value, 2, active, halves[1].controls)

    @property
    def trimming(self) -> Trimming:
        """No value is changed; the pair rule decides cycles."""
        rule = "pairs (k, k + 1): a second cycle where windows would lose bits"
        return Trimming(EXACT, rule, 0.0, 0.0)

    def kept_8bit(self, facts: LayerFacts) -> KeptMode[PEDesign]:
        """Return the design itself, which is exact; int8 by sign and magnitude."""
        if facts.signed and not self.signed_activations:
            return KeptMode((replace(self, signed="magnitude"),), SIGNED_WORDS)
        return KeptMode((self,))

    def _made_lone(self, x: int, position: int) -> PairControl:
        control = split(abs(x), 0, position, self.windows_of_pair.bits)
        return replace(control, negative=(x < 0, x < 0))

    def step_cycles(self, x: Array) -> NDArray[np.uint8]:
        """Return 2 for each pair that SPARQ would trim, else 1."""
        return np.take(_exact_tables()[0], pair_codes(magnitudes(x)))

    def activation_states(self, x: Array) -> NDArray[np.uint8]:
        """Return the circuit state of every pair; two-cycle steps have states of their own."""
        return np.take(_exact_tables()[1], pair_codes(magnitudes(x)))

    def state_examples(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Return one pair of each circuit state, and weights for every zero mask."""
        return _exact_tables()[2], [(0, 0), (1, 0), (0, 1), (1, 1)]

    def pair_windows(self, pairs: NDArray[np.int64]) -> dict[int, int]:
        """Count windows of the pairs that take one cycle; the values of the others are used
        whole.
        """
        fast = _exact_tables()[0].reshape(256, 256) == 1
        return TRIMMED.pair_windows(np.where(fast, pairs, 0))


def _fits(x: int) -> bool:
    q, shift = SparqExact.windows_of_pair.quantise(x, "trim")
    return q << shift == x


@cache
def _exact_tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[tuple[int, ...]]]:
    """Return, for x1 + 256 * x2: the step's cycles, the circuit state; and a pair of each state."""
    tables = pair_tables(TRIMMED)
    codes = np.arange(65_536, dtype=np.uint16)
    slow = tables.used != codes
    halves_used = sum(
        ((codes >> shift & 15) > 0).astype(np.uint16) << bit
        for bit, shift in enumerate((0, 4, 8, 12))
    )
    state, examples = numbered_states(np.where(slow, 1000 + halves_used, tables.state))
    return np.where(slow, 2, 1).astype(np.uint8), state, examples
