"""The trim-and-round unit: which bits of an 8-bit activation a narrow multiplier sees.

Source: SPARQ (arXiv 2105.11010); the rule is stated in our words and was checked against the
authors' selection function for all 256 values of every mode. A window of n bits may start at the
left shifts S. Chosen is the smallest s in S for which x >> (s + n) == 0. With rounding, the dropped
bits are rounded half to even and the result saturates at 2^n - 1: a carry out of the window never
moves it to the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Rounding = Literal["nearest-even", "trim"]


@dataclass(frozen=True)
class WindowSet:
    """Windows of `bits` bits at the left shifts `shifts`, ascending."""

    bits: int
    shifts: tuple[int, ...]

    @property
    def code_bits(self) -> int:
        """Bits that say which window it is."""
        return (len(self.shifts) - 1).bit_length()

    def select(self, x: int) -> int:
        """Return the left shift of the lowest window that holds the leading one of x."""
        return next(shift for shift in self.shifts if x >> (shift + self.bits) == 0)

    def quantise(self, x: int, rounding: Rounding) -> tuple[int, int]:
        """Return (q, shift): x is used as q << shift, q of `bits` bits."""
        shift = self.select(x)
        if rounding == "trim":
            return x >> shift, shift
        return min(round(x / (1 << shift)), (1 << self.bits) - 1), shift


#: The 8 bits of a lone value, no bit lost.
WHOLE = WindowSet(8, (0,))


@cache
def window_tables(
    windows: WindowSet, rounding: Rounding
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return q and the left shift of all 256 activations: two read-only uint8 (256,) tables."""
    x = np.arange(256, dtype=np.int32)
    shift = np.full(256, windows.shifts[-1], np.int32)
    for candidate in reversed(windows.shifts):
        shift[x >> (candidate + windows.bits) == 0] = candidate
    if rounding == "trim":
        q = x >> shift
    else:
        q = np.minimum(np.rint(x / (1 << shift)).astype(np.int32), (1 << windows.bits) - 1)
    tables = q.astype(np.uint8), shift.astype(np.uint8)
    for table in tables:
        table.flags.writeable = False
    return tables
