"""What a worker does, here or on another machine: simulate the points of one task."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sparqsim.base.errors import InputError
from sparqsim.base.limits import RESULT_BYTES
from sparqsim.results.report import Report
from sparqsim.sweep.case import Case, measured_layer, run_on_arrays, run_together
from sparqsim.sweep.passes import inflated, packed_pass, unpacked_pass
from sparqsim.sweep.point import Planner, Point
from sparqsim.sweep.traces import held_trace
from sparqsim.trace import Layer, Trace


class Work(Protocol):
    """What workers are handed: what is done to a file, wherever they are.

    A worker reads the file by its path where it finds the right content there; else it raises
    `TraceUnseenError`, and the file's bytes follow.
    """

    @property
    def file(self) -> str:
        """Its path."""

    @property
    def file_sha256(self) -> str:
        """Of its content."""

    @property
    def words(self) -> str:
        """What is done, for messages."""

    def done(self, data: bytes | None = None) -> list[Result]:
        """Do it; `data`: the file's bytes, for a worker that cannot read it by its path."""


def done(work: Work) -> list[Result]:
    """Do some work, in a worker of this machine."""
    return work.done()


@dataclass(frozen=True)
class Task:
    """Points that share a trace: those that differ in `pe` alone share array and exact products;
    those that come with `passes`, one for each layer, differ in array and memory alone.
    """

    trace: str
    trace_sha256: str
    cases: tuple[Case, ...]
    keys: tuple[str, ...]
    passes: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, points: Sequence[Point], passes: Sequence[bytes] = ()) -> Task:
        """Return the task of computing `points`."""
        return cls(
            points[0].case.trace,
            points[0].facts["trace_sha256"],
            tuple(point.case for point in points),
            tuple(point.key for point in points),
            tuple(passes),
        )

    @property
    def file(self) -> str:
        """The trace's path."""
        return self.trace

    @property
    def file_sha256(self) -> str:
        """The trace's SHA-256."""
        return self.trace_sha256

    @property
    def words(self) -> str:
        """The first of the cases."""
        return str(self.cases[0])

    def done(self, data: bytes | None = None) -> list[Result]:
        """Simulate the points: `run_task`."""
        return run_task(self, data)


@dataclass(frozen=True)
class PassTask:
    """The passes of designs over one layer.

    points: the task of a point of each design, which says what the design is. layer: its place in
    the trace. keys: of the passes.
    """

    points: Task
    layer: int
    keys: tuple[str, ...]

    @property
    def file(self) -> str:
        """The trace's path."""
        return self.points.trace

    @property
    def file_sha256(self) -> str:
        """The trace's SHA-256."""
        return self.points.trace_sha256

    @property
    def words(self) -> str:
        """The layer and the first of the cases."""
        return f"layer {self.layer} of {self.points.words}"

    def done(self, data: bytes | None = None) -> list[Result]:
        """Measure the layer. What stops a design is told by its points, which then run alone."""
        points = self.points
        held = held_trace(points.trace, points.trace_sha256, data)
        _check_same_setup(points)
        contents = _passes_of(held.trace.layers[self.layer], points.cases)
        held.check_unchanged()
        _check_same_setup(points)
        return [
            Result(key, "failed" if content is None else "done", content or b"")
            for key, content in zip(self.keys, contents, strict=True)
        ]


@dataclass(frozen=True)
class Result:
    """What became of a point.

    state: 'done' (`text` is the report, as JSON), 'refused' (the case cannot run; `text` says why)
    or 'failed' (a fault that is not the case's: nothing to be recorded). packed: `text`,
    compressed.
    """

    key: str
    state: str
    packed: bytes

    @property
    def text(self) -> str:
        """The report or the reason."""
        return unpacked(self.packed)


def packed(text: str) -> bytes:
    """Compress text: a report shrinks to about a tenth."""
    return zlib.compress(text.encode())


def unpacked(data: bytes) -> str:
    """Undo `packed`.

    Raises ValueError or zlib.error for data that it did not make, and for far too much of it.
    """
    return inflated(data, RESULT_BYTES.most).decode()


def run_task(task: Task, trace_bytes: bytes | None = None) -> list[Result]:
    """Simulate the points of a task.

    Parameters
    ----------
    task : Task
    trace_bytes : bytes, optional
        The trace file, for a worker that cannot read it by its path.

    Raises
    ------
    TraceUnseenError
        Where the trace is not at its path, or another one is, and no bytes came; also if it changed
        meanwhile.
    InputError
        Where this worker's package, designs or files are not those the keys were made with.
    """
    held = held_trace(task.trace, task.trace_sha256, trace_bytes)
    _check_same_setup(task)
    outcomes = _outcomes(held.trace, task)
    # Once more: what was computed from, or refused because of, a file that changed must not be
    # recorded.
    held.check_unchanged()
    _check_same_setup(task)
    return [_result(key, outcome) for key, outcome in zip(task.keys, outcomes, strict=True)]


def _outcomes(trace: Trace, task: Task) -> list[Report | Exception]:
    """Return what becomes of the cases; without the passes where those are damaged."""
    if not task.passes:
        return run_together(trace, task.cases)
    try:
        return run_on_arrays(trace, task.cases, map(unpacked_pass, task.passes))
    except InputError:
        return [run_together(trace, [case])[0] for case in task.cases]


def _passes_of(layer: Layer, cases: Sequence[Case]) -> list[bytes | None]:
    """Return a layer's pass under each case, None where something stops it."""
    try:
        return [packed_pass(measured) for measured in measured_layer(layer, cases)]
    except Exception:  # noqa: BLE001 - a user's own design may raise anything; its points tell it
        # One design cannot take down the others.
        return [None] if len(cases) == 1 else [_passes_of(layer, [case])[0] for case in cases]


def _result(key: str, outcome: Report | Exception) -> Result:
    if isinstance(outcome, Report):
        return Result(key, "done", packed(outcome.to_json()))
    if isinstance(outcome, InputError):
        return Result(key, "refused", packed(str(outcome)))
    return Result(key, "failed", packed(" ".join(repr(outcome).split())))


def _check_same_setup(task: Task) -> None:
    planner = Planner({task.trace: task.trace_sha256})
    for case, key in zip(task.cases, task.keys, strict=True):
        if planner.point(case).key != key:
            raise InputError(
                f"pe={case.pe!r}: the worker has another version of sparqsim, of the design's file "
                "or of the accelerator's than the sweep was started with; expected the same on "
                "every worker"
            )
