"""Measure shortest clock periods: synthesis by Yosys, timing by OpenSTA, a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sparqsim.base.errors import InputError
from sparqsim.pe.base import PEDesign
from sparqsim.rtl.circuits.base import Circuit
from sparqsim.rtl.designs import circuit_of, family_of
from sparqsim.rtl.liberty import corner
from sparqsim.rtl.netlist import Netlist, netlist
from sparqsim.rtl.pathwords import in_words
from sparqsim.rtl.runner import find_tool, tool_version
from sparqsim.rtl.sta import launching_register, slowest_path, sta_version
from sparqsim.rtl.synthesis import FLOWS_FOR_SPEED, Library

SCHEMA = "sparqsim.timing/1"
LABEL = (
    "Open-tool timing of this project's own RTL: gates at the loads of their netlist, without "
    "wires, placement, clock skew or margins; PEs and edge units of lockstep os arrays. Not a "
    "figure of any paper."
)
#: The netlists that are timed: as areas are measured, and two that are made for speed.
TIMED_FLOWS = ("default", *FLOWS_FOR_SPEED)


def measured_timing(
    library: Library,
    designs: Sequence[PEDesign],
    progress: Callable[[list[Any]], Iterable[Any]] = iter,
) -> dict[str, Any]:
    """Time designs in every flow; return the table that `timing.py` reads.

    Raises
    ------
    InputError
        When Yosys or OpenSTA is missing, or a design has no RTL.
    """
    find_tool("yosys")
    tools = {"yosys": tool_version("yosys", "-V"), "sta": sta_version()}
    circuits = {design.spec: (design, circuit_of(design)) for design in designs}
    if not circuits:
        raise InputError("no design to time; expected at least one")
    rows = {flow: _empty_row(library, flow, tools) for flow in TIMED_FLOWS}
    runs = [(flow, spec) for flow in TIMED_FLOWS for spec in circuits]
    launching = {flow: launching_register(library, flow) for flow in TIMED_FLOWS}
    for flow, spec in progress(runs):
        design, circuit = circuits[spec]
        for part, top in {"pe": "area_pe", "edge": "area_edge"}.items():
            if part == "pe" or circuit.has_edge_unit:
                made = netlist(library, flow, top, circuit)
                rows[flow][part][spec] = _measured(library, made, launching[flow], design, circuit)
    return {"schema": SCHEMA, "label": LABEL, "rows": list(rows.values())}


def _empty_row(library: Library, flow: str, tools: Mapping[str, str]) -> dict[str, Any]:
    return {
        "library": library.name,
        "corner": corner(library.text),
        "flow": flow,
        "tools": dict(tools),
        "area_unit": "the library's area unit",
        "pe": {},
        "edge": {},
    }


def _measured(
    library: Library, made: Netlist, launching: Netlist, design: PEDesign, circuit: Circuit
) -> dict[str, Any]:
    """Return the shortest period of one module, the area of its netlist, and its slowest path."""
    path = slowest_path(library, made, launching)
    words = in_words(family_of(design), circuit, made, path)
    return {"period_ns": path.period_ns, "area": made.area, "cells": path.cells, **words}
