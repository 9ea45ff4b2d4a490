"""How busy each PE of the array is: counted exactly for every PE, without stepping any.

Work item (m, s, n), step s of output (m, n), is done by one PE, and tiles repeat with the array's
sides: where rows hold m, PE row i does the items with m = i (mod rows). What a PE did is therefore
a sum over residue classes of m, s and n; counts that are products of one of activations and one of
weights add up in a small matrix product.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from os import PathLike
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.registry import reported_dataflow
from sparqsim.array.timing import fixed_cycles
from sparqsim.base.errors import InputError, nearest
from sparqsim.base.tabular import Row, Tabular, short_name
from sparqsim.engine.models import EngineModel
from sparqsim.engine.models.kept import ran
from sparqsim.pe import PEDesign
from sparqsim.pe.arithmetic import row_blocks
from sparqsim.pe.base import Array
from sparqsim.pe.declared import activation_cycles, filter_order, in_columns, weight_cycles
from sparqsim.results.layer_report import LayerReport, Totals
from sparqsim.results.report import Report
from sparqsim.results.runs import is_kept
from sparqsim.results.setting import ArrayInfo, PEInfo, Provenance
from sparqsim.trace import Layer, LoweredLayer, Trace
from sparqsim.trace.reader import as_trace

Counts = NDArray[np.int64]


@dataclass(frozen=True, repr=False)
class Heatmap(Tabular):
    """What every PE of an array did, over one layer or a whole network.

    Parameters
    ----------
    step_cycles : int64 (rows, cols)
        Cycles in which a PE had a step in flight on real work. Padding is not work; waiting,
        loading and draining are not steps.
    macs_nonzero : int64 (rows, cols)
        Multiply-accumulates whose operands were both non-zero.
    cycles_total : int
        Cycles of the array.
    pe_lane_cycles : int
        Multiply-accumulates one PE could have done in that time: cycles x lanes, added up over
        layers.
    layer : str
        The layer's name, '' for the whole network.
    pe, array, provenance
        Of the report.
    """

    step_cycles: Counts
    macs_nonzero: Counts
    cycles_total: int
    pe_lane_cycles: int
    layer: str
    pe: PEInfo
    array: ArrayInfo
    provenance: Provenance

    def __post_init__(self) -> None:
        shape = (self.array.rows, self.array.cols)
        for field in ("step_cycles", "macs_nonzero"):
            found = getattr(self, field).shape
            if found != shape:
                raise InputError(
                    f"heat map: {field} has shape {found}, expected {shape}, one number for each PE"
                )
        if self.cycles_total < 1 or self.pe_lane_cycles < 1:
            raise InputError(
                f"heat map: cycles_total={self.cycles_total}, "
                f"pe_lane_cycles={self.pe_lane_cycles}, expected at least 1"
            )

    HTML_COLUMNS: ClassVar = {
        "row": "PE row",
        "column": "PE column",
        "in_flight_share": "step in flight (0 to 1)",
        "effective_share": "both operands non-zero (0 to 1)",
    }

    def flat_rows(self) -> list[Row]:
        """Return a row per PE: its place, the integers counted there, and the shares they make."""
        in_flight, effective = self.in_flight, self.effective
        return [
            {
                "pe": self.pe.spec,
                "layer": self.layer or None,
                "row": row,
                "column": column,
                "step_cycles": int(self.step_cycles[row, column]),
                "macs_nonzero": int(self.macs_nonzero[row, column]),
                "in_flight_share": float(in_flight[row, column]),
                "effective_share": float(effective[row, column]),
            }
            for row, column in np.ndindex(in_flight.shape)
        ]

    def summary(self) -> str:
        """Return design, network or layer, array, mean share of cycles with a step in flight."""
        array = self.array
        what = f"layer {short_name(self.layer)} of " if self.layer else ""
        return (
            f"{self.pe.spec} on {what}{self.provenance.short_source()}, array {array.rows}x"
            f"{array.cols} {array.dataflow}, a step in flight {self.in_flight.mean():.3f}"
        )

    @property
    def in_flight(self) -> NDArray[np.float64]:
        """Share of the array's cycles in which a PE had a step in flight on real work, (rows,
        cols), 0 to 1.
        """
        return self.step_cycles / self.cycles_total

    @property
    def effective(self) -> NDArray[np.float64]:
        """MACs with both operands non-zero over those a PE could do, 0 to 1; the mean is
        `utilization.effective`.
        """
        return self.macs_nonzero / self.pe_lane_cycles


def heatmap(
    report: Report,
    trace: Trace | str | PathLike[str],
    layer: str | None = None,
    known: Collection[EngineModel | PEDesign] = (),
) -> Heatmap:
    """Return what every PE did in a simulated run.

    Parameters
    ----------
    report : Report
    trace : Trace, or the path of a trace file
        The trace the report was made from: a report holds no operands.
    layer : str, optional
        Name of one layer; the whole network if absent.
    known : collection of PEDesign or EngineModel
        Designs from files, by their `spec`: a report's own names lead to shipped and installed
        designs only, since no file is run because a report names it.

    Raises
    ------
    InputError
        For a trace that is not the report's, an unknown layer, or a design whose step cycles follow
        from both operands, or from queues of its own.
    """
    trace = as_trace(trace)
    _check_is_array(report)
    _check_same_trace(report, trace)
    chosen = [
        pair
        for pair in zip(report.layers, trace.layers, strict=True)
        if layer in (None, pair[0].name)
    ]
    if not chosen:
        names = [each.name for each in report.layers]
        raise InputError(
            f"layer {layer!r} is not in this report{nearest(str(layer), names)}; "
            f"expected one of {', '.join(names)}"
        )
    # (layers, what is counted, rows, cols): steps, then MACs.
    counted = np.array([_layer_counts(*pair, report, known) for pair in chosen])
    step_cycles, macs_nonzero = counted.sum(axis=0)
    total = Totals.of(part for part, _ in chosen)
    return Heatmap(
        step_cycles=step_cycles,
        macs_nonzero=macs_nonzero,
        cycles_total=total.cycles.total,
        pe_lane_cycles=total.counts.lane_cycles // (report.array.rows * report.array.cols),
        layer=layer or "",
        pe=report.pe,
        array=report.array,
        provenance=report.provenance,
    )


def _check_is_array(report: Report) -> None:
    """Raise InputError for a report of an engine that is no array of PEs."""
    engine = report.pe.engine_model
    if engine is not None:
        raise InputError(_no_heat_map(report.pe.spec, engine.kind))


def _no_heat_map(spec: str, why: str) -> str:
    return f"{spec}: no heat map, it {why}; expected an array of PEs"


def _check_same_trace(report: Report, trace: Trace) -> None:
    if trace.sha256 != report.provenance.trace_sha256:
        raise InputError(
            f"trace has sha256 {trace.sha256[:12]}..., the report was made from "
            f"{report.provenance.trace_sha256[:12]}...; expected that trace"
        )
    names = [layer.name for layer in trace.layers]
    if names != [layer.name for layer in report.layers]:
        raise InputError(
            f"report: its layers are not those of its trace; expected {', '.join(names)}"
        )


def _layer_counts(
    part: LayerReport, layer: Layer, report: Report, known: Collection[EngineModel | PEDesign]
) -> tuple[Counts, Counts]:
    """Return step cycles and non-zero MACs of every PE for a layer, checked against its report."""
    model = ran(part, layer, known)
    if model.pe is None:
        raise InputError(f"layer {part.name!r}: {_no_heat_map(model.spec, model.kind)}")
    kept = is_kept(report.pe, layer.name, keep_8bit=report.keep_8bit, marked=layer.keep_8bit)
    if part.kept_8bit != kept:
        raise InputError(
            f"layer {layer.name!r}: the report says kept_8bit={part.kept_8bit}, the trace makes it "
            f"{kept}; expected a report made from this trace"
        )
    lowered = layer.lower()
    places = Placement.of(report.array)
    steps = np.sum([_step_cycles(pe, lowered, places) for pe in model.pass_designs], axis=0)
    macs = _macs_nonzero(model.pe, lowered, places)
    if int(macs.sum()) != part.counts.macs_nonzero:
        raise InputError(
            f"layer {layer.name!r}: the trace gives {int(macs.sum())} MACs with non-zero operands, "
            f"the report says {part.counts.macs_nonzero}; expected a report made from this trace"
        )
    return steps, macs


@dataclass(frozen=True)
class Placement:
    """Which work a PE does: the number of residue classes of m, s and n, and the axes that lie
    along rows and columns.

    An axis along the rows falls into as many classes as the array has rows; a streamed one into
    one.
    """

    m: int
    s: int
    n: int
    axes: tuple[int, int, int]

    @classmethod
    def of(cls, array: ArrayInfo) -> Placement:
        """Ask the dataflow what it puts where."""
        flow = reported_dataflow(array.dataflow)
        stream, rows, cols = ("msn".index(role) for role in flow.roles)
        axes = (rows, cols, stream)
        sides = dict(zip(axes, (array.rows, array.cols, 1), strict=True))
        return cls(sides[0], sides[1], sides[2], axes)

    def on_array(self, by_class: Counts) -> Counts:
        """Return counts by class (m, s, n) as (rows, cols)."""
        counts: Counts = by_class.transpose(self.axes)[:, :, 0]
        return counts


def _step_cycles(pe: PEDesign, layer: LoweredLayer, places: Placement) -> Counts:
    """Return for each PE the cycles of its steps, summed."""
    if pe.cost == "pair":
        raise InputError(
            f"{pe.spec}: no heat map, its steps do not follow from one operand alone; "
            "expected a design with constant steps, or steps set by activations or by weights"
        )
    m, n = _items(layer.m, places.m), _items(layer.n, places.n)
    if pe.cost == "activations":
        of_rows = _activation_cycles(pe, layer, places)
        return places.on_array(np.einsum("ms,n->msn", of_rows, n))
    if pe.cost == "weights":
        of_columns = _weight_cycles(pe, layer, places)
        return places.on_array(np.einsum("sn,m->msn", of_columns, m))
    s = _items(pe.steps(layer.k), places.s)
    each = layer.groups * (fixed_cycles(pe) or 1)
    return places.on_array(each * np.einsum("m,s,n->msn", m, s, n))


def _items(size: int, classes: int) -> Counts:
    """Return how many of `size` items are in each residue class, int64 (classes,)."""
    return np.bincount(np.arange(size) % classes, minlength=classes)


def _activation_cycles(pe: PEDesign, layer: LoweredLayer, places: Placement) -> Counts:
    """Return step cycles that activations decide, summed by class, int64 (m, s)."""
    cycles = np.zeros((places.m, pe.steps(layer.k)), np.int64)
    start = 0
    for x in row_blocks(layer):
        cycles += by_residue(activation_cycles(pe, x), places.m, start).sum(axis=0)
        start += x.shape[1]
    by_class: Counts = by_residue(cycles.T[None], places.s)[0].T
    return by_class


def _weight_cycles(pe: PEDesign, layer: LoweredLayer, places: Placement) -> Counts:
    """Return step cycles that weights decide, summed by class, int64 (s, n)."""
    of_groups = by_residue(weight_cycles(pe, layer.weights), places.s)
    by_step = of_groups.sum(axis=0)
    by_class: Counts = by_residue(by_step.T[None], places.n)[0].T
    return by_class


def _macs_nonzero(pe: PEDesign, layer: LoweredLayer, places: Placement) -> Counts:
    """Return for each PE its MACs whose operands are both non-zero."""
    activations = np.zeros((layer.groups, places.m, layer.k), np.int64)
    start = 0
    for x in row_blocks(layer):
        activations += by_residue(x != 0, places.m, start)
        start += x.shape[1]
    in_array = in_columns(layer.weights, filter_order(pe, layer.weights))
    weights = by_residue(in_array.swapaxes(1, 2) != 0, places.n)
    order = pe.k_order(layer.k)
    counts = np.empty((places.m, places.s, places.n), np.int64)
    for step_class in range(places.s):
        elements = order[step_class :: places.s]
        used = elements[elements >= 0]
        counts[:, step_class] = (activations[..., used] @ weights[..., used].swapaxes(1, 2)).sum(
            axis=0
        )
    return places.on_array(counts)


def by_residue(values: Array, classes: int, start: int = 0) -> Counts:
    """Return the sums of `values` (groups, items, length) over items of the same (start + item) mod
    `classes`.

    Returns
    -------
    int64 (groups, classes, length)
    """
    before = start % classes
    after = -(before + values.shape[1]) % classes
    padded = np.pad(values, ((0, 0), (before, after), (0, 0)))
    sums: Counts = padded.reshape(len(values), -1, classes, values.shape[2]).sum(
        axis=1, dtype=np.int64
    )
    return sums
