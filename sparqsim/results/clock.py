"""What a comparison says of clocks and time; `sparqsim.engine.clock` makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Self

from pydantic import Field, computed_field, model_validator

from sparqsim.base.record import Name, Record
from sparqsim.results.iso_area import IsoArea, IsoDesign, Range

SOURCE = "our open-tool timing"
#: What was timed, whatever array is compared.
TIMED = "PEs and edge units of lockstep os arrays"
CLOCKS: Final = ("equal", "own")
ClockKind = Literal["equal", "own"]


class TimeAtEqualArea(Record):
    """What one design gains in time at equal area.

    `speedup`: time of the baseline / time of the design on arrays of equal area.
    `speedup_per_area`: speedup in time at equal PE count / relative PE area: what is gained per
    area and second.
    """

    speedup: Range
    speedup_per_area: Range

    @classmethod
    def of(cls, iso: IsoDesign, period_ratio: float) -> Self:
        """Return a design's gain at equal area times the baseline's period over its own."""
        return cls(
            speedup=_scaled(iso.speedup, period_ratio),
            speedup_per_area=_scaled(iso.speedup_per_area, period_ratio),
        )


class DesignClock(Record):
    """The clock of one design, and its time for the network.

    `timed_as`: the design that was timed, with its default keys. `shortest_period_ns`: the longer
    one of its PE's and its edge unit's. `limited_by`: which of them that is: 'pe' or 'edge'.
    `period_ns`: the clock period it runs at here. `cycles`: total cycles of the network. `time_us`:
    cycles * period, in microseconds. `speedup`: time of the baseline / time of the design, at equal
    PE count. `equal_area`: the same on arrays of equal area, absent unless asked for.
    """

    timed_as: str
    shortest_period_ns: float = Field(gt=0, allow_inf_nan=False)
    limited_by: Literal["pe", "edge"]
    period_ns: float = Field(gt=0, allow_inf_nan=False)
    cycles: int = Field(ge=1)
    baseline_cycles: int = Field(ge=1)
    baseline_period_ns: float = Field(gt=0, allow_inf_nan=False)
    equal_area: TimeAtEqualArea | None = Field(default=None, exclude_if=lambda area: area is None)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.period_ns < self.shortest_period_ns:
            raise ValueError(
                f"period_ns {self.period_ns} is below shortest_period_ns {self.shortest_period_ns}"
            )
        return self

    @computed_field  # type: ignore[prop-decorator]
    @property
    def time_us(self) -> float:
        """Total cycles * clock period, in microseconds."""
        return time_us(self.cycles, self.period_ns)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def speedup(self) -> float:
        """Time of the baseline / time of the design."""
        return self.baseline_cycles / self.cycles * self.period_ratio

    @property
    def period_ratio(self) -> float:
        """Clock period of the baseline / that of the design."""
        return self.baseline_period_ns / self.period_ns


class Clock(Record):
    """Clocks of a comparison. `without_period`: designs that have none, and why.

    `kind`: 'equal', one clock for all, the slowest design's, or 'own', each design at its own
    shortest period. `source`: where periods come from; never a paper. `timed`: what was timed.
    `library`, `corner`: of the cells, and their process, voltage and temperature.
    """

    kind: ClockKind
    source: str = SOURCE
    timed: str = TIMED
    library: str
    corner: dict[str, Any]
    designs: dict[Name, DesignClock]
    without_period: dict[Name, str]

    @property
    def slowest(self) -> str:
        """The design whose shortest period is the longest."""
        return max(self.designs, key=lambda name: self.designs[name].shortest_period_ns)

    def flat_fields(self, name: str, cycles: int, speedup: float) -> dict[str, Any]:
        """Return the columns of a layer or a network of one design, whose speedup is in cycles."""
        design = self.designs.get(name)
        return {
            "clock": self.kind,
            "period_ns": design and design.period_ns,
            "time_us": design and time_us(cycles, design.period_ns),
            "speedup_in_time": design and speedup * design.period_ratio,
        }

    def check_belongs(
        self, baseline: str, layer_cycles: Mapping[str, Sequence[int]], iso: IsoArea | None
    ) -> None:
        """Raise ValueError where a design is not of the reports with these cycles of layers, or its
        clock is not of this kind.
        """
        if baseline not in self.designs:
            raise ValueError(f"clock.designs: has no baseline {baseline}")
        shared_ns = self.designs[self.slowest].shortest_period_ns
        for name, design in self.designs.items():
            clock_ns = shared_ns if self.kind == "equal" else design.shortest_period_ns
            at_equal_area = iso.designs.get(name) if iso else None
            gains = at_equal_area and TimeAtEqualArea.of(at_equal_area, design.period_ratio)
            told = [sum(layer_cycles.get(spec, ())) for spec in (baseline, name)]
            if (
                told != [design.baseline_cycles, design.cycles]
                or design.baseline_period_ns != self.designs[baseline].period_ns
                or design.period_ns != clock_ns
                or design.equal_area != gains
            ):
                raise ValueError(
                    f"clock.designs.{name} is not of the reports of {name} and {baseline}"
                )


def time_us(cycles: int, period_ns: float) -> float:
    """Return a time in microseconds."""
    return cycles * period_ns / 1000


def _scaled(figure: Range, factor: float) -> Range:
    return Range(low=figure.low * factor, middle=figure.middle * factor, high=figure.high * factor)
