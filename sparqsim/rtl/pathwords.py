"""A slow path in words: the register it begins in, the parts of the RTL that it passes, its end.

Synthesis mixes the gates of neighbouring parts, so the parts are those that stand in the RTL
between the two registers, from where the field of the first one enters (`CircuitFamily.parts_of`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sparqsim.rtl.circuits.base import Circuit, CircuitFamily
from sparqsim.rtl.netlist import Netlist
from sparqsim.rtl.sta import Register, SlowestPath

_PLACES = {
    "left": "the PE to the left",
    "upper": "the PE above",
    "here": "the PE",
    "right": "the PE to the right",
    "lower": "the PE below",
}
THERE = "flag that operands are there"
FIRST = "flag of a tile's first step"
#: The register behind the multipliers of a PE of two stages.
PRODUCTS = "products"
#: Roles of registers, by their names in the netlist of a PE.
_ROLES = (
    (r"(?:to_the_right\.register\.data|right)", "activations"),
    (r"(?:to_the_right\.register\.valid|right_valid)", THERE),
    (r"(?:downwards\.register\.data|down)", "weights"),
    (r"(?:pe\.acc|acc|below)", "partial sum"),
    (r"pe\.control\.kept", "state of the step"),
    (r"pe\.restart", FIRST),
    (r"pe\.work", "flag that a step is added"),
    (r"pe\.dot\..*\.(?:product|shift)\d?", PRODUCTS),
)
_NAME = re.compile(r"(.*?)(?:\[(\d+)\])?$")
ACCUMULATING = "adder of the accumulator"


@dataclass(frozen=True)
class _Bit:
    """A bit of a register: the field it belongs to, its number there, and where it stands."""

    field: str
    bit: int | None
    place: str

    def __str__(self) -> str:
        return self.field if self.bit is None else f"{self.field}, bit {self.bit}"


def in_words(
    family: CircuitFamily, circuit: Circuit, netlist: Netlist, path: SlowestPath
) -> dict[str, object]:
    """Return a path's `start`, the parts it goes `through`, and its `end`."""
    if netlist.top == "area_edge":
        start, end = _edge_bit(path.start), _edge_bit(path.end)
        through = family.edge_parts
        return {"start": str(start), "through": list(through), "end": str(end)}
    width = netlist.port_bits["a"]
    start, end = (_bit(family, circuit, width, each) for each in (path.start, path.end))
    return {
        "start": f"{start}, in {_PLACES.get(start.place, 'the controller')}",
        "through": list(_through(family.parts_of(circuit), start, end)),
        "end": f"{end}, in {_neighbour(start.place, end.place)}",
    }


def _neighbour(start: str, end: str) -> str:
    """Return where a path ends as seen from the PE it ends in or goes on to."""
    return _PLACES["here"] if start in {"left", "upper"} else _PLACES[end]


def _bit(family: CircuitFamily, circuit: Circuit, width: int, register: Register) -> _Bit:
    if register.place == "controller":
        return _Bit(f"'{register.name}'", None, register.place)
    name, number = _parts_of_name(register.name)
    role = next((role for pattern, role in _ROLES if re.fullmatch(pattern, name)), name)
    if role != "activations" or number is None:
        return _Bit(role, number, register.place)
    fields = family.activation_fields(circuit) or (("activations", width),)
    for field, bits in (*fields, ("flag of a tile's last step", 1)):
        if number < bits:
            return _Bit(field, number if bits > 1 else None, register.place)
        number -= bits
    return _Bit(FIRST, None, register.place)


def _parts_of_name(name: str) -> tuple[str, int | None]:
    match = _NAME.fullmatch(name)
    stem, number = match.groups() if match else (name, None)
    return stem, None if number is None else int(number)


def _through(parts: Mapping[str, tuple[str, ...]], start: _Bit, end: _Bit) -> tuple[str, ...]:
    of_operands = parts.get(start.field, parts.get("", ()))
    if end.field != "partial sum":
        return {"state of the step": ("next state of the step",), PRODUCTS: of_operands}.get(
            end.field, ()
        )
    if start.field == FIRST:
        return "choice between zero and the sum so far", ACCUMULATING
    if start.field == "partial sum":
        return (ACCUMULATING,) if start.place == end.place else ("drain",)
    if start.place == "controller" or start.field.startswith("flag that"):
        # Whether a step has a second cycle may decide what is multiplied.
        within = parts.get("second cycle", ())
        return (*within, ACCUMULATING) if within else ("enable of the accumulator",)
    return *of_operands, ACCUMULATING


def _edge_bit(register: Register) -> _Bit:
    name, number = _parts_of_name(register.name)
    if register.place == "controller":
        return _Bit(f"'{register.name}' of the controller", None, register.place)
    if register.place.startswith("from_"):
        # from_in_data_7
        *words, bit = register.place.removeprefix("from_").split("_")
        field = {"in_data": "activations", "in_flags": "flags"}.get("_".join(words), words[-1])
        return _Bit(f"{field} in the skew register", int(bit), "edge")
    fields = dict.fromkeys(("out_valid", "lane.registered.full"), THERE)
    return _Bit(fields.get(name, "register behind the unit"), number, "edge")
