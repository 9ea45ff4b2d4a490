"""The array of PEs that a dataflow times: PEs do steps, operands and sums move between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sparqsim.array.config import ArrayConfig
from sparqsim.array.costs import SideCosts
from sparqsim.array.dataflow import Timing, Work
from sparqsim.array.registry import get_dataflow
from sparqsim.array.tiles import tile_times
from sparqsim.array.timing import (
    array_timing,
    check_activations,
    check_dataflow,
    fixed_cycles,
    side_costs,
)
from sparqsim.base.errors import InputError
from sparqsim.engine.measure import Measurement
from sparqsim.engine.measure import Meter as DesignMeter
from sparqsim.engine.models.base import Defined, HostModel, Meter, Task
from sparqsim.pe.arithmetic import Factors
from sparqsim.pe.encoded import EncodedLayer
from sparqsim.results.actions import Actions, ArrayActions, PEActions, part_actions, table_of
from sparqsim.trace import Layer
from sparqsim.trace.lowering import LoweredLayer

if TYPE_CHECKING:
    from sparqsim.memory.system import Loops

#: PE-steps, padded ones included, that are run by definition: some seconds.
LARGEST_EVENT_RUN = 200_000


@dataclass(frozen=True)
class PEArray(HostModel):
    """What arrays of PEs have in common: values of the design, tiles of the dataflow."""

    def refuse_array(self, array: ArrayConfig) -> None:
        """Refuse a dataflow that the design does not support."""
        check_dataflow(self.design, array)

    def refuse_layer(self, layer: Layer, array: ArrayConfig) -> None:
        """Refuse activations that the design cannot take."""
        check_activations(layer, self.design)

    def refuse_definition(self, layer: Layer, array: ArrayConfig) -> None:
        """Refuse layers that would take more than some seconds."""
        steps = get_dataflow(array.dataflow).grid(self.work(layer), array).steps
        if steps > LARGEST_EVENT_RUN:
            raise InputError(
                f"layer {layer.name!r}: {steps:,} PE-steps of {self.spec} on a "
                f"{array.rows}x{array.cols} array, padding included; engine 'event' takes at most "
                f"{LARGEST_EVENT_RUN:,} (engine 'fast' takes any number)"
            )

    def meter(self, lowered: LoweredLayer) -> Meter:
        """Return what collects error, pair classes, windows, part activity and step cycles."""
        return DesignMeter(self.design, lowered)

    def work(self, layer: Layer) -> Work:
        """Return what a layer asks of the array."""
        shape, pe = layer.gemm, self.design
        registers = pe.edge_cycles, pe.stage_cycles
        return Work(shape.m, pe.steps(shape.k), shape.n, shape.groups, *registers)

    def loops(self, task: Task, timing: Timing) -> Loops:
        """Return the dataflow's loops, with the cycles of each tile."""
        from sparqsim.memory import system

        pe, flow = self.design, get_dataflow(task.array.dataflow)
        tiles = tile_times(
            flow,
            self.work(task.layer),
            task.array,
            timing.tile_stalls,
            whole=not self.follows_array,
        )
        return system.Loops(
            task.array,
            pe.lanes,
            tiles,
            tiles.grid.used_by_tile,
            pe.pair_bits_of(task.layer),
            pe.weight_bits,
        )


@dataclass(frozen=True)
class SystolicArray(PEArray):
    """An array of PEs that the dataflow times."""

    name: ClassVar[str] = "systolic-array"
    kind: ClassVar[str] = "is an array of PEs"
    follows_array: ClassVar[bool] = True

    def time(self, task: Task, measured: Measurement | None = None) -> Timing:
        """Time by closed form or recurrence; values are read only if they can change it."""
        fixed = fixed_cycles(self.design)
        if fixed is not None:
            flow = get_dataflow(task.array.dataflow)
            return flow.timing(self.work(task.layer), task.array, fixed)
        costs = None if measured is None else measured.step_costs
        if costs is None and self.design.cost != "pair":
            costs = self._costs(task)
        return array_timing(task.lowered, self.design, task.array, costs)

    def _costs(self, task: Task) -> SideCosts:
        """Return step cycles that operands of one side decide, found once for all arrays."""
        key = self.design.spec, self.design
        if key not in task.step_costs:
            task.step_costs[key] = side_costs(task.lowered, self.design)
        return task.step_costs[key]

    def define(self, task: Task) -> Defined:
        """Run every step of every PE by the design's plain-Python `step`, in processes."""
        from sparqsim.event.layer import run_layer  # simpy is loaded only when used

        pe, flow = self.design, get_dataflow(task.array.dataflow)
        factors = Factors(task.lowered, pe)
        layer = factors.layer
        signed = layer.signed if isinstance(layer, EncodedLayer) else task.layer.signed
        done = run_layer(layer, pe, task.array, flow, signed=signed)
        outputs = factors.corrected(done.outputs, task.lowered.rows())
        return Defined(done.timing, outputs, done.activity)

    def actions(
        self, task: Task, timing: Timing, measured: Measurement, unit_cycles: int
    ) -> Actions:
        """Return what PEs, parts and array did: closed forms of tiles, and what values decided."""
        flow = get_dataflow(task.array.dataflow)
        grid = flow.grid(self.work(task.layer), task.array)
        streamed = grid.tiles * grid.stream
        real_steps = self.unit_steps(task)
        of_pes = PEActions(
            steps=real_steps,
            padded_steps=grid.steps - real_steps,
            step_cycles=timing.pe_work,
            idle_cycles=unit_cycles - timing.pe_work,
        )
        moves = not flow.loads
        of_array = ArrayActions(
            left_reads=grid.groups * grid.col_tiles * grid.along_rows * grid.stream,
            top_reads=moves * grid.groups * grid.row_tiles * grid.along_cols * grid.stream,
            right_hops=streamed * grid.rows * (grid.cols - 1),
            down_hops=moves * streamed * (grid.rows - 1) * grid.cols,
            stationary_loads=flow.loads * grid.used_pes,
            psum_writes=grid.steps,
            partial_sums=timing.partial_sums,
        )
        parts = part_actions(measured.activity)
        return table_of(of_pes, "pe") | parts | table_of(of_array, "array")
