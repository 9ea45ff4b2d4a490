"""What a dataflow asks of an array."""

from __future__ import annotations

from typing import Protocol


class ArrayShape(Protocol):
    """Sides, links and overlap of an array; `ArrayConfig` has them."""

    @property
    def rows(self) -> int:
        """PEs of a column."""

    @property
    def cols(self) -> int:
        """PEs of a row."""

    @property
    def overlap(self) -> bool:
        """Whether a tile begins before the one before it has left."""

    @property
    def link_depth(self) -> int | None:
        """Entries of every link's FIFO; None in lockstep and broadcast."""

    @property
    def broadcast(self) -> bool:
        """Whether all PEs of a tile do the same step at the same time."""

    @property
    def skew_cycles(self) -> int:
        """Steps of one cycle by which the last PE is behind the first one."""
