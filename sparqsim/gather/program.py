"""What a gather unit is asked: which bytes of memory each look-up reads, and how fast it all is.

Rows lie one behind the other from address 0. `padded`: each starts with a burst, so its last one
may be filled up. `packed`: nothing between them, so a row may share bursts with its neighbours. A
look-up moves every burst that holds some of its bytes, whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.memory.config import UNLIMITED, DramConfig, GatherConfig, rate

Layout = Literal["padded", "packed"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
#: Times are counted in integers of 64 bits.
LATEST_TICK = 1 << 62


@dataclass(frozen=True)
class Placement:
    """Where the rows of a table lie.

    Parameters
    ----------
    row_bytes : int
        Of a row, in its format.
    burst_bytes : int
    layout : {'padded', 'packed'}
    """

    row_bytes: int
    burst_bytes: int
    layout: Layout

    @property
    def stride_bytes(self) -> int:
        """Bytes from the start of a row to that of the next."""
        if self.layout == "packed":
            return self.row_bytes
        return -(-self.row_bytes // self.burst_bytes) * self.burst_bytes

    def first_bursts(self, rows: int) -> NDArray[np.int64]:
        """Return the number of the first burst of each of so many rows, int64 (rows,)."""
        starts = np.arange(rows, dtype=np.int64) * self.stride_bytes
        return starts // self.burst_bytes

    def bursts(self, rows: int) -> NDArray[np.int64]:
        """Return how many bursts each of so many rows touches, int64 (rows,)."""
        last_bytes = np.arange(rows, dtype=np.int64) * self.stride_bytes + self.row_bytes - 1
        return last_bytes // self.burst_bytes - self.first_bursts(rows) + 1


@dataclass(frozen=True, eq=False)
class Program:
    """Look-ups of rows on a gather unit: all that its timing depends on.

    Parameters
    ----------
    rows : int64 (look-ups,)
        The row of each look-up, in the order in which they are asked for; at least one.
    first_burst, bursts : int64 (rows of the table,)
        Where the bursts of each row begin, and how many there are.
    dequantise_cycles : int
        That the lanes take for a row.
    dram : DramConfig
        Bandwidth, latency and bytes of a burst.
    gather : GatherConfig
    """

    rows: NDArray[np.int64]
    first_burst: NDArray[np.int64]
    bursts: NDArray[np.int64]
    dequantise_cycles: int
    dram: DramConfig
    gather: GatherConfig

    @classmethod
    def of(
        cls,
        rows: NDArray[np.int64],
        table: tuple[int, int],
        placement: Placement,
        dram: DramConfig,
        gather: GatherConfig,
    ) -> Program:
        """Return look-ups in a table.

        Parameters
        ----------
        rows : int64 (look-ups,)
        table : (rows, elements of a row)
        placement : Placement
        dram : DramConfig
        gather : GatherConfig

        Raises
        ------
        InputError
            Where times would not fit 64 bits.
        """
        height, width = table
        first, bursts = placement.first_bursts(height), placement.bursts(height)
        program = cls(rows, first, bursts, -(-width // gather.lanes), dram, gather)
        program._check_times()
        return program

    @property
    def lookups(self) -> int:
        """How many."""
        return len(self.rows)

    @cached_property
    def moved_bursts(self) -> int:
        """Bursts over the channel, all look-ups together."""
        counts = np.bincount(self.rows, minlength=len(self.bursts))
        return int(counts @ self.bursts)

    @property
    def ticks(self) -> tuple[int, int]:
        """Ticks of a cycle, and ticks that a burst takes on the channel.

        The channel is a stream of bytes: a request's last byte may leave in the middle of a cycle,
        and the next follows at once. A tick is such that both are whole.
        """
        moved, cycles = rate(self.dram.bandwidth_bytes_per_cycle)
        if moved == UNLIMITED:
            return 1, 0
        burst_cycles = Fraction(cycles * self.dram.burst_bytes, moved)
        return burst_cycles.denominator, burst_cycles.numerator

    def _check_times(self) -> None:
        """Raise InputError where the last tick could be beyond 64 bits."""
        per_cycle, per_burst = self.ticks
        each = self.dram.latency_cycles + self.dequantise_cycles + 2
        opened = self.moved_bursts * self.gather.page_miss_cycles
        latest = (self.lookups * each + opened) * per_cycle + self.moved_bursts * per_burst
        if latest >= LATEST_TICK:
            raise InputError(
                f"{self.lookups:,} look-ups at {self.dram.bandwidth_bytes_per_cycle:g} bytes per "
                "cycle take times beyond 64 bits; expected fewer look-ups, or a rounder bandwidth"
            )


@dataclass(frozen=True, eq=False)
class GatherTimes:
    """When what happened to each look-up, cycles from the start.

    issued: its request went out. arrived: its last byte was in its buffer. finished: the lanes had
    read it out. Int64 (look-ups,). page_misses, page_hits: of its stretches within one DRAM page,
    those for which a page had to be opened, and the others; 0 where row buffers are not modelled.
    """

    issued: NDArray[np.int64]
    arrived: NDArray[np.int64]
    finished: NDArray[np.int64]
    page_hits: int
    page_misses: int

    @property
    def cycles(self) -> int:
        """Until the last row is pooled."""
        return int(self.finished[-1])
