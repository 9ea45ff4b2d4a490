"""simulate() and compare(): the whole story on one screen.

trace file -> Layer -> GEMM -> tiles -> PE gives values and step cycles -> dataflow times them -> Report
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from os import PathLike

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Timing
from sparqsim.array.timing import check_activations, check_dataflow
from sparqsim.base.errors import InputError
from sparqsim.base.version import VERSION
from sparqsim.engine.engines import ENGINES, Outcome, checked_engine
from sparqsim.engine.iso_area import Scaling
from sparqsim.engine.measure import Measurement
from sparqsim.memory import MemoryConfig
from sparqsim.memory.system import Outcome as Waits
from sparqsim.memory.system import through_memory
from sparqsim.memory.traffic import MemoryInfo
from sparqsim.pe import PEDesign, get_pe
from sparqsim.pe.binding import bound_to
from sparqsim.results.bounds import Bounds
from sparqsim.results.iso_area import IsoArea
from sparqsim.results.layer_report import Counts, Cycles, Gemm, LayerReport
from sparqsim.results.report import ArrayInfo, Comparison, PEInfo, Provenance, Report
from sparqsim.trace import Layer, Trace
from sparqsim.trace.coverage import Coverage
from sparqsim.trace.lowering import LoweredLayer
from sparqsim.trace.reader import as_trace

DEFAULT_PES = (
    "mac-8b8b",
    "mac-4b8b",
    "mac-4b4b",
    "sparq-5opt",
    "sparq-3opt",
    "sparq-2opt",
    "sparq-exact",
)
BASELINE = "mac-8b8b"
#: The design that runs layers marked keep_8bit.
KEPT = "mac-8b8b"

Progress = Callable[[Sequence[Layer]], Sequence[Layer]]


def simulate(
    trace: Trace | str | PathLike[str],
    pe: str | PEDesign = "sparq-5opt",
    array: ArrayConfig | None = None,
    *,
    memory: MemoryConfig | None = None,
    coupling: str | None = None,
    overlap: bool | None = None,
    keep_8bit: bool = True,
    engine: str = "fast",
    progress: Progress | None = None,
) -> Report:
    """Return what one PE design does on a trace.

    Parameters
    ----------
    trace : Trace, or the path of a trace file
    pe : str or PEDesign
        'NAME' or 'NAME:key=value,...'.
    array : ArrayConfig
        Default 16x16, output-stationary.
    memory : MemoryConfig, optional
        The memory system around the array; without it operands are always there.
    coupling, overlap
        Replace those of `array` if given.
    keep_8bit : bool
        Whether layers marked keep_8bit run as `mac-8b8b` (the method's way), or as `pe`.
    engine : {'fast', 'event'}
        How time and values are found: by closed forms, recurrences and matrix products, or, for small layers, by an
        array of processes that does every step. The report is the same.
    progress : callable, optional
        Wraps the sequence of layers while they are worked on.

    Raises
    ------
    InputError
        For a design that cannot take a layer's activations, a dataflow that the design does not support, or a layer too
        large for the engine.
    """
    setting = _Setting(_array(array, coupling, overlap), memory, keep_8bit, checked_engine(engine))
    return _reports(as_trace(trace), [get_pe(pe)], setting, progress)[0].report


def compare(
    trace: Trace | str | PathLike[str],
    pes: Sequence[str | PEDesign] = DEFAULT_PES,
    array: ArrayConfig | None = None,
    *,
    baseline: str | PEDesign = BASELINE,
    memory: MemoryConfig | None = None,
    coupling: str | None = None,
    overlap: bool | None = None,
    keep_8bit: bool = True,
    engine: str = "fast",
    iso: str | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Return what several PE designs do on a trace and the same array, and their speedups over `baseline`.

    Parameters as in `simulate`; the baseline is added to `pes` where it is missing. With `iso='area'`, `iso_area` of
    the result tells the same for arrays that take the area of the baseline's (`sparqsim.engine.iso_area`); layers
    marked keep_8bit run there, too, one MAC per PE and cycle.
    """
    designs = [get_pe(pe) for pe in pes]
    reference = get_pe(baseline)
    if reference not in designs:
        designs.insert(0, reference)
    names = [pe.spec for pe in designs]
    if len(set(names)) < len(names):
        raise InputError(f"pes={', '.join(names)}: a design is named twice, expected each once")
    if iso not in {None, "area"}:
        raise InputError(f"iso={iso!r}: expected 'area', or none")
    asked = _array(array, coupling, overlap)
    scaling = Scaling.of(designs, reference, asked) if iso else None
    setting = _Setting(
        asked, memory, keep_8bit, checked_engine(engine), scaling.arrays if scaling else {}
    )
    results = _reports(as_trace(trace), designs, setting, progress)
    return Comparison(
        baseline=reference.spec,
        order=tuple(names),
        reports={name: result.report for name, result in zip(names, results, strict=True)},
        iso_area=_iso_area(scaling, dict(zip(designs, results, strict=True))) if scaling else None,
    )


def _iso_area(scaling: Scaling, results: Mapping[PEDesign, _Result]) -> IsoArea:
    baseline_cycles = results[scaling.baseline].report.cycles.total
    return scaling.block(
        {
            pe.spec: scaling.record(
                pe, result.scaled_cycles, baseline_cycles, result.report.cycles.total
            )
            for pe, result in results.items()
            if pe in scaling.arrays
        }
    )


def _array(array: ArrayConfig | None, coupling: str | None, overlap: bool | None) -> ArrayConfig:
    array = ArrayConfig() if array is None else array
    if not isinstance(array, ArrayConfig):
        raise InputError(
            f"array={array!r}: expected an ArrayConfig, e.g. ArrayConfig.parse('16x16')"
        )
    return replace(
        array,
        coupling=coupling or array.coupling,
        overlap=array.overlap if overlap is None else overlap,
    )


@dataclass(frozen=True)
class _Setting:
    """What all designs of a comparison share; `scaled`: further arrays of which cycles are wanted, by design."""

    array: ArrayConfig
    memory: MemoryConfig | None
    keep_8bit: bool
    engine: str
    scaled: Mapping[PEDesign, Sequence[ArrayConfig]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Result:
    """A design's report, and for each of its further arrays the cycles of every layer."""

    report: Report
    scaled_cycles: Sequence[Sequence[int]]


def _reports(
    trace: Trace, designs: list[PEDesign], setting: _Setting, progress: Progress | None
) -> list[_Result]:
    for pe in designs:
        _check(pe, trace, setting)
    layers = trace.layers if progress is None else progress(trace.layers)
    by_layer = [_layer_reports(layer, designs, setting) for layer in layers]
    results = []
    for pe, layers_of_pe in zip(designs, zip(*by_layer, strict=True), strict=True):
        reports, scaled_cycles = zip(*layers_of_pe, strict=True)
        results.append(
            _Result(_report(trace, pe, setting, reports), list(zip(*scaled_cycles, strict=True)))
        )
    return results


def _check(pe: PEDesign, trace: Trace, setting: _Setting) -> None:
    check_dataflow(pe, setting.array)
    for layer in trace.layers:
        running = _design_for(layer, pe, setting)
        check_activations(layer, running)
        try:
            for array in (setting.array, *setting.scaled.get(pe, ())):
                ENGINES[setting.engine].check(layer.gemm, running, array)
        except InputError as error:
            raise InputError(f"layer {layer.name!r}: {error}") from None


def _design_for(layer: Layer, pe: PEDesign, setting: _Setting) -> PEDesign:
    return bound_to(layer, get_pe(KEPT) if setting.keep_8bit and layer.keep_8bit else pe)


def _layer_reports(
    layer: Layer, designs: list[PEDesign], setting: _Setting
) -> list[tuple[LayerReport, tuple[int, ...]]]:
    """Return one layer's report for each design, and its cycles on the design's further arrays.

    Designs that share an outcome share the work.
    """
    running = [_design_for(layer, pe, setting) for pe in designs]
    distinct = list(dict.fromkeys(running))
    lowered = layer.lower()
    outcomes = dict(
        zip(
            distinct,
            ENGINES[setting.engine].run(lowered, distinct, setting.array, layer.signed),
            strict=True,
        )
    )
    kept = setting.keep_8bit and layer.keep_8bit
    reports = {
        pe: _layer_report(layer, pe, setting, outcome, kept) for pe, outcome in outcomes.items()
    }
    cycles = cache(
        lambda pe, array: _cycles_on(
            layer, lowered, pe, replace(setting, array=array), outcomes[pe]
        )
    )
    return [
        (reports[run], tuple(cycles(run, array) for array in setting.scaled.get(pe, ())))
        for pe, run in zip(designs, running, strict=True)
    ]


def _cycles_on(
    layer: Layer, lowered: LoweredLayer, pe: PEDesign, setting: _Setting, outcome: Outcome
) -> int:
    """Return the layer's total cycles on another array, that of `setting`."""
    timing = ENGINES[setting.engine].timing(
        lowered, pe, setting.array, layer.signed, outcome.measured
    )
    waits = _waits(layer, pe, setting, timing)
    return timing.total + (waits.memory_stall if waits else 0)


def _layer_report(
    layer: Layer, pe: PEDesign, setting: _Setting, outcome: Outcome, kept: bool
) -> LayerReport:
    shape, timing, measured, array = layer.gemm, outcome.timing, outcome.measured, setting.array
    waits = _waits(layer, pe, setting, timing)
    cycles = Cycles(
        compute=timing.compute,
        fill=timing.fill,
        drain=timing.drain,
        pe_stall=timing.pe_stall,
        memory_stall=waits.memory_stall if waits else 0,
    )
    used_pe_cycles = timing.used_pe_cycles + (waits.used_pe_cycles if waits else 0)
    real_steps = shape.groups * shape.m * pe.steps(shape.k) * shape.n
    return LayerReport(
        name=layer.name,
        op=layer.op,
        pe=pe.spec,
        kept_8bit=kept,
        gemm=Gemm(m=shape.m, k=shape.k, n=shape.n, groups=shape.groups),
        cycles=cycles,
        bounds=Bounds.of(timing, real_steps, array.pes, cycles.memory_stall),
        tiles=timing.tiles,
        partial_sums=timing.partial_sums,
        counts=_counts(shape.macs, pe, cycles.total * array.pes, used_pe_cycles, measured),
        traffic=waits.traffic if waits else None,
        pairs=measured.pairs,
        windows=measured.windows,
        activity=measured.activity,
        error=measured.error,
    )


def _waits(layer: Layer, pe: PEDesign, setting: _Setting, timing: Timing) -> Waits | None:
    """Return what the memory system adds, None where it is not modelled."""
    if setting.memory is None:
        return None
    runner = ENGINES[setting.engine].memory_runner()
    return through_memory(
        layer, pe, setting.array, setting.memory, timing.tile_stalls, runner=runner
    )


def _counts(
    macs: int, pe: PEDesign, pe_cycles: int, used_pe_cycles: int, measured: Measurement
) -> Counts:
    activity = measured.activity
    busy = sum(cycles for part, cycles in activity.items() if part.startswith("multiplier_"))
    return Counts(
        macs=macs,
        macs_nonzero=measured.macs_nonzero,
        pe_cycles=pe_cycles,
        lane_cycles=pe_cycles * pe.lanes,
        multiplier_cycles=pe_cycles * pe.multipliers,
        used_pe_cycles=used_pe_cycles,
        busy_pe_cycles=activity.get("pe", 0) if activity else None,
        busy_multiplier_cycles=busy if activity else None,
    )


def _folded_batch_norms(trace: Trace) -> int | None:
    """Return how many batch norms the trace says were folded into a layer; None where it does not say."""
    folded = trace.metadata.provenance.get("folded_batch_norms")
    return len(folded) if isinstance(folded, dict) else None


def _report(trace: Trace, pe: PEDesign, setting: _Setting, layers: Sequence[LayerReport]) -> Report:
    array = setting.array
    return Report(
        provenance=Provenance(
            version=VERSION,
            engine=setting.engine,
            trace_sha256=trace.sha256,
            network=trace.metadata.network,
            synthetic=trace.metadata.synthetic,
            coverage=Coverage.of(trace.metadata.provenance),
            calibrator=trace.metadata.calibrator,
            folded_batch_norms=_folded_batch_norms(trace),
        ),
        pe=PEInfo.of(pe),
        array=ArrayInfo.of(array),
        memory=None if setting.memory is None else MemoryInfo.of(setting.memory),
        keep_8bit=setting.keep_8bit,
        layers=tuple(layers),
    )
