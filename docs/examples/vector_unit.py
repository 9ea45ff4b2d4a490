"""A vector unit: an engine of its own, no array of PEs. The worked example of how-to/own-engine.md.

`lanes` multipliers side by side take the layer's multiply-accumulates in order, as many per cycle
as there are lanes, whatever the operands are. Outputs are worked on in blocks of 16x16, one block
after another without a gap, so that operands can be kept near the unit.

Source: none; it is the plainest engine there is, made for this page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from sparqsim import ArrayConfig
from sparqsim.dataflow import Timing
from sparqsim.engine.measure import Measurement
from sparqsim.engine.models import Capacity, Defined, EngineModel, Task
from sparqsim.memory.system import Loops

#: Rows and columns of outputs that are worked on together; operands stream along K.
BLOCK = ArrayConfig(16, 16, dataflow="os")


@dataclass(frozen=True)
class VectorUnit(EngineModel):
    """Multipliers side by side that take multiply-accumulates in order: ceil(MACs / lanes)
    cycles.
    """

    name: ClassVar[str] = "vector"
    lanes: int = field(default=16, metadata={"least": 1})

    def capacity(self, array: ArrayConfig) -> Capacity:
        """One unit; every lane has a multiplier."""
        return Capacity(units=1, lanes=self.lanes, multipliers=self.lanes)

    def time(self, task: Task, measured: Measurement | None = None) -> Timing:
        """By the closed form."""
        return self._timing(task, -(-task.shape.macs // self.lanes))

    def define(self, task: Task) -> Defined:
        """Step by step: every cycle takes the next MACs that are left, as many as there are
        lanes.
        """
        layer, shape = task.lowered, task.shape
        x, w = layer.rows().tolist(), layer.weights.tolist()
        sums = np.zeros((shape.groups, shape.m, shape.n), np.int64)
        left = [
            (group, m, n, k)
            for group in range(shape.groups)
            for m in range(shape.m)
            for n in range(shape.n)
            for k in range(shape.k)
        ]
        cycles = 0
        while left:
            taken, left = left[: self.lanes], left[self.lanes :]
            for group, m, n, k in taken:
                sums[group, m, n] += x[group][m][k] * w[group][k][n]
            cycles += 1
        outputs = layer.corrected(sums, layer.rows(), layer.weights)
        return Defined(self._timing(task, cycles), outputs)

    def _timing(self, task: Task, cycles: int) -> Timing:
        shape = task.shape
        return Timing(
            tiles=1,
            compute=cycles,
            fill=0,
            drain=0,
            pe_stall=0,
            used_pe_cycles=cycles,
            partial_sums=shape.m * shape.n * shape.groups,
            busiest_pe=cycles,
            pe_work=cycles,
        )

    def loops(self, task: Task, timing: Timing) -> Loops:
        """Block by block; a cycle that takes MACs of two blocks counts for the one that begins
        it.
        """
        shape = task.shape
        rows = np.diff(np.minimum(np.arange(0, shape.m + BLOCK.rows, BLOCK.rows), shape.m))
        cols = np.diff(np.minimum(np.arange(0, shape.n + BLOCK.cols, BLOCK.cols), shape.n))
        macs = np.multiply.outer(np.ones(shape.groups, np.int64), np.multiply.outer(cols, rows))
        done = -(-np.cumsum(macs.ravel() * shape.k) // self.lanes)
        cycles = np.diff(done, prepend=0).reshape(macs.shape)
        return Loops.of_cycles(shape, BLOCK, cycles)
