"""Which points of a sweep share a measuring pass, and in what order passes and points are done.

Points that differ in array and memory alone share the passes over their trace's layers. Batches of
them are opened one after another: first the passes that the store lacks, layer by layer and for
several designs at once, then the points. Where a design's pass cannot be made, its points run
alone, and tell why.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sparqsim.sweep.passes import pass_key
from sparqsim.sweep.point import GATHER, Point
from sparqsim.sweep.worker import PassTask, Result, Task

#: Points per task at most. More share more work; fewer are recorded sooner and spread better.
MOST_TOGETHER = 8
#: The same of points that come with their passes, which are read once for all of them.
MOST_ARRAYS_TOGETHER = 64
#: Tasks per worker that a sweep is cut into at least, so that all of them end at about the same
#: time.
TASKS_PER_SLOT = 16
#: What makes cases of one task: equal facts but for these.
OF_A_DESIGN = frozenset({"pe", "pe_source_sha256"})
#: What a pass over values does not depend on.
OF_AN_ARRAY = frozenset(
    {
        "rows",
        "cols",
        "dataflow",
        "dataflow_source_sha256",
        "coupling",
        "overlap",
        "memory",
        "memory_config",
    }
)

#: Names of the layers of the trace at a path.
LayerNames = Callable[[str], Sequence[str]]


@dataclass
class Group:
    """Points that share passes. keys: of the passes, layer by layer. failed: one cannot be made."""

    points: list[Point]
    keys: tuple[str, ...]
    failed: bool = False


@dataclass
class Batch:
    """Groups of one trace whose passes are made together. waiting: keys of those not yet kept."""

    groups: list[Group]
    waiting: dict[str, Group] = field(default_factory=dict)

    def pass_tasks(self, known: set[str]) -> list[PassTask]:
        """Return the tasks of making the passes that are not known."""
        tasks = []
        for layer in range(len(self.groups[0].keys)):
            missing = [group for group in self.groups if group.keys[layer] not in known]
            keys = tuple(group.keys[layer] for group in missing)
            self.waiting |= dict(zip(keys, missing, strict=True))
            if missing:
                points = Task.of([group.points[0] for group in missing])
                tasks.append(PassTask(points, layer, keys))
        return tasks


def kept_apart(facts: dict[str, object]) -> bool:
    """Return whether a point's values are not those of a pass: run by definition, with energy,
    whose toggles depend on the array, or gathers, which have no layers.
    """
    return facts["engine"] != "fast" or "energy" in facts or facts.get("kind") == GATHER


def batches_of(points: Sequence[Point], names: LayerNames) -> tuple[list[Batch], list[Point]]:
    """Return batches of points that share passes with others, in an order of chance, and the points
    that do not.
    """
    groups: dict[str, list[Point]] = {}
    alone = []
    for point in points:
        if kept_apart(point.facts):
            alone.append(point)
        else:
            groups.setdefault(_setting(point, OF_AN_ARRAY), []).append(point)
    together: dict[str, list[Group]] = {}
    for of_group in groups.values():
        first = of_group[0]
        if len(of_group) == 1:
            alone.append(first)
            continue
        keys = [pass_key(first.facts, *layer) for layer in enumerate(names(first.case.trace))]
        place = _setting(first, OF_AN_ARRAY | OF_A_DESIGN)
        together.setdefault(place, []).append(Group(of_group, tuple(keys)))
    batches = [
        Batch(groups[at : at + MOST_TOGETHER])
        for groups in together.values()
        for at in range(0, len(groups), MOST_TOGETHER)
    ]
    random.shuffle(batches)
    return batches, alone


def _setting(point: Point, free: frozenset[str]) -> str:
    """Return what a point is, but for some facts."""
    facts = {name: value for name, value in point.facts.items() if name not in free}
    return f"{point.case.trace} {json.dumps(facts, sort_keys=True)}"


def tasks_of(points: Sequence[Point], slots: int) -> list[list[Point]]:
    """Group points that differ in design alone, in an order of chance.

    By chance, so that two sweeps on one store meet different points and share the work, and so that
    the time left is estimated from a fair sample.
    """
    together: dict[str, list[Point]] = {}
    for point in points:
        together.setdefault(_setting(point, OF_A_DESIGN), []).append(point)
    size = max(1, min(MOST_TOGETHER, len(points) // (TASKS_PER_SLOT * slots)))
    return _cut(together.values(), size)


def array_tasks(points: Sequence[Point], slots: int, of_sweep: int) -> list[list[Point]]:
    """Cut the points of a group, of a sweep of `of_sweep` points, into tasks, by chance as well."""
    size = max(1, min(MOST_ARRAYS_TOGETHER, of_sweep // (TASKS_PER_SLOT * slots)))
    mixed = random.sample(points, len(points))
    return _cut([mixed], size)


def _cut(groups: Iterable[list[Point]], size: int) -> list[list[Point]]:
    tasks = [group[at : at + size] for group in groups for at in range(0, len(group), size)]
    random.shuffle(tasks)
    return tasks


class Plan:
    """What is still to be done of a sweep, in order.

    Parameters
    ----------
    points : sequence of Point
        Those that the store lacks.
    slots : int
        Tasks that are done at once.
    names : callable
        Names of the layers of the trace at a path.
    known_passes : callable
        Which keys of passes the store has.
    """

    def __init__(
        self,
        points: Sequence[Point],
        slots: int,
        names: LayerNames,
        known_passes: Callable[[Iterable[str]], set[str]],
    ) -> None:
        batches, alone = batches_of(points, names)
        self._batches, self._open = deque(batches), dict[str, Batch]()
        self._slots, self._known, self._points = slots, known_passes, len(points)
        self._ready: deque[PassTask | tuple[list[Point], tuple[str, ...]]] = deque(
            (task, ()) for task in tasks_of(alone, slots)
        )

    def next(self) -> PassTask | tuple[list[Point], tuple[str, ...]] | None:
        """Return passes to be made, or points with the keys of their passes, none where they run
        alone; None where nothing can be started now.
        """
        while not self._ready and self._batches:
            self._begin(self._batches.popleft())
        return self._ready.popleft() if self._ready else None

    def _begin(self, batch: Batch) -> None:
        keys = [key for group in batch.groups for key in group.keys]
        self._ready.extend(batch.pass_tasks(self._known(keys)))
        self._open |= dict.fromkeys(batch.waiting, batch)
        if not batch.waiting:
            self._release(batch)

    def made(self, results: Sequence[Result]) -> None:
        """Take note of passes that were made, or could not be."""
        for result in results:
            batch = self._open.pop(result.key)
            group = batch.waiting.pop(result.key)
            group.failed |= result.state != "done"
            if not batch.waiting:
                self._release(batch)

    def _release(self, batch: Batch) -> None:
        """Let the points of a batch run."""
        for group in batch.groups:
            if group.failed:
                self._ready.extend((task, ()) for task in tasks_of(group.points, self._slots))
            else:
                tasks = array_tasks(group.points, self._slots, self._points)
                self._ready.extend((task, group.keys) for task in tasks)
