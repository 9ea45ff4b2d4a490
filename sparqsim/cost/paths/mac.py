"""Multipliers of whole operands or of their high nibbles: every operand on its own multiplier."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.cost.paths.base import PORT_BITS, Cycle, DataPath, PathTables, Port, static_lanes
from sparqsim.pe.base import Array
from sparqsim.pe.layout import padded_to
from sparqsim.pe.mac import Mac
from sparqsim.rtl.circuits.mac import STORED_BITS, nibbles_at


class MacPath(DataPath):
    """`mac-*`: what is stored of an operand is what is multiplied."""

    name: ClassVar[str] = "mac"
    design: ClassVar[type[Mac]] = Mac

    def bits(self, design: Mac) -> tuple[int, int]:
        """Return the stored bits of an activation and of a weight."""
        return STORED_BITS[design.name]

    def stored(self, design: Mac, x: int, *, signed: bool) -> int:
        """Return the bits that are stored of an activation."""
        used = design.used_pair(x, 0, signed)[0] >> nibbles_at(design)[0]
        return used & (1 << self.bits(design)[0]) - 1

    def weight(self, design: Mac, w: int) -> int:
        """Return what is stored of a weight."""
        return design.used_pair(0, w, signed=False)[1] >> nibbles_at(design)[1]

    def cycles(self, design: Mac, xs: Sequence[int], *, signed: bool = False) -> list[Cycle]:
        """Return one cycle: each activation on the multiplier of its lane."""
        bits = self.bits(design)[0]
        stored = [self.stored(design, x, signed=signed) for x in xs]
        word = sum(value << (bits * lane) for lane, value in enumerate(stored))
        return [Cycle(word, tuple(Port(value, lane) for lane, value in enumerate(stored)))]

    def codes(self, design: Mac, x: Array) -> Array:
        """Return the stored words: they are their own codes."""
        bits = self.bits(design)[0]
        table = _stored_activations(self, design, x.dtype == np.int8)
        stored = padded_to(np.take(table, x.view(np.uint8)), design.lanes)
        in_steps = stored.reshape(*stored.shape[:-1], -1, design.lanes)
        word = in_steps[..., 0]
        if bits * design.lanes > 8:
            word = word.astype(np.uint16)
        for lane in range(1, design.lanes):
            word = word | in_steps[..., lane].astype(word.dtype) << bits * lane
        return word

    def tables(self, design: Mac) -> PathTables:
        """Cut words into their lanes."""
        bits = self.bits(design)[0]
        word = np.arange(1 << (bits * design.lanes), dtype=np.uint32)
        ports = np.zeros_like(word)
        for lane in range(design.lanes):
            value = word >> np.uint32(bits * lane) & np.uint32((1 << bits) - 1)
            ports |= value << np.uint32(PORT_BITS * lane)
        lanes = np.full(len(word), static_lanes(design.lanes), np.uint8)
        one_cycle = np.zeros(len(word), bool)
        return PathTables(word, ports, ports, lanes, lanes, design.lanes, one_cycle)

    def weights(self, design: Mac, w: Array) -> NDArray[np.int8]:
        """Look the stored weights up."""
        return np.take(_stored_weights(self, design), w.view(np.uint8))

    def weight_bits(self, design: Mac) -> int:
        """Return 8 or 4."""
        return self.bits(design)[1]


@lru_cache(maxsize=64)
def _stored_activations(path: MacPath, design: Mac, signed: bool) -> NDArray[np.uint8]:
    every = np.arange(256, dtype=np.uint8).view(np.int8 if signed else np.uint8).tolist()
    return np.array([path.stored(design, x, signed=signed) for x in every], np.uint8)


@lru_cache(maxsize=64)
def _stored_weights(path: MacPath, design: Mac) -> NDArray[np.int8]:
    every = np.arange(256, dtype=np.uint8).view(np.int8).tolist()
    return np.array([path.weight(design, w) for w in every], np.int8)
