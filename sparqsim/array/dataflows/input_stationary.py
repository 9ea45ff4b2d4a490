"""`is`: activations stay. Rows hold the steps of K, columns hold M, N is streamed.

A tile loads in R cycles, then streams in N + R + C - 2 + e; with overlap, the next activations load
into a second register while a tile streams: R + (T - 1) * max(N, R) + N + R + C - 2 + e cycles for
T tiles. A tile holds R * lanes elements of K; sums of several such folds are added outside the
array.
"""

from __future__ import annotations

from typing import ClassVar

from sparqsim.array.dataflow import Dataflow


class InputStationary(Dataflow):
    """`is`. See the module's docstring."""

    name: ClassVar[str] = "is"
    roles: ClassVar[str] = "nsm"
