"""Gate netlists: a PE or an edge unit as cells of a library, by the script that measures areas."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sparqsim.base.errors import InputError
from sparqsim.rtl.circuits.base import Circuit
from sparqsim.rtl.runner import tool_version
from sparqsim.rtl.synthesis import Library, area_in, synthesised_folder

#: Cells only, no expressions, and no comments that hold paths: equal runs give equal text.
WRITE = "write_verilog -noattr -noexpr netlist.v"
_PORT = re.compile(r"^  (?:input|output) (?:\[(\d+):0\] )?(\w+);$", re.MULTILINE)
_CELL = re.compile(r"^  (\w+) (\w+) \(\n((?:    \.\w+\(.*\),?\n)*)  \);$", re.MULTILINE)
_PIN = re.compile(r"^    \.(\w+)\((.*)\),?$", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """One cell: `kind` as the library calls it, `name`, and the net at each pin."""

    kind: str
    name: str
    pins: Mapping[str, str]


@dataclass(frozen=True)
class Netlist:
    """One flat module of library cells.

    `verilog`: its text. `top`: the module's name. `tool`: the version of Yosys that made it.
    `area`: of its cells, in the library's unit. Nets have the names of the source, with the path to
    where they are (`pe.plain.acc`), as escaped identifiers; nets that synthesis made up are called
    `_123_`.
    """

    verilog: str
    top: str
    tool: str
    area: float

    @property
    def port_bits(self) -> dict[str, int]:
        """Width of every port."""
        return {name: int(high or 0) + 1 for high, name in _PORT.findall(self.verilog)}

    def cells(self) -> Iterator[Cell]:
        """Yield every cell; nets without the signs that escape a name."""
        for kind, name, pins in _CELL.findall(self.verilog):
            nets = {pin: net.replace("\\", "").replace(" ", "") for pin, net in _PIN.findall(pins)}
            yield Cell(kind, name, nets)


def netlist(library: Library, flow: str, top: str, circuit: Circuit) -> Netlist:
    """Synthesise a module to the cells of a library.

    Parameters
    ----------
    library : Library
        With a liberty file.
    flow : str
        One of `synthesis.FLOWS`, whose areas are in the shipped table, or of `FLOWS_FOR_SPEED`.
    top : str
        `area_pe`: one PE and the registers that pass its operands on; `area_edge`: what a row of
        the array has at its edge.
    circuit : Circuit
        Its parameters and what the preprocessor is told.

    Raises
    ------
    InputError
        For the transistor estimate, which has no cells; when Yosys is missing or fails.
    """
    return module_netlist(library, flow, top, circuit.parameters, circuit.defines)


def module_netlist(
    library: Library,
    flow: str,
    top: str,
    parameters: Mapping[str, int],
    defines: Sequence[str] = (),
) -> Netlist:
    """Do the same for any module, with its own parameters."""
    if library.liberty is None:
        raise InputError(f"{library.name}: has no cells; expected a liberty file")
    then = f"{library.statistics()}\n{WRITE}"
    with synthesised_folder(library, flow, top, parameters, defines, then) as folder:
        verilog = (folder / "netlist.v").read_text(encoding="utf-8")
        statistics = (folder / "statistics").read_text()
    # Yosys tells no area of a module of wires alone, which the edge of many designs is.
    area = area_in(statistics, library.name) if _CELL.search(verilog) else 0.0
    return Netlist(verilog, top, tool_version("yosys", "-V"), area)
