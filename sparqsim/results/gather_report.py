"""What gathers from an embedding table take: bytes, bursts, rates, errors; JSON in and out."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, computed_field, model_validator

from sparqsim.base.record import Name, Record, Text
from sparqsim.base.tabular import Row, Tabular, short_name
from sparqsim.base.wording import counted
from sparqsim.memory.config import Accelerator
from sparqsim.results.card import Card
from sparqsim.results.setting import ArrayInfo

GATHER_SCHEMA: Final = "sparqsim.gather/1"
#: What format and layout others are compared with.
REFERENCE_FORMAT: Final = "fp32"

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

    source: where row numbers come from. synthetic: how they were drawn; '' where they were not.
    seed: that they were drawn with. bags: vectors that they are pooled to. distinct_rows: rows that
    are looked up at all.
    """

    source: Text
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
    over rows. worst_row: the first of that error. mean_of_lookups: over look-ups, so rows count as
    often as they are asked for.
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


class MlpRun(Record):
    """The network behind the gathers, of one format.

    first_layer_cycles: of the first layer with the pooled vectors of all inputs. input_cycles: of
    all layers for one input, the others' as in the trace.
    """

    first_layer_cycles: Positive
    input_cycles: Real


class GatherEntry(Record):
    """One format, in one layout, at one width.

    width: elements of a row that are looked up, the first ones. row_bytes: of a row. table_bytes:
    of the table, with what fills up bursts. bursts: over the channel, all look-ups together.
    page_hits, page_misses: stretches of bursts within one DRAM page, with the page open and not; 0
    where row buffers are not modelled. cycles: until the last row is pooled. dequantise_cycles:
    that the lanes work. errors: as the format reads rows back. mlp: None where no trace is behind.
    """

    format: Name
    layout: Literal["padded", "packed"]
    width: Positive
    lookups: Positive
    row_bytes: Positive
    table_bytes: Positive
    bursts: Positive
    page_hits: Count
    page_misses: Count
    cycles: Positive
    dequantise_cycles: Positive
    bounds: RateBounds
    errors: RowErrors
    mlp: MlpRun | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def row_wait_cycles(self) -> int:
        """Cycles in which the lanes wait for a row: the rest of `cycles`."""
        return self.cycles - self.dequantise_cycles

    @computed_field  # type: ignore[prop-decorator]
    @property
    def lookups_per_cycle(self) -> float:
        """The rate that is reached."""
        return self.lookups / self.cycles

    @computed_field  # type: ignore[prop-decorator]
    @property
    def bursts_per_lookup(self) -> float:
        """Mean over look-ups."""
        return self.bursts / self.lookups


class MlpInfo(Record):
    """The network behind the gathers.

    trace, trace_sha256: its trace. layers: of it. first_layer: the one that takes pooled vectors,
    in the place of its activations in the trace. bags_per_input: vectors that make one input,
    behind each other. inputs: of the gathers. traced_inputs: of the trace, for the other layers.
    design, array: what runs it.
    """

    trace: Text
    trace_sha256: Text
    layers: Positive
    first_layer: Name
    bags_per_input: Positive
    inputs: Positive
    traced_inputs: Positive
    design: Name
    array: ArrayInfo


class GatherReport(Tabular, Record):
    """Gathers from a table, under several formats.

    engine: 'fast', or 'event': the processes that define the timing. pool: how the vectors of a bag
    become one. card: of the network behind, on the trace's own inputs; None without one.
    """

    schema_: Literal["sparqsim.gather/1"] = Field(default=GATHER_SCHEMA, alias="schema")
    version: Text
    engine: Literal["fast", "event"]
    table: GatherTable
    lookups: GatherLookups
    hardware: GatherHardware
    pool: Literal["mean"] = "mean"
    mlp: MlpInfo | None = None
    card: Card | None = None
    entries: tuple[GatherEntry, ...] = Field(min_length=1)

    HTML_COLUMNS: ClassVar = {
        "format": "format",
        "layout": "layout",
        "width": "width",
        "row_bytes": "bytes a row",
        "bursts_per_lookup": "bursts a look-up",
        "lookups_per_cycle": "look-ups per cycle",
        "error_mean": "error, mean of rows",
    }

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        seen = [(each.format, each.layout, each.width) for each in self.entries]
        if len(set(seen)) < len(seen):
            raise ValueError("entries: the same format, layout and width twice")
        for at, each in enumerate(self.entries):
            self._check_entry(f"entries[{at}]", each)
        if (self.mlp is None) != (self.card is None):
            raise ValueError("card: expected where, and only where, mlp is")
        return self

    def _check_entry(self, place: str, each: GatherEntry) -> None:
        if each.lookups != self.lookups.lookups or each.width > self.table.width:
            raise ValueError(f"{place}: look-ups or width are not those of the table's")
        expected = each.lookups * -(-each.width // self.hardware.lanes)
        if each.dequantise_cycles != expected or each.row_wait_cycles < 0:
            raise ValueError(f"{place}.dequantise_cycles: expected {expected}, within cycles")
        bounds = RateBounds.of(self.hardware, each.lookups, each.bursts, each.width)
        if each.bounds != bounds:
            raise ValueError(f"{place}.bounds: expected {bounds}")
        if each.lookups_per_cycle > bounds.tightest[1] * (1 + 1e-12):
            raise ValueError(
                f"{place}.cycles: the rate is beyond the bound of {bounds.tightest[0]}"
            )
        if each.table_bytes < self.table.rows * each.row_bytes:
            raise ValueError(f"{place}.table_bytes: below rows x row_bytes")
        if (each.mlp is None) != (self.mlp is None):
            raise ValueError(f"{place}.mlp: expected where, and only where, the report has mlp")

    def entry(self, format_: str, layout: str, width: int | None = None) -> GatherEntry | None:
        """Return the entry of a format, None where there is none; `width`: the table's."""
        asked = (format_, layout, self.table.width if width is None else width)
        return next((e for e in self.entries if (e.format, e.layout, e.width) == asked), None)

    def share_of_reference(self, each: GatherEntry) -> float:
        """Return a table's bytes over those of fp32 without padding."""
        return each.table_bytes / (4 * each.width * self.table.rows)

    def per_second(self, rate_per_cycle: float) -> float | None:
        """Return a rate per second; None where the clock is not known."""
        clock = self.hardware.clock_mhz
        return None if clock is None else rate_per_cycle * clock * 1e6

    def gather_share(self, each: GatherEntry) -> float | None:
        """Return the gathers' share of the cycles of an input, gathers and network one after the
        other; None without a network.
        """
        if self.mlp is None or each.mlp is None:
            return None
        gathers = each.cycles / self.mlp.inputs
        return gathers / (gathers + each.mlp.input_cycles)

    def flat_rows(self) -> list[Row]:
        """Return a row per entry."""
        return [self._flat(each) for each in self.entries]

    def _flat(self, each: GatherEntry) -> Row:
        limit, bound = each.bounds.tightest
        row: Row = {
            "format": each.format,
            "layout": each.layout,
            "width": each.width,
            "row_bytes": each.row_bytes,
            "table_bytes": each.table_bytes,
            "share_of_fp32": self.share_of_reference(each),
            "lookups": each.lookups,
            "bursts": each.bursts,
            "bursts_per_lookup": each.bursts_per_lookup,
            "page_hits": each.page_hits,
            "page_misses": each.page_misses,
            "cycles": each.cycles,
            "dequantise_cycles": each.dequantise_cycles,
            "row_wait_cycles": each.row_wait_cycles,
            "lookups_per_cycle": each.lookups_per_cycle,
            "channel_bound_per_cycle": each.bounds.channel,
            "bound_per_cycle": bound,
            "bound_by": limit,
            "lookups_per_second": self.per_second(each.lookups_per_cycle),
            "bound_per_second": self.per_second(bound),
        }
        row |= {f"error_{name}": value for name, value in each.errors.model_dump().items()}
        if each.mlp is not None:
            row["mlp_input_cycles"] = each.mlp.input_cycles
            row["gather_share"] = self.gather_share(each)
        return row

    def summary(self) -> str:
        """Return what was gathered, in a line."""
        drawn = " [SYNTHETIC]" if self.lookups.synthetic else ""
        return (
            f"{short_name(self.table.name)}, {counted(self.lookups.lookups, 'look-up')}{drawn}, "
            f"{self.hardware.name}"
        )


def _finite(value: float) -> float | None:
    return None if value == float("inf") else float(value)
