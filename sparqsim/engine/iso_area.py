"""Equal area instead of an equal number of PEs: how large an array of each design fits where the
baseline's stands.

Areas are relative ones of `sparqsim.rtl.area`: our own open-tool synthesis, a range over libraries
and flows. So a design has three arrays: for its least, median and greatest relative PE area. The
PEs are those of a lockstep `os` array without overlap, whatever array is asked for.

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
from fractions import Fraction

from sparqsim.array.config import LARGEST_SIDE, ArrayConfig
from sparqsim.array.registry import get_dataflow
from sparqsim.base.errors import InputError
from sparqsim.engine.assignment import Assignment
from sparqsim.pe.base import PEDesign
from sparqsim.results.iso_area import IsoArea, IsoDesign, Range, ScaledArray, ScaledArrays
from sparqsim.rtl.area import BASELINES, AreaRange, relative_pe_area, shipped_table
from sparqsim.rtl.designs import circuit_of


@dataclass(frozen=True)
class Scaling:
    """What is known of designs at equal area before anything is simulated.

    `areas`: relative PE area by name of a baseline. `arrays`: for the least, median and greatest
    area over `baseline`.
    """

    baseline: PEDesign
    asked: ArrayConfig
    areas: Mapping[PEDesign, Mapping[str, AreaRange]]
    arrays: Mapping[PEDesign, tuple[ArrayConfig, ...]]
    without_area: Mapping[str, str]

    @classmethod
    def of(cls, designs: Sequence[PEDesign], baseline: PEDesign, asked: ArrayConfig) -> Scaling:
        """Scale the asked array for every design that has an area.

        Raises
        ------
        InputError
            When the baseline has none, or the asked array broadcasts operands.
        """
        if asked.broadcast:
            raise InputError(
                "coupling='broadcast': no equal area, since areas are those of synthesised "
                "systolic arrays and there is no RTL that broadcasts; expected lockstep or "
                "elastic:D"
            )
        missing = {pe: reason for pe in designs if (reason := why_no_area(pe)) is not None}
        if baseline in missing:
            raise InputError(
                f"baseline {baseline.spec!r} has no area to scale others to: {missing[baseline]}; "
                f"expected one of {', '.join(BASELINES)} or another design of `sparqsim rtl area`"
            )
        areas = {pe: _areas(pe, baseline, asked) for pe in designs if pe not in missing}
        arrays = {
            pe: tuple(scaled_array(asked, ratio) for ratio in _three(areas[pe][baseline.spec]))
            for pe in areas
        }
        return cls(
            baseline, asked, areas, arrays, {pe.spec: reason for pe, reason in missing.items()}
        )

    def record(
        self,
        pe: PEDesign,
        layer_cycles: Sequence[Sequence[int]],
        baseline_cycles: int,
        equal_pe_cycles: int,
    ) -> IsoDesign:
        """Return the result of one design; `layer_cycles` for each of its arrays."""
        over = self.areas[pe][self.baseline.spec]
        arrays = [
            ScaledArray(
                rows=array.rows,
                cols=array.cols,
                pes_that_fit=self.asked.pes / ratio,
                layer_cycles=tuple(cycles),
            )
            for array, ratio, cycles in zip(
                self.arrays[pe], _three(over), layer_cycles, strict=True
            )
        ]
        low, middle, high = arrays
        return IsoDesign(
            area_of=pe.name,
            baseline=self.baseline.spec,
            baseline_cycles=baseline_cycles,
            equal_pe_cycles=equal_pe_cycles,
            arrays=ScaledArrays(low=low, middle=middle, high=high),
            relative_pe_area={name: _range(area) for name, area in self.areas[pe].items()},
        )

    def block(self, designs: Mapping[str, IsoDesign]) -> IsoArea:
        """Return the part of a comparison that tells of equal area."""
        return IsoArea(
            combinations=len(shipped_table()["rows"]),
            designs=dict(designs),
            without_area=dict(self.without_area),
        )


def why_no_area(pe: PEDesign) -> str | None:
    """Return why a design has no area, None where it has one."""
    try:
        circuit_of(pe)
        relative_pe_area(pe)
    except InputError as error:
        return str(error)
    return None


def _areas(pe: PEDesign, baseline: PEDesign, asked: ArrayConfig) -> dict[str, AreaRange]:
    sharing = asked.cols if _lines(asked) == "rows" else asked.rows
    return {
        name: relative_pe_area(pe, name, sharing)
        for name in dict.fromkeys((baseline.spec, *BASELINES))
    }


def _lines(array: ArrayConfig) -> str:
    """Return where activations are trimmed: 'rows' if they enter at the left, else 'cols'."""
    return "rows" if get_dataflow(array.dataflow).activations_from_left else "cols"


def _range(area: AreaRange) -> Range:
    return Range(low=area.low, middle=area.middle, high=area.high)


def _three(area: AreaRange) -> tuple[float, float, float]:
    return area.low, area.middle, area.high


def scaled_array(asked: ArrayConfig, relative_pe_area: float) -> ArrayConfig:
    """Return the array of whole lines that comes nearest to the area of the asked one.

    Parameters
    ----------
    asked : ArrayConfig
    relative_pe_area : float
        Of a PE over one of the asked array.
    """
    side = _lines(asked)
    lines = round(
        getattr(asked, side) / Fraction(relative_pe_area)
    )  # exact: a float quotient may look like a tie
    return replace(asked, **{side: min(max(lines, 1), LARGEST_SIDE)})


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
