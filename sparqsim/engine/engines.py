"""Two ways to ask an engine model: by its fast form, and by the definition.

Both end in the same report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Timing
from sparqsim.base.errors import InputError, nearest
from sparqsim.base.exact import exact_matmul
from sparqsim.engine.measure import Measurement, Watcher, metered
from sparqsim.engine.models.base import Defined, EngineModel, Task
from sparqsim.engine.models.values import error_of
from sparqsim.engine.squares import sum_of_squares
from sparqsim.trace import Layer

if TYPE_CHECKING:
    from sparqsim.memory.system import Runner


@dataclass(frozen=True)
class Outcome:
    """What a model makes of a layer: its cycles, and what its values decide."""

    timing: Timing
    measured: Measurement


class Engine(Protocol):
    """A way to ask a model."""

    def check(self, model: EngineModel, layer: Layer, array: ArrayConfig) -> None:
        """Raise InputError for a layer that cannot be asked for in this way."""

    def outcome(self, model: EngineModel, task: Task, measured: Measurement) -> Outcome:
        """Return what the model makes of a layer, of which `measured` was collected."""

    def memory_runner(self) -> Runner:
        """Return what runs the memory system's schedule."""


class FastForm:
    """The model's fast form: closed forms, recurrences, matrix products, tables."""

    def check(self, model: EngineModel, layer: Layer, array: ArrayConfig) -> None:
        """Take every layer."""

    def outcome(self, model: EngineModel, task: Task, measured: Measurement) -> Outcome:
        """Time the layer; its values are what was collected."""
        return Outcome(model.time(task, measured), measured)

    def memory_runner(self) -> Runner:
        """Return the recurrence."""
        from sparqsim.memory import recurrence

        return recurrence.run


class Definition:
    """The model's definition: plain Python, or processes, that do every step.

    Only what describes the operands and not the engine (pair classes, windows, zeros) is counted as
    in the fast form.
    """

    def check(self, model: EngineModel, layer: Layer, array: ArrayConfig) -> None:
        """Refuse layers that would take more than some seconds."""
        model.refuse_definition(layer, array)

    def outcome(self, model: EngineModel, task: Task, measured: Measurement) -> Outcome:
        """Run the layer; error and activity of its parts are the run's, where it has them."""
        done = model.define(task)
        return Outcome(done.timing, _replaced(task, done, measured))

    def memory_runner(self) -> Runner:
        """Return the processes that define the memory system's timing."""
        from sparqsim.event import memory

        return memory.run


def _replaced(task: Task, done: Defined, measured: Measurement) -> Measurement:
    """Return what was measured, with all that the run by definition has found out itself."""
    if done.outputs is not None:
        layer, stored = task.lowered, (task.lowered.rows(), task.lowered.weights)
        exact = layer.corrected(exact_matmul(*stored), *stored)
        error = error_of(done.outputs, exact, sum_of_squares(exact))
        measured = replace(measured, error=error)
    if done.activity is not None and measured.activity:
        # A design that does not count its parts gives no states to count; its steps may name parts
        # all the same.
        activity = dict.fromkeys(measured.activity, 0) | done.activity
        measured = replace(measured, activity=activity)
    return measured


ENGINES: dict[str, Engine] = {"fast": FastForm(), "event": Definition()}


def outcomes(
    engine: str, task: Task, models: Sequence[EngineModel], watchers: Sequence[Watcher] = ()
) -> list[Outcome]:
    """Return what each model makes of a layer; its rows are lowered and multiplied once for all.

    `watchers` see the rows, too.
    """
    lowered = task.lowered
    collected = metered(lowered, [model.meter(lowered) for model in models], watchers)
    return [
        ENGINES[engine].outcome(model, task, measured)
        for model, measured in zip(models, collected, strict=True)
    ]


def checked_engine(name: str) -> str:
    """Return the engine's name if it is one."""
    if name not in ENGINES:
        raise InputError(
            f"engine={name!r}: expected one of {', '.join(ENGINES)}{nearest(str(name), ENGINES)}"
        )
    return name
