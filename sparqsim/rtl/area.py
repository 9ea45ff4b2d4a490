"""Relative areas of PE designs, from the table that ships or from one that a user measured.

The spread over libraries and flows is part of every answer: a figure is a minimum, a median and a
maximum. It is always told against both `mac-8b8b` and `mac-2x8b8b`: much of what a design with two
lanes saves over two `mac-8b8b` is what they would share anyway, the accumulator and the control.

The area of a PE is its part of a whole array (`sparqsim.rtl.parts`): what stands at the array's
edge is shared by all PEs, so it depends on the array's size, dataflow, coupling and overlap.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from math import isfinite
from os import PathLike
from pathlib import Path
from statistics import median
from typing import Any

from sparqsim.array.config import ArrayConfig
from sparqsim.array.timing import fixed_cycles
from sparqsim.base.errors import InputError
from sparqsim.base.limits import RESULT_BYTES
from sparqsim.base.textfile import json_of, read_text
from sparqsim.pe.base import PEDesign
from sparqsim.pe.registry import resolve
from sparqsim.rtl.accumulator import USUAL_BITS
from sparqsim.rtl.circuits.base import ScalableCircuit
from sparqsim.rtl.designs import families, measured_as
from sparqsim.rtl.measure import SCHEMA
from sparqsim.rtl.parts import TALLEST_WITH_ROW_NUMBERS, DesignArea
from sparqsim.rtl.structure import Structure

TABLE = Path(__file__).with_name("area_table.json")
BASELINES = ("mac-8b8b", "mac-2x8b8b")
USUAL_ARRAY = ArrayConfig(16, 16)
Table = Mapping[str, Any]


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
def shipped_table() -> Table:
    """Return the table that ships with the package."""
    table: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return table


def load_table(path: str | PathLike[str]) -> Table:
    """Return a table that `sparqsim rtl area -o` wrote.

    Raises
    ------
    InputError
        For a file that is none.
    """
    expected = f"an area table, which `sparqsim rtl area -o` wrote ({SCHEMA})"
    table = json_of(read_text(Path(path), expected, RESULT_BYTES), path, expected)
    try:
        whole = table["schema"] == SCHEMA and _is_whole(table)
    except (KeyError, TypeError, AttributeError, InputError):
        whole = False
    if not whole:
        raise InputError(f"{path}: is no table of areas; expected {expected}")
    found: Table = table
    return found


def _is_whole(table: Table) -> bool:
    """Return whether every row has a key and the same designs, and these their parts, numbers all.

    Raises KeyError, TypeError, AttributeError or InputError where something is missing.
    """
    rows, kept = table["rows"], table["kept"]
    names = list(rows[0]["designs"]) if rows else []
    for row in rows:
        Structure.of(ArrayConfig(1, 1, row["dataflow"], row["coupling"], row["overlap"]))
        told = [DesignArea.of_row(row, name).document.values() for name in row["designs"]]
        if list(row["designs"]) != names or not all(map(_is_number, chain.from_iterable(told))):
            return False
        if any(type(row[key]) is not str for key in ("library", "flow", "tool")):
            return False
        hash(Structure.of_row(row))
    return bool(names) and {*BASELINES} <= {*names} <= {*kept} and type(table["label"]) is str


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and isfinite(value)  # type: ignore[arg-type]


@dataclass(frozen=True)
class ArrayAreas:
    """The rows of a table that are of one array: what its areas are taken from.

    `rows`: one for each library and flow. `kept`: for every design what its circuit lacks for
    layers that stay at 8 bits, '' where nothing.
    """

    array: ArrayConfig
    structure: Structure
    rows: Sequence[Mapping[str, Any]]
    kept: Mapping[str, str]

    @classmethod
    def of(
        cls, array: ArrayConfig, acc_bits: int | str = USUAL_BITS, table: Table | None = None
    ) -> ArrayAreas:
        """Return those of an array from a table, the shipped one by default.

        Raises
        ------
        InputError
            For an array without RTL, or one that the table does not have: it says which it has,
            and the command that measures.
        """
        table = shipped_table() if table is None else table
        structure = Structure.of(array, acc_bits)
        rows = [row for row in table["rows"] if Structure.of_row(row) == structure]
        if not rows:
            measured = dict.fromkeys(str(Structure.of_row(row)) for row in table["rows"])
            raise InputError(
                f"no areas of {structure} in the table; expected one of "
                f"{'; '.join(measured)}; or --areas FILE of a table that `sparqsim rtl area "
                f"--measure {structure.options} -o FILE` measures"
            )
        found = cls(array, structure, rows, table["kept"])
        found.check_height(array.rows)
        return found

    def check_height(self, rows: int) -> None:
        """Raise InputError for an array that is too tall for the row numbers of its loads."""
        if self.structure.row_numbers and rows > TALLEST_WITH_ROW_NUMBERS:
            raise InputError(
                f"no area of {rows} rows with {self.structure}: loads carry row numbers of 8 bits; "
                f"expected at most {TALLEST_WITH_ROW_NUMBERS} rows"
            )

    def parts(self, design: PEDesign | str) -> list[DesignArea]:
        """Return a design's parts in each row.

        A design is synthesised with its default keys, and with two stages (`measured_as`); other
        keys do not matter, but where they make another circuit (`other_than_measured`).

        Raises
        ------
        InputError
            For a design that the table does not have.
        """
        design = resolve(design)
        if other_than_measured(design):
            raise InputError(
                f"{design.spec}: areas are those of default keys, and these make another circuit; "
                f"expected {design.name}"
            )
        name, names = measured_as(design), self.rows[0]["designs"]
        if name not in names:
            raise InputError(
                f"the area table has no {name!r}; expected one of {', '.join(sorted(names))}"
            )
        return [DesignArea.of_row(row, name) for row in self.rows]

    def array_areas(self, design: PEDesign | str) -> list[float]:
        """Return the area of the array of a design in each row, in the row's unit."""
        shape = self.array.rows, self.array.cols
        return [parts.of_array(*shape) for parts in self.parts(design)]

    def relative_pe_area(self, design: PEDesign | str, baseline: str = "mac-8b8b") -> AreaRange:
        """Return the area of the array of a design over that of the baseline's: of a PE, each with
        its part of the rest.
        """
        pairs = zip(self.array_areas(design), self.array_areas(baseline), strict=True)
        return AreaRange.of(area / base for area, base in pairs)

    def relative_area_per_mac(
        self, design: PEDesign | str, baseline: str = "mac-8b8b"
    ) -> AreaRange:
        """Return the area per MAC and cycle over the baseline's; see `relative_pe_area`.

        Where values decide how long a step takes, at the peak of one step per cycle; at 8 bits.
        """
        design, base = resolve(design), resolve(baseline)
        cycles_per_mac = (fixed_cycles(design) or 1) / design.lanes
        return self.relative_pe_area(design, baseline).scaled(cycles_per_mac * base.lanes)

    def trim_unit_share(self, design: PEDesign | str) -> AreaRange:
        """Return the part of an array's area that is the units of activations at its edge, with the
        registers behind them.
        """
        lines = self.array.cols if self.structure.dataflow == "is" else self.array.rows
        pairs = zip(self.parts(design), self.array_areas(design), strict=True)
        return AreaRange.of(lines * parts.edge / area for parts, area in pairs)

    def acc_bits(self, design: PEDesign | str) -> int:
        """Return the bits of a design's accumulators."""
        return self.parts(design)[0].acc_bits


def relative_pe_area(
    design: PEDesign | str,
    baseline: str = "mac-8b8b",
    array: ArrayConfig = USUAL_ARRAY,
    table: Table | None = None,
    acc_bits: int | str = USUAL_BITS,
) -> AreaRange:
    """Return the area of one PE of `design` over one of `baseline`, each with its part of what else
    the array has.

    Parameters
    ----------
    design : PEDesign or str
    baseline : str
    array : ArrayConfig
        Size, dataflow, coupling and overlap.
    table : mapping, optional
        What `measure.measured_table` or `load_table` returns; the shipped one by default.
    acc_bits : int or 'least'
        Bits of the accumulators, or every design's own least.

    Raises
    ------
    InputError
        For a design or an array that the table does not have.
    """
    return ArrayAreas.of(array, acc_bits, table).relative_pe_area(design, baseline)


def relative_area_per_mac(
    design: PEDesign | str,
    baseline: str = "mac-8b8b",
    array: ArrayConfig = USUAL_ARRAY,
    table: Table | None = None,
    acc_bits: int | str = USUAL_BITS,
) -> AreaRange:
    """Return the area per MAC and cycle over the baseline's; parameters as in `relative_pe_area`.

    Where values decide how long a step takes, at the peak of one step per cycle; at 8 bits.
    """
    return ArrayAreas.of(array, acc_bits, table).relative_area_per_mac(design, baseline)


def other_than_measured(design: PEDesign) -> bool:
    """Return whether a design's keys give its PE other parts than `measured_as` has: those of a
    bit-scalable PE.
    """
    family = families().get(type(design))
    if family is None:
        return False
    circuit, measured = (family.circuit(each, signed=False) for each in (design, type(design)()))
    if not isinstance(circuit, ScalableCircuit):
        return False
    at_8_bits = replace(circuit, activation_bits=8, weight_bits=8)
    return at_8_bits != measured
