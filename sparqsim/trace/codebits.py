"""Bits of a layer's codes: the range that they span, and codes that leave it.

Codes of b bits lie in 0..2^b - 1 (uint8) or in -2^(b - 1)..2^(b - 1) - 1 (int8). A trace stores a
byte for each all the same, so codes of fewer bits are checked whenever they are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.trace.source import TensorSource

Array = NDArray[Any]

#: Bits of a code where a layer does not say otherwise: those of the byte that it is stored in.
ALL_BITS = 8


class CodeOutOfRange(InputError):
    """A code that its bits cannot hold."""


class CodeRange(NamedTuple):
    """The codes that a tensor may hold: from `lowest` to `highest`, of `bits` bits."""

    bits: int
    lowest: int
    highest: int

    @classmethod
    def of(cls, bits: int, *, signed: bool) -> CodeRange:
        """Return the range of codes of `bits` bits."""
        half = 1 << (bits - 1)
        return cls(bits, -half, half - 1) if signed else cls(bits, 0, 2 * half - 1)

    def holds(self, code: int) -> bool:
        """Return whether a code is one of the range."""
        return self.lowest <= code <= self.highest

    def __str__(self) -> str:
        return f"{self.lowest}..{self.highest}, codes of {self.bits} bits"

    def check(self, values: Array, place: str, start: tuple[int, ...] = ()) -> None:
        """Raise CodeOutOfRange naming the first code out of range.

        Parameters
        ----------
        values : uint8 or int8
        place : str
            The tensor, in words that the index follows.
        start : tuple of int
            Where `values` begin in the tensor, along its first axes.
        """
        outside = (values < self.lowest) | (values > self.highest)
        if not outside.any():
            return
        at = np.unravel_index(int(outside.argmax()), values.shape)
        offsets = (*start, *(0,) * (values.ndim - len(start)))
        index = [int(here) + offset for here, offset in zip(at, offsets, strict=True)]
        raise CodeOutOfRange(f"{place}{index} is {values[at]}, expected {self}")


@dataclass(frozen=True)
class CheckedSource(TensorSource):
    """A tensor whose codes are looked at when they are read."""

    codes: CodeRange


def checked(source: TensorSource, bits: int, place: str) -> TensorSource:
    """Return a tensor that raises CodeOutOfRange when codes of more than `bits` bits are read.

    Parameters
    ----------
    source : TensorSource
        Returned as it is where its type holds no other codes, or where they are checked already.
    bits : int
    place : str
        As in `CodeRange.check`.
    """
    if bits == ALL_BITS or source.dtype not in (np.uint8, np.int8):
        return source
    codes = CodeRange.of(bits, signed=source.dtype == np.int8)
    if isinstance(source, CheckedSource) and source.codes == codes:
        return source

    def read(part: tuple[slice, ...]) -> Array:
        values = source.read(part)
        codes.check(values, place, tuple(each.start or 0 for each in part))
        return values

    return CheckedSource(source.shape, source.dtype, read, codes)
