"""`ws`: weights stay. Rows hold the steps of K, columns hold N, M is streamed.

A tile loads in R cycles, then streams in M + R + C - 2 + e; with overlap, the next weights load
into a second register while a tile streams: R + (T - 1) * max(M, R) + M + R + C - 2 + e cycles for
T tiles. A tile holds R * lanes elements of K; sums of several such folds are added outside the
array.
"""

from __future__ import annotations

from typing import ClassVar

from sparqsim.array.dataflow import Dataflow


class WeightStationary(Dataflow):
    """`ws`. See the module's docstring."""

    name: ClassVar[str] = "ws"
    roles: ClassVar[str] = "msn"
