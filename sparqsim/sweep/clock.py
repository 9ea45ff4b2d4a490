"""Times of a store's points: cycles at each design's shortest clock period, or at one for all.

Periods are those of `sparqsim.rtl.timing`, of the version that reads the store, not of the one that
filled it: a clock changes no cycle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparqsim.base.errors import InputError, nearest
from sparqsim.results.clock import CLOCKS, time_us
from sparqsim.rtl.timing import period
from sparqsim.sweep.check import Recorded
from sparqsim.sweep.database import Database


@dataclass(frozen=True)
class Clocks:
    """Clock periods of a store's designs.

    `kind`: 'own', each design at its own shortest period, or 'equal', all at that of the slowest
    one in the store. `shortest_ns`: by name with keys; designs that were not timed are not in it.
    """

    kind: str
    shortest_ns: Mapping[str, float]

    @classmethod
    def of(cls, store: Database, kind: str) -> Clocks:
        """Look periods up. Raises InputError for another `kind`."""
        if kind not in CLOCKS:
            raise InputError(
                f"clock={kind!r}: expected one of {', '.join(CLOCKS)}{nearest(kind, CLOCKS)}"
            )
        specs = dict.fromkeys(_spec(point) for point in store.recorded())
        found = {spec: _shortest_ns(spec) for spec in specs if spec is not None}
        return cls(kind, {spec: each for spec, each in found.items() if each is not None})

    def columns(self, point: Recorded, totals: Mapping[str, Any]) -> dict[str, Any]:
        """Return the clock, the period and the time of a point, and its speedup in time; None for
        what was not timed.

        Parameters
        ----------
        point : Recorded
        totals : mapping
            `cycles`: total ones; `baseline`: the name of the design of speedup 1; `speedup`: in
            cycles, or None.
        """
        own = self._period_ns(_spec(point))
        base = self._period_ns(totals["baseline"])
        speedup, told = totals["speedup"], point.facts["coupling"] != "broadcast"
        of_time = None
        if own and base and told and speedup is not None:
            of_time = speedup * (base / own)
        return {
            "clock": self.kind,
            "period_ns": own if told else None,
            "time_us": time_us(totals["cycles"], own) if own and told else None,
            "speedup_in_time": of_time,
        }

    def _period_ns(self, spec: str | None) -> float | None:
        if spec is None or spec not in self.shortest_ns:
            return None
        return self.shortest_ns[spec] if self.kind == "own" else max(self.shortest_ns.values())


def _spec(point: Recorded) -> str | None:
    """Return the name and keys of a point's design; None for one from a file, which may be called
    like one of the package, and for assignments.
    """
    return None if point.facts["pe_source_sha256"] else str(point.facts["pe"])


def _shortest_ns(spec: str) -> float | None:
    """Return the shortest period of a design, None where it was not timed; runs no file."""
    try:
        return period(spec).period_ns
    except InputError:
        return None
