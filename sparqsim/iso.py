"""Equal area instead of an equal number of PEs: how large an array of each design fits where the baseline's stands.

Areas are relative ones of `sparqsim.rtl.area`: our own open-tool synthesis, a range over libraries and flows. So a
design has three arrays: for its least, median and greatest relative PE area. The PEs are those of a lockstep `os`
array without overlap, whatever array is asked for.

**What is scaled.** An array is a number of lines of PEs, each with one trim unit at its edge: rows where activations
enter at the left (`os`, `ws`), columns where they enter from above (`is`). A line keeps its length, so that a PE's
share of the trim unit stays what it is, and the lines are as many as come nearest to the baseline's area. The residue
is told. The length of a line stays, too, because it is chosen for the network (channels, in `os` and `ws`): an array
of 14x14 instead of 12x16 needs two tiles for 16 channels, and would measure that and not the area.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Annotated

from pydantic import Field, computed_field

from sparqsim.config import LARGEST_SIDE, ArrayConfig
from sparqsim.dataflow import get_dataflow
from sparqsim.errors import InputError
from sparqsim.pe.base import PEDesign
from sparqsim.record import Record
from sparqsim.rtl.area import BASELINES, AreaRange, relative_pe_area, shipped_table
from sparqsim.rtl.designs import circuit_of

SOURCE = "our open-tool synthesis"


class Range(Record):
    """A figure over libraries and flows; `middle` is the figure of the median area."""

    low: float = Field(gt=0, allow_inf_nan=False)
    middle: float = Field(gt=0, allow_inf_nan=False)
    high: float = Field(gt=0, allow_inf_nan=False)

    @classmethod
    def of(cls, area: AreaRange) -> Range:
        """Return a range of areas as a record."""
        return cls(low=area.low, middle=area.middle, high=area.high)


class ScaledArray(Record):
    """An array of one design on the baseline's area.

    `pes_that_fit`: PEs that would fill the area exactly. `layer_cycles`: total cycles of each layer.
    """

    rows: int = Field(ge=1)
    cols: int = Field(ge=1)
    pes_that_fit: float = Field(gt=0, allow_inf_nan=False)
    layer_cycles: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def residue_percent(self) -> float:
        """Area beyond the baseline's (below 0: area left over), percent of it."""
        return round(100 * (self.rows * self.cols / self.pes_that_fit - 1), 9)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def cycles(self) -> int:
        """Total cycles of the network."""
        return sum(self.layer_cycles)


class ScaledArrays(Record):
    """The arrays for a design's least, median and greatest relative PE area: the largest array comes first."""

    low: ScaledArray
    middle: ScaledArray
    high: ScaledArray

    @property
    def all(self) -> tuple[ScaledArray, ScaledArray, ScaledArray]:
        """The three arrays."""
        return self.low, self.middle, self.high


class IsoDesign(Record):
    """One design at equal area.

    `area_of`: the design that was synthesised, with its default keys. `relative_pe_area`: over the baseline's PE and
    the conventional ones'. `baseline_cycles`, `equal_pe_cycles`: total cycles of baseline and design on the asked
    array. `speedup` (equal area): the least, that of the median area, and the greatest of the three arrays'.
    """

    area_of: str
    relative_pe_area: dict[str, Range]
    baseline: str
    baseline_cycles: int = Field(ge=1)
    equal_pe_cycles: int = Field(ge=1)
    arrays: ScaledArrays

    @computed_field  # type: ignore[prop-decorator]
    @property
    def speedup(self) -> Range:
        """Total cycles of the baseline / total cycles of the design on arrays of equal area."""
        return _speedup(self.baseline_cycles, [array.cycles for array in self.arrays.all])

    @computed_field  # type: ignore[prop-decorator]
    @property
    def speedup_per_area(self) -> Range:
        """Speedup at equal PE count / relative PE area: what is gained per area, without rounding to whole rows."""
        gained, area = (
            self.baseline_cycles / self.equal_pe_cycles,
            self.relative_pe_area[self.baseline],
        )
        return Range(low=gained / area.high, middle=gained / area.middle, high=gained / area.low)

    def layer_speedup(self, baseline_cycles: int, layer: int) -> Range:
        """Return the speedup at equal area of one layer, over a baseline of so many cycles."""
        return _speedup(baseline_cycles, [array.layer_cycles[layer] for array in self.arrays.all])


class IsoArea(Record):
    """A comparison at equal area. `without_area`: designs that have none, and why.

    `source`: where areas come from; never a paper. `combinations`: libraries x flows of the area table.
    """

    source: str = SOURCE
    combinations: int
    designs: dict[str, IsoDesign]
    without_area: dict[str, str]


def _speedup(baseline_cycles: int, cycles: Sequence[int]) -> Range:
    return Range(
        low=baseline_cycles / max(cycles),
        middle=baseline_cycles / cycles[1],
        high=baseline_cycles / min(cycles),
    )


@dataclass(frozen=True)
class Scaling:
    """What is known of designs at equal area before anything is simulated.

    `areas`: relative PE area by name of a baseline. `arrays`: for the least, median and greatest area over `baseline`.
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
            When the baseline has none.
        """
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
            relative_pe_area={name: Range.of(area) for name, area in self.areas[pe].items()},
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
    """Return the sides at which activations are trimmed: 'rows' where they enter at the left, else 'cols'."""
    return "rows" if get_dataflow(array.dataflow).activations_from_left else "cols"


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
