"""`is`: activations stay. Rows hold the steps of K, columns hold M, N is streamed.

A tile loads in R cycles, then streams in N + R + C - 2 + e; with overlap, the next activations load into a second
register while a tile streams: R + (T - 1) * max(N, R) + N + R + C - 2 + e cycles for T tiles. A tile holds R * lanes
elements of K; sums of several such folds are added outside the array.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.config import ArrayConfig
from sparqsim.dataflow.base import Axes, Dataflow, Work


class InputStationary(Dataflow):
    """`is`. See the module's docstring."""

    name: ClassVar[str] = "is"
    loads: ClassVar[bool] = True

    def axes(self, work: Work) -> Axes:
        """Rows S, columns M, stream N."""
        return Axes(work.steps, work.m, work.n)

    def tile_costs(self, cycles: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Give every streamed weight the cost of the activation pair that stays in the PE."""
        return cycles.transpose(0, 2, 1)[:, None]

    def partial_sums(self, work: Work, array: ArrayConfig) -> int:
        """Every output leaves the array once per K fold."""
        return work.groups * work.m * work.n * -(-work.steps // array.rows)
