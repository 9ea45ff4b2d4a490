"""Which circuit of `sv/` a PE design is, found by its class in the files of `circuits/`; which
designs are in the tables of areas and periods.
"""

from __future__ import annotations

from functools import cache

from sparqsim.base.errors import InputError
from sparqsim.base.plugins import shipped_classes
from sparqsim.pe.base import PEDesign
from sparqsim.pe.registry import get_pe
from sparqsim.rtl.circuits.base import Circuit, CircuitFamily

#: Measured with their default keys.
DESIGNS = (
    "mac-8b8b",
    "mac-2x8b8b",
    "mac-4b8b",
    "mac-4b4b",
    "sparq-5opt",
    "sparq-3opt",
    "sparq-2opt",
    "sparq-6opt",
    "sparq-7opt",
    "sparq-exact",
    "sysmt-2t",
    "stripes",
    "pragmatic",
    "loom",
    "bitfusion",
    "swis",
    "olive-4b",
    "stc-sparq-5opt",
)
#: Measured beside them: those that can have a register behind their multipliers, with it.
STAGED_DESIGNS = tuple(f"{name}:stages=2" for name in DESIGNS if hasattr(get_pe(name), "stages"))
#: What the tables of areas and periods have.
MEASURED_DESIGNS = (*DESIGNS, *STAGED_DESIGNS)
#: Why designs of this package have no circuit, where there is more to say.
REASONS = {
    "laconic": "a step's cycles follow pairs of digits, of both operands of every lane",
    "serial-w": "it is stripes with its operands exchanged",
}


def circuit_of(design: PEDesign, signed: bool = False) -> Circuit:
    """Return the circuit of a design, bound to its layer; `signed` for int8 activations.

    Raises
    ------
    InputError
        For a design that has no RTL here, or int8 activations given to one that takes only uint8.
    """
    design.check_signedness(signed)
    circuit = family_of(design).circuit(design, signed=signed)
    if circuit is None:
        raise _without_rtl(design)
    return circuit


def family_of(design: PEDesign) -> CircuitFamily:
    """Return the circuits of a design's class, or of the nearest that it derives from.

    Raises InputError where there are none.
    """
    for each in type(design).__mro__:
        if each in families():
            return families()[each]
    raise _without_rtl(design)


def measured_as(design: PEDesign) -> str:
    """Return the spec under which a design's circuit is measured: of its keys only those that make
    another RTL.
    """
    return f"{design.name}:stages={1 + design.stage_cycles}" if design.stage_cycles else design.name


@cache
def families() -> dict[type, CircuitFamily]:
    """Return all families of circuits, by the class of their designs."""
    classes = shipped_classes("sparqsim.rtl.circuits", CircuitFamily)
    return {each.design: each() for each in classes}


def _without_rtl(design: PEDesign) -> InputError:
    reason = f" ({REASONS[design.name]})" if design.name in REASONS else ""
    expected = ", ".join(sorted(family.expected for family in families().values()))
    return InputError(f"{design.spec}: has no RTL{reason}; expected one of {expected}")
