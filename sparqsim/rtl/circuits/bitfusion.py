"""Multipliers of two bits that fuse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from sparqsim.pe.base import Array
from sparqsim.pe.bitfusion import BRICK_BITS, BitFusion
from sparqsim.rtl.circuits.base import Circuit, CircuitFamily, Kind, ScalableCircuit, Words, packed


class BitFusionCircuits(CircuitFamily):
    """`bitfusion`: one circuit; the layer's bits travel as a mode with the activations."""

    name: ClassVar[str] = "bitfusion"
    expected: ClassVar[str] = "bitfusion"
    design = BitFusion
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "": (
            "choice of the digits by the mode",
            "2-bit multipliers",
            "shifters and adders within groups",
            "shifters and adders between groups",
        )
    }

    def activation_fields(self, circuit: ScalableCircuit) -> tuple[tuple[str, int], ...]:
        """Return the fields of `dot_fusion.sv`."""
        return ("activations", circuit.x_width), ("mode", 4)

    def circuit(self, design: BitFusion, *, signed: bool) -> ScalableCircuit:
        """Return the circuit, whose lanes are digits for its 16 multipliers."""
        return ScalableCircuit(
            Kind.FUSION,
            design.multipliers,
            BRICK_BITS,
            BRICK_BITS,
            signed=int(signed),
            activation_bits=design.facts.activation_bits,
            weight_bits=design.facts.weight_bits,
        )

    def words(self, design: BitFusion, circuit: Circuit, x: Array, w: Array) -> tuple[Words, Words]:
        """Return the operands side by side, each in the bits that it is fused for."""
        activations, weights = design.widths
        return packed(x, activations), packed(w, weights)
