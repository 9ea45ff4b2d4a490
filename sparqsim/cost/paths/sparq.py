"""Two narrow multipliers behind a trim unit; a lone value meets its own weight on both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.cost.paths.base import PORT_BITS, Cycle, DataPath, PathTables, Port, static_lanes
from sparqsim.pe.base import Array
from sparqsim.pe.sparq import Sparq, pair_codes
from sparqsim.pe.sparq_lone import LonePass
from sparqsim.pe.sparq_parts import PairControl, magnitudes, split
from sparqsim.pe.windows import WindowSet, window_tables

Integers = NDArray[np.int64]


class SparqPath(DataPath):
    """`sparq-*opt`: {mux, code 2, code 1, q2, q1}."""

    name: ClassVar[str] = "sparq"
    design = Sparq
    edge_unit: ClassVar[bool] = True

    def cycles(self, design: Sparq, xs: Sequence[int], *, signed: bool = False) -> list[Cycle]:
        """Return one cycle: what the trim unit makes of the pair, of int8 ones of magnitudes."""
        x1, x2 = map(abs, xs)
        return [cycle_of(design.trim_unit(x1, x2), design.windows_of_pair)]

    def codes(self, design: Sparq, x: Array) -> NDArray[np.uint16]:
        """Return x1 + 256 * x2 of every pair."""
        return pair_codes(magnitudes(x))

    def tables(self, design: Sparq) -> PathTables:
        """Return the trim unit for all pairs."""
        return _pair_tables(design)


class LonePath(DataPath):
    """`sparq-*opt` on layers that stay at 8 bits: both multipliers take one activation's halves."""

    name: ClassVar[str] = "sparq-lone"
    design = LonePass
    edge_unit: ClassVar[bool] = True

    def cycles(self, design: LonePass, xs: Sequence[int], *, signed: bool = False) -> list[Cycle]:
        """Return one cycle: the halves of the magnitude's window, as a lone value's."""
        windows = _windows(design)
        taken = self.raw_word(design, xs)
        return [cycle_of(split(taken, design.shift, 0, design.bits), windows)]

    def raw_word(self, design: LonePass, xs: Sequence[int]) -> int:
        """Return the bits of the pass."""
        return (abs(xs[0]) & (1 << design.end) - 1) >> design.shift

    def codes(self, design: LonePass, x: Array) -> NDArray[np.uint8]:
        """Return the bits of the pass of every activation."""
        return (magnitudes(x) & np.uint8((1 << design.end) - 1)) >> np.uint8(design.shift)

    def tables(self, design: LonePass) -> PathTables:
        """Return `cycles` of 256 activations."""
        return _lone_tables(design)


def _windows(design: LonePass) -> WindowSet:
    windows: WindowSet = design.design.windows_of_pair  # type: ignore[attr-defined]
    return windows


def shift_codes(windows: WindowSet) -> tuple[int, int]:
    """Return what a shift is divided by in its code, and the bits of the code."""
    stride = windows.shifts[1] - windows.shifts[0]
    return stride, (len(windows.shifts) - 1).bit_length()


def cycle_of(control: PairControl, windows: WindowSet) -> Cycle:
    """Return what a PE does with what the trim unit sends."""
    bits, (stride, code_bits) = windows.bits, shift_codes(windows)
    fields = (
        (control.q1, bits),
        (control.q2, bits),
        (control.shift1 // stride, code_bits),
        (control.shift2 // stride, code_bits),
        (int(control.lone), 1),
    )
    word = place = 0
    for value, width in fields:
        word |= value << place
        place += width
    lanes = (0, 1)
    if control.lone:
        lanes = (0, 0) if control.shift1 > control.shift2 else (1, 1)
    return Cycle(word, (Port(control.q1, lanes[0]), Port(control.q2, lanes[1])))


@dataclass(frozen=True)
class Controls:
    """`PairControl` of many pairs: int64 arrays."""

    q1: Integers
    shift1: Integers
    q2: Integers
    shift2: Integers
    lone: NDArray[np.bool_]

    @classmethod
    def of_pairs(cls, design: Sparq, x1: Integers, x2: Integers) -> Controls:
        """Return what the trim unit makes of pairs."""
        q, shift = _quantised(design.windows_of_pair, design)
        wide, at = _quantised(design.windows_of_lone, design)
        lone = ((x1 == 0) != (x2 == 0)) & (design.pairing == "on")
        of_lone = cls.of_lone(wide[x1 | x2], at[x1 | x2], x2 == 0, design.windows_of_pair.bits)
        return cls(
            np.where(lone, of_lone.q1, q[x1]),
            np.where(lone, of_lone.shift1, shift[x1]),
            np.where(lone, of_lone.q2, q[x2]),
            np.where(lone, of_lone.shift2, shift[x2]),
            lone,
        )

    @classmethod
    def of_lone(
        cls, taken: Integers, shift: Integers, first: NDArray[np.bool_], bits: int
    ) -> Controls:
        """Return the halves of lone values' windows; `first`: whether it is the pair's first."""
        high, low = taken >> bits, taken & ((1 << bits) - 1)
        return cls(
            np.where(first, high, low),
            np.where(first, shift + bits, shift),
            np.where(first, low, high),
            np.where(first, shift, shift + bits),
            np.ones(len(taken), bool),
        )

    def words(self, windows: WindowSet) -> NDArray[np.uint32]:
        """Return {mux, code 2, code 1, q2, q1}."""
        bits, (stride, code_bits) = windows.bits, shift_codes(windows)
        codes = self.shift1 // stride | self.shift2 // stride << code_bits
        mux = self.lone.astype(np.int64) << 2 * code_bits
        return (self.q1 | self.q2 << bits | (codes | mux) << 2 * bits).astype(np.uint32)

    def ports(self) -> NDArray[np.uint32]:
        """Return both multipliers' activations, as `PathTables` packs them."""
        return (self.q1 | self.q2 << PORT_BITS).astype(np.uint32)

    def lanes(self) -> NDArray[np.uint8]:
        """Return the lanes of both multipliers' weights, as `PathTables` packs them."""
        own = static_lanes(2)
        of_lone = np.where(self.shift1 > self.shift2, 0, static_lanes(2) | 1)
        return np.where(self.lone, of_lone, own).astype(np.uint8)


def _quantised(windows: WindowSet, design: Sparq) -> tuple[Integers, Integers]:
    q, shift = window_tables(windows, design.rounding)
    return q.astype(np.int64), shift.astype(np.int64)


def one_cycle_tables(controls: Controls, windows: WindowSet) -> PathTables:
    """Return the tables of steps that take one cycle each."""
    ports, lanes = controls.ports(), controls.lanes()
    two = np.zeros(len(ports), bool)
    return PathTables(controls.words(windows), ports, ports, lanes, lanes, 2, two)


@lru_cache(maxsize=16)
def _pair_tables(design: Sparq) -> PathTables:
    x2, x1 = np.divmod(np.arange(65_536), 256)
    return one_cycle_tables(Controls.of_pairs(design, x1, x2), design.windows_of_pair)


@lru_cache(maxsize=16)
def _lone_tables(design: LonePass) -> PathTables:
    taken = np.arange(1 << (design.end - design.shift))
    first, shift = np.ones(len(taken), bool), np.full(len(taken), design.shift)
    return one_cycle_tables(Controls.of_lone(taken, shift, first, design.bits), _windows(design))
