"""Gate netlists: a PE or an edge unit as cells of a library, by the script that measures areas."""

from __future__ import annotations

from dataclasses import dataclass

from sparqsim.base.errors import InputError
from sparqsim.rtl.circuits.base import Circuit
from sparqsim.rtl.runner import tool_version
from sparqsim.rtl.synthesis import Library, synthesised_folder

#: Cells only, no expressions, and no comments that hold paths: equal runs give equal text.
WRITE = "write_verilog -noattr -noexpr netlist.v"


@dataclass(frozen=True)
class Netlist:
    """One flat module of library cells.

    `verilog`: its text. `top`: the module's name. `tool`: the version of Yosys that made it. Nets
    have the names of the source, with the path to where they are (`pe.plain.acc`), as escaped
    identifiers; nets that synthesis made up are called `_123_`.
    """

    verilog: str
    top: str
    tool: str


def netlist(library: Library, flow: str, top: str, circuit: Circuit) -> Netlist:
    """Synthesise a module to the cells of a library.

    Parameters
    ----------
    library : Library
        With a liberty file.
    flow : str
        One of `synthesis.FLOWS`; areas of all of them are in the shipped table.
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
    if library.liberty is None:
        raise InputError(f"{library.name}: has no cells; expected a liberty file")
    parameters, defines = circuit.parameters, circuit.defines
    with synthesised_folder(library, flow, top, parameters, defines, WRITE) as folder:
        verilog = (folder / "netlist.v").read_text(encoding="utf-8")
    return Netlist(verilog, top, tool_version("yosys", "-V"))
