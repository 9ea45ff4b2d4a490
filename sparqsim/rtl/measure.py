"""The area table: every design's parts, by structure of the array, library and flow of synthesis.

What the shipped table holds (`shipped_runs`): the parts of lockstep `os` arrays without overlap in
every flow; the same with the least accumulators, and those of all other dataflows, couplings and
overlaps, in two flows: the default one, and the one that leaves multipliers and accumulators apart,
which is what matters most (`docs/rtl.md`). Every answer says over how many combinations it ranges.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from sparqsim.pe import get_pe
from sparqsim.rtl.designs import MEASURED_DESIGNS, family_of
from sparqsim.rtl.parts import Bench, design_area
from sparqsim.rtl.runner import tool_version
from sparqsim.rtl.structure import FLOWS as DATAFLOWS
from sparqsim.rtl.structure import LEAST, Structure
from sparqsim.rtl.synthesis import FLOWS, Library

SCHEMA = "sparqsim.area/2"
LABEL = (
    "Open-tool synthesis of this project's own RTL: gate area without timing, placement or wires. "
    "Not a figure of any paper."
)
#: The flows of every structure; only the usual one has all.
FLOWS_OF_ALL = ("default", "no adder sharing")
#: The couplings that the shipped table has.
COUPLINGS = ("lockstep", "elastic:2")


@dataclass(frozen=True)
class Run:
    """What gives one row of a table."""

    library: Library
    flow: str
    structure: Structure


def shipped_runs(libraries: Iterable[Library]) -> list[Run]:
    """Return the runs of the table that ships, in its order."""
    usual = Structure()
    arrays = product(DATAFLOWS, COUPLINGS, (False, True))
    others = [Structure(acc_bits=LEAST), *(Structure(*array) for array in arrays)]
    runs = []
    for library in libraries:
        runs += runs_of(usual, [library])
        runs += [
            Run(library, flow, other) for flow in FLOWS_OF_ALL for other in others if other != usual
        ]
    return runs


def runs_of(structure: Structure, libraries: Iterable[Library]) -> list[Run]:
    """Return the runs of one structure in every library and flow."""
    return [Run(library, flow, structure) for library in libraries for flow in FLOWS]


def measured_table(
    runs: Sequence[Run], progress: Callable[[Sequence[Run]], Iterable[Run]] = iter
) -> dict[str, Any]:
    """Synthesise every design in every run; return the table that `area.py` reads."""
    benches: dict[tuple[Library, str], Bench] = {}
    rows = []
    for run in progress(runs):
        key = (run.library, run.flow)
        bench = benches.setdefault(key, Bench(*key))
        rows.append(measured_row(bench, run.structure))
    return {"schema": SCHEMA, "label": LABEL, "kept": kept_modes(), "rows": rows}


def kept_modes() -> dict[str, str]:
    """Return for every design what its circuit lacks for layers that stay at 8 bits, '' where
    nothing.
    """
    designs = {name: get_pe(name) for name in MEASURED_DESIGNS}
    return {name: family_of(design).kept_needs(design) for name, design in designs.items()}


def measured_row(bench: Bench, structure: Structure) -> dict[str, Any]:
    """Return the parts of every design in one library and flow."""
    library = bench.library
    areas = {name: design_area(bench, structure, name).document for name in MEASURED_DESIGNS}
    return {
        **asdict(structure),
        "library": library.name,
        "flow": bench.flow,
        "tool": tool_version("yosys", "-V"),
        "unit": "transistors" if library.liberty is None else "the library's area unit",
        "designs": areas,
    }


def area_text(table: Mapping[str, Any]) -> str:
    """Return a table as the text of its file, a line for a design's parts."""
    head = {key: value for key, value in table.items() if key != "rows"}
    rows = ",\n".join(_row_text(row) for row in table["rows"])
    return json.dumps(head, indent=1, sort_keys=True)[:-2] + f',\n "rows": [\n{rows}\n ]\n}}\n'


def _row_text(row: Mapping[str, Any]) -> str:
    head = {key: value for key, value in row.items() if key != "designs"}
    designs = ",\n".join(
        f"   {json.dumps(name)}: {json.dumps(parts, sort_keys=True)}"
        for name, parts in sorted(row["designs"].items())
    )
    return f'  {json.dumps(head, sort_keys=True)[:-1]}, "designs": {{\n{designs}\n  }}}}'
