"""What is reported of a layer, and of the whole network: cycles, utilization, error.

JSON in and out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar, Self

from pydantic import Field, computed_field, model_validator

from sparqsim.base.record import Name, Record, Summed, Text
from sparqsim.base.tabular import Row, Tabular, short_name
from sparqsim.base.wording import counted
from sparqsim.memory.traffic import LayerTraffic, Traffic
from sparqsim.results.actions import Action, added, part_cycles
from sparqsim.results.bounds import Bounds
from sparqsim.results.energy import Energy, energy_field
from sparqsim.results.flat import flat_fields
from sparqsim.trace.codebits import ALL_BITS

#: What stands in the column `row` of flat rows: rows of layers add up to the one of the total.
LAYER_ROW, TOTAL_ROW = "layer", "total"


class Cycles(Summed):
    """Array cycles by what they were spent on; `total` is their sum.

    compute: streamed steps at one cycle each. fill: skew of the wavefront, and loads of stationary
    operands. drain: sums leaving the array. pe_stall: what steps longer than a cycle add.
    memory_stall: waiting for operands (0 where memory is not modelled).
    """

    compute: int
    fill: int
    drain: int
    pe_stall: int
    memory_stall: int = 0

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own idiom; mypy knows no stacked property
    @property
    def total(self) -> int:
        """All cycles: the sum of their parts."""
        return self.compute + self.fill + self.drain + self.pe_stall + self.memory_stall


class Gemm(Record):
    """Per group, Y[m, n] = X[m, k] @ W[k, n].

    m: rows of X, batch x output pixels. k: columns of X, kernel positions x input channels of the
    group. n: columns of W, output channels of the group. groups: how many such products a layer is.
    """

    m: int
    k: int
    n: int
    groups: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all groups."""
        return self.groups * self.m * self.k * self.n


class Pairs(Summed):
    """Pairs of adjacent activations (k, k + 1), k even, of X, by what the design makes of them
    (counts).

    both_zero: pairs of two zeros. one_zero: pairs with exactly one zero. both_nonzero_exact: pairs
    without a zero, both used whole. trimmed: pairs without a zero, at least one changed.
    one_zero_changed: pairs of one_zero whose value is changed all the same.

    The last three are None where an activation is changed beside one weight and not beside another,
    so that no count of pairs exists; `activity` then counts the changes.
    """

    both_zero: int
    one_zero: int
    both_nonzero_exact: int | None
    trimmed: int | None
    one_zero_changed: int | None


class Error(Summed):
    """Error of the outputs (integer sums) against the exact 8-bit result.

    Stored: `outputs` (count), `signal` = sum of y^2, `noise` = sum of (y' - y)^2, `max_abs` = max
    |y' - y|, in units of one product's least bit.
    """

    outputs: int = Field(ge=1)
    signal: int
    noise: int
    max_abs: int

    @classmethod
    def sum_of(cls, parts: Iterable[Self]) -> Self:
        """Put errors of several sets of outputs together."""
        parts = list(parts)
        largest = max(part.max_abs for part in parts)
        return super().sum_of(parts).model_copy(update={"max_abs": largest})

    @computed_field  # type: ignore[prop-decorator]
    @property
    def mse(self) -> float:
        """Mean squared error per output, noise / outputs."""
        return self.noise / self.outputs

    @computed_field  # type: ignore[prop-decorator]
    @property
    def sqnr_db(self) -> float | None:
        """Signal to quantisation noise, 10 log10(signal / noise), dB; None where one of them is
        zero.
        """
        if self.noise == 0 or self.signal == 0:
            return None
        # Rounded so that equal integers give equal bytes on machines whose log10 differs in the
        # last place.
        return round(10 * (math.log10(self.signal) - math.log10(self.noise)), 9)


class Counts(Summed):
    """The integers behind utilization.

    macs_nonzero: MACs whose activation and weight are both non-zero. pe_cycles: total cycles x PEs.
    lane_cycles: x lanes. multiplier_cycles: x multipliers. used_pe_cycles: cycles of PEs that hold
    real work, padded ones left out. busy_pe_cycles: cycles in which a PE forms a non-zero product;
    busy_multiplier_cycles: the same for its multipliers, summed (None where the design does not
    count its parts).
    """

    macs: int
    macs_nonzero: int
    pe_cycles: int
    lane_cycles: int
    multiplier_cycles: int
    used_pe_cycles: int
    busy_pe_cycles: int | None
    busy_multiplier_cycles: int | None


class Utilization(Record):
    """Shares of the array's capacity, 0 to 1.

    used_pes: used PEs over all PEs, mean over tiles weighted by their cycles. array: MACs / (total
    cycles x PEs x lanes). effective: MACs whose operands are both non-zero / (total cycles x PEs x
    lanes). pe: PE cycles with a non-zero product / all PE cycles. multiplier: multiplier cycles
    with a non-zero product / all multiplier cycles.
    """

    used_pes: float
    array: float
    effective: float
    pe: float | None
    multiplier: float | None

    @classmethod
    def of(cls, counts: Counts) -> Utilization:
        """Derive the shares."""

        def share(part: int | None, whole: int) -> float | None:
            return None if part is None else part / whole

        return cls(
            used_pes=counts.used_pe_cycles / counts.pe_cycles,
            array=counts.macs / counts.lane_cycles,
            effective=counts.macs_nonzero / counts.lane_cycles,
            pe=share(counts.busy_pe_cycles, counts.pe_cycles),
            multiplier=share(counts.busy_multiplier_cycles, counts.multiplier_cycles),
        )


#: Columns of a notebook's table of layers.
MEASURED_COLUMNS = {
    "layer": "layer",
    "run_as": "run as",
    "activation_bits": "activation bits",
    "weight_bits": "weight bits",
    "cycles_total": "cycles",
    "cycles_compute": "compute",
    "cycles_fill": "fill",
    "cycles_drain": "drain",
    "cycles_pe_stall": "PE stall",
    "cycles_memory_stall": "memory stall",
    "utilization_array": "array utilization (0 to 1)",
    "error_sqnr_db": "SQNR (dB; -: exact)",
}


class Measured(Summed):
    """What a layer and a whole network have in common."""

    cycles: Cycles
    bounds: Bounds
    tiles: int
    partial_sums: int
    counts: Counts
    pairs: Pairs
    error: Error

    @model_validator(mode="after")
    def _work_and_gap_are_all_cycles(self) -> Self:
        explained = self.bounds.work_cycles + self.bounds.gap_cycles.total
        if explained != self.cycles.total:
            raise ValueError(
                f"bounds: work_cycles + the parts of gap_cycles = {explained}, expected the total "
                f"of cycles, {self.cycles.total}"
            )
        return self

    def flat_fields(self) -> Row:
        """Return all that was measured as columns, as `results.flat` names them."""
        return flat_fields(self.model_dump(mode="json"))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def macs(self) -> int:
        """Multiply-accumulates of the exact layer, zeros included."""
        return self.counts.macs

    @computed_field  # type: ignore[prop-decorator]
    @property
    def utilization(self) -> Utilization:
        """Shares of the array's capacity."""
        return Utilization.of(self.counts)


def _bits() -> Any:
    """Return a field of bits, 1 to 8, that is written only below 8."""
    return Field(default=ALL_BITS, ge=1, le=ALL_BITS, exclude_if=lambda bits: bits == ALL_BITS)


class LayerReport(Tabular, Measured):
    """One layer.

    op: its kind, as in the trace. run_as: the design that ran it. kept_8bit: whether it ran at 8
    bits because the trace marks it so. kept_mode: how the design's circuit then ran it; absent
    where as any other layer, or not at 8 bits. found_keys: keys that the engine found itself for
    the layer, as 'key=value'; absent where it finds none. activation_bits, weight_bits: of the
    layer's codes, absent where 8. tiles: parts of the product that fill the array once, in every
    pass. windows: non-zero activations per left shift of the window they went through; lone values
    that use both multipliers are not among them. partial_sums: sums that left the array, K folds
    and passes counted one by one. actions: what design, array and memory did that costs energy, by
    name; absent where an engine counts none, and in files of version 1 but for those of parts.
    energy_pj: what it cost, absent unless asked for.
    """

    name: Name
    op: Text
    run_as: Name
    kept_8bit: bool
    kept_mode: Text = Field(default="", exclude_if=lambda words: not words)
    found_keys: Text = Field(default="", exclude_if=lambda words: not words)
    activation_bits: int = _bits()
    weight_bits: int = _bits()
    gemm: Gemm
    windows: dict[str, int]
    traffic: LayerTraffic | None = None
    actions: dict[str, Action] = Field(default_factory=dict, exclude_if=lambda table: not table)
    energy_pj: Energy | None = energy_field()

    @property
    def activity(self) -> dict[str, int]:
        """For each part of the PE, cycles it worked, summed over PEs: actions 'pe.PART'."""
        return part_cycles(self.actions)

    HTML_COLUMNS: ClassVar = MEASURED_COLUMNS

    @property
    def is_narrow(self) -> bool:
        """Whether an operand has fewer than 8 bits."""
        return min(self.activation_bits, self.weight_bits) < ALL_BITS

    def flat_rows(self, *, bits: bool = False) -> list[Row]:
        """Return the layer as one row, nothing rounded, None absent. Columns: `row`, `layer`, and
        the path of each number in the JSON, joined by '_'.

        `bits`: show those of the operands even where both are 8.
        """
        fields = self.flat_fields()
        of_bits = ["activation_bits", "weight_bits"] if bits or self.is_narrow else []
        found = ["found_keys"] if self.found_keys else []
        names = ["op", "run_as", "kept_8bit", "kept_mode", *found, *of_bits]
        first = {name: getattr(self, name) for name in names}
        return [{"row": LAYER_ROW, "layer": fields.pop("name"), **first, **fields | first}]

    def summary(self) -> str:
        """Return the layer, what ran it, its cycles."""
        return f"{short_name(self.name)}, {self.run_as}, {counted(self.cycles.total, 'cycle')}"

    def check_possible(self) -> None:
        """Raise ValueError where counts cannot all be true."""
        gemm, counts, error = self.gemm, self.counts, self.error
        rules = {
            f"counts.macs={counts.macs}: expected {gemm.macs}, those of gemm": (
                counts.macs == gemm.macs
            ),
            f"counts.macs_nonzero={counts.macs_nonzero}: expected at most "
            f"counts.macs={counts.macs}": (counts.macs_nonzero <= counts.macs),
            f"counts.used_pe_cycles={counts.used_pe_cycles}: expected at most counts.pe_cycles": (
                counts.used_pe_cycles <= counts.pe_cycles
            ),
            f"error.max_abs={error.max_abs}: expected at most the root of error.noise": (
                error.max_abs**2 <= error.noise
            ),
            f"energy_pj.macs: expected counts.macs={counts.macs}": (
                self.energy_pj is None or self.energy_pj.macs == counts.macs
            ),
        }
        for fault, holds in rules.items():
            if not holds:
                raise ValueError(f"layer {self.name!r}: {fault}")


class Totals(Measured):
    """The whole network.

    Error: sums over layers, so `sqnr_db` weighs layers by their energy in integer units.
    """

    traffic: Traffic | None = None
    actions: dict[str, Action] = Field(default_factory=dict, exclude_if=lambda table: not table)
    energy_pj: Energy | None = energy_field()

    @classmethod
    def of(cls, layers: Iterable[LayerReport]) -> Totals:
        """Add up layers."""
        layers = list(layers)
        moved = [layer.traffic for layer in layers if layer.traffic is not None]
        energies = [layer.energy_pj for layer in layers if layer.energy_pj is not None]
        return cls(
            **dict(Measured.sum_of(layers)),
            traffic=Traffic.sum_of(moved) if moved else None,
            actions=added(layer.actions for layer in layers),
            energy_pj=Energy.sum_of(energies) if energies else None,
        )
