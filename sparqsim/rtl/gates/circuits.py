"""The two netlists of a design: its PE with the registers that pass operands on, and what a row has
at the array's edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sparqsim.rtl.circuits.base import Circuit
from sparqsim.rtl.gates.cells import CellLibrary
from sparqsim.rtl.gates.costs import Costs, Operating, costs_of, loads_ff
from sparqsim.rtl.gates.driving import Planes, Widths
from sparqsim.rtl.gates.icarus import Bench, gate_bench, rtl_bench
from sparqsim.rtl.gates.program import Program, program_of
from sparqsim.rtl.gates.wiring import Wiring, read_wiring
from sparqsim.rtl.netlist import netlist
from sparqsim.rtl.synthesis import Library


@dataclass(frozen=True)
class Gates:
    """A netlist, what it does and what that costs."""

    verilog: str
    program: Program
    costs: Costs

    @property
    def wiring(self) -> Wiring:
        """Its nets."""
        return self.program.wiring

    def stimulus(self, planes: Planes) -> NDArray[np.uint64]:
        """Return the inputs in the order of the netlist's ports."""
        ports = [planes[name] for name in self.wiring.inputs if name != "clk"]
        return np.concatenate(ports, axis=1)

    def by_port(self, outputs: NDArray[np.uint64]) -> Planes:
        """Return recorded outputs (cycles, bits) by port."""
        widths = [len(nets) for nets in self.wiring.outputs.values()]
        pieces = np.split(outputs, np.cumsum(widths)[:-1], axis=1)
        return dict(zip(self.wiring.outputs, pieces, strict=True))


@dataclass(frozen=True)
class DesignGates:
    """A design's netlists."""

    circuit: Circuit
    pe: Gates
    edge: Gates
    cells: CellLibrary

    @property
    def widths(self) -> Widths:
        """How wide operands are where they enter."""
        edge, pe = self.edge.wiring.inputs, self.pe.wiring.inputs
        return Widths(len(edge["in_data"]), len(pe["w"]))

    @cached_property
    def benches(self) -> dict[str, Bench]:
        """The netlists and the RTL, compiled by Icarus: `gates pe`, `rtl pe` and the edge's."""
        made: dict[str, Bench] = {}
        for name, gates in (("pe", self.pe), ("edge", self.edge)):
            made[f"gates {name}"] = gate_bench(gates.verilog, gates.wiring, self.cells)
            made[f"rtl {name}"] = rtl_bench(gates.wiring, self.circuit)
        return made


def design_gates(
    circuit: Circuit, library: Library, cells: CellLibrary, flow: str, at: Operating
) -> DesignGates:
    """Synthesise a design's PE and edge unit, and find what their transitions cost.

    An output drives the same input of the next PE (the sum that below it, `right` that on its
    right, and so on), whose pins slow it; they are charged once, where they are.
    """
    texts = {top: netlist(library, flow, top, circuit).verilog for top in ("area_pe", "area_edge")}
    programs = {top: program_of(read_wiring(text), cells) for top, text in texts.items()}
    pins = _input_loads(programs["area_pe"].wiring, cells)
    to_the_right = [*pins["a"], *pins["last"], *pins["first"]]
    beyond = {
        "area_pe": {
            "right": to_the_right,
            "right_valid": pins["valid"],
            "down": pins["w"],
            "below": pins["above"],
        },
        "area_edge": {
            "out_data": pins["a"],
            "out_flags": [*pins["last"], *pins["first"]],
            "out_valid": pins["valid"],
        },
    }
    pe, edge = (
        Gates(text, programs[top], costs_of(programs[top], cells, at, beyond[top]))
        for top, text in texts.items()
    )
    return DesignGates(circuit, pe, edge, cells)


def _input_loads(wiring: Wiring, cells: CellLibrary) -> dict[str, list[float]]:
    loads = loads_ff(wiring, cells)
    return {name: loads[list(nets)].tolist() for name, nets in wiring.inputs.items()}
