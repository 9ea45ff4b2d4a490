"""What an engine model must give.

An engine model is what runs a layer: an array of PEs of some design, or something that is no array
of PEs at all. It is one frozen dataclass in one file of this folder, or anywhere else (loaded as
FILE.py:CLASS, or through an entry point of the group `sparqsim.engine.models`). Its fields are the
keys a user may set. It gives

* `name`, and `capacity`: what it can do at once;
* `refuse_array`, `refuse_layer`: what it cannot take;
* `outputs`: the values it makes of a layer, from which error follows;
* `define`: the definition of its time, in plain Python or as processes, and
* `time`: the fast form, which must equal it;
* `loops`: how it goes through a layer, for the memory system around it.

The fast form must equal the definition for every layer: `contract.py` checks that, and `sparqsim pe
check` runs it. What a model gives ends in the same report, whatever the model is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.costs import SideCosts
from sparqsim.array.dataflow import Timing
from sparqsim.base.errors import InputError
from sparqsim.base.keys import spec_of
from sparqsim.engine.measure import Measurement
from sparqsim.engine.models.values import OutputMeter
from sparqsim.pe.base import Array, PEDesign
from sparqsim.pe.binding import bound_to
from sparqsim.pe.trimming import Trimming
from sparqsim.results.action_costs import ActionCosts
from sparqsim.results.actions import Actions
from sparqsim.results.setting import EngineInfo, PEInfo
from sparqsim.trace import GemmShape, Layer
from sparqsim.trace.lowering import LoweredLayer

if TYPE_CHECKING:
    from sparqsim.memory.system import Loops

#: The design that runs layers marked keep_8bit where they are not on a design's own circuit.
KEPT = "mac-8b8b"


@dataclass(frozen=True)
class Capacity:
    """What an engine can do at once.

    Parameters
    ----------
    units : int
        PEs, or what stands in their place: whatever works side by side.
    lanes : int
        Multiply-accumulates that a unit does in one step.
    multipliers : int
        Multipliers of a unit, the denominator of multiplier utilization.
    """

    units: int
    lanes: int
    multipliers: int = 1


class Task:
    """A layer on an array: what a model is asked. Its operands are lowered when first needed, once.

    Parameters
    ----------
    layer : Layer
    array : ArrayConfig
        The array that was asked for. A model that is no array of PEs may leave it alone.
    lowered : LoweredLayer, optional
        The layer's matrix products where they are at hand.
    """

    def __init__(
        self, layer: Layer, array: ArrayConfig, lowered: LoweredLayer | None = None
    ) -> None:
        self.layer, self.array = layer, array
        self._lowered = lowered
        #: Step cycles that models have found, for any array, by design.
        self.step_costs: dict[tuple[str, PEDesign], SideCosts] = {}

    @cached_property
    def lowered(self) -> LoweredLayer:
        """The layer as matrix products: W in memory, X read block by block."""
        return self.layer.lower() if self._lowered is None else self._lowered

    @cached_property
    def shape(self) -> GemmShape:
        """M, K, N of a group and the number of groups: known without reading a value."""
        return self.layer.gemm

    def on(self, array: ArrayConfig) -> Task:
        """Return the same layer on another array."""
        task = Task(self.layer, array, self.lowered)
        task.step_costs = self.step_costs
        return task


@dataclass(frozen=True)
class Defined:
    """What a model does with a layer by its definition.

    Parameters
    ----------
    timing : Timing
    outputs : int64 (groups, M, N), optional
        The layer's sums, zero points corrected; None where the definition is of time alone.
    activity : mapping of str to int, optional
        Cycles that each part worked, summed over units; None where the definition counts none.
    """

    timing: Timing
    outputs: NDArray[np.int64] | None = None
    activity: dict[str, int] | None = field(default=None)


class Meter(Protocol):
    """Collects what a model makes of a layer's values, block of rows by block of rows."""

    def add(self, x: Array, exact: NDArray[np.int64], signal: int) -> None:
        """Count a block of X (groups, rows, K).

        `exact`: the block's exact sums, int64 (groups, rows, N). `signal`: the sum of their
        squares.
        """

    def measurement(self, macs_nonzero: int) -> Measurement:
        """Return what was collected."""


@dataclass(frozen=True)
class EngineModel(ABC):
    """What runs a layer. See the module's docstring."""

    name: ClassVar[str]
    #: What the engine is, in words that follow its name.
    kind: ClassVar[str] = "is an engine of its own, no array of PEs"
    #: Whether the dataflow, coupling and overlap of the array asked for set its time.
    follows_array: ClassVar[bool] = False

    @property
    def spec(self) -> str:
        """Its name with every key that is not at its default, e.g. 'vector:lanes=8'."""
        return spec_of(self)

    @property
    def pe(self) -> PEDesign | None:
        """The PE design that it is made of; None where it is no array of PEs."""
        return None

    @property
    def pass_designs(self) -> tuple[PEDesign, ...]:
        """What its PEs are in each pass over the layer; none where it is no array of PEs."""
        return () if self.pe is None else (self.pe,)

    @property
    def cycles_depend_on_values(self) -> bool:
        """Whether two layers of the same shape can take different numbers of cycles."""
        return False

    @property
    def kept_mode(self) -> str:
        """How its circuit runs a layer that stays at 8 bits, in words; '' where as any other."""
        return ""

    @property
    def found_keys(self) -> str:
        """Keys that it found itself for the layer that it is bound to, as 'key=value'; '' for
        none.
        """
        return ""

    @property
    def note(self) -> str:
        """What must be known to compare its cycles, beside what `kind` says; '' for nothing."""
        return ""

    @property
    def trimming(self) -> Trimming | None:
        """What it makes of operands, in words for quantization cards; None where it does not
        say.
        """
        return None if self.pe is None else self.pe.trimming

    @property
    def action_costs(self) -> ActionCosts | None:
        """What one of its actions costs, with the source; None where nobody says so."""
        return None

    def bound_to(self, layer: Layer) -> EngineModel:
        """Return the engine as it runs a layer: itself, unless its PEs make themselves ready for
        it.

        Whatever runs a layer asks what this returned. Bound again to the same layer it stays as it
        is, and so does `spec`.
        """
        return self

    @abstractmethod
    def capacity(self, array: ArrayConfig) -> Capacity:
        """Return what it can do at once."""

    def info(self, array: ArrayConfig) -> PEInfo:
        """Return what reports say of it on an array."""
        capacity = self.capacity(array)
        own = EngineInfo(
            kind=self.kind, units=capacity.units, remark=self.note, costs=self.action_costs
        )
        return PEInfo(
            name=self.spec.partition(":")[0],
            spec=self.spec,
            lanes=capacity.lanes,
            multipliers=capacity.multipliers,
            cycles_depend_on_values=self.cycles_depend_on_values,
            times_itself=not self.follows_array,
            real_valued=self.pe is not None and self.pe.real_valued,
            engine_model=own if self.pe is None else None,
        )

    def refuse_array(self, array: ArrayConfig) -> None:  # noqa: B027 - most take any array
        """Raise InputError for an array that it cannot be asked for."""

    def refuse_layer(self, layer: Layer, array: ArrayConfig) -> None:  # noqa: B027
        """Raise InputError, naming the layer, for one that it cannot run."""

    def refuse_definition(self, layer: Layer, array: ArrayConfig) -> None:  # noqa: B027
        """Raise InputError for a layer too large to be run by the definition."""

    def meter(self, lowered: LoweredLayer) -> Meter:
        """Return what collects the layer's values; from `outputs`, unless a model knows more."""
        return OutputMeter(self.outputs, lowered)

    def outputs(self, lowered: LoweredLayer, x: Array) -> NDArray[np.int64]:
        """Return the sums that it makes of some rows, zero points corrected; exact by default.

        Parameters
        ----------
        lowered : LoweredLayer
            Holds the weights, int8 (groups, K, N).
        x : uint8 or int8 (groups, rows, K)

        Returns
        -------
        int64 (groups, rows, N)
        """
        return lowered.sums(x, lowered.weights)

    def unit_steps(self, task: Task) -> int:
        """Return the steps of all units that the layer needs, padding left out: MACs / lanes."""
        return -(-task.shape.macs // self.capacity(task.array).lanes)

    @abstractmethod
    def time(self, task: Task, measured: Measurement | None = None) -> Timing:
        """Return the cycles of a layer by the fast form.

        Parameters
        ----------
        task : Task
        measured : Measurement, optional
            What `meter` collected, where the layer's values were read; else the model reads what it
            needs itself.
        """

    @abstractmethod
    def define(self, task: Task) -> Defined:
        """Return the same by the definition: step by step, in plain Python or as processes."""

    def actions(
        self, task: Task, timing: Timing, measured: Measurement, unit_cycles: int
    ) -> Actions:
        """Return what it did that costs energy, by name; nothing by default.

        The memory system counts its own.

        Parameters
        ----------
        task : Task
        timing : Timing
        measured : Measurement
        unit_cycles : int
            Units x cycles of the layer, waiting for the memory included.
        """
        return {}

    def loops(self, task: Task, timing: Timing) -> Loops:
        """Return how it goes through the layer, for the memory system.

        `timing` is what `time` or `define` gave for the same task; the lengths of the loops' tiles
        add up to its total.

        Raises
        ------
        InputError
            By default: the memory system does not know how such an engine moves operands.
        """
        raise InputError(
            f"{self.spec} {self.kind}, and does not say in which loops it moves operands; expected "
            "no memory (--config) around it"
        )


@dataclass(frozen=True)
class HostModel(EngineModel):
    """An engine made of PEs of one design: named by the design, whose `runs_on` names the host."""

    design: PEDesign

    @property
    def spec(self) -> str:
        """The design's name and keys."""
        return self.design.spec

    @property
    def pe(self) -> PEDesign:
        """The design of its PEs."""
        return self.design

    def bound_to(self, layer: Layer) -> EngineModel:
        """Return the engine with PEs of the design as it runs the layer."""
        return replace(self, design=bound_to(layer, self.design))

    @property
    def cycles_depend_on_values(self) -> bool:
        """As the design declares."""
        return self.design.cycles_depend_on_values

    def capacity(self, array: ArrayConfig) -> Capacity:
        """Return the PEs of the array, with the lanes and multipliers of the design."""
        return Capacity(array.pes, self.design.lanes, self.design.multipliers)

    def unit_steps(self, task: Task) -> int:
        """Return the steps of all outputs: those of K, rounded up for each."""
        shape = task.shape
        return shape.groups * shape.m * self.design.steps(shape.k) * shape.n
