"""The SPARQ circuit with a second cycle for what would lose bits: {two, later q2, q1, pair}."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.cost.paths.base import Cycle, DataPath, PathTables
from sparqsim.cost.paths.sparq import Controls, cycle_of, shift_codes
from sparqsim.pe.base import Array
from sparqsim.pe.sparq import pair_codes
from sparqsim.pe.sparq_exact import TRIMMED, SparqExact
from sparqsim.pe.sparq_parts import magnitudes, split

WINDOWS = SparqExact.windows_of_pair
#: Places of the second cycle's halves, and of the bit that asks for it.
LATER_AT = 2 * (WINDOWS.bits + shift_codes(WINDOWS)[1]) + 1
TWO_AT = LATER_AT + 2 * WINDOWS.bits


class SparqExactPath(DataPath):
    """`sparq-exact`: each activation of a pair that would lose bits is lone for one cycle."""

    name: ClassVar[str] = "sparq-exact"
    design = SparqExact
    edge_unit: ClassVar[bool] = True

    def cycles(self, design: SparqExact, xs: Sequence[int], *, signed: bool = False) -> list[Cycle]:
        """Return one cycle, or one for each activation; the word has the second one's halves."""
        x1, x2 = map(abs, xs)
        bits = WINDOWS.bits
        low, high = x2 & (1 << bits) - 1, x2 >> bits
        later = low << LATER_AT | high << (LATER_AT + bits)
        as_trimmed = [TRIMMED.step((x1, x2), w).value for w in ((1, 0), (0, 1))]
        if as_trimmed == [x1, x2]:
            one = cycle_of(TRIMMED.trim_unit(x1, x2), WINDOWS)
            return [Cycle(one.word | later, one.ports)]
        first = cycle_of(split(x1, 0, 0, bits), WINDOWS)
        second = cycle_of(split(x2, 0, 1, bits), WINDOWS)
        word = first.word | later | 1 << TWO_AT
        return [Cycle(word, first.ports), Cycle(word, second.ports)]

    def codes(self, design: SparqExact, x: Array) -> NDArray[np.uint16]:
        """Return x1 + 256 * x2 of every pair."""
        return pair_codes(magnitudes(x))

    def tables(self, design: SparqExact) -> PathTables:
        """Return `cycles` of all pairs."""
        return _tables()


@cache
def _tables() -> PathTables:
    codes = np.arange(65_536)
    x2, x1 = np.divmod(codes, 256)
    none, every = np.zeros(len(codes), np.int64), np.ones(len(codes), bool)
    trimmed = Controls.of_pairs(TRIMMED, x1, x2)
    two = SparqExact().step_cycles(codes.astype("<u2").view(np.uint8).reshape(-1, 2))[:, 0] == 2
    first = Controls.of_lone(x1, none, every, WINDOWS.bits)
    second = Controls.of_lone(x2, none, ~every, WINDOWS.bits)
    later = (x2 & 15) << LATER_AT | (x2 >> WINDOWS.bits) << (LATER_AT + WINDOWS.bits)
    pair = np.where(two, first.words(WINDOWS), trimmed.words(WINDOWS))
    word = (pair | later | two.astype(np.int64) << TWO_AT).astype(np.uint32)
    return PathTables(
        word,
        np.where(two, first.ports(), trimmed.ports()),
        np.where(two, second.ports(), trimmed.ports()),
        np.where(two, first.lanes(), trimmed.lanes()),
        np.where(two, second.lanes(), trimmed.lanes()),
        2,
        two,
    )
