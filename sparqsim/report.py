"""Results: what was simulated, where every cycle went, what it cost in error. JSON in and out.

Integers are stored; ratios derive from them. Equal runs give equal bytes: no timestamps, paths or host names.
"""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field, computed_field, model_validator

from sparqsim.config import ArrayConfig
from sparqsim.errors import InputError, nearest
from sparqsim.iso import IsoArea, Range
from sparqsim.layer_report import Cycles, LayerReport, Totals, Utilization
from sparqsim.memory.traffic import MemoryInfo
from sparqsim.record import Record, check_counts

REPORT_SCHEMA: Final = "sparqsim.report/1"
COMPARISON_SCHEMA: Final = "sparqsim.comparison/1"


class PEInfo(Record):
    """The PE design of a report.

    lanes: pairs of an activation and a weight that a PE consumes per step. multipliers: those of a PE, narrow or wide.
    cycles_depend_on_values: False where only shapes decide cycles. times_itself: the design's own queues set the
    timing, so the array's coupling and overlap do not apply to it.
    """

    name: str
    spec: str
    lanes: int
    multipliers: int
    cycles_depend_on_values: bool
    times_itself: bool = False


class ArrayInfo(Record):
    """The array of a report."""

    rows: int
    cols: int
    dataflow: str
    coupling: str
    overlap: bool

    @model_validator(mode="after")
    def _is_an_array(self) -> Self:
        ArrayConfig(self.rows, self.cols, self.dataflow, self.coupling, self.overlap)
        return self


class Provenance(Record):
    """What made a report; `trace_sha256` is that of the trace file's bytes, `synthetic` is the trace's own label."""

    version: str
    engine: str
    trace_sha256: str
    network: str
    synthetic: str


class Report(Record):
    """What one PE design does on one trace."""

    schema_: Literal["sparqsim.report/1"] = Field(default=REPORT_SCHEMA, alias="schema")
    provenance: Provenance
    pe: PEInfo
    array: ArrayInfo
    memory: MemoryInfo | None = None
    keep_8bit: bool
    layers: tuple[LayerReport, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        check_counts(self)
        for layer in self.layers:
            layer.check_possible()
        return self

    @computed_field  # type: ignore[prop-decorator]
    @property
    def totals(self) -> Totals:
        """Sums over layers."""
        return Totals.of(self.layers)

    @property
    def cycles(self) -> Cycles:
        """Cycles of the whole network."""
        return Cycles.sum_of(layer.cycles for layer in self.layers)

    @property
    def utilization(self) -> Utilization:
        """Utilization over the whole network."""
        return self.totals.utilization


class LayerSpeedup(Record):
    """One layer's speedups over the baseline, by design."""

    name: str
    speedup: dict[str, float]


class Comparison(Record):
    """Several designs on one trace and one array.

    Speedup = total cycles of the baseline / total cycles of the design, at equal PE count and equal clock.
    `iso_area` (absent unless asked for): the same at equal area.
    """

    schema_: Literal["sparqsim.comparison/1"] = Field(default=COMPARISON_SCHEMA, alias="schema")
    baseline: str
    order: tuple[str, ...]
    reports: dict[str, Report]
    iso_area: IsoArea | None = Field(default=None, exclude_if=lambda block: block is None)

    @model_validator(mode="after")
    def _iso_area_belongs_to_the_reports(self) -> Self:
        for name, design in (self.iso_area.designs if self.iso_area else {}).items():
            told = (
                (self.reports[spec].cycles.total for spec in (self.baseline, name))
                if name in self.reports
                else ()
            )
            lengths = {len(array.layer_cycles) for array in design.arrays.all}
            if (
                design.baseline != self.baseline
                or design.baseline not in design.relative_pe_area
                or tuple(told) != (design.baseline_cycles, design.equal_pe_cycles)
                or lengths != {len(self.reports[name].layers)}
            ):
                raise ValueError(
                    f"iso_area.designs.{name} is not of the reports of {name} and {self.baseline}"
                )
        return self

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
        """Return the speedup at equal area of layer number `layer`; None for a design without an area."""
        design = self.iso_area.designs.get(name) if self.iso_area else None
        baseline_cycles = self._report(self.baseline).layers[layer].cycles.total
        return None if design is None else design.layer_speedup(baseline_cycles, layer)

    def _report(self, name: str) -> Report:
        if name not in self.reports:
            raise InputError(
                f"design {name!r} is not in this comparison{nearest(name, self.reports)}; "
                f"expected one of {', '.join(self.reports)}"
            )
        return self.reports[name]
