"""Equal area instead of an equal number of PEs: how large an array of each design fits where the
baseline's stands.

Areas are relative ones of `sparqsim.rtl.area`: our own open-tool synthesis, a range over libraries
and flows, of the array that was asked for: its dataflow, coupling and overlap, with all that stands
at its edge (`sparqsim.rtl.parts`). A design has three arrays: the largest, the median and the
smallest that fits, over libraries and flows.

**What is scaled.** An array is a number of lines of PEs, each with one trim unit at its edge: rows
where activations enter at the left (`os`, `ws`), columns where they enter from above (`is`). A line
keeps its length, so that a PE's share of the trim unit stays what it is, and the lines are as many
as come nearest to the baseline's area. The residue is told. The length of a line stays, too,
because it is chosen for the network (channels, in `os` and `ws`): an array of 14x14 instead of
12x16 needs two tiles for 16 channels, and would measure that and not the area.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod, sqrt
from os import PathLike

from sparqsim.array.config import LARGEST_SIDE, ArrayConfig
from sparqsim.array.registry import get_dataflow
from sparqsim.base.errors import InputError
from sparqsim.engine.assignment import Assignment
from sparqsim.pe.base import PEDesign
from sparqsim.results.iso_area import (
    AreaKey,
    IsoArea,
    IsoDesign,
    Range,
    ScaledArray,
    ScaledArrays,
)
from sparqsim.rtl.accumulator import USUAL_BITS, modes, refuse_overflow
from sparqsim.rtl.area import BASELINES, AreaRange, ArrayAreas, Table, load_table
from sparqsim.rtl.designs import circuit_of, measured_as
from sparqsim.rtl.parts import DesignArea
from sparqsim.trace import Trace


@dataclass(frozen=True)
class Scaling:
    """What is known of designs at equal area before anything is simulated.

    `lines`: lines of each design that take the baseline's area exactly, a range over libraries and
    flows. `arrays`: the largest, the median and the smallest array of whole lines.
    """

    baseline: PEDesign
    areas: ArrayAreas
    lines: Mapping[PEDesign, AreaRange]
    arrays: Mapping[PEDesign, tuple[ArrayConfig, ...]]
    without_area: Mapping[str, str]

    @classmethod
    def of(
        cls,
        designs: Sequence[PEDesign],
        baseline: PEDesign,
        asked: ArrayConfig,
        acc_bits: int | str = USUAL_BITS,
        table: Table | str | PathLike[str] | None = None,
    ) -> Scaling:
        """Scale the asked array for every design that has an area.

        Raises
        ------
        InputError
            When the baseline has none, or the table none of the asked array.
        """
        if asked.broadcast:
            raise InputError(
                "coupling='broadcast': no equal area, since areas are those of synthesised "
                "systolic arrays and there is no RTL that broadcasts; expected lockstep or "
                "elastic:D"
            )
        if isinstance(table, str | PathLike):
            table = load_table(table)
        areas = ArrayAreas.of(asked, acc_bits, table)
        missing = {pe: reason for pe in designs if (reason := why_no_area(pe, areas)) is not None}
        if baseline in missing:
            raise InputError(
                f"baseline {baseline.spec!r} has no area to scale others to: {missing[baseline]}; "
                f"expected one of {', '.join(BASELINES)} or another design of `sparqsim rtl area`"
            )
        fit = {pe: lines_that_fit(areas, pe, baseline) for pe in designs if pe not in missing}
        arrays = {
            pe: tuple(scaled_array(asked, each) for each in (lines.high, lines.middle, lines.low))
            for pe, lines in fit.items()
        }
        for array in (each for those in arrays.values() for each in those):
            areas.check_height(array.rows)
        reasons = {pe.spec: reason for pe, reason in missing.items()}
        return cls(baseline, areas, fit, arrays, reasons)

    def refuse_overflow(self, trace: Trace) -> None:
        """Raise InputError for a layer whose sums can overflow the accumulators of a design, on the
        array that was asked for or on its own.
        """
        for pe, arrays in self.arrays.items():
            bits = self.areas.acc_bits(pe)
            tallest = max((self.areas.array, *arrays), key=lambda array: array.rows)
            for layer in trace.layers:
                what = f"equal area, layer {layer.name!r}"
                k, signed = prod(layer.weights.shape[1:]), layer.signed
                for mode in modes(pe, k, signed=signed):
                    refuse_overflow(mode, tallest, k, bits, signed=signed, what=what)

    def record(
        self,
        pe: PEDesign,
        layer_cycles: Sequence[Sequence[int]],
        baseline_cycles: int,
        equal_pe_cycles: int,
    ) -> IsoDesign:
        """Return the result of one design; `layer_cycles` for each of its arrays."""
        fit, asked = self.lines[pe], self.areas.array
        length = asked.cols if _lines(asked) == "rows" else asked.rows
        arrays = [
            ScaledArray(
                rows=array.rows,
                cols=array.cols,
                pes_that_fit=length * lines,
                layer_cycles=tuple(cycles),
            )
            for array, lines, cycles in zip(
                self.arrays[pe], (fit.high, fit.middle, fit.low), layer_cycles, strict=True
            )
        ]
        low, middle, high = arrays
        against = dict.fromkeys((self.baseline.spec, *BASELINES))
        return IsoDesign(
            area_of=measured_as(pe),
            acc_bits=self.areas.acc_bits(pe),
            baseline=self.baseline.spec,
            baseline_cycles=baseline_cycles,
            equal_pe_cycles=equal_pe_cycles,
            arrays=ScaledArrays(low=low, middle=middle, high=high),
            relative_pe_area={
                name: _range(self.areas.relative_pe_area(pe, name)) for name in against
            },
        )

    def block(self, designs: Mapping[str, IsoDesign]) -> IsoArea:
        """Return the part of a comparison that tells of equal area."""
        structure = self.areas.structure
        lacking = {name: self.areas.kept.get(each.area_of, "") for name, each in designs.items()}
        return IsoArea(
            combinations=len(self.areas.rows),
            areas_of=AreaKey(
                dataflow=structure.dataflow,
                coupling=structure.coupling,
                overlap=structure.overlap,
                acc_bits=structure.acc_bits,
            ),
            designs=dict(designs),
            without_area=dict(self.without_area),
            kept_without_area={name: reason for name, reason in lacking.items() if reason},
        )


def why_no_area(pe: PEDesign, areas: ArrayAreas) -> str | None:
    """Return why a design has no area, None where it has one."""
    try:
        circuit_of(pe)
        areas.parts(pe)
    except InputError as error:
        return str(error)
    return None


def lines_that_fit(areas: ArrayAreas, pe: PEDesign, baseline: PEDesign) -> AreaRange:
    """Return how many lines of a design, of the asked length, take the area of the baseline's
    array: a range over libraries and flows.
    """
    pairs = zip(areas.parts(pe), areas.parts(baseline), strict=True)
    return AreaRange.of(_lines_that_fit(areas.array, *pair) for pair in pairs)


def _lines_that_fit(asked: ArrayConfig, parts: DesignArea, base: DesignArea) -> float:
    """Return the lines at which the area, a quadratic function of them by the skew, is the
    baseline's.
    """
    by_row = _lines(asked) == "rows"
    lines, length = (asked.rows, asked.cols) if by_row else (asked.cols, asked.rows)
    if parts == base:
        return float(lines)

    def area(count: int) -> float:
        return parts.of_array(*((count, length) if by_row else (length, count)))

    curve = area(2) / 2 - area(1) + area(0) / 2
    slope = area(1) - area(0) - curve
    rest = base.of_array(asked.rows, asked.cols) - area(0)
    if curve == 0:
        return rest / slope
    return (sqrt(slope * slope + 4 * curve * rest) - slope) / (2 * curve)


def _lines(array: ArrayConfig) -> str:
    """Return where activations are trimmed: 'rows' if they enter at the left, else 'cols'."""
    return "rows" if get_dataflow(array.dataflow).activations_from_left else "cols"


def _range(area: AreaRange) -> Range:
    return Range(low=area.low, middle=area.middle, high=area.high)


def scaled_array(asked: ArrayConfig, lines: float) -> ArrayConfig:
    """Return the array of whole lines that comes nearest to so many.

    Parameters
    ----------
    asked : ArrayConfig
    lines : float
        Rows, or (`is`) columns.
    """
    whole = min(max(round(lines), 1), LARGEST_SIDE)
    return replace(asked, rows=whole) if _lines(asked) == "rows" else replace(asked, cols=whole)


def pes_with_area(runs: Sequence[Assignment], baseline: Assignment) -> dict[Assignment, PEDesign]:
    """Return the PE whose area each run takes. Raises InputError for a baseline that is several."""
    if baseline.own_rules:
        raise InputError(
            f"iso='area': baseline {baseline.name!r} is an assignment; expected a PE design"
        )
    return {run: pe_with_area(run) for run in runs}


def pe_with_area(run: Assignment) -> PEDesign:
    """Return the one design whose area counts: several of an assignment may be modes of one
    circuit.

    Raises InputError where they are not, or one is none of PEs.
    """
    designs = [model.pe for model in run.models if model.pe is not None]
    for model in run.models:
        if model.pe is None:
            raise InputError(f"iso='area': {model.spec} {model.kind}; expected PE designs")
    if len({pe.circuit for pe in designs}) > 1:
        circuits = ", ".join(pe.spec for pe in designs)
        raise InputError(
            f"iso='area': assignment {run.name!r} has a circuit for each layer ({circuits}), and "
            "equal area needs one PE for all; expected PE designs, or modes of one circuit"
        )
    return designs[0]


def check_iso(
    iso: str | None, acc_bits: int | str, areas: Table | str | PathLike[str] | None
) -> None:
    """Raise InputError for another `iso` than 'area', and, where there is none, for what only
    areas have.
    """
    if iso not in {None, "area"}:
        raise InputError(f"iso={iso!r}: expected 'area', or none")
    asked = {"acc_bits": acc_bits != USUAL_BITS, "areas": areas is not None}
    for key in (key for key, given in asked.items() if given and iso is None):
        raise InputError(f"{key}: equal area is not asked for; expected iso='area' too")
