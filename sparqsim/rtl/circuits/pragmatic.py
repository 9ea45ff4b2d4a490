"""Digits of the activations, as far as the first shifters reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array
from sparqsim.pe.digits import digits_of
from sparqsim.pe.pragmatic import Pragmatic
from sparqsim.rtl.circuits.base import Circuit, CircuitFamily, Kind, ScalableCircuit


class PragmaticCircuit(ScalableCircuit):
    """A PE that takes signs, and digits, as the edge makes them."""

    @property
    def has_edge_unit(self) -> bool:
        """Whether signs or digits are found at the edge."""
        return bool(self.naf or self.signed)


class PragmaticCircuits(CircuitFamily):
    """`pragmatic`: signs and signed digits are made at the edge, once for a row."""

    name: ClassVar[str] = "pragmatic"
    expected: ClassVar[str] = "pragmatic"
    design = Pragmatic
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "": (
            "search for the lowest digit of all lanes",
            "shifters of the lanes",
            "adders of the lanes",
            "shifter of the sum",
        ),
        "weights": ("shifters of the lanes", "adders of the lanes", "shifter of the sum"),
    }

    def activation_fields(self, circuit: Circuit) -> tuple[tuple[str, int], ...]:
        """Return the fields of `dot_pragmatic.sv`: digits and signs lane by lane."""
        return ()

    def circuit(self, design: Pragmatic, *, signed: bool) -> PragmaticCircuit:
        """Return the circuit."""
        return PragmaticCircuit(
            Kind.PRAGMATIC,
            design.lanes,
            signed=int(signed),
            naf=int(design.digits == "naf"),
            stage=int(design.stage),
        )

    def increments(self, design: Pragmatic, x: Array, w: Array) -> Iterator[tuple[Array, Array]]:
        """Yield the digits that are spent in each cycle."""
        pending = _digits(x, design)
        while pending.any():
            waiting = pending != 0
            positions = np.arange(waiting.shape[-1])
            lowest = np.where(waiting, positions, len(positions)).min(-1)
            reach = lowest.min(-1, keepdims=True) + 2 ** int(design.stage) - 1
            spends = (positions == lowest[..., None]) & (lowest <= reach)[..., None]
            spent = np.where(spends, pending, 0)
            yield spent.sum(-1), w
            pending = pending - spent


def _digits(x: Array, design: Pragmatic) -> NDArray[np.int64]:
    """Return what each digit of activations is worth, int64 (..., positions)."""
    table = np.zeros((256, 9), np.int64)
    for byte, value in enumerate(np.arange(256, dtype=np.uint8).view(x.dtype).tolist()):
        for position, digit in digits_of(abs(value), design.digits):
            table[byte, position] = (digit if value >= 0 else -digit) << position
    return table[x.view(np.uint8)]
