"""Relative areas of PE designs, from the table that ships or from one that a user measured.

The spread over libraries and flows is part of every answer: a figure is a minimum, a median and a
maximum. It is always told against both `mac-8b8b` and `mac-2x8b8b`: much of what a design with two
lanes saves over two `mac-8b8b` is what they would share anyway, the accumulator and the control. A
trim unit is shared by the columns of a row, so a PE carries its part.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from sparqsim.array.timing import fixed_cycles
from sparqsim.base.errors import InputError
from sparqsim.pe.base import PEDesign
from sparqsim.pe.registry import resolve
from sparqsim.rtl.circuits.base import ScalableCircuit
from sparqsim.rtl.designs import families

TABLE = Path(__file__).with_name("area_table.json")
BASELINES = ("mac-8b8b", "mac-2x8b8b")
USUAL_COLUMNS = 16


@dataclass(frozen=True)
class AreaRange:
    """A relative area over all rows of a table."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> AreaRange:
        """Return minimum, median and maximum."""
        ordered = sorted(values)
        return cls(ordered[0], median(ordered), ordered[-1])

    def scaled(self, factor: float) -> AreaRange:
        """Return the range times a factor."""
        return AreaRange(self.low * factor, self.middle * factor, self.high * factor)

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.low:.2f}-{self.high:.2f})"


@cache
def shipped_table() -> Mapping[str, Any]:
    """Return the table that ships with the package."""
    table: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return table


def relative_pe_area(
    design: PEDesign | str,
    baseline: str = "mac-8b8b",
    cols: int = USUAL_COLUMNS,
    table: Mapping[str, Any] | None = None,
) -> AreaRange:
    """Return the area of one PE of `design` over one of `baseline`, each with its share of a trim
    unit.

    Parameters
    ----------
    design : PEDesign or str
        A design is synthesised with its default keys; others do not matter, but where they make
        another circuit (`other_than_measured`).
    baseline : str
    cols : int
        Columns of the array, which share the trim units at the row edge.
    table : mapping, optional
        What `synthesis.measured_table` returns; the shipped one by default.

    Raises
    ------
    InputError
        For a design that the table does not have.
    """
    rows = (shipped_table() if table is None else table)["rows"]
    resolved = [resolve(each) for each in (design, baseline)]
    for each in resolved:
        if other_than_measured(each):
            raise InputError(
                f"{each.spec}: areas are those of default keys, and these make another circuit; "
                f"expected {each.name}"
            )
    name, base = (each.name for each in resolved)
    return AreaRange.of(pe_area(row, name, cols) / pe_area(row, base, cols) for row in rows)


def other_than_measured(design: PEDesign) -> bool:
    """Return whether a design's keys give a bit-scalable PE other parts than its defaults do."""
    family = families().get(type(design))
    if family is None:
        return False
    circuit, measured = (family.circuit(each, signed=False) for each in (design, type(design)()))
    if not isinstance(circuit, ScalableCircuit):
        return False
    at_8_bits = replace(circuit, activation_bits=8, weight_bits=8)
    return at_8_bits != measured


def relative_area_per_mac(
    design: PEDesign | str,
    baseline: str = "mac-8b8b",
    cols: int = USUAL_COLUMNS,
    table: Mapping[str, Any] | None = None,
) -> AreaRange:
    """Return the area per MAC and cycle over the baseline's; see `relative_pe_area`.

    Where values decide how long a step takes, at the peak of one step per cycle; at 8 bits.
    """
    design, base = resolve(design), resolve(baseline)
    cycles_per_mac = (fixed_cycles(design) or 1) / design.lanes
    area = relative_pe_area(design, baseline, cols, table)
    return area.scaled(cycles_per_mac * base.lanes)


def pe_area(row: Mapping[str, Any], name: str, cols: int) -> float:
    """Return a PE's area in one row of a table, in the row's unit, with its share of the trim
    unit.
    """
    if name not in row["pe"]:
        raise InputError(
            f"the area table has no {name!r}; expected one of {', '.join(sorted(row['pe']))}"
        )
    return float(row["pe"][name]) + float(row["edge"][name]) / cols


def trim_unit_share(
    design: PEDesign | str, cols: int = USUAL_COLUMNS, table: Mapping[str, Any] | None = None
) -> AreaRange:
    """Return the part of a PE's area that is its share of the trim unit."""
    rows, name = (shipped_table() if table is None else table)["rows"], resolve(design).name
    return AreaRange.of(float(row["edge"][name]) / cols / pe_area(row, name, cols) for row in rows)
