"""Shortest clock periods from OpenSTA: the slowest path from register to register.

No wires, an ideal clock without skew or slew, one corner: the times of gates at the loads that
their netlist gives them, by the library's tables.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparqsim.base.errors import InputError
from sparqsim.rtl.liberty import ENCODING, output_pins
from sparqsim.rtl.neighbours import (
    CONTROL,
    LAUNCHING,
    TOP,
    edge_behind_skew,
    pe_among_neighbours,
)
from sparqsim.rtl.netlist import Netlist, module_netlist
from sparqsim.rtl.runner import LONGEST_WORK_S, find_tool, tool_version
from sparqsim.rtl.synthesis import LIBERTY, Library

PACKAGE = "opensta"
#: A clock so slow that every path meets it: what a path takes does not depend on it.
SLOW_CLOCK_NS = 100_000
#: Digits of a period in ns, in tables.
DIGITS = 4
INVERTER_PINS = 2
_COMMANDS = f"""read_liberty {LIBERTY}
read_verilog netlist.v
link_design {TOP}
set_cmd_units -time ns
create_clock -name clk -period {SLOW_CLOCK_NS} clk
set_input_delay 0 -clock clk [get_ports {{{" ".join(CONTROL)}}}]
report_checks -path_delay max -format full -digits 6
"""
_POINT = re.compile(r" (\S+)/(\w+)/(\w+) \((\w+)\)$", re.MULTILINE)
_ARRIVAL = re.compile(r"([0-9.]+) +data arrival time$", re.MULTILINE)
_FROM_CONTROLLER = re.compile(r"^Startpoint: (\w+) \(input port", re.MULTILINE)
_SETUP = re.compile(r"(-?[0-9.]+) +[-0-9.]+ +library setup time$", re.MULTILINE)


@dataclass(frozen=True)
class Register:
    """A bit of a register: where it stands (`here`, `left`, ...), and its name in the netlist; or
    what the `controller` sends.
    """

    place: str
    name: str


@dataclass(frozen=True)
class SlowestPath:
    """The path that limits the clock.

    `period_ns`: from the clock edge at its start to its arrival, and the setup time at its end.
    `cells`: gates between the two registers.
    """

    period_ns: float
    start: Register
    end: Register
    cells: int


def sta_version() -> str:
    """Return OpenSTA's name and version. Raises InputError where it is not installed."""
    find_tool("sta", PACKAGE)
    return f"OpenSTA {tool_version('sta', '-version')}"


def launching_register(library: Library, flow: str) -> Netlist:
    """Return the register that sends what no PE sends."""
    return module_netlist(library, flow, "delay", LAUNCHING)


def slowest_path(library: Library, netlist: Netlist, launching: Netlist) -> SlowestPath:
    """Return the slowest path of a PE among its neighbours, or of an edge unit (`neighbours.py`).

    `launching` is the library's register.

    Raises
    ------
    InputError
        When OpenSTA is missing, or finds no path.
    """
    around = pe_among_neighbours if netlist.top == "area_pe" else edge_behind_skew
    return timed(library, [launching, netlist], around(netlist))


def timed(library: Library, netlists: Sequence[Netlist], around: str) -> SlowestPath:
    """Return the slowest path of the Verilog module `timed`, whose parts are netlists."""
    report = _report(library, "\n".join([*(each.verilog for each in netlists), around]))
    arrival, setup = _ARRIVAL.search(report), _SETUP.search(report)
    points = _POINT.findall(report)
    if arrival is None or setup is None or not points:
        said = report.strip().splitlines() or ["nothing said"]
        raise InputError(
            f"OpenSTA finds no path from register to register with {library.name}: {said[-1]}"
        )
    sent = _FROM_CONTROLLER.search(report)
    (first_place, first, *_), (last_place, last, *_) = points[0], points[-1]
    ends = {(last_place, last)} if sent else {(first_place, first), (last_place, last)}
    return SlowestPath(
        period_ns=round(float(arrival[1]) - float(setup[1]), DIGITS),
        start=Register("controller", sent[1])
        if sent
        else Register(first_place, _register(library, netlists[-1], first_place, first)),
        end=Register(last_place, _register(library, netlists[-1], last_place, last)),
        cells=len({(place, name) for place, name, *_ in points} - ends),
    )


def _report(library: Library, verilog: str) -> str:
    with tempfile.TemporaryDirectory(prefix="sparqsim-sta-") as name:
        folder = Path(name)
        (folder / LIBERTY).write_bytes(library.text.encode(ENCODING))
        (folder / "netlist.v").write_text(verilog)
        (folder / "commands").write_text(_COMMANDS)
        process = subprocess.run(  # noqa: S603 - found on PATH
            [find_tool("sta", PACKAGE), "-no_init", "-no_splash", "-exit", "commands"],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            timeout=LONGEST_WORK_S,
        )
    return process.stdout + process.stderr


def _register(library: Library, netlist: Netlist, place: str, flip_flop: str) -> str:
    """Return the name of the register that a flip-flop is: of the net that it drives, directly or
    through inverters; its own where synthesis left none of that.
    """
    # A register that stands outside has its name there.
    if place.startswith("from_"):
        return place
    cells = list(netlist.cells())
    (at,) = (cell for cell in cells if cell.name == flip_flop)
    while True:
        driven = {at.pins[pin] for pin in output_pins(library.text, at.kind) if pin in at.pins}
        names = sorted(net for net in driven if not re.fullmatch(r"_\d+_", net))
        if names:
            return names[0]
        behind = (cell for cell in cells if cell is not at and driven & {*cell.pins.values()})
        inverters = [cell for cell in behind if len(cell.pins) == INVERTER_PINS]
        if not inverters:
            return flip_flop
        at = inverters[0]
