"""A comparison: what several PE designs do on one trace and one array. JSON in and out."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal, Self

from pydantic import Field, computed_field, model_validator

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.record import Name, Record
from sparqsim.base.tabular import Row, Tabular
from sparqsim.base.wording import counted
from sparqsim.results import versions
from sparqsim.results.card import Card
from sparqsim.results.card_shared import comparison_card
from sparqsim.results.clock import Clock
from sparqsim.results.confounds import Difference, card_diff
from sparqsim.results.iso_area import IsoArea, Range, area_columns
from sparqsim.results.layer_report import (
    MEASURED_COLUMNS,
    TOTAL_ROW,
)
from sparqsim.results.report import Report, stated_coverage
from sparqsim.results.setting import timing_notes
from sparqsim.trace.coverage import Coverage

COMPARISON_SCHEMA: Final = "sparqsim.comparison/2"
#: What is read; of version 1 as if this one had written it, without actions.
COMPARISON_SCHEMAS: Final = (*versions.COMPARISONS, COMPARISON_SCHEMA)


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
