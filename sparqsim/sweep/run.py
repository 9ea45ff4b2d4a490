"""The sweep: what is missing in the store is computed, and recorded as it comes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from sparqsim.base.errors import InputError
from sparqsim.base.wording import counted
from sparqsim.sweep.case import Case
from sparqsim.sweep.gather_point import GatherTask, gather_point
from sparqsim.sweep.gathers import GatherCase
from sparqsim.sweep.local import LocalWorkers
from sparqsim.sweep.point import Planner, Point
from sparqsim.sweep.processes import Start
from sparqsim.sweep.sharing import LayerNames, Plan
from sparqsim.sweep.store import Store
from sparqsim.sweep.worker import PassTask, Result, Task, Work

#: Tasks handed out ahead of each worker: it never waits, and what another sweep records meanwhile
#: is left out.
AHEAD = 2


class Workers(Protocol):
    """Where tasks are done. slots: how many at once. busy: submitted and not returned yet."""

    slots: int

    @property
    def busy(self) -> int: ...  # noqa: D102
    def submit(self, task: Work) -> None: ...  # noqa: D102
    def finished(self) -> list[Result]: ...  # noqa: D102
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None: ...


@dataclass
class Summary:
    """What a sweep did. known: points that were there before.

    Others by what became of them; messages say why.
    """

    points: int
    known: int
    done: int = 0
    refused: list[tuple[Case | GatherCase, str]] = field(default_factory=list)
    failed: list[tuple[Case | GatherCase, str]] = field(default_factory=list)

    def __repr__(self) -> str:
        computed = self.done + len(self.refused)
        return (
            f"<Summary: {counted(self.points, 'point')}: {self.known} known, {computed} computed, "
            f"{len(self.refused)} of them refused, {len(self.failed)} failed>"
        )

    def add(self, point: Point, result: Result) -> None:
        """Count a point."""
        if result.state == "done":
            self.done += 1
        else:
            getattr(self, result.state).append((point.case, result.text))


def sweep(
    cases: Sequence[Case | GatherCase],
    store: str | Path,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    start: Start = "spawn",
) -> Summary:
    """Compute the cases that the store does not hold, and record them.

    Parameters
    ----------
    cases : sequence of Case or GatherCase
        Those that are equal but for their names are computed once.
    store : str or Path
        Made where it does not exist. Several sweeps may use one at a time.
    jobs : int, optional
        Processes on this machine; default: one per core. They import the script that calls this, so
        it needs `if __name__ == "__main__":`.
    scheduler : str, optional
        Address of a Dask scheduler to use instead.
    progress : callable, optional
        Called with (points recorded, points there are) at the start and after every task.
    start : {'spawn', 'forkserver'}
        How processes start. 'forkserver' (not on Windows) is quicker, and leaves Python's fork
        server behind in the calling process, with one thread per process for whatever else uses it.

    Returns
    -------
    Summary
        Refused cases (a design that cannot take a layer, or does not support a dataflow) are
        recorded with the reason. Failed ones (a design that raised something) are not: the next
        sweep tries them again.

    Raises
    ------
    InputError
        Before anything is computed: for a name or a file that is not there. Later: for a store that
        cannot be written, workers or a scheduler that went away. What was recorded stays.
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs={jobs}: expected at least 1")
    planner = Planner()
    points = _points(cases, planner)
    with Store(store, write=True) as opened:
        known = opened.known(point.key for point in points)
        missing = [point for point in points if point.key not in known]
        summary = Summary(len(points), len(known))
        run = _Run(opened, missing, planner.layer_names, summary, progress)
        if missing:
            with workers_for(jobs, scheduler, len(missing), start) as workers:
                run.finish(workers)
    return run.summary


def _points(cases: Sequence[Case | GatherCase], planner: Planner) -> list[Point]:
    """Return the points of cases of both kinds, each key once."""
    simulations = [case for case in cases if isinstance(case, Case)]
    gathers = (gather_point(case) for case in cases if isinstance(case, GatherCase))
    return [*planner.points(simulations), *{point.key: point for point in gathers}.values()]


def _work(points: Sequence[Point], passes: Sequence[bytes]) -> Work:
    """Return the work of computing points of one group, with what is kept of its passes."""
    return GatherTask.of(points) if points[0].is_gather else Task.of(points, passes)


def workers_for(jobs: int | None, scheduler: str | None, points: int, start: Start) -> Workers:
    """Return where work is done: a Dask scheduler's workers, or processes here, one per core by
    default and no more than there are points.
    """
    if scheduler is None:
        return LocalWorkers(min(jobs or available_cores(), points), start)
    from sparqsim.sweep.cluster import DaskWorkers

    return DaskWorkers(scheduler)


def available_cores() -> int:
    """Return the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Run:
    """The points of one sweep on their way through the workers into the store."""

    def __init__(
        self,
        store: Store,
        missing: Sequence[Point],
        names: LayerNames,
        summary: Summary,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.summary = summary
        self._store, self._names, self._progress = store, names, progress
        self._missing = {point.key: point for point in missing}
        self._recorded = summary.known

    def finish(self, workers: Workers) -> None:
        """Compute and record every missing point."""
        points = list(self._missing.values())
        plan = Plan(points, workers.slots, self._names, self._store.known_passes)
        self._advance(0)
        while True:
            while workers.busy < AHEAD * workers.slots and (step := plan.next()) is not None:
                if isinstance(step, PassTask):
                    workers.submit(step)
                else:
                    self._start(*step, workers)
            if not workers.busy:
                return
            self._record(workers.finished(), plan)

    def _start(self, points: list[Point], passes: tuple[str, ...], workers: Workers) -> None:
        known = self._store.known(point.key for point in points)
        self.summary.known += len(known)
        self._advance(len(known))
        missing = [point for point in points if point.key not in known]
        if missing:
            workers.submit(_work(missing, self._store.passes(passes) or ()))

    def _record(self, results: list[Result], plan: Plan) -> None:
        passes = [result for result in results if result.key not in self._missing]
        if passes:
            self._store.keep_passes(result for result in passes if result.state == "done")
            plan.made(passes)
            return
        pairs = [(self._missing[result.key], result) for result in results]
        self._store.record((point, result) for point, result in pairs if result.state != "failed")
        for point, result in pairs:
            self.summary.add(point, result)
        self._advance(len(pairs))

    def _advance(self, points: int) -> None:
        self._recorded += points
        if self._progress is not None:
            self._progress(self._recorded, self.summary.points)
