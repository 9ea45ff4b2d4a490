"""Cells of liberty libraries: pins, functions, registers, capacitances, energies and leakage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sparqsim.base.errors import InputError
from sparqsim.rtl.gates.functions import Function, parse_function
from sparqsim.rtl.gates.liberty import Group, read_liberty
from sparqsim.rtl.gates.tables import ZERO, EnergyTable, Units, energy_table

PREFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3}


@dataclass(frozen=True)
class Power:
    """Internal energy of a pin's transitions.

    `when`: the state of the cell in which they cost this; None: in any.
    """

    when: Function | None
    rise: EnergyTable
    fall: EnergyTable


@dataclass(frozen=True)
class Pin:
    """A pin. `function`: of an output, of the cell's inputs or of its register's states."""

    name: str
    output: bool
    capacitance_ff: float
    function: Function | None
    powers: tuple[Power, ...]


@dataclass(frozen=True)
class Register:
    """A flip-flop: `state` and its inverse `inverse` in functions of outputs, taken at the rising
    edge of the pin `clock`.
    """

    state: str
    inverse: str
    next_state: Function
    clock: str


@dataclass(frozen=True)
class Cell:
    """A cell. `unusable`: why it cannot be simulated here; empty for those that can."""

    name: str
    pins: Mapping[str, Pin]
    register: Register | None
    leakage_nw: float
    unusable: str


@dataclass(frozen=True)
class CellLibrary:
    """Cells of one or several files that belong together.

    `names`: of the libraries. `corner`: process, voltage and temperature as they say.
    """

    names: tuple[str, ...]
    corner: str
    voltage_v: float
    cells: Mapping[str, Cell]

    def cell(self, name: str) -> Cell:
        """Return a cell. Raises InputError for one that is not there or cannot be simulated."""
        cell = self.cells.get(name)
        if cell is None:
            raise InputError(f"{', '.join(self.names)}: has no cell {name!r} that a netlist uses")
        if cell.unusable:
            raise InputError(
                f"{', '.join(self.names)}: cell {name!r} {cell.unusable}; expected gates and "
                "flip-flops of a rising edge"
            )
        return cell


def load_cells(paths: Iterable[Path]) -> CellLibrary:
    """Read liberty files; those of one library that is cut in several are read together.

    Raises
    ------
    InputError
        For files that are none, or of different voltages.
    """
    groups = [(read_liberty(path), str(path)) for path in paths]
    voltages = {_voltage(group, source) for group, source in groups}
    if len(voltages) != 1:
        raise InputError(
            f"{', '.join(source for _, source in groups)}: are for {sorted(voltages)} V; expected "
            "files of one voltage"
        )
    cells = {cell.name: cell for group, source in groups for cell in _cells(group, source)}
    corners = dict.fromkeys(_corner(group) for group, _ in groups)
    names = tuple(group.name for group, _ in groups)
    return CellLibrary(names, "; ".join(corners), voltages.pop(), cells)


def _units(library: Group, source: str) -> Units:
    size, unit = library.lists.get("capacitive_load_unit", ("1", "pf"))
    return Units(
        float(size) * _quantity(f"1{unit}", "f", source) / 1e-15,
        _quantity(library.values.get("time_unit", "1ns"), "s", source) / 1e-9,
        _quantity(library.values.get("leakage_power_unit", "1nW"), "W", source) / 1e-9,
        _quantity(library.values.get("voltage_unit", "1V"), "V", source),
    )


def _quantity(text: str, unit: str, source: str) -> float:
    """Return "10ps" in s."""
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    prefix = text[len(digits) :].lower().removesuffix(unit.lower())
    if not digits.strip() or prefix not in ("", *PREFIXES):
        raise InputError(f"{source}: has the unit {text!r}; expected one such as '1p{unit}'")
    return float(digits) * PREFIXES.get(prefix, 1.0)


def _voltage(library: Group, source: str) -> float:
    named = library.values.get("default_operating_conditions")
    for conditions in library.of_kind("operating_conditions"):
        if conditions.name == named and "voltage" in conditions.values:
            return float(conditions.values["voltage"])
    if "nom_voltage" not in library.values:
        raise InputError(f"{source}: has no voltage; expected 'nom_voltage'")
    return float(library.values["nom_voltage"])


def _corner(library: Group) -> str:
    named = library.values.get("default_operating_conditions", "")
    temperature = library.values.get("nom_temperature", "?")
    for conditions in library.of_kind("operating_conditions"):
        if conditions.name == named:
            temperature = conditions.values.get("temperature", temperature)
    return f"{named or 'nominal'}, {float(temperature):g} C" if temperature != "?" else named


def _cells(library: Group, source: str) -> Iterator[Cell]:
    units = _units(library, source)
    templates = {
        group.name: group
        for kind in ("power_lut_template", "lu_table_template")
        for group in library.of_kind(kind)
    }
    for group in library.of_kind("cell"):
        yield _cell(group, templates, units, f"{source}: cell {group.name!r}")


def _cell(group: Group, templates: Mapping[str, Group], units: Units, where: str) -> Cell:
    supply = {pin.name for pin in group.of_kind("pg_pin") if _is_supply(pin)}
    pins = {}
    for pin_group in group.of_kind("pin"):
        for name in pin_group.arguments:
            pins[name] = _pin(name, pin_group, templates, units, supply, f"{where} pin {name!r}")
    unusable = _why_unusable(group, pins)
    register = None
    for flip_flop in group.of_kind("ff"):
        register = None if unusable else _register(flip_flop, where)
    return Cell(group.name, pins, register, _leakage(group, supply) * units.leakage_nw, unusable)


def _is_supply(pin: Group) -> bool:
    return pin.values.get("pg_type") == "primary_power"


def _pin(
    name: str,
    group: Group,
    templates: Mapping[str, Group],
    units: Units,
    supply: set[str],
    where: str,
) -> Pin:
    powers = tuple(
        Power(
            _when(power, where),
            *(_table_in(power, kind, templates, units, where) for kind in ("rise", "fall")),
        )
        for power in group.of_kind("internal_power")
        if _from_supply(power, supply)
    )
    function = group.values.get("function")
    output = group.values.get("direction") == "output"
    parsed = None if function is None else parse_function(function, where)
    return Pin(name, output, _capacitance(group) * units.capacitance_ff, parsed, powers)


def _from_supply(power: Group, supply: set[str]) -> bool:
    """Return whether energy is that of the supply: what leaves through the ground is the same."""
    pin = power.values.get("related_pg_pin")
    return pin is None or not supply or pin in supply


def _when(power: Group, where: str) -> Function | None:
    text = power.values.get("when")
    return None if text is None else parse_function(text, where)


def _table_in(
    power: Group, kind: str, templates: Mapping[str, Group], units: Units, where: str
) -> EnergyTable:
    for name in (f"{kind}_power", "power"):
        for group in power.of_kind(name):
            return energy_table(group, templates, units, f"{where} {name}")
    return ZERO


def _capacitance(group: Group) -> float:
    if "capacitance" in group.values:
        return float(group.values["capacitance"])
    both = [float(group.values.get(f"{edge}_capacitance", 0)) for edge in ("rise", "fall")]
    return sum(both) / 2


def _why_unusable(group: Group, pins: Mapping[str, Pin]) -> str:
    for kind in ("latch", "statetable", "ff_bank", "latch_bank", "bus", "bundle"):
        if next(group.of_kind(kind), None) is not None:
            return f"has a {kind!r}"
    for flip_flop in group.of_kind("ff"):
        if "clear" in flip_flop.values or "preset" in flip_flop.values:
            return "has an asynchronous clear or preset"
        if not flip_flop.values.get("clocked_on", "").strip("() ").isidentifier():
            return "is not clocked by a rising edge"
    if any("three_state" in pin.values for pin in group.of_kind("pin")):
        return "has three states"
    if any(pin.output and pin.function is None for pin in pins.values()):
        return "has an output without a function"
    return ""


def _register(group: Group, where: str) -> Register:
    state, inverse = group.arguments
    return Register(
        state,
        inverse,
        parse_function(group.values["next_state"], where),
        group.values["clocked_on"].strip("() "),
    )


def _leakage(group: Group, supply: set[str]) -> float:
    """Return what a cell leaks: as it says, else on average over its states."""
    stated = [state for state in group.of_kind("leakage_power") if _from_supply(state, supply)]
    without_state = [state for state in stated if "when" not in state.values]
    if "cell_leakage_power" in group.values:
        return float(group.values["cell_leakage_power"])
    chosen = without_state or stated
    return sum(float(state.values["value"]) for state in chosen) / max(len(chosen), 1)
