"""Results: what was simulated, where every cycle went, what it cost in error. JSON in and out.

Integers are stored; ratios derive from them. Equal runs give equal bytes: no timestamps, paths or
host names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import Field, computed_field, model_validator

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.record import Name, Record, Text, check_counts
from sparqsim.base.tabular import Row, Tabular
from sparqsim.base.wording import counted
from sparqsim.memory.traffic import MemoryInfo
from sparqsim.results import versions
from sparqsim.results.card import Card, card_again
from sparqsim.results.card_check import check_card
from sparqsim.results.card_shared import comparison_card
from sparqsim.results.cardless import card_of_run
from sparqsim.results.clock import Clock
from sparqsim.results.confounds import Difference, card_diff
from sparqsim.results.energy import EnergyInfo, check_energies, energy_field
from sparqsim.results.iso_area import IsoArea, Range, area_columns
from sparqsim.results.layer_report import (
    MEASURED_COLUMNS,
    TOTAL_ROW,
    Cycles,
    LayerReport,
    Totals,
    Utilization,
)
from sparqsim.results.runs import check_layers
from sparqsim.results.setting import HONEST, ArrayInfo, Kept, PEInfo, Provenance, timing_notes
from sparqsim.trace.coverage import Coverage

REPORT_SCHEMA: Final = "sparqsim.report/2"
COMPARISON_SCHEMA: Final = "sparqsim.comparison/2"
#: What is read; of version 1 as if this one had written it, without actions.
REPORT_SCHEMAS: Final = (*versions.REPORTS, REPORT_SCHEMA)
COMPARISON_SCHEMAS: Final = (*versions.COMPARISONS, COMPARISON_SCHEMA)


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


class LayerSpeedup(Record):
    """One layer's speedups over the baseline, by design."""

    name: Name
    speedup: dict[str, float]


class Comparison(Tabular, Record):
    """Several designs on one trace and one array.

    Speedup = total cycles of the baseline / total cycles of the design, at equal PE count and equal
    clock. `iso_area`, `clock` (absent unless asked for): the same at equal area; clock periods,
    times, and speedups in time. `card`: what the numbers of all of them depend on. `confounds`:
    what the reports differ in beside the design.
    """

    schema_: Literal["sparqsim.comparison/2"] = Field(default=COMPARISON_SCHEMA, alias="schema")
    baseline: Name
    order: tuple[Name, ...]
    reports: dict[Name, Report]
    iso_area: IsoArea | None = Field(default=None, exclude_if=lambda block: block is None)
    clock: Clock | None = Field(default=None, exclude_if=lambda block: block is None)

    @model_validator(mode="after")
    def _blocks_belong_to_the_reports(self) -> Self:
        cycles = {name: report.layer_cycles for name, report in self.reports.items()}
        if self.iso_area is not None:
            self.iso_area.check_belongs(self.baseline, cycles)
        if self.clock is not None:
            self.clock.check_belongs(self.baseline, cycles, self.iso_area)
        return self

    @classmethod
    def upgraded(cls, document: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON of an older version, and of the reports in it, under today's names."""
        return versions.upgraded_comparison(document)

    @computed_field(alias="speedup")  # type: ignore[prop-decorator]
    @property
    def speedups(self) -> dict[str, float]:
        """Speedup of every design over the baseline, whole network."""
        return {name: self.speedup(name) for name in self.order}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def layers(self) -> tuple[LayerSpeedup, ...]:
        """Speedup of every design over the baseline, layer by layer."""
        names = [layer.name for layer in self.reports[self.baseline].layers]
        return tuple(
            LayerSpeedup(
                name=layer, speedup={name: self.layer_speedup(name, at) for name in self.order}
            )
            for at, layer in enumerate(names)
        )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def card(self) -> Card:
        """What the numbers of all reports depend on."""
        return comparison_card(self.cards, self.iso_area, self.clock)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def confounds(self) -> tuple[Difference, ...]:
        """What the reports differ in beside the design; nothing where only designs differ."""
        return card_diff(self.cards).confounds

    @property
    def cards(self) -> list[Card]:
        """The reports' cards, in their order."""
        return [self.reports[name].card for name in self.order]

    @property
    def coverage(self) -> Coverage:
        """What of the network the trace holds, by the first report that says it: older ones do
        not.
        """
        return stated_coverage(self.reports[name] for name in self.order)

    @property
    def timing_notes(self) -> dict[str, str]:
        """What must be known to compare the cycles of some designs, by design; see `note_lines`."""
        return timing_notes(self.reports[name].pe for name in self.order)

    @property
    def macs(self) -> int:
        """Multiply-accumulates that are simulated, the same for every design."""
        return self.reports[self.baseline].totals.macs

    def speedup(self, name: str, over: str | None = None) -> float:
        """Return total cycles of `over` (default: the baseline) / total cycles of design `name`.

        Raises
        ------
        InputError
            For a design that was not compared.
        """
        return self._report(over or self.baseline).cycles.total / self._report(name).cycles.total

    def layer_speedup(self, name: str, layer: int, over: str | None = None) -> float:
        """Return the same for layer number `layer`, counted from 0."""
        baseline, design = self._report(over or self.baseline), self._report(name)
        return baseline.layers[layer].cycles.total / design.layers[layer].cycles.total

    def iso_area_layer_speedup(self, name: str, layer: int) -> Range | None:
        """Return the speedup at equal area of layer number `layer`; None for a design without an
        area.
        """
        design = self.iso_area.designs.get(name) if self.iso_area else None
        baseline_cycles = self._report(self.baseline).layers[layer].cycles.total
        return None if design is None else design.layer_speedup(baseline_cycles, layer)

    HTML_COLUMNS: ClassVar = {"pe": "design", "speedup": "speedup (x)"} | {
        name: heading
        for name, heading in MEASURED_COLUMNS.items()
        if name not in {"layer", "run_as", "activation_bits", "weight_bits"}
    }

    def flat_rows(self) -> list[Row]:
        """Return a row per design and layer, and one of every design's total, with its speedup.

        `speedup`: over the baseline, at equal PE count and clock; `speedup_in_time`: at the clocks
        of the block `clock`; `equal_area_...`: as `area_columns`; others: as `Report.flat_rows`.
        """
        rows, base = [], self._report(self.baseline).layer_cycles
        for name in self.order:
            by_layer = (self.layer_speedup(name, at) for at in range(len(base)))
            speedups = (*by_layer, self.speedup(name))
            told, areas = self._report(name).flat_rows(), area_columns(self.iso_area, name, base)
            for row, speedup, area in zip(told, speedups, areas, strict=True):
                over = {"baseline": self.baseline, "speedup": speedup}
                if self.clock:
                    over |= self.clock.flat_fields(name, row["cycles_total"], speedup)
                rows.append(row | over | area)
        return rows

    @property
    def terms(self) -> str:
        """On what terms speedups are: of engines that are no array of PEs, of cycles alone."""
        engines = any(self._report(name).pe.engine_model for name in self.order)
        return "in cycles alone" if engines else "equal PEs"

    def summary(self) -> str:
        """Return the designs, the baseline, the network and the array."""
        report, designs = self._report(self.baseline), counted(len(self.order), "design")
        array = report.array
        words = array.words_of(each.pe for each in self._reports())
        place = f"array {array.size} {array.dataflow}" if words == array.words else words
        return (
            f"{designs} over {self.baseline} on {report.provenance.short_source()}, "
            f"{place}, {counted(len(report.layers), 'layer')}"
        )

    def heading(self) -> str:
        """Return what was simulated, on one line: for how many inputs, what share, on what."""
        return self._report(self.baseline).heading(beside=self._reports(), design=False)

    def html_caption(self) -> str:
        """Return what was simulated, and what speedups are over."""
        return f"{self.heading()}. Speedup over {self.baseline}, {self.terms}."

    def html_rows(self) -> list[Row]:
        """Return the totals, a row per design."""
        return [row for row in self.flat_rows() if row["row"] == TOTAL_ROW]

    def _reports(self) -> list[Report]:
        return [self._report(name) for name in self.order]

    def _report(self, name: str) -> Report:
        if name not in self.reports:
            raise InputError(
                f"design {name!r} is not in this comparison{nearest(name, self.reports)}; "
                f"expected one of {', '.join(self.reports)}"
            )
        return self.reports[name]
