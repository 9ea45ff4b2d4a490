"""What a predictor says of layers before they are simulated, and how far it is off.

JSON in and out.

`sparqsim.engine.prediction` makes it, by the formulas of `sparqsim.cost`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import ClassVar, Literal, Self

from pydantic import Field, computed_field, model_validator

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.record import Name, Record, Summed, Text, check_counts
from sparqsim.base.tabular import Row, Tabular
from sparqsim.base.wording import counted
from sparqsim.memory.traffic import MemoryInfo
from sparqsim.results.flat import flat_fields
from sparqsim.results.iso_area import Range
from sparqsim.results.layer_report import LAYER_ROW, TOTAL_ROW, Gemm
from sparqsim.results.setting import ArrayInfo, Kept, PEInfo, Provenance

#: A layer counts for the median where its tiles stream at least so many times rows + columns.
LONG_STREAM = 4
#: Digits of percentages.
DIGITS = 9
Bound = Literal["compute", "bandwidth"]
#: Fields of a layer that say how many cycles it takes before it is simulated.
PREDICTIONS = ("predicted_cycles", "roofline_cycles")


class BitOperations(Summed):
    """Bit operations by three definitions (`sparqsim.cost.bit_operations`).

    hcm: of the hardware-aware complexity metric, times output pixels. uniq: of UNIQ; None for
    weights of one bit, where it is not defined. product: multiply-accumulates times the bits of
    both operands.
    """

    hcm: float
    uniq: int | None
    product: int


class LayerPrediction(Record):
    """One layer, predicted and simulated.

    bits_of: 'multipliers', where the design's take their operands whole: bits as they are
    multiplied; else 'codes', bits of the layer's own codes, whatever the design makes of them.
    hcm_per_pixel: HCM's bit operations of one output pixel of a group, which its PE computes.
    streamed_steps: steps of a tile's stream, as the dataflow streams it. least_dram_bytes: each
    used byte once; None where memory is not modelled. compute_cycles: all steps spread evenly over
    the PEs. array_cycles: tiles with skew, loads and drains, every step at the least that one
    takes. dram_cycles: least_dram_bytes at the channel's bandwidth; None where memory is not
    modelled. simulated_cycles: total cycles of the layer.
    """

    name: Name
    run_as: Name
    kept_8bit: bool
    gemm: Gemm
    bits_of: Literal["multipliers", "codes"]
    activation_bits: int = Field(ge=1)
    weight_bits: int = Field(ge=1)
    hcm_per_pixel: float
    bit_operations: BitOperations
    streamed_steps: int = Field(ge=1)
    least_dram_bytes: int | None
    compute_cycles: int = Field(ge=1)
    array_cycles: int = Field(ge=1)
    dram_cycles: int | None
    simulated_cycles: int = Field(ge=1)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def macs_per_dram_bit(self) -> float | None:
        """Multiply-accumulates per bit that moves at least; None where memory is not modelled."""
        moved = self.least_dram_bytes
        return self.gemm.macs / (8 * moved) if moved else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def roofline_cycles(self) -> int:
        """HCM's roofline: the larger of compute_cycles and dram_cycles."""
        return max(self.compute_cycles, self.dram_cycles or 0)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def roofline_bound(self) -> Bound:
        """What bounds the roofline: 'compute' or 'bandwidth'."""
        return "bandwidth" if (self.dram_cycles or 0) > self.compute_cycles else "compute"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def predicted_cycles(self) -> int:
        """The larger of array_cycles and roofline_cycles."""
        return max(self.array_cycles, self.roofline_cycles)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def bound(self) -> Bound:
        """What bounds the prediction: 'compute', with what the array adds to it, or 'bandwidth'."""
        return "bandwidth" if self.predicted_cycles > self.array_cycles else "compute"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def roofline_error_percent(self) -> float:
        """Signed error of the roofline, percent of the simulated cycles."""
        return _error_percent(self.roofline_cycles, self.simulated_cycles)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def error_percent(self) -> float:
        """Signed error of the prediction, percent of the simulated cycles."""
        return _error_percent(self.predicted_cycles, self.simulated_cycles)


class PredictedArea(Record):
    """Area of a design's PE.

    synthesised: over a PE of mac-8b8b, by this project's synthesis; None where it has none, and
    why in `not_synthesised`. hcm_by_bits_um2, hcm_by_bit_operations_um2: of HCM's own PE (3x3
    kernel, nine multipliers, TSMC 28 nm) with multipliers as wide as this design's; None where no
    such PE was fitted, and why in `not_fitted`. The two are of other circuits in other
    technologies: compare ratios, never sizes.
    """

    synthesised: Range | None
    not_synthesised: Text = ""
    hcm_by_bits_um2: float | None
    hcm_by_bit_operations_um2: float | None
    not_fitted: Text = ""


class PredictedTotals(Record):
    """A design on the whole network; sums over layers."""

    bit_operations: BitOperations
    roofline_cycles: int
    predicted_cycles: int
    simulated_cycles: int
    roofline_error_percent: float
    error_percent: float


class DesignPrediction(Record):
    """One design: its area, and what is predicted of every layer."""

    pe: PEInfo
    area: PredictedArea
    layers: tuple[LayerPrediction, ...] = Field(min_length=1)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def totals(self) -> PredictedTotals:
        """Sums over layers; errors are those of the sums."""
        roofline = sum(layer.roofline_cycles for layer in self.layers)
        predicted = sum(layer.predicted_cycles for layer in self.layers)
        simulated = sum(layer.simulated_cycles for layer in self.layers)
        return PredictedTotals(
            bit_operations=BitOperations.sum_of(layer.bit_operations for layer in self.layers),
            roofline_cycles=roofline,
            predicted_cycles=predicted,
            simulated_cycles=simulated,
            roofline_error_percent=_error_percent(roofline, simulated),
            error_percent=_error_percent(predicted, simulated),
        )


class Prediction(Tabular, Record):
    """What is predicted of designs on one trace and one array, beside what is simulated.

    Roofline and predicted cycles are lower bounds (`sparqsim.cost.roofline`): errors, (predicted -
    simulated) / simulated, are never above 0. kept: how layers marked keep_8bit stay at 8 bits.
    """

    schema_: Literal["sparqsim.prediction/1"] = Field(
        default="sparqsim.prediction/1", alias="schema"
    )
    provenance: Provenance
    array: ArrayInfo
    memory: MemoryInfo | None = None
    keep_8bit: bool
    kept: Kept
    order: tuple[Name, ...] = Field(min_length=1)
    designs: dict[Name, DesignPrediction]

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        check_counts(self)
        if set(self.designs) != set(self.order) or len(set(self.order)) < len(self.order):
            raise ValueError(f"order={self.order}: expected the names in `designs`, each once")
        names = {tuple(layer.name for layer in each.layers) for each in self.designs.values()}
        if len(names) > 1:
            raise ValueError("designs: have different layers, expected the same in each")
        return self

    def design(self, name: str) -> DesignPrediction:
        """Return what is predicted of a design.

        Raises
        ------
        InputError
            For one that was not asked for.
        """
        if name not in self.designs:
            raise InputError(
                f"design {name!r} is not in this prediction{nearest(name, self.designs)}; "
                f"expected one of {', '.join(self.order)}"
            )
        return self.designs[name]

    def order_agrees(
        self, names: Sequence[str] | None = None, cycles: str = PREDICTIONS[0]
    ) -> tuple[bool, ...]:
        """Return for each layer whether designs stand in the same order by prediction and by
        simulation; two that tie in one must tie in the other.

        Parameters
        ----------
        names : sequence of str, optional
            Default: all.
        cycles : {'predicted_cycles', 'roofline_cycles'}
        """
        designs = [self.design(name) for name in names or self.order]
        by_layer = zip(*(each.layers for each in designs), strict=True)
        return tuple(
            all(_same_order(*pair, cycles) for pair in combinations(layers, 2))
            for layers in by_layer
        )

    def long_streams(self, name: str) -> list[LayerPrediction]:
        """Return the layers of a design whose tiles stream at least 4 (rows + columns) steps."""
        least = LONG_STREAM * (self.array.rows + self.array.cols)
        return [layer for layer in self.design(name).layers if layer.streamed_steps >= least]

    def median_ratio(
        self, names: Sequence[str] | None = None, cycles: str = PREDICTIONS[0]
    ) -> float | None:
        """Return the median of predicted over simulated cycles of the layers of `long_streams`.

        Of all designs named together, None where they have none. Parameters as in `order_agrees`.
        """
        ratios = [
            getattr(layer, cycles) / layer.simulated_cycles
            for name in names or self.order
            for layer in self.long_streams(name)
        ]
        return median(ratios) if ratios else None

    HTML_COLUMNS: ClassVar = {
        "pe": "design",
        "layer": "layer",
        "bit_operations_hcm": "bit operations (HCM)",
        "bit_operations_uniq": "bit operations (UNIQ)",
        "bit_operations_product": "MACs x bits x bits",
        "bound": "bound",
        "roofline_cycles": "roofline cycles",
        "predicted_cycles": "predicted cycles",
        "simulated_cycles": "simulated cycles",
        "error_percent": "error (%)",
    }

    def flat_rows(self) -> list[Row]:
        """Return a row per design and layer, and one of every design's total.

        Columns are named as in `LayerReport.flat_rows`; the area stands in every row.
        """
        about = self._about()
        return [
            {"pe": name, **row, **flat_fields({"area": each.area.model_dump(mode="json")}), **about}
            for name, each in ((name, self.designs[name]) for name in self.order)
            for row in _rows(each)
        ]

    def _about(self) -> Row:
        """Return what is the same for every row."""
        return {
            **self.array.flat_fields(),
            **({} if self.memory is None else {"memory": self.memory.name}),
            "network": self.provenance.network,
            "synthetic": self.provenance.synthetic,
        }

    def summary(self) -> str:
        """Return designs, network, array and layers."""
        layers = self.designs[self.order[0]].layers
        return (
            f"prediction of {counted(len(self.order), 'design')} on "
            f"{self.provenance.short_source()}, array {self.array.size} {self.array.dataflow}, "
            f"{counted(len(layers), 'layer')}"
        )


def _rows(design: DesignPrediction) -> list[Row]:
    layers = [flat_fields(layer.model_dump(mode="json")) for layer in design.layers]
    first = [{"row": LAYER_ROW, "layer": row.pop("name"), **row} for row in layers]
    total = {"row": TOTAL_ROW, **flat_fields(design.totals.model_dump(mode="json"))}
    columns = dict.fromkeys(name for row in first for name in row)
    return [*first, {**columns, **total}]


def _same_order(one: LayerPrediction, other: LayerPrediction, cycles: str) -> bool:
    predicted = getattr(one, cycles) - getattr(other, cycles)
    simulated = one.simulated_cycles - other.simulated_cycles
    return _sign(predicted) == _sign(simulated)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _error_percent(predicted: int, simulated: int) -> float:
    return round(100 * (predicted - simulated) / simulated, DIGITS)
