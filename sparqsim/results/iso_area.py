"""What a comparison says of arrays of equal area; `sparqsim.engine.iso_area` makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, computed_field

from sparqsim.base.record import Record
from sparqsim.base.tabular import Row

SOURCE = "our open-tool synthesis"


class Range(Record):
    """A figure over libraries and flows; `middle` is the figure of the median area."""

    low: float = Field(gt=0, allow_inf_nan=False)
    middle: float = Field(gt=0, allow_inf_nan=False)
    high: float = Field(gt=0, allow_inf_nan=False)


class ScaledArray(Record):
    """An array of one design on the baseline's area.

    `pes_that_fit`: PEs, in lines of that length, that would fill the area exactly. `layer_cycles`:
    total cycles of each layer.
    """

    rows: int = Field(ge=1)
    cols: int = Field(ge=1)
    pes_that_fit: float = Field(gt=0, allow_inf_nan=False)
    layer_cycles: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def residue_percent(self) -> float:
        """PEs beyond those that fill the baseline's area (below 0: area left over), percent."""
        return round(100 * (self.rows * self.cols / self.pes_that_fit - 1), 9)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def cycles(self) -> int:
        """Total cycles of the network."""
        return sum(self.layer_cycles)


class ScaledArrays(Record):
    """The arrays for a design's least, median and greatest relative PE area: the largest array
    comes first.
    """

    low: ScaledArray
    middle: ScaledArray
    high: ScaledArray

    @property
    def all(self) -> tuple[ScaledArray, ScaledArray, ScaledArray]:
        """The three arrays."""
        return self.low, self.middle, self.high


class AreaKey(Record):
    """Which rows of the area table were taken.

    `dataflow`, `coupling`, `overlap`: of the arrays whose parts were synthesised. `acc_bits`: of
    their accumulators, or 'least': every design's own, which cannot overflow at K = 4608.
    """

    dataflow: str
    coupling: str
    overlap: bool
    acc_bits: int | str

    def __str__(self) -> str:
        overlap = "with" if self.overlap else "without"
        least = "accumulators of the least width that holds sums over K = 4608"
        width = least if self.acc_bits == "least" else f"{self.acc_bits}-bit accumulators"
        return f"{self.dataflow}, {self.coupling}, {overlap} overlap, {width}"


class IsoDesign(Record):
    """One design at equal area.

    `area_of`: the design that was synthesised, of its keys only two stages. `acc_bits`: of its
    accumulators (None in older files: 32). `relative_pe_area`: area of the asked array of this
    design over that of the baseline's and the conventional ones'. `baseline_cycles`,
    `equal_pe_cycles`: total cycles of baseline and design on the asked array. `speedup` (equal
    area): the least, that of the median area, and the greatest of the three arrays'.
    """

    area_of: str
    acc_bits: int | None = None
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
        """Speedup at equal PE count / relative PE area: what is gained per area, without rounding
        to whole rows.
        """
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

    `source`: where areas come from; never a paper. `combinations`: libraries x flows of the area
    table. `areas_of`: the rows that were taken; None in older files, whose areas are those of PEs
    of lockstep `os` arrays without overlap. `kept_without_area`: designs whose circuit runs layers
    that stay at 8 bits with more than the area has, and what that is.
    """

    source: str = SOURCE
    combinations: int
    areas_of: AreaKey | None = None
    designs: dict[str, IsoDesign]
    without_area: dict[str, str]
    kept_without_area: dict[str, str] = Field(default_factory=dict)

    @property
    def taken_from(self) -> str:
        """Return which areas were taken, in words."""
        return str(self.areas_of or "PEs of lockstep os arrays without overlap")

    def check_belongs(self, baseline: str, layer_cycles: Mapping[str, Sequence[int]]) -> None:
        """Raise ValueError where a design is not of the reports with these cycles of layers."""
        for name, design in self.designs.items():
            told = [sum(layer_cycles.get(spec, ())) for spec in (baseline, name)]
            lengths = {len(array.layer_cycles) for array in design.arrays.all}
            if (
                name not in layer_cycles
                or design.baseline != baseline
                or design.baseline not in design.relative_pe_area
                or told != [design.baseline_cycles, design.equal_pe_cycles]
                or lengths != {len(layer_cycles[name])}
            ):
                raise ValueError(
                    f"iso_area.designs.{name} is not of the reports of {name} and {baseline}"
                )


def _speedup(baseline_cycles: int, cycles: Sequence[int]) -> Range:
    return Range(
        low=baseline_cycles / max(cycles),
        middle=baseline_cycles / cycles[1],
        high=baseline_cycles / min(cycles),
    )


def area_columns(iso: IsoArea | None, name: str, baseline_cycles: Sequence[int]) -> list[Row]:
    """Return the columns of a design at equal area, for each layer, of the baseline's cycles, and
    for the network: which areas were taken, and the least, median and greatest speedup, None for a
    design without an area. No columns where equal area was not asked for.
    """
    if iso is None:
        return [{} for _ in range(len(baseline_cycles) + 1)]
    found: list[Range | None] = [None] * (len(baseline_cycles) + 1)
    if (design := iso.designs.get(name)) is not None:
        by_layer = enumerate(baseline_cycles)
        found = [design.layer_speedup(cycles, layer) for layer, cycles in by_layer]
        found.append(design.speedup)
    return [
        {
            "equal_area_of": iso.taken_from,
            "equal_area_speedup_min": each and each.low,
            "equal_area_speedup_median": each and each.middle,
            "equal_area_speedup_max": each and each.high,
        }
        for each in found
    ]
