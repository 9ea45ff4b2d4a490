"""`os`: partial sums stay. Rows hold M, columns hold N, the steps of K are streamed.

A tile fills and computes in S + R + C - 2 + e cycles, then drains its sums down the columns in R
cycles; with overlap, shadow accumulators drain while the next tile streams: (T - 1) * max(S, R) + S
+ R + C - 2 + e + R cycles for T tiles.
"""

from __future__ import annotations

from typing import ClassVar

from sparqsim.array.dataflow import Dataflow


class OutputStationary(Dataflow):
    """`os`. See the module's docstring."""

    name: ClassVar[str] = "os"
    roles: ClassVar[str] = "smn"
