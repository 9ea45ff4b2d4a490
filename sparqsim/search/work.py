"""Points of a search measured by workers: processes here, or a Dask cluster's, as sweeps have them.

A worker makes the plan ready once, from a file that it reads by its path or gets as bytes, and
checks that it sees the same network and pictures by the digest of all that decides a trial.
"""

from __future__ import annotations

import hashlib
import pickle
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sparqsim.base.errors import InputError
from sparqsim.search.log import Trial
from sparqsim.search.plan import Plan, Ready
from sparqsim.search.space import Point
from sparqsim.sweep.processes import Start
from sparqsim.sweep.run import AHEAD, Workers, workers_for
from sparqsim.sweep.traces import TraceUnseenError
from sparqsim.sweep.worker import Result, packed

#: Measures points and yields their trials as they come.
Evaluate = Callable[[Sequence[Point]], Iterable[Trial]]
#: What this process has made ready, by SHA-256 of the plan's file.
READY: dict[str, Ready] = {}


@dataclass(frozen=True)
class PointWork:
    """One point to be measured. file: the plan's; setting: digest of all that decides the trial."""

    file: str
    file_sha256: str
    setting: str
    point: Point

    @property
    def words(self) -> str:
        """The point."""
        return f"bits {' '.join(map(str, self.point))}"

    def done(self, data: bytes | None = None) -> list[Result]:
        """Measure the point.

        Raises
        ------
        TraceUnseenError
            Where the plan is not at its path and no bytes came.
        InputError
            For a worker that sees another network, other pictures or another sparqsim.
        """
        ready = self._ready(data)
        trial = ready.measuring.trial(ready.space, self.point)
        return [Result(self.words, "done", packed(trial.to_json()))]

    def _ready(self, data: bytes | None) -> Ready:
        if self.file_sha256 not in READY:
            held = self._found() if data is None else data
            if hashlib.sha256(held).hexdigest() != self.file_sha256:
                raise TraceUnseenError(self.file)
            plan: Plan = pickle.loads(held)  # noqa: S301 - its digest came with the task
            READY[self.file_sha256] = plan.ready()
        ready = READY[self.file_sha256]
        if ready.setting != self.setting:
            raise InputError(
                "the worker sees another network, other pictures or another sparqsim than the "
                "search was started with; expected the same files at the same paths on every worker"
            )
        return ready

    def _found(self) -> bytes:
        try:
            return Path(self.file).read_bytes()
        except OSError:
            raise TraceUnseenError(self.file) from None


@contextmanager
def evaluating(
    plan: Plan, ready: Ready, jobs: int, scheduler: str | None, start: Start
) -> Iterator[Evaluate]:
    """Give what measures points: in this process, or by workers while the block lasts.

    Raises InputError for workers that cannot be had, or go away.
    """
    if jobs == 1 and scheduler is None:
        yield lambda points: (ready.measuring.trial(ready.space, point) for point in points)
        return
    with tempfile.TemporaryDirectory(prefix="sparqsim-search-") as folder:
        file = Path(folder) / "plan"
        held = _packed(plan)
        file.write_bytes(held)
        task = PointWork(str(file), hashlib.sha256(held).hexdigest(), ready.setting, ())
        with workers_for(jobs, scheduler, jobs, start) as workers:
            yield lambda points: _by_workers(workers, [replace(task, point=at) for at in points])


def _packed(plan: Plan) -> bytes:
    """Return a plan for other processes, its files named from the root.

    Raises InputError for one that holds objects which no other process can have.
    """
    files = tuple(file.absolute() for file in plan.pictures.files)
    pictures = replace(plan.pictures, files=files)
    model = str(Path(plan.model).absolute())
    try:
        return pickle.dumps(replace(plan, model=model, pictures=pictures))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"jobs: the search cannot be sent to other processes ({error}); expected a design by "
            "its name or as FILE.py:CLASS, or jobs=1"
        ) from None


def _by_workers(workers: Workers, tasks: Sequence[PointWork]) -> Iterator[Trial]:
    """Yield trials as they are measured."""
    waiting = deque(tasks)
    while waiting or workers.busy:
        while waiting and workers.busy < AHEAD * workers.slots:
            workers.submit(waiting.popleft())
        for result in workers.finished():
            yield Trial.of_json(result.text)
