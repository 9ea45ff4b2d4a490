"""What gathers are of: table, look-ups, hardware; bounds of their rate, and errors of rows."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from sparqsim.base.record import Name, Record, Text
from sparqsim.memory.config import Accelerator

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Real = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class GatherTable(Record):
    """The table. name: of its file. dtype: of the file's elements. width: elements of a row."""

    name: Text
    sha256: Text
    dtype: Text
    rows: Positive
    width: Positive


class GatherLookups(Record):
    """What is looked up.

    source: where row numbers come from. sha256: digest of the row numbers and of where bags begin,
    64-bit integers. synthetic: how they were drawn; '' where they were not. seed: that they were
    drawn with. lookups: how many, a row as often as it is asked for. bags: vectors that they are
    pooled to. distinct_rows: rows that are looked up at all.
    """

    source: Text
    sha256: Text
    synthetic: Text = ""
    seed: int | None = None
    lookups: Positive
    bags: Positive
    distinct_rows: Positive


class GatherHardware(Record):
    """The memory channel and the gather unit: as `DramConfig` and `GatherConfig`.

    bandwidth_bytes_per_cycle: None: no limit. clock_mhz: None: not known.
    """

    name: Name
    bandwidth_bytes_per_cycle: float | None
    latency_cycles: Count
    burst_bytes: Positive
    outstanding: Positive
    lanes: Positive
    page_bytes: Count
    banks: Positive
    page_miss_cycles: Count
    clock_mhz: float | None

    @classmethod
    def of(cls, accelerator: Accelerator) -> Self:
        """Return the record of an accelerator's channel and unit."""
        dram, gather = accelerator.memory.dram, accelerator.gather
        return cls(
            name=accelerator.memory.name,
            bandwidth_bytes_per_cycle=_finite(dram.bandwidth_bytes_per_cycle),
            latency_cycles=dram.latency_cycles,
            burst_bytes=dram.burst_bytes,
            outstanding=gather.outstanding,
            lanes=gather.lanes,
            page_bytes=gather.page_bytes,
            banks=gather.banks,
            page_miss_cycles=gather.page_miss_cycles,
            clock_mhz=_finite(gather.clock_mhz),
        )


class RowErrors(Record):
    """Normalised L2 errors of rows: norm of row less what is read back, over norm of row; all rows.

    A row of zeros has the error 0 where it is read back as zeros, else 1. mean, median, p99, worst:
    of that error, over rows. worst_row: the first row of the worst. mean_of_lookups: of the error,
    over look-ups, so rows count as often as they are asked for.
    """

    mean: Real
    median: Real
    p99: Real
    worst: Real
    worst_row: Count
    mean_of_lookups: Real


class RateBounds(Record):
    """Most look-ups per cycle that each resource allows; None: no limit.

    channel: bytes of whole bursts over the bandwidth. lanes: elements over lanes, whole cycles a
    row. issue: one request a cycle. outstanding: row buffers, each taken at least for a row's
    transfer, the latency and its dequantising.
    """

    channel: float | None
    lanes: float
    issue: float
    outstanding: float

    @classmethod
    def of(cls, hardware: GatherHardware, lookups: int, bursts: int, width: int) -> Self:
        """Return the bounds of so many look-ups that move so many bursts."""
        dequantise = -(-width // hardware.lanes)
        bandwidth = hardware.bandwidth_bytes_per_cycle
        moved = bursts * hardware.burst_bytes
        transfer = 0.0 if bandwidth is None else moved / bandwidth
        held = transfer + lookups * (hardware.latency_cycles + dequantise)
        return cls(
            channel=None if bandwidth is None else lookups / transfer,
            lanes=1 / dequantise,
            issue=1.0,
            outstanding=hardware.outstanding * lookups / held,
        )

    @property
    def tightest(self) -> tuple[str, float]:
        """The resource that allows least, and how much."""
        limits = {name: getattr(self, name) for name in type(self).model_fields}
        known = {name: limit for name, limit in limits.items() if limit is not None}
        least = min(known, key=lambda name: known[name])
        return least, known[least]


def _finite(value: float) -> float | None:
    return None if value == float("inf") else float(value)
