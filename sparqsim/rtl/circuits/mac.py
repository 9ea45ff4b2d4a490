"""Multipliers of whole operands or of their high nibbles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from sparqsim.pe.base import Array
from sparqsim.pe.mac import Mac
from sparqsim.rtl.circuits.base import (
    Circuit,
    CircuitFamily,
    FixedCircuit,
    Kind,
    StagedCircuit,
    Words,
    packed,
)

#: Bits of an activation and of a weight as they are stored.
STORED_BITS = {
    "mac-8b8b": (8, 8),
    "mac-2x8b8b": (8, 8),
    "mac-4b8b": (4, 8),
    "mac-4b4b": (4, 4),
}


class MacCircuits(CircuitFamily):
    """`mac-*`."""

    name: ClassVar[str] = "mac"
    expected: ClassVar[str] = "mac-*"
    design = Mac

    def parts_of(self, circuit: Circuit) -> Mapping[str, tuple[str, ...]]:
        """Return what operands pass: adders where there are several lanes."""
        adders = ("adders of the lanes",) if circuit.lanes > 1 else ()
        if isinstance(circuit, StagedCircuit):
            return {"": ("multiplier",), "products": adders}
        return {"": ("multiplier", *adders)}

    def circuit(self, design: Mac, *, signed: bool) -> Circuit | None:
        """Return the circuit; sums of nibbles are scaled where they leave."""
        if design.name not in STORED_BITS:
            return None
        xbits, wbits = STORED_BITS[design.name]
        scale = sum(nibbles_at(design))
        kind = StagedCircuit if design.stage_cycles else FixedCircuit
        return kind(Kind.MAC, design.lanes, xbits, wbits, int(signed), scale)

    def kept_needs(self, design: Mac) -> str:
        """Return what passes over the low nibbles of weights need."""
        if design.weight_bits == 8:
            return ""
        return "low nibbles of weights are unsigned: a fifth bit for each multiplier's weight"

    def words(self, design: Mac, circuit: Circuit, x: Array, w: Array) -> tuple[Words, Words]:
        """Return the operands, of designs that store nibbles their nibbles."""
        if circuit.xbits == circuit.wbits == 8:
            return super().words(design, circuit, x, w)
        signed = x.dtype == np.int8
        every_byte = np.arange(256).astype(np.uint8)
        used_x = np.array(
            [design.used_pair(value, 0, signed)[0] for value in every_byte.view(x.dtype).tolist()]
        )
        used_w = np.array(
            [design.used_pair(0, value, signed)[1] for value in every_byte.view(np.int8).tolist()]
        )
        x_at, w_at = nibbles_at(design)
        return (
            packed(used_x[x.view(np.uint8)] >> x_at, circuit.xbits),
            packed(used_w[w.view(np.uint8)] >> w_at, circuit.wbits),
        )


def nibbles_at(design: Mac) -> tuple[int, int]:
    """Return the lowest bits of the nibbles that are stored of activations and of weights; 0 where
    operands are stored whole.
    """
    return getattr(design, "activation_at", 0), getattr(design, "weight_at", 0)
