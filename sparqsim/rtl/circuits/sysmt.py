"""Two threads that trim on a collision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from sparqsim.pe.sysmt import SySmt2t
from sparqsim.rtl.circuits.base import CircuitFamily, FixedCircuit, Kind


class SySmtCircuits(CircuitFamily):
    """`sysmt-2t`, in the variant that trims activations where both operands are wide."""

    name: ClassVar[str] = "sysmt-2t"
    expected: ClassVar[str] = "sysmt-2t with variant=wA"
    design = SySmt2t
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "": (
            "tests for zero and for 4 bits",
            "multiplexers of the operands",
            "narrow multipliers",
            "shifters",
            "adder of the two products",
        )
    }

    def circuit(self, design: SySmt2t, *, signed: bool) -> FixedCircuit | None:
        """Return the circuit."""
        if design.variant != "wA":
            return None
        return FixedCircuit(Kind.SYSMT, 2, round=int(design.rounding != "trim"))
