"""`os`: partial sums stay. Rows hold M, columns hold N, the steps of K are streamed.

A tile fills and computes in S + R + C - 2 + e cycles, then drains its sums down the columns in R cycles; with
overlap, shadow accumulators drain while the next tile streams: (T - 1) * max(S, R) + S + R + C - 2 + e + R cycles
for T tiles.
"""

from __future__ import annotations

from typing import ClassVar

from sparqsim.config import ArrayConfig
from sparqsim.dataflow.base import Dataflow, Work


class OutputStationary(Dataflow):
    """`os`. See the module's docstring."""

    name: ClassVar[str] = "os"
    loads: ClassVar[bool] = False
    roles: ClassVar[str] = "smn"

    def partial_sums(self, work: Work, array: ArrayConfig) -> int:
        """Every output leaves the array once, complete."""
        return work.groups * work.m * work.n
