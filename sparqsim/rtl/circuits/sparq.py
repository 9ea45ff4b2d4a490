"""Two narrow multipliers behind a trim unit, exact in a second cycle or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from sparqsim.base.errors import InputError
from sparqsim.pe.base import Array, PEDesign
from sparqsim.pe.sparq import Sparq
from sparqsim.pe.sparq_exact import SparqExact
from sparqsim.pe.windows import WindowSet
from sparqsim.rtl.circuits.base import CircuitFamily, FixedCircuit, Kind, StagedCircuit

MULTIPLYING = ("narrow multipliers", "shifters", "adder of the two products")
CHOOSING = ("comparison of the shifts", "multiplexers of the weights")
#: From codes and weights by way of the multiplexers; windows meet their weights behind them.
PARTS = {
    "": (*CHOOSING, *MULTIPLYING),
    "weights": (CHOOSING[-1], *MULTIPLYING),
    "flag of a lone value": (CHOOSING[-1], *MULTIPLYING),
    "windows": MULTIPLYING,
}
#: What `sparq-exact` has before that.
HALVES = "choice of the cycle's windows"
TRIMMING = ("search for the leading one", "windows", "rounding", "choice of two values or one")


class SparqCircuits(CircuitFamily):
    """`sparq-*opt`."""

    name: ClassVar[str] = "sparq"
    expected: ClassVar[str] = "sparq-*opt"
    design = Sparq
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = PARTS
    edge_parts: ClassVar[tuple[str, ...]] = TRIMMING

    def activation_fields(self, circuit: FixedCircuit) -> tuple[tuple[str, int], ...]:
        """Return the fields of `trim_unit.sv`."""
        return _pair_fields(circuit)

    def parts_of(self, circuit: FixedCircuit) -> Mapping[str, tuple[str, ...]]:
        """Return what operands pass: with two stages, shifters and adder follow the products."""
        if not isinstance(circuit, StagedCircuit):
            return self.parts
        behind = len(MULTIPLYING) - 1
        fields = {field: parts[:-behind] for field, parts in self.parts.items()}
        return {**fields, "products": MULTIPLYING[-behind:]}

    def circuit(self, design: Sparq, *, signed: bool) -> FixedCircuit:
        """Return the circuit. Raises InputError for signed activations."""
        refuse_signed(design, signed)
        kind = StagedCircuit if design.stage_cycles else FixedCircuit
        return kind(
            Kind.SPARQ,
            2,
            **windows_of(design.windows_of_pair),
            lone_places=len(design.windows_of_lone.shifts),
            round=int(design.rounding != "trim"),
            pairing=int(design.pairing == "on"),
        )

    def kept_needs(self, design: Sparq) -> str:
        """Return what passes over the bits of lone activations need."""
        if design.windows_of_pair.bits == 4:
            return ""  # a zero beside each activation makes it lone
        return "a mask of the activations' bits before each trim unit, one for every pass"


class SparqExactCircuits(CircuitFamily):
    """`sparq-exact`."""

    name: ClassVar[str] = "sparq-exact"
    expected: ClassVar[str] = "sparq-exact"
    design = SparqExact
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **{field: (HALVES, *parts) for field, parts in PARTS.items()},
        "weights": PARTS["weights"],
        "second pair of windows": (HALVES, *MULTIPLYING),
        "second cycle": (HALVES, *PARTS[""]),
    }
    edge_parts: ClassVar[tuple[str, ...]] = TRIMMING

    def activation_fields(self, circuit: FixedCircuit) -> tuple[tuple[str, int], ...]:
        """Return the fields of `exact_unit.sv`."""
        later = ("second pair of windows", 2 * circuit.bits)
        return (*_pair_fields(circuit), later, ("flag of two cycles", 1))

    def circuit(self, design: SparqExact, *, signed: bool) -> FixedCircuit:
        """Return the circuit. Raises InputError for signed activations."""
        refuse_signed(design, signed)
        return FixedCircuit(Kind.EXACT, 2, **windows_of(design.windows_of_pair))

    def increments(self, design: Any, x: Array, w: Array) -> Iterator[tuple[Array, Array]]:
        """Yield both lanes, or lane 0 and then lane 1 in a step of two cycles."""
        two = design.step_cycles(x) == 2
        first = np.where(two & (np.arange(2) == 1), 0, x)
        yield first, w
        yield x - first, w


def refuse_signed(design: PEDesign, signed: bool) -> None:
    """Raise InputError for signed activations."""
    if signed:
        raise InputError(
            f"{design.spec}: the RTL takes unsigned activations only, signs beside "
            "magnitudes have none"
        )


def _pair_fields(circuit: FixedCircuit) -> tuple[tuple[str, int], ...]:
    return (
        ("windows", 2 * circuit.bits),
        ("shift codes", 2 * circuit.code),
        ("flag of a lone value", 1),
    )


def windows_of(windows: WindowSet) -> dict[str, int]:
    """Return a window set as equally spaced places and the bits of the code that names one."""
    stride = windows.shifts[1] - windows.shifts[0]
    places = len(windows.shifts)
    return {
        "bits": windows.bits,
        "stride": stride,
        "places": places,
        "code": (places - 1).bit_length(),
    }
