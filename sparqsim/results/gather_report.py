"""What gathers from an embedding table take: bytes, bursts, rates, errors; JSON in and out."""

from __future__ import annotations

from typing import ClassVar, Final, Literal, Self

from pydantic import Field, computed_field, model_validator

from sparqsim.base.record import Name, Record, Text
from sparqsim.base.tabular import Row, Tabular, short_name
from sparqsim.base.wording import counted
from sparqsim.results.actions import Actions
from sparqsim.results.card import Card
from sparqsim.results.energy import energy_field
from sparqsim.results.gather_energy import (
    GatherEnergy,
    GatherEnergyInfo,
    gather_actions,
    gather_energy,
)
from sparqsim.results.gather_parts import (
    Count,
    GatherHardware,
    GatherLookups,
    GatherTable,
    Positive,
    RateBounds,
    Real,
    RowErrors,
)
from sparqsim.results.setting import ArrayInfo

GATHER_SCHEMA: Final = "sparqsim.gather/1"


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
    that the lanes work. errors: as the format reads rows back. actions: what was done that costs
    energy, by name. energy_pj: absent where energy was not asked for. mlp: None where no trace is
    behind.
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
    actions: Actions
    energy_pj: GatherEnergy | None = energy_field()
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

    def energy_per_lookup_pj(self) -> float | None:
        """Return the energy of a look-up, mean, pJ; None where energy was not asked for."""
        return None if self.energy_pj is None else self.energy_pj.total / self.lookups


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
    become one. energy: where energies come from; absent where they were not asked for. card: of the
    network behind, on the trace's own inputs; None without one.
    """

    schema_: Literal["sparqsim.gather/1"] = Field(default=GATHER_SCHEMA, alias="schema")
    version: Text
    engine: Literal["fast", "event"]
    table: GatherTable
    lookups: GatherLookups
    hardware: GatherHardware
    pool: Literal["mean"] = "mean"
    energy: GatherEnergyInfo | None = energy_field()
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
        self._check_energy(place, each)
        if (each.mlp is None) != (self.mlp is None):
            raise ValueError(f"{place}.mlp: expected where, and only where, the report has mlp")

    def _check_energy(self, place: str, each: GatherEntry) -> None:
        """Raise ValueError unless actions follow from bursts, and energies from actions."""
        moved = each.bursts * self.hardware.burst_bytes
        done = gather_actions(
            each.lookups, each.width, each.row_bytes, moved, page_opens=each.page_misses
        )
        if each.actions != done:
            names = [name for name in done if each.actions.get(name) != done[name]]
            raise ValueError(f"{place}.actions: expected those of its bursts ({', '.join(names)})")
        expected = None if self.energy is None else gather_energy(done, self.energy.memory)
        if each.energy_pj != expected:
            raise ValueError(f"{place}.energy_pj: expected {expected}")

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
        row |= {
            f"actions_{name.replace('.', '_')}": one.count for name, one in each.actions.items()
        }
        if each.energy_pj is not None:
            row |= {
                f"energy_pj_{name}": value for name, value in each.energy_pj.model_dump().items()
            }
            row["energy_pj_per_lookup"] = each.energy_per_lookup_pj()
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
