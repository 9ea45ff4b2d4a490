"""simulate() and compare(): the whole story on one screen.

trace file -> Layer -> GEMM -> engine model gives values and cycles (an array of PEs: the PE gives
values and step cycles, the dataflow times them) -> Report
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from os import PathLike
from typing import TYPE_CHECKING

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.engine.asked import check_iso, clocks_of, pes_with_area, scaling_of
from sparqsim.engine.assignment import Assignment, Runnable, assigned, checked_kept, names_of
from sparqsim.engine.engines import ENGINES, checked_engine, outcomes
from sparqsim.engine.layer_reports import cycles_on, layer_report
from sparqsim.engine.models import EngineModel, Task
from sparqsim.engine.provenance import provenance_of, with_card
from sparqsim.memory import MemoryConfig
from sparqsim.memory.traffic import MemoryInfo
from sparqsim.pe import PEDesign
from sparqsim.pe.signs import MAGNITUDE
from sparqsim.results.comparison import Comparison
from sparqsim.results.iso_area import IsoArea
from sparqsim.results.layer_report import LayerReport
from sparqsim.results.report import Report
from sparqsim.results.setting import HONEST, ArrayInfo, Kept
from sparqsim.rtl.accumulator import USUAL_BITS
from sparqsim.trace import Layer, Trace
from sparqsim.trace.quantisation import quantisation_of
from sparqsim.trace.reader import as_trace

if TYPE_CHECKING:
    from sparqsim.cost.plan import EnergyPlan
    from sparqsim.engine.energy import Metering
    from sparqsim.engine.iso_area import Scaling
    from sparqsim.rtl.area import Table

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
    pe: Runnable = "sparq-5opt",
    array: ArrayConfig | None = None,
    *,
    memory: MemoryConfig | None = None,
    coupling: str | None = None,
    overlap: bool | None = None,
    keep_8bit: bool = True,
    kept: str = HONEST,
    signed: str = MAGNITUDE,
    engine: str = "fast",
    energy: EnergyPlan | str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Return what one PE design does on a trace.

    Parameters
    ----------
    trace : Trace, or the path of a trace file
    pe : str, PEDesign, EngineModel or Assignment
        'NAME' or 'NAME:key=value,...', of a PE design or of an engine that is no array of PEs; or
        which of them runs which layer, also as '@FILE.toml'.
    array : ArrayConfig
        Default 16x16, output-stationary.
    memory : MemoryConfig, optional
        The memory system around the array; without it operands are always there.
    coupling, overlap
        Replace those of `array` if given.
    keep_8bit : bool
        Whether layers marked keep_8bit stay at 8 bits (the method's way), or run as the others.
    kept : {'honest', 'ideal'}
        How they stay: on the design's own circuit, in as many cycles as that needs
        (`PEDesign.kept_8bit`), or as `mac-8b8b`. An engine that is no array of PEs runs them
        itself.
    signed : {'magnitude', 'refuse'}
        What designs of unsigned activations that have the key `signed` do with int8 layers: run
        them as with `signed=magnitude`, an extension of ours, which the layer's `run_as` then says;
        or refuse them. Designs without the key refuse them either way.
    engine : {'fast', 'event'}
        How time and values are found: by closed forms, recurrences and matrix products, or, for
        small layers, by the definition: processes or plain Python that do every step. The report is
        the same.
    energy : EnergyPlan or str, optional
        What the report's energies are found with: a plan, or the name or file of a table of cells
        (`sparqsim.cost`); without it a report has none.
    progress : callable, optional
        Wraps the sequence of layers while they are worked on.

    Raises
    ------
    InputError
        For a design that cannot take a layer's activations, a dataflow that the design does not
        support, a layer too large for the engine, or energies that the table does not know.
    """
    asked = _array(array, coupling, overlap)
    setting = Setting(
        asked,
        memory,
        keep_8bit,
        checked_engine(engine),
        checked_kept(kept),
        metering=_metering(energy, asked, memory, engine),
    )
    run = assigned(pe).with_signed(signed)
    return _reports(as_trace(trace), [run], setting, progress)[0].report


def compare(
    trace: Trace | str | PathLike[str],
    pes: Sequence[Runnable] = DEFAULT_PES,
    array: ArrayConfig | None = None,
    *,
    baseline: Runnable = BASELINE,
    memory: MemoryConfig | None = None,
    coupling: str | None = None,
    overlap: bool | None = None,
    keep_8bit: bool = True,
    kept: str = HONEST,
    signed: str = MAGNITUDE,
    engine: str = "fast",
    iso: str | None = None,
    acc_bits: int | str = USUAL_BITS,
    areas: Table | str | PathLike[str] | None = None,
    clock: str | None = None,
    energy: EnergyPlan | str | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Return what several PE designs do on a trace and the same array, and their speedups over
    `baseline`.

    Parameters as in `simulate`; the baseline is added to `pes` where it is missing. With
    `iso='area'`, `iso_area` of the result tells the same for arrays that take the area of the
    baseline's (`sparqsim.engine.iso_area`); layers marked keep_8bit run there, too. With `clock`,
    `clock` of the result tells periods, times and speedups in time (`sparqsim.engine.clock`):
    'equal', all at the clock of the slowest, or 'own', each at its own shortest period; without
    it, cycles alone, which is one clock of unknown period.
    With `energy`, designs that its table does not know have none; their reports say why.
    Areas are those of accumulators of `acc_bits` bits, or ('least') of each design's own; from the
    table `areas`, or its file, if given. A layer whose sums can overflow is refused.
    """
    runs = [assigned(pe).with_signed(signed) for pe in pes]
    reference = assigned(baseline).with_signed(signed)
    if reference not in runs:
        runs.insert(0, reference)
    names = names_of(runs)
    check_iso(iso, acc_bits, areas)
    asked = _array(array, coupling, overlap)
    clocks = clocks_of(clock, asked, runs, reference)
    pe_of = pes_with_area(runs, reference) if iso else {}
    trace = as_trace(trace)
    scaling = scaling_of(pe_of, reference, asked, acc_bits, areas) if iso else None
    if scaling:
        scaling.refuse_overflow(trace)
    scaled = {run: scaling.arrays.get(pe, ()) for run, pe in pe_of.items()} if scaling else {}
    setting = Setting(
        asked,
        memory,
        keep_8bit,
        checked_engine(engine),
        checked_kept(kept),
        scaled,
        _metering(energy, asked, memory, engine),
    )
    results = dict(zip(names, _reports(trace, runs, setting, progress), strict=True))
    by_name = {run.spec: pe for run, pe in pe_of.items()}
    at_equal_area = _iso_area(scaling, by_name, results) if scaling else None
    cycles = {name: result.report.cycles.total for name, result in results.items()}
    return Comparison(
        baseline=reference.spec,
        order=tuple(names),
        reports={name: result.report for name, result in results.items()},
        iso_area=at_equal_area,
        clock=clocks.block(cycles, at_equal_area) if clocks else None,
    )


def _iso_area(
    scaling: Scaling, pe_of: Mapping[str, PEDesign], results: Mapping[str, _Result]
) -> IsoArea:
    baseline_cycles = results[scaling.baseline.spec].report.cycles.total
    records = {}
    for name, result in results.items():
        cycles, pe = result.report.cycles.total, pe_of[name]
        if pe in scaling.arrays:
            records[name] = scaling.record(pe, result.scaled_cycles, baseline_cycles, cycles)
    return scaling.block(records)


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


def _metering(
    energy: EnergyPlan | str | None, array: ArrayConfig, memory: MemoryConfig | None, engine: str
) -> Metering | None:
    """Return how energies are found; None where they are not asked for."""
    if energy is None:
        return None
    from sparqsim.engine.energy import Metering

    return Metering.of(energy, array, stepped=engine == "event", with_memory=memory is not None)


@dataclass(frozen=True)
class Setting:
    """What all designs of a comparison share; `scaled`: further arrays, by design; `metering`: how
    energies are found, None where they are not asked for.
    """

    array: ArrayConfig
    memory: MemoryConfig | None
    keep_8bit: bool
    engine: str
    kept: Kept
    scaled: Mapping[Assignment, Sequence[ArrayConfig]] = field(default_factory=dict)
    metering: Metering | None = None

    def running(self, run: Assignment) -> Assignment:
        """Return an assignment with what layers marked keep_8bit run on."""
        return run.keeping_8bit(self.kept) if self.keep_8bit else run


@dataclass(frozen=True)
class _Result:
    """A design's report, and for each of its further arrays the cycles of every layer."""

    report: Report
    scaled_cycles: Sequence[Sequence[int]]


def _reports(
    trace: Trace, runs: list[Assignment], setting: Setting, progress: Progress | None
) -> list[_Result]:
    for run in runs:
        check_run(run, trace, setting)
    metering, running_runs = setting.metering, [setting.running(run) for run in runs]
    reasons = [""] * len(runs)
    if metering is not None:
        reasons = metering.absences(running_runs, trace.layers)
    trace.check_computable()
    layers = trace.layers if progress is None else progress(trace.layers)
    running = list(zip(runs, running_runs, strict=True))
    by_layer = [_layer_reports(layer, running, setting) for layer in layers]
    results, quantisation = [], quantisation_of(trace, keep_8bit=setting.keep_8bit)
    for run, reason, layers_of_run in zip(runs, reasons, zip(*by_layer, strict=True), strict=True):
        reports, scaled_cycles = zip(*layers_of_run, strict=True)
        report = with_card(report_of(trace, run, setting, reports, reason), run, quantisation)
        results.append(_Result(report, list(zip(*scaled_cycles, strict=True))))
    return results


def check_run(run: Assignment, trace: Trace, setting: Setting) -> None:
    """Raise InputError for what an assignment cannot run."""
    run.check(trace)
    for model in run.models:
        model.refuse_array(setting.array)
    engine, running = ENGINES[setting.engine], setting.running(run)
    for layer in trace.layers:
        model = running.bound(layer)
        model.refuse_layer(layer, setting.array)
        for array in (setting.array, *setting.scaled.get(run, ())):
            engine.check(model, layer, array)


def _layer_reports(
    layer: Layer, runs: Sequence[tuple[Assignment, Assignment]], setting: Setting
) -> list[tuple[LayerReport, tuple[int, ...]]]:
    """Return one layer's report for each assignment, which comes with `Setting.running` of it, and
    its cycles on the assignment's further arrays. Those that share an outcome share the work.
    """
    models = [running.bound(layer) for _, running in runs]
    # Designs may be equal and yet differ in a key: a key can be left out of comparisons.
    keys = [(model.spec, model) for model in models]
    distinct = list(dict.fromkeys(keys))
    task = Task(layer, setting.array)
    metering = setting.metering
    counters = {} if metering is None else metering.counters(task, distinct)
    models_of_all = [model for _, model in distinct]
    outcomes_of_all = outcomes(setting.engine, task, models_of_all, list(counters.values()))
    found = dict(zip(distinct, outcomes_of_all, strict=True))
    memory, engine = setting.memory, setting.engine
    reports = {key: layer_report(task, key[1], memory, engine, found[key]) for key in distinct}
    if metering is not None:
        for key, counter in counters.items():
            reports[key] = metering.with_energy(reports[key], key[1], counter)

    @cache
    def cycles_of(key: tuple[str, EngineModel], array: ArrayConfig) -> int:
        """Return the layer's cycles on a further array."""
        return cycles_on(task.on(array), key[1], memory, engine, found[key])

    of_runs = []
    for (run, running), key in zip(runs, keys, strict=True):
        report = reports[key].model_copy(update={"kept_8bit": running.keeps(layer)})
        further_arrays = setting.scaled.get(run, ())
        of_runs.append((report, tuple(cycles_of(key, array) for array in further_arrays)))
    return of_runs


def report_of(
    trace: Trace,
    run: Assignment,
    setting: Setting,
    layers: Sequence[LayerReport],
    without_energy: str = "",
) -> Report:
    """Return the report of its layers' reports, without a card."""
    array, metering = setting.array, setting.metering
    energy = None
    if metering is not None and not without_energy:
        energy = metering.info(setting.running(run), trace.layers)
    if energy is None:
        layers = [layer.model_copy(update={"energy_pj": None}) for layer in layers]
    return Report(
        provenance=provenance_of(trace, setting.engine),
        pe=setting.running(run).info(array, trace.layers),
        array=ArrayInfo.of(array),
        memory=None if setting.memory is None else MemoryInfo.of(setting.memory),
        keep_8bit=setting.keep_8bit,
        kept=setting.kept if setting.keep_8bit else "ideal",
        energy=energy,
        energy_absent=without_energy,
        layers=tuple(layers),
    )
