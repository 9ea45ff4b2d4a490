"""The sweep: what is missing in the store is computed, and recorded as it comes."""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from sparqsim.base.errors import InputError
from sparqsim.base.wording import counted
from sparqsim.sweep.case import Case
from sparqsim.sweep.local import LocalWorkers
from sparqsim.sweep.point import Planner, Point
from sparqsim.sweep.processes import Start
from sparqsim.sweep.store import Store
from sparqsim.sweep.worker import Result, Task, Work

#: Points per task at most. More share more work; fewer are recorded sooner and spread better.
MOST_TOGETHER = 8
#: Tasks per worker that a sweep is cut into at least, so that all of them end at about the same
#: time.
TASKS_PER_SLOT = 16
#: Tasks handed out ahead of each worker: it never waits, and what another sweep records meanwhile
#: is left out.
AHEAD = 2
#: What makes cases of one task: equal facts but for these.
OF_A_DESIGN = frozenset({"pe", "pe_source_sha256"})


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
    refused: list[tuple[Case, str]] = field(default_factory=list)
    failed: list[tuple[Case, str]] = field(default_factory=list)

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
    cases: Sequence[Case],
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
    cases : sequence of Case
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
    points = Planner().points(cases)
    with Store(store, write=True) as opened:
        known = opened.known(point.key for point in points)
        missing = [point for point in points if point.key not in known]
        run = _Run(opened, missing, Summary(len(points), len(known)), progress)
        if missing:
            with workers_for(jobs, scheduler, len(missing), start) as workers:
                run.finish(workers)
    return run.summary


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
        summary: Summary,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.summary = summary
        self._store, self._progress = store, progress
        self._missing = {point.key: point for point in missing}
        self._recorded = summary.known

    def finish(self, workers: Workers) -> None:
        """Compute and record every missing point."""
        tasks = deque(tasks_of(list(self._missing.values()), workers.slots))
        self._advance(0)
        while tasks or workers.busy:
            while tasks and workers.busy < AHEAD * workers.slots:
                self._start(tasks.popleft(), workers)
            if workers.busy:
                self._record(workers.finished())

    def _start(self, points: list[Point], workers: Workers) -> None:
        known = self._store.known(point.key for point in points)
        self.summary.known += len(known)
        self._advance(len(known))
        missing = [point for point in points if point.key not in known]
        if missing:
            workers.submit(Task.of(missing))

    def _record(self, results: list[Result]) -> None:
        pairs = [(self._missing[result.key], result) for result in results]
        self._store.record((point, result) for point, result in pairs if result.state != "failed")
        for point, result in pairs:
            self.summary.add(point, result)
        self._advance(len(pairs))

    def _advance(self, points: int) -> None:
        self._recorded += points
        if self._progress is not None:
            self._progress(self._recorded, self.summary.points)


def tasks_of(points: Sequence[Point], slots: int) -> list[list[Point]]:
    """Group points that differ in design alone, in an order of chance.

    By chance, so that two sweeps on one store meet different points and share the work, and so that
    the time left is estimated from a fair sample.
    """
    together: dict[str, list[Point]] = {}
    for point in points:
        setting = {name: value for name, value in point.facts.items() if name not in OF_A_DESIGN}
        together.setdefault(f"{point.case.trace} {setting}", []).append(point)
    size = max(1, min(MOST_TOGETHER, len(points) // (TASKS_PER_SLOT * slots)))
    tasks = [
        group[at : at + size] for group in together.values() for at in range(0, len(group), size)
    ]
    random.shuffle(tasks)
    return tasks
