"""simulate() and compare(): the whole story on one screen.

trace file -> Layer -> GEMM -> engine model gives values and cycles (an array of PEs: the PE gives values and step
cycles, the dataflow times them) -> Report
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Timing
from sparqsim.base.errors import InputError
from sparqsim.base.version import VERSION
from sparqsim.engine.engines import ENGINES, Outcome, checked_engine, outcomes
from sparqsim.engine.iso_area import Scaling
from sparqsim.engine.models import EngineModel, Task, get_model
from sparqsim.memory import MemoryConfig
from sparqsim.memory.system import Outcome as Waits
from sparqsim.memory.system import through_memory
from sparqsim.memory.traffic import MemoryInfo
from sparqsim.pe import PEDesign
from sparqsim.results.bounds import Bounds
from sparqsim.results.iso_area import IsoArea
from sparqsim.results.layer_report import Counts, Cycles, Gemm, LayerReport
from sparqsim.results.report import ArrayInfo, Comparison, Provenance, Report
from sparqsim.trace import Layer, Trace
from sparqsim.trace.coverage import Coverage
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

Progress = Callable[[Sequence[Layer]], Sequence[Layer]]


def simulate(
    trace: Trace | str | PathLike[str],
    pe: str | PEDesign | EngineModel = "sparq-5opt",
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
    pe : str, PEDesign or EngineModel
        'NAME' or 'NAME:key=value,...', of a PE design or of an engine that is no array of PEs.
    array : ArrayConfig
        Default 16x16, output-stationary.
    memory : MemoryConfig, optional
        The memory system around the array; without it operands are always there.
    coupling, overlap
        Replace those of `array` if given.
    keep_8bit : bool
        Whether layers marked keep_8bit run as `mac-8b8b` (the method's way), or as `pe`; an engine that is no array of
        PEs runs them itself.
    engine : {'fast', 'event'}
        How time and values are found: by closed forms, recurrences and matrix products, or, for small layers, by the
        definition: processes or plain Python that do every step. The report is the same.
    progress : callable, optional
        Wraps the sequence of layers while they are worked on.

    Raises
    ------
    InputError
        For a design that cannot take a layer's activations, a dataflow that the design does not support, or a layer too
        large for the engine.
    """
    setting = _Setting(_array(array, coupling, overlap), memory, keep_8bit, checked_engine(engine))
    return _reports(as_trace(trace), [get_model(pe)], setting, progress)[0].report


def compare(
    trace: Trace | str | PathLike[str],
    pes: Sequence[str | PEDesign | EngineModel] = DEFAULT_PES,
    array: ArrayConfig | None = None,
    *,
    baseline: str | PEDesign | EngineModel = BASELINE,
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
    models = [get_model(pe) for pe in pes]
    reference = get_model(baseline)
    if reference not in models:
        models.insert(0, reference)
    names = [model.spec for model in models]
    if len(set(names)) < len(names):
        raise InputError(f"pes={', '.join(names)}: a design is named twice, expected each once")
    if iso not in {None, "area"}:
        raise InputError(f"iso={iso!r}: expected 'area', or none")
    asked = _array(array, coupling, overlap)
    scaling = _scaling(models, reference, asked) if iso else None
    scaled = {model: scaling.arrays.get(_pe_of(model), ()) for model in models} if scaling else {}
    setting = _Setting(asked, memory, keep_8bit, checked_engine(engine), scaled)
    results = dict(zip(models, _reports(as_trace(trace), models, setting, progress), strict=True))
    return Comparison(
        baseline=reference.spec,
        order=tuple(names),
        reports={model.spec: result.report for model, result in results.items()},
        iso_area=_iso_area(scaling, reference, results) if scaling else None,
    )


def _pe_of(model: EngineModel) -> PEDesign:
    """Return the design of an array's PEs. Raises InputError for an engine whose area is not that of PEs."""
    if model.pe is None:
        raise InputError(f"iso='area': {model.spec} {model.kind}; expected PE designs")
    return model.pe


def _scaling(models: Sequence[EngineModel], reference: EngineModel, asked: ArrayConfig) -> Scaling:
    return Scaling.of([_pe_of(model) for model in models], _pe_of(reference), asked)


def _iso_area(
    scaling: Scaling, reference: EngineModel, results: Mapping[EngineModel, _Result]
) -> IsoArea:
    baseline_cycles = results[reference].report.cycles.total
    return scaling.block(
        {
            model.spec: scaling.record(
                _pe_of(model), result.scaled_cycles, baseline_cycles, result.report.cycles.total
            )
            for model, result in results.items()
            if _pe_of(model) in scaling.arrays
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
    scaled: Mapping[EngineModel, Sequence[ArrayConfig]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Result:
    """A design's report, and for each of its further arrays the cycles of every layer."""

    report: Report
    scaled_cycles: Sequence[Sequence[int]]


def _reports(
    trace: Trace, models: list[EngineModel], setting: _Setting, progress: Progress | None
) -> list[_Result]:
    for model in models:
        _check(model, trace, setting)
    layers = trace.layers if progress is None else progress(trace.layers)
    by_layer = [_layer_reports(layer, models, setting) for layer in layers]
    results = []
    for model, layers_of_model in zip(models, zip(*by_layer, strict=True), strict=True):
        reports, scaled_cycles = zip(*layers_of_model, strict=True)
        report = _report(trace, model, setting, reports)
        results.append(_Result(report, list(zip(*scaled_cycles, strict=True))))
    return results


def _check(model: EngineModel, trace: Trace, setting: _Setting) -> None:
    model.refuse_array(setting.array)
    engine = ENGINES[setting.engine]
    for layer in trace.layers:
        running = _model_for(layer, model, setting)
        running.refuse_layer(layer, setting.array)
        for array in (setting.array, *setting.scaled.get(model, ())):
            engine.check(running, layer, array)


def _model_for(layer: Layer, model: EngineModel, setting: _Setting) -> EngineModel:
    running = model.kept() if setting.keep_8bit and layer.keep_8bit else model
    return running.bound_to(layer)


def _layer_reports(
    layer: Layer, models: list[EngineModel], setting: _Setting
) -> list[tuple[LayerReport, tuple[int, ...]]]:
    """Return one layer's report for each model, and its cycles on the model's further arrays.

    Models that share an outcome share the work.
    """
    running = [_model_for(layer, model, setting) for model in models]
    distinct = list(dict.fromkeys(running))
    task = Task(layer, setting.array)
    found = dict(zip(distinct, outcomes(setting.engine, task, distinct), strict=True))
    reports = {model: _layer_report(task, model, setting, found[model]) for model in distinct}
    cycles: dict[tuple[EngineModel, ArrayConfig], int] = {}
    for asked, model in zip(models, running, strict=True):
        for array in setting.scaled.get(asked, ()):
            if (model, array) not in cycles:
                cycles[model, array] = _cycles_on(task.on(array), model, setting, found[model])
    return [
        (reports[model], tuple(cycles[model, array] for array in setting.scaled.get(asked, ())))
        for asked, model in zip(models, running, strict=True)
    ]


def _cycles_on(task: Task, model: EngineModel, setting: _Setting, outcome: Outcome) -> int:
    """Return the total cycles of a layer that was measured, on the array of `task`."""
    timing = ENGINES[setting.engine].outcome(model, task, outcome.measured).timing
    waits = _waits(task, model, setting, timing)
    return timing.total + (waits.memory_stall if waits else 0)


def _layer_report(
    task: Task, model: EngineModel, setting: _Setting, outcome: Outcome
) -> LayerReport:
    layer, shape, timing, measured = task.layer, task.shape, outcome.timing, outcome.measured
    waits = _waits(task, model, setting, timing)
    cycles = Cycles(
        compute=timing.compute,
        fill=timing.fill,
        drain=timing.drain,
        pe_stall=timing.pe_stall,
        memory_stall=waits.memory_stall if waits else 0,
    )
    units = model.capacity(task.array).units
    return LayerReport(
        name=layer.name,
        op=layer.op,
        pe=model.spec,
        kept_8bit=setting.keep_8bit and layer.keep_8bit and model.pe is not None,
        gemm=Gemm(m=shape.m, k=shape.k, n=shape.n, groups=shape.groups),
        cycles=cycles,
        bounds=Bounds.of(timing, model.unit_steps(task), units, cycles.memory_stall),
        tiles=timing.tiles,
        partial_sums=timing.partial_sums,
        counts=_counts(task, model, cycles.total, outcome, waits),
        traffic=waits.traffic if waits else None,
        pairs=measured.pairs,
        windows=measured.windows,
        activity=measured.activity,
        error=measured.error,
    )


def _waits(task: Task, model: EngineModel, setting: _Setting, timing: Timing) -> Waits | None:
    """Return what the memory system adds, None where it is not modelled."""
    if setting.memory is None:
        return None
    runner = ENGINES[setting.engine].memory_runner()
    return through_memory(task.layer, model.loops(task, timing), setting.memory, runner=runner)


def _counts(
    task: Task, model: EngineModel, cycles: int, outcome: Outcome, waits: Waits | None
) -> Counts:
    capacity, activity = model.capacity(task.array), outcome.measured.activity
    unit_cycles = cycles * capacity.units
    busy = sum(cycles for part, cycles in activity.items() if part.startswith("multiplier_"))
    return Counts(
        macs=task.shape.macs,
        macs_nonzero=outcome.measured.macs_nonzero,
        pe_cycles=unit_cycles,
        lane_cycles=unit_cycles * capacity.lanes,
        multiplier_cycles=unit_cycles * capacity.multipliers,
        used_pe_cycles=outcome.timing.used_pe_cycles + (waits.used_pe_cycles if waits else 0),
        busy_pe_cycles=activity.get("pe", 0) if activity else None,
        busy_multiplier_cycles=busy if activity else None,
    )


def _folded_batch_norms(trace: Trace) -> int | None:
    """Return how many batch norms the trace says were folded into a layer; None where it does not say."""
    folded = trace.metadata.provenance.get("folded_batch_norms")
    return len(folded) if isinstance(folded, dict) else None


def _report(
    trace: Trace, model: EngineModel, setting: _Setting, layers: Sequence[LayerReport]
) -> Report:
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
        pe=model.info(array),
        array=ArrayInfo.of(array),
        memory=None if setting.memory is None else MemoryInfo.of(setting.memory),
        keep_8bit=setting.keep_8bit,
        layers=tuple(layers),
    )
