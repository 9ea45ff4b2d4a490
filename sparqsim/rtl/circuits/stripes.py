"""Bits of one operand, or of both, one after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np

from sparqsim.pe.base import Array
from sparqsim.pe.stripes import Loom, Stripes
from sparqsim.rtl.circuits.base import CircuitFamily, Kind, ScalableCircuit


class StripesCircuits(CircuitFamily):
    """`stripes`: how many bits a step has travels with its activations."""

    name: ClassVar[str] = "stripes"
    expected: ClassVar[str] = "stripes"
    design = Stripes
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "": ("choice of the bit of each lane", "adders of the lanes", "shifter of the sum"),
        "weights": ("gates of the lanes", "adders of the lanes", "shifter of the sum"),
        "last position": ("comparison of positions", "sign of the sum", "shifter of the sum"),
    }

    def activation_fields(self, circuit: ScalableCircuit) -> tuple[tuple[str, int], ...]:
        """Return the fields of `dot_stripes.sv`."""
        return ("activations", circuit.x_width), ("last position", 3)

    def circuit(self, design: Stripes, *, signed: bool) -> ScalableCircuit:
        """Return the circuit."""
        return ScalableCircuit(
            Kind.STRIPES,
            design.lanes,
            signed=int(signed),
            activation_bits=design.facts.activation_bits,
            dynamic=int(design.precision == "dynamic"),
        )

    def increments(self, design: Stripes, x: Array, w: Array) -> Iterator[tuple[Array, Array]]:
        """Yield the planes of the activations; a step ends behind its own highest."""
        bits = np.full((1, 1), design.facts.activation_bits)
        if design.precision == "dynamic":
            bits = design.step_cycles(x)
        for position in range(design.facts.activation_bits):
            yield bit_plane(x, position, bits, signed=x.dtype == np.int8), w


class LoomCircuits(CircuitFamily):
    """`loom`: the bits of both operands travel with the activations."""

    name: ClassVar[str] = "loom"
    expected: ClassVar[str] = "loom"
    design = Loom
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "": ("choice of both bits of each lane", "counter of the lanes", "shifter of the count"),
        "last positions": ("comparison of positions", "sign of the count", "shifter of the count"),
    }

    def activation_fields(self, circuit: ScalableCircuit) -> tuple[tuple[str, int], ...]:
        """Return the fields of `dot_loom.sv`."""
        return ("activations", circuit.x_width), ("last positions", 6)

    def circuit(self, design: Loom, *, signed: bool) -> ScalableCircuit:
        """Return the circuit."""
        return ScalableCircuit(
            Kind.LOOM,
            design.lanes,
            signed=int(signed),
            activation_bits=design.facts.activation_bits,
            weight_bits=design.facts.weight_bits,
        )

    def increments(self, design: Loom, x: Array, w: Array) -> Iterator[tuple[Array, Array]]:
        """Yield every plane of the activations with every plane of the weights."""
        bits, weight_bits = design.facts.activation_bits, design.facts.weight_bits
        for position in range(bits):
            plane = bit_plane(x, position, bits, signed=x.dtype == np.int8)
            for other in range(weight_bits):
                yield plane, bit_plane(w, other, weight_bits, signed=True)


def bit_plane(values: Array, position: int, bits: Array | int, *, signed: bool) -> Array:
    """Return what the bits at one position are worth, int64 of the shape of `values`.

    Parameters
    ----------
    values : uint8 or int8
    position : int
    bits : int or integers
        Of the values, which have none beyond them; the highest counts negative if `signed`.
    """
    ones = (values.astype(np.int64) >> position & 1) << position
    highest = np.equal(position + 1, bits)
    return np.where(np.less_equal(bits, position), 0, np.where(highest & signed, -ones, ones))
