"""Two narrow multipliers behind a trim unit, exact in a second cycle or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from sparqsim.base.errors import InputError
from sparqsim.pe.base import Array, PEDesign
from sparqsim.pe.sparq import Sparq
from sparqsim.pe.sparq_exact import SparqExact
from sparqsim.pe.windows import WindowSet
from sparqsim.rtl.circuits.base import CircuitFamily, FixedCircuit, Kind


class SparqCircuits(CircuitFamily):
    """`sparq-*opt`."""

    name: ClassVar[str] = "sparq"
    expected: ClassVar[str] = "sparq-*opt"
    design = Sparq

    def circuit(self, design: Sparq, *, signed: bool) -> FixedCircuit:
        """Return the circuit. Raises InputError for signed activations."""
        _refuse_signed(design, signed)
        return FixedCircuit(
            Kind.SPARQ,
            2,
            **_windows(design.windows_of_pair),
            lone_places=len(design.windows_of_lone.shifts),
            round=int(design.rounding != "trim"),
            pairing=int(design.pairing == "on"),
        )


class SparqExactCircuits(CircuitFamily):
    """`sparq-exact`."""

    name: ClassVar[str] = "sparq-exact"
    expected: ClassVar[str] = "sparq-exact"
    design = SparqExact

    def circuit(self, design: SparqExact, *, signed: bool) -> FixedCircuit:
        """Return the circuit. Raises InputError for signed activations."""
        _refuse_signed(design, signed)
        return FixedCircuit(Kind.EXACT, 2, **_windows(design.windows_of_pair))

    def increments(self, design: Any, x: Array, w: Array) -> Iterator[tuple[Array, Array]]:
        """Yield both lanes, or lane 0 and then lane 1 in a step of two cycles."""
        two = design.step_cycles(x) == 2
        first = np.where(two & (np.arange(2) == 1), 0, x)
        yield first, w
        yield x - first, w


def _refuse_signed(design: PEDesign, signed: bool) -> None:
    if signed:
        raise InputError(
            f"{design.spec}: the RTL takes unsigned activations only, signs beside "
            "magnitudes have none"
        )


def _windows(windows: WindowSet) -> dict[str, int]:
    """Return a window set as equally spaced places and the bits of the code that names one."""
    stride = windows.shifts[1] - windows.shifts[0]
    places = len(windows.shifts)
    return {
        "bits": windows.bits,
        "stride": stride,
        "places": places,
        "code": (places - 1).bit_length(),
    }
