"""Speedups between the points of a store: each over the baseline's point at the same place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparqsim.base.errors import InputError, shown
from sparqsim.engine.models import get_model
from sparqsim.engine.simulation import BASELINE
from sparqsim.sweep.check import Recorded
from sparqsim.sweep.database import Database

#: Facts in which comparable points differ. Of files the content counts, not the name.
NOT_PLACE = frozenset({"pe", "pe_source_sha256", "trace", "memory"})


#: What reading the report of a point that no sweep has recorded may raise.
UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True)
class Speedups:
    """Speedups over one design.

    `baseline`: its name with keys. `cycles`: its total cycles at every place where it ran; a place
    is a trace's content, an array, a memory's content, the other settings, and the sources of
    sparqsim.
    """

    baseline: str
    cycles: Mapping[str, int]

    @classmethod
    def of(cls, store: Database, baseline: str | None = None) -> Speedups:
        """Find the baseline's points.

        Parameters
        ----------
        store : Database
        baseline : str, optional
            Default: `mac-8b8b`, which need not be there.

        Raises
        ------
        InputError
            For a baseline that is asked for and is at no point of the store.
        """
        spec = _spec(BASELINE if baseline is None else baseline)
        cycles, designs = {}, set()
        for point in store.recorded():
            designs.add(str(point.facts["pe"]))
            if point.facts["pe"] == spec and point.state == "done":
                cycles[_place(point)] = _total_cycles(store, point)
        if baseline is not None and spec not in designs:
            raise InputError(
                f"{store.path}: baseline {baseline!r} is at no point; expected one of "
                f"{', '.join(sorted(designs))}"
            )
        return cls(spec, cycles)

    def columns(self, point: Recorded, total_cycles: int) -> dict[str, Any]:
        """Return `baseline` and `speedup` of a point; None where the baseline did not run there."""
        baseline_cycles = self.cycles.get(_place(point))
        speedup = None if baseline_cycles is None else baseline_cycles / total_cycles
        return {"baseline": self.baseline, "speedup": speedup}


def _spec(name: str) -> str:
    """Return what facts call a design; a name that is none may be an assignment's."""
    try:
        return get_model(name).spec
    except InputError:
        return name


def _total_cycles(store: Database, point: Recorded) -> int:
    try:
        total_cycles = json.loads(point.text)["totals"]["cycles"]["total"]
        if type(total_cycles) is not int or total_cycles < 1:
            raise ValueError(f"totals.cycles.total={shown(total_cycles)} is impossible")
    except UNREADABLE as error:
        raise unreadable_report(store, point, error) from None
    return total_cycles


def unreadable_report(store: Database, point: Recorded, error: Exception) -> InputError:
    """Return what says that the report of a point cannot be read."""
    return InputError(
        f"{store.path}: point {point.key!r}: its report cannot be read ({type(error).__name__}: "
        f"{error}); expected a row that a sweep has recorded"
    )


def _place(point: Recorded) -> str:
    """Return what the points have in common whose cycles can be compared."""
    facts = {name: value for name, value in point.facts.items() if name not in NOT_PLACE}
    return json.dumps(facts, sort_keys=True)
