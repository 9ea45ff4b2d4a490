"""Passes over the nibbles of operands of layers that stay at 8 bits."""

from __future__ import annotations

from typing import ClassVar

from sparqsim.cost.paths.mac import MacPath
from sparqsim.pe.mac import NIBBLE_BITS, Mac, MacPass, Part, part_of
from sparqsim.rtl.circuits.mac import STORED_BITS


class MacPassPath(MacPath):
    """A pass of `mac-4b8b` or `mac-4b4b`: the nibbles lie where those of other layers do."""

    name: ClassVar[str] = "mac-pass"
    design: ClassVar[type[Mac]] = MacPass

    def bits(self, design: MacPass) -> tuple[int, int]:  # type: ignore[override]
        """Return the stored bits of the design whose pass it is."""
        return STORED_BITS[design.name]

    def stored(self, design: MacPass, x: int, *, signed: bool) -> int:  # type: ignore[override]
        """Return the nibble of an activation, or the activation."""
        return _nibble(x, design.of_x) & (1 << self.bits(design)[0]) - 1

    def weight(self, design: MacPass, w: int) -> int:  # type: ignore[override]
        """Return the nibble of a weight, or the weight."""
        return _nibble(w, design.of_w)


def _nibble(value: int, part: Part) -> int:
    taken = part_of(value, part)
    return taken >> NIBBLE_BITS if part == "high" else taken
