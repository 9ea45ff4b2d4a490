"""Own clocks instead of one for all: how long cycles are.

Periods are those of `sparqsim.rtl.timing`: our own RTL, open tools, one library and corner. What
was timed are PEs and edge units of lockstep `os` arrays, whatever array is asked for. A design
without a period has no time; the baseline must have one. With `equal` all run at the clock of the
slowest of those that have one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError, nearest
from sparqsim.engine.assignment import Assignment
from sparqsim.results.clock import CLOCKS, Clock, ClockKind, DesignClock, TimeAtEqualArea
from sparqsim.results.iso_area import IsoArea
from sparqsim.rtl.timing import Period, period, shipped_timing


def checked_clock(kind: str, array: ArrayConfig) -> ClockKind:
    """Return a kind of clock if it is one.

    Raises
    ------
    InputError
        When it is none, or the array broadcasts operands.
    """
    if kind not in CLOCKS:
        raise InputError(
            f"clock={kind!r}: expected one of {', '.join(CLOCKS)}{nearest(kind, CLOCKS)}"
        )
    if array.broadcast:
        raise InputError(
            f"clock={kind!r}: coupling='broadcast' has no clock period, since timed PEs pass "
            "operands on and there is no RTL that broadcasts; expected lockstep or elastic:D"
        )
    return "equal" if kind == "equal" else "own"


@dataclass(frozen=True)
class Clocks:
    """What is known of clocks before anything is simulated; by spec of what is compared."""

    kind: ClockKind
    baseline: str
    periods: Mapping[str, Period]
    without: Mapping[str, str]

    @classmethod
    def of(cls, kind: ClockKind, runs: list[Assignment], baseline: Assignment) -> Clocks:
        """Look the periods up. Raises InputError where the baseline has none."""
        found = {run.spec: _period_of(run) for run in runs}
        missing = {spec: why for spec, why in found.items() if isinstance(why, str)}
        if baseline.spec in missing:
            raise InputError(
                f"clock={kind!r}: baseline {baseline.spec!r} has no clock period: "
                f"{missing[baseline.spec]}; expected a design of `sparqsim rtl timing`"
            )
        periods = {spec: each for spec, each in found.items() if isinstance(each, Period)}
        return cls(kind, baseline.spec, periods, missing)

    def block(self, cycles: Mapping[str, int], iso: IsoArea | None) -> Clock:
        """Return the part of a comparison that tells of clocks; `cycles`: total, by design."""
        row = shipped_timing()["rows"][0]
        return Clock(
            kind=self.kind,
            library=row["library"],
            corner=row["corner"],
            designs={spec: self._design(spec, cycles, iso) for spec in self.periods},
            without_period=dict(self.without),
        )

    def _design(self, spec: str, cycles: Mapping[str, int], iso: IsoArea | None) -> DesignClock:
        found = self.periods[spec]
        at_equal_area = iso.designs.get(spec) if iso else None
        ratio = self._period_ns(self.baseline) / self._period_ns(spec)
        return DesignClock(
            timed_as=found.timed_as,
            shortest_period_ns=found.period_ns,
            limited_by=found.where,
            period_ns=self._period_ns(spec),
            cycles=cycles[spec],
            baseline_cycles=cycles[self.baseline],
            baseline_period_ns=self._period_ns(self.baseline),
            equal_area=TimeAtEqualArea.of(at_equal_area, ratio) if at_equal_area else None,
        )

    def _period_ns(self, spec: str) -> float:
        own = {each: found.period_ns for each, found in self.periods.items()}
        return own[spec] if self.kind == "own" else max(own.values())


def _period_of(run: Assignment) -> Period | str:
    """Return the clock period of what is compared, or why it has none."""
    designs = [model.pe for model in run.models if model.pe is not None]
    for model in run.models:
        if model.pe is None:
            return f"{model.spec} {model.kind}"
    if len({pe.circuit for pe in designs}) > 1:
        circuits = ", ".join(pe.spec for pe in designs)
        return f"assignment {run.name!r} has a circuit for each layer ({circuits})"
    try:
        return period(designs[0])
    except InputError as error:
        return str(error)
