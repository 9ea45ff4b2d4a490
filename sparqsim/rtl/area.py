"""Relative areas of PE designs, from the table that ships or from one that a user measured.

The spread over libraries and flows is part of every answer: a figure is a minimum, a median and a
maximum. It is always told against both `mac-8b8b` and `mac-2x8b8b`: much of what a design with two
lanes saves over two `mac-8b8b` is what they would share anyway, the accumulator and the control. A
trim unit is shared by the columns of a row, so a PE carries its part.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from sparqsim.base.errors import InputError
from sparqsim.pe.base import PEDesign
from sparqsim.pe.registry import resolve

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
        Keys do not matter: a design is synthesised with its default ones.
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
    name, base = resolve(design).name, resolve(baseline).name
    return AreaRange.of(pe_area(row, name, cols) / pe_area(row, base, cols) for row in rows)


def relative_area_per_mac(
    design: PEDesign | str,
    baseline: str = "mac-8b8b",
    cols: int = USUAL_COLUMNS,
    table: Mapping[str, Any] | None = None,
) -> AreaRange:
    """Return the area per MAC and cycle, at one step per cycle, over the baseline's; see
    `relative_pe_area`.
    """
    design, base = resolve(design), resolve(baseline)
    return relative_pe_area(design, baseline, cols, table).scaled(base.lanes / design.lanes)


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
