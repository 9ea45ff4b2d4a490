"""Results: what was simulated, where every cycle went, what it cost in error. JSON in and out.

Integers are stored; ratios derive from them. Equal runs give equal bytes: no timestamps, paths or
host names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import Field, computed_field, model_validator

from sparqsim.base.record import Record, Text, check_counts
from sparqsim.base.tabular import Row, Tabular
from sparqsim.base.wording import counted
from sparqsim.memory.traffic import MemoryInfo
from sparqsim.results import versions
from sparqsim.results.card import Card, card_again
from sparqsim.results.card_check import check_card
from sparqsim.results.cardless import card_of_run
from sparqsim.results.energy import EnergyInfo, check_energies, energy_field
from sparqsim.results.layer_report import (
    MEASURED_COLUMNS,
    TOTAL_ROW,
    Cycles,
    LayerReport,
    Totals,
    Utilization,
)
from sparqsim.results.runs import check_layers
from sparqsim.results.setting import HONEST, ArrayInfo, Kept, PEInfo, Provenance
from sparqsim.trace.coverage import Coverage

REPORT_SCHEMA: Final = "sparqsim.report/2"
#: What is read; of version 1 as if this one had written it, without actions.
REPORT_SCHEMAS: Final = (*versions.REPORTS, REPORT_SCHEMA)


class Report(Tabular, Record):
    """What one PE design does on one trace.

    macs_left_out_share: of the network's multiply-accumulates, the share that is not simulated, 0
    to 1; unknown where the trace does not say. cycles_per_input: total cycles / inputs of the
    network in the trace; unknown where the trace does not say how many. keep_8bit: whether layers
    marked keep_8bit in the trace ran at 8 bits. kept: how: 'honest', on the design's own circuit,
    or 'ideal', as mac-8b8b; absent in older files, which are ideal. energy: what the layers'
    energy_pj is of; absent unless asked for. energy_absent: why there is none though it was.
    card: what the numbers depend on; absent in older files.
    """

    schema_: Literal["sparqsim.report/2"] = Field(default=REPORT_SCHEMA, alias="schema")
    provenance: Provenance
    pe: PEInfo
    array: ArrayInfo
    memory: MemoryInfo | None = None
    keep_8bit: bool
    kept: Kept = Field(default="ideal", exclude_if=lambda kept: kept != HONEST)
    energy: EnergyInfo | None = energy_field()
    energy_absent: Text = Field(default="", exclude_if=lambda words: not words)
    stored_card: Card | None = Field(default=None, alias="card", exclude_if=lambda card: not card)
    layers: tuple[LayerReport, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        check_counts(self)
        check_layers(self.pe, self.layers, self.kept, keep_8bit=self.keep_8bit)
        check_energies(self.layers, self.energy, self.energy_absent)
        if self.stored_card is not None:
            check_card(self, self.stored_card)
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed, and the card of what it has then.

        Parameters
        ----------
        update : mapping, optional
            From names of fields to their new values, which are not checked; a `stored_card` among
            them is taken as it is.
        deep : bool
            Whether what fields hold is copied too.
        """
        changes = dict(update or {})
        copy = super().model_copy(update=changes, deep=deep)
        if copy.stored_card is None or not changes or "stored_card" in changes:
            return copy
        card = card_again(copy, copy.stored_card)
        return super(Report, copy).model_copy(update={"stored_card": card})

    @classmethod
    def upgraded(cls, document: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON of an older version under today's names."""
        return versions.upgraded_report(document)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def totals(self) -> Totals:
        """Sums over layers."""
        return Totals.of(self.layers)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def macs_left_out_share(self) -> float | None:
        """Share of the network's multiply-accumulates that is not simulated, 0 to 1; None where not
        known.
        """
        return self.coverage.share_left_out(sum(layer.macs for layer in self.layers))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def cycles_per_input(self) -> float | None:
        """Total cycles per input of the network; None where the number of inputs is not known."""
        return self.coverage.per_input(self.cycles.total)

    @property
    def card(self) -> Card:
        """What the numbers depend on; of an older file, what its other fields say of it."""
        return card_of_run(self) if self.stored_card is None else self.stored_card

    @property
    def coverage(self) -> Coverage:
        """What of the network the trace holds."""
        return self.provenance.coverage

    @property
    def units(self) -> int:
        """PEs of the array, or what stands in their place in an engine that is none."""
        engine, array = self.pe.engine_model, self.array
        return array.rows * array.cols if engine is None else engine.units

    @property
    def cycles(self) -> Cycles:
        """Cycles of the whole network."""
        return Cycles.sum_of(layer.cycles for layer in self.layers)

    @property
    def layer_cycles(self) -> tuple[int, ...]:
        """Total cycles of each layer."""
        return tuple(layer.cycles.total for layer in self.layers)

    @property
    def utilization(self) -> Utilization:
        """Utilization over the whole network."""
        return self.totals.utilization

    HTML_COLUMNS: ClassVar = MEASURED_COLUMNS

    @property
    def has_narrow_layers(self) -> bool:
        """Whether a layer has an operand of fewer than 8 bits."""
        return any(layer.is_narrow for layer in self.layers)

    def flat_rows(self) -> list[Row]:
        """Return a row per layer, and one of the total, as `--format csv` prints them.

        Columns are named as in `LayerReport.flat_rows`; nothing is rounded, None is absent.
        """
        totals = self.totals
        bits = self.has_narrow_layers
        measured = [row for layer in self.layers for row in layer.flat_rows(bits=bits)]
        measured.append({"row": TOTAL_ROW, **totals.flat_fields()})
        columns = dict.fromkeys(name for row in measured for name in row)
        about = self._about(totals.macs)
        rows = [{"pe": self.pe.spec, **columns, **row, **about} for row in measured]
        for row in rows:
            row["cycles_per_input"] = self.coverage.per_input(row["cycles_total"])
        return rows

    def _about(self, macs: int) -> Row:
        """Return what is the same for every row."""
        return {
            **self.array.flat_fields(),
            **({} if self.memory is None else {"memory": self.memory.name}),
            "network": self.provenance.network,
            "synthetic": self.provenance.synthetic,
            **self.coverage.flat_fields(macs),
            **({} if self.energy is None else self.energy.flat_fields()),
            "timing_note": self.pe.timing_note,
        }

    def summary(self) -> str:
        """Return design, network, array, layers and cycles."""
        layers, cycles = counted(len(self.layers), "layer"), counted(self.cycles.total, "cycle")
        return (
            f"{self.pe.spec} on {self.provenance.short_source()}, "
            f"{self._short_place()}, {layers}, {cycles}"
        )

    def _short_place(self) -> str:
        engine, array = self.pe.engine_model, self.array
        return f"array {array.size} {array.dataflow}" if engine is None else engine.words

    def heading(self, *, beside: Iterable[Report] = (), design: bool = True) -> str:
        """Return what was simulated, on one line: for how many inputs, what share, on which array.

        `beside`: reports that stand under the same heading; where engines alone ran, they are named
        in the array's place.
        """
        design_first = f"{self.pe.spec}, " if design else ""
        place = self.array.words_of(each.pe for each in (self, *beside))
        return (
            f"{self.provenance.source()}: {design_first}{place}, "
            f"{self._memory_label()}, {self.coverage.label(self.totals.macs)}"
        )

    def _memory_label(self) -> str:
        """Return what surrounds the array, in a few words."""
        memory = self.memory
        if memory is None:
            return "memory not modelled"
        bandwidth = memory.dram.bandwidth_bytes_per_cycle
        rate = "unlimited DRAM" if bandwidth is None else f"DRAM {bandwidth:g} B/cycle"
        return f"memory {memory.name} ({rate}, storage {memory.storage})"

    def html_caption(self) -> str:
        """Return `heading`."""
        return self.heading()

    def html_rows(self) -> list[Row]:
        """Return the rows of the layers, and that of the total, named so."""
        *layers, total = self.flat_rows()
        return [*layers, total | {"layer": TOTAL_ROW}]


def stated_coverage(reports: Iterable[Report]) -> Coverage:
    """Return what of a network the trace of these reports holds, by the first that says it: older
    ones do not.
    """
    coverages = (report.coverage for report in reports)
    return next((coverage for coverage in coverages if coverage.is_stated), Coverage())
