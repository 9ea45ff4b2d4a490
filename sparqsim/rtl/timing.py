"""Shortest clock periods of PE designs, from the table that ships or from one that a user measured.

A design's own period is the longer one of its PE's and its edge unit's: both stand in one clock.
Each is the shortest that any flow of the table reaches. Periods are of a library, a corner, a tool
and no wires: they are for comparing designs, not for a data sheet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from sparqsim.base.errors import InputError
from sparqsim.pe.base import PEDesign
from sparqsim.pe.registry import resolve

TABLE = Path(__file__).with_name("timing_table.json")


@dataclass(frozen=True)
class Part:
    """The PE or the edge unit: the shortest period in ns, the flow that reaches it, the area of its
    netlist in the library's unit, gates on the slowest path, and that path in words.
    """

    period_ns: float
    flow: str
    area: float
    cells: int
    start: str
    through: tuple[str, ...]
    end: str

    @property
    def path(self) -> str:
        """The path in words."""
        return " > ".join([self.start, *self.through, self.end])


@dataclass(frozen=True)
class Period:
    """The shortest period of a design in one library.

    `timed_as`: the name under which the table has the design. `edge`: None without an edge unit.
    `least_area`: of the PE's smallest netlist.
    """

    timed_as: str
    library: str
    pe: Part
    edge: Part | None
    least_area: float

    @property
    def period_ns(self) -> float:
        """The design's own clock period, in ns."""
        return self.slower.period_ns

    @property
    def slower(self) -> Part:
        """The part that limits the clock; the PE where both do."""
        if self.edge is None or self.edge.period_ns <= self.pe.period_ns:
            return self.pe
        return self.edge

    @property
    def where(self) -> Literal["pe", "edge"]:
        """'pe' or 'edge': the part that limits the clock."""
        return "pe" if self.slower is self.pe else "edge"


@cache
def shipped_timing() -> Mapping[str, Any]:
    """Return the table that ships with the package."""
    table: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return table


def period(design: PEDesign | str, table: Mapping[str, Any] | None = None) -> Period:
    """Return the shortest clock period of a design.

    Parameters
    ----------
    design : PEDesign or str
        Timed with its default keys, and with two stages; others do not matter, but where they make
        another circuit.
    table : mapping, optional
        What `timing_run.measured_timing` returns, of one library; the shipped one by default.

    Raises
    ------
    InputError
        For a design that the table does not have.
    """
    rows = (shipped_timing() if table is None else table)["rows"]
    resolved = resolve(design)
    spec = _timed_as(resolved, rows[0]["pe"])
    pes = [_part(row, "pe", spec) for row in rows]
    edges = [_part(row, "edge", spec) for row in rows if spec in row["edge"]]
    return Period(
        timed_as=spec,
        library=rows[0]["library"],
        pe=_shortest(pes),
        edge=_shortest(edges) if edges else None,
        least_area=min(part.area for part in pes),
    )


def _timed_as(design: PEDesign, timed: Mapping[str, Any]) -> str:
    """Return the name under which a table has a design's circuit."""
    if design.spec in timed:
        return design.spec
    # Not for the usual designs: tables of areas take as long to load as many layers do.
    from sparqsim.rtl.area import other_than_measured
    from sparqsim.rtl.designs import measured_as

    name = measured_as(design)
    if name not in timed:
        raise InputError(
            f"{design.spec}: the timing table has no {name!r}; expected one of "
            f"{', '.join(sorted(timed))}"
        )
    if other_than_measured(design):
        raise InputError(
            f"{design.spec}: periods are those of default keys, and these make another circuit; "
            f"expected {design.name}"
        )
    return name


def _part(row: Mapping[str, Any], part: str, spec: str) -> Part:
    found = row[part][spec]
    return Part(
        period_ns=float(found["period_ns"]),
        flow=row["flow"],
        area=float(found["area"]),
        cells=int(found["cells"]),
        start=found["start"],
        through=tuple(found["through"]),
        end=found["end"],
    )


def _shortest(parts: list[Part]) -> Part:
    return min(parts, key=lambda part: part.period_ns)
