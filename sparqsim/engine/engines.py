"""Two ways to the same report: the fast engine, and the array of processes that defines it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Timing, Work
from sparqsim.array.registry import get_dataflow
from sparqsim.array.self_timed import self_timed
from sparqsim.array.timing import array_timing
from sparqsim.base.errors import InputError, nearest
from sparqsim.base.exact import exact_matmul
from sparqsim.engine.measure import Measurement, measure, sum_of_squares
from sparqsim.memory import recurrence
from sparqsim.memory.system import Runner
from sparqsim.pe.arithmetic import Factors
from sparqsim.pe.base import PEDesign
from sparqsim.results.layer_report import Error
from sparqsim.trace import GemmShape
from sparqsim.trace.lowering import LoweredLayer

#: PE-steps, padded ones included, that the event engine takes: some seconds.
LARGEST_EVENT_RUN = 200_000


@dataclass(frozen=True)
class Outcome:
    """What a design makes of a layer: its cycles, and what its values decide."""

    timing: Timing
    measured: Measurement


class Engine(Protocol):
    """A way to find the outcomes of designs on a layer."""

    def check(self, shape: GemmShape, pe: PEDesign, array: ArrayConfig) -> None:
        """Raise InputError for a layer that the engine cannot take."""

    def run(
        self, layer: LoweredLayer, designs: list[PEDesign], array: ArrayConfig, signed: bool
    ) -> list[Outcome]:
        """Return the outcome of each design."""

    def timing(
        self,
        layer: LoweredLayer,
        pe: PEDesign,
        array: ArrayConfig,
        signed: bool,
        measured: Measurement,
    ) -> Timing:
        """Return the cycles of a measured layer on another array."""

    def memory_runner(self) -> Runner:
        """Return what runs the memory system's schedule."""


class FastEngine:
    """Closed forms and recurrences for time, matrix products and tables for values."""

    def check(self, shape: GemmShape, pe: PEDesign, array: ArrayConfig) -> None:
        """Take every layer."""

    def run(
        self, layer: LoweredLayer, designs: list[PEDesign], array: ArrayConfig, signed: bool
    ) -> list[Outcome]:
        """Measure all designs in one pass over the layer, then time each."""
        return [
            Outcome(self.timing(layer, pe, array, signed, measured), measured)
            for pe, measured in zip(designs, measure(layer, designs), strict=True)
        ]

    def memory_runner(self) -> Runner:
        """Return the recurrence."""
        return recurrence.run

    def timing(
        self,
        layer: LoweredLayer,
        pe: PEDesign,
        array: ArrayConfig,
        signed: bool,
        measured: Measurement,
    ) -> Timing:
        """Time by the dataflow's closed form or recurrence."""
        return array_timing(layer, pe, array, measured.step_cycles)


class EventEngine:
    """Every step of every PE by the design's plain-Python `step`, in processes: the definition of time and value.

    Only what describes the operands and not the PEs (pair classes, windows, zeros) is counted as in the fast engine.
    """

    def check(self, shape: GemmShape, pe: PEDesign, array: ArrayConfig) -> None:
        """Refuse layers that would take more than some seconds."""
        work = Work(shape.m, pe.steps(shape.k), shape.n, shape.groups)
        steps = get_dataflow(array.dataflow).grid(work, array).steps
        if steps > LARGEST_EVENT_RUN:
            raise InputError(
                f"{steps:,} PE-steps of {pe.spec} on a {array.rows}x{array.cols} array, padding included; "
                f"engine 'event' takes at most {LARGEST_EVENT_RUN:,} (engine 'fast' takes any number)"
            )

    def run(
        self, layer: LoweredLayer, designs: list[PEDesign], array: ArrayConfig, signed: bool
    ) -> list[Outcome]:
        """Run the layer once for each design."""
        return [
            self._outcome(layer, pe, array, measured, signed)
            for pe, measured in zip(designs, measure(layer, designs), strict=True)
        ]

    def timing(
        self,
        layer: LoweredLayer,
        pe: PEDesign,
        array: ArrayConfig,
        signed: bool,
        measured: Measurement,
    ) -> Timing:
        """Run the layer again."""
        return self._outcome(layer, pe, array, measured, signed).timing

    def memory_runner(self) -> Runner:
        """Return the processes that define the memory system's timing."""
        from sparqsim.event import memory

        return memory.run

    def _outcome(
        self,
        layer: LoweredLayer,
        pe: PEDesign,
        array: ArrayConfig,
        measured: Measurement,
        signed: bool,
    ) -> Outcome:
        if pe.times_itself:
            return Outcome(self_timed(layer, pe, array, by_definition=True), measured)
        from sparqsim.event.layer import run_layer  # simpy is loaded only when used

        done = run_layer(layer, pe, array, get_dataflow(array.dataflow), signed=signed)
        stored = layer.rows(), layer.weights
        exact = layer.corrected(exact_matmul(*stored), *stored)
        difference = Factors(layer, pe).corrected(done.outputs, stored[0]) - exact
        error = Error(
            outputs=exact.size,
            signal=sum_of_squares(exact),
            noise=sum_of_squares(difference),
            max_abs=int(np.abs(difference).max()),
        )
        # A design that does not count its parts gives no states to count; `step` may name parts all the same.
        activity = dict.fromkeys(measured.activity, 0) | done.activity if measured.activity else {}
        return Outcome(done.timing, replace(measured, error=error, activity=activity))


ENGINES: dict[str, Engine] = {"fast": FastEngine(), "event": EventEngine()}


def checked_engine(name: str) -> str:
    """Return the engine's name if it is one."""
    if name not in ENGINES:
        raise InputError(
            f"engine={name!r}: expected one of {', '.join(ENGINES)}{nearest(str(name), ENGINES)}"
        )
    return name
