"""`predict`: bit operations, area and a lower bound of cycles, beside what is simulated.

The formulas stand in `sparqsim.cost`; this puts them beside each other, layer by layer, and beside
the simulated cycles. Nothing of the simulation goes into a prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Literal

from sparqsim.array.config import ArrayConfig
from sparqsim.array.registry import get_dataflow
from sparqsim.base.errors import InputError, printable
from sparqsim.base.version import VERSION
from sparqsim.cost import bit_operations
from sparqsim.cost.hcm import fitted_area
from sparqsim.cost.roofline import (
    array_cycles,
    compute_cycles,
    dram_cycles,
    least_dram_bytes,
    work_of,
)
from sparqsim.engine.assignment import Assignment, Runnable, assigned, checked_kept, names_of
from sparqsim.engine.iso_area import why_no_area
from sparqsim.engine.models import EngineModel, Task
from sparqsim.engine.simulation import BASELINE, DEFAULT_PES, Progress
from sparqsim.memory import MemoryConfig
from sparqsim.memory.system import through_memory
from sparqsim.memory.traffic import MemoryInfo
from sparqsim.pe.base import PEDesign
from sparqsim.pe.signs import MAGNITUDE
from sparqsim.results.iso_area import Range
from sparqsim.results.layer_report import Gemm
from sparqsim.results.prediction import (
    BitOperations,
    DesignPrediction,
    LayerPrediction,
    PredictedArea,
    Prediction,
)
from sparqsim.results.setting import HONEST, ArrayInfo, Provenance
from sparqsim.rtl.area import ArrayAreas
from sparqsim.trace import Layer, Trace
from sparqsim.trace.coverage import Coverage
from sparqsim.trace.drawn import synthetic_trace
from sparqsim.trace.reader import as_trace
from sparqsim.trace.synthetic import Distribution
from sparqsim.trace.topology import read_topology

TOPOLOGY = ".csv"


@dataclass(frozen=True)
class _Setting:
    """What all designs share; `kept`: None where layers marked keep_8bit run as the others."""

    array: ArrayConfig
    memory: MemoryConfig | None
    kept: str | None

    def running(self, run: Assignment) -> Assignment:
        """Return an assignment with what layers marked keep_8bit run on."""
        return run if self.kept is None else run.keeping_8bit(self.kept)


def predict(
    trace: Trace | str | PathLike[str],
    pes: Sequence[Runnable] = DEFAULT_PES,
    array: ArrayConfig | None = None,
    *,
    memory: MemoryConfig | None = None,
    coupling: str | None = None,
    overlap: bool | None = None,
    keep_8bit: bool = True,
    kept: str = HONEST,
    signed: str = MAGNITUDE,
    progress: Progress | None = None,
) -> Prediction:
    """Return what is predicted of PE designs before a simulation, and the error of it.

    Parameters
    ----------
    trace : Trace, or the path of a trace file or of a SCALE-Sim topology (.csv)
        Of a topology only shapes are known: designs whose cycles depend on values are simulated
        with drawn ones, and `synthetic` says so.
    pes, array, memory, coupling, overlap, keep_8bit, kept, signed, progress
        As in `sparqsim.compare`. Without a memory the only bound is that of the PEs.

    Raises
    ------
    InputError
        As `sparqsim.compare`; also for an engine that is no array of PEs.
    """
    traced = layers_of(trace)[0]
    runs = [assigned(pe).with_signed(signed) for pe in pes]
    names = names_of(runs)
    asked = ArrayConfig() if array is None else array
    asked = replace(
        asked,
        coupling=coupling or asked.coupling,
        overlap=asked.overlap if overlap is None else overlap,
    )
    setting = _Setting(asked, memory, checked_kept(kept) if keep_8bit else None)
    for run in runs:
        _check(run, traced, setting)
    layers = traced.layers if progress is None else progress(traced.layers)
    running = [setting.running(run) for run in runs]
    by_layer = [[_predicted(layer, run, setting) for run in running] for layer in layers]
    designs = {
        name: DesignPrediction(
            pe=run.info(asked, traced.layers), area=_area(run, asked), layers=of_layers
        )
        for name, run, of_layers in zip(names, running, zip(*by_layer, strict=True), strict=True)
    }
    return Prediction(
        provenance=_provenance(traced),
        array=ArrayInfo.of(asked),
        memory=None if memory is None else MemoryInfo.of(memory),
        keep_8bit=keep_8bit,
        kept=checked_kept(kept),
        order=tuple(names),
        designs=designs,
    )


def layers_of(source: Trace | str | PathLike[str]) -> tuple[Trace, tuple[str, ...]]:
    """Return a trace, and notes on how its file was read.

    Of a SCALE-Sim topology (.csv) it is one whose values are drawn when read.
    """
    if not isinstance(source, str | PathLike) or Path(source).suffix.lower() != TOPOLOGY:
        return as_trace(source), ()
    topology = read_topology(Path(source))
    trace = synthetic_trace(
        topology.layers,
        Distribution(),
        network=printable(Path(source).name),
        origin="SCALE-Sim topology",
        provenance={"notes": list(topology.notes)},
    )
    return trace, topology.notes


def _provenance(trace: Trace) -> Provenance:
    about = trace.metadata
    return Provenance(
        version=VERSION,
        engine="fast",
        trace_sha256=trace.sha256,
        network=about.network,
        synthetic=about.synthetic,
        coverage=Coverage.of(about.provenance),
        calibrator=about.calibrator,
    )


def _check(run: Assignment, trace: Trace, setting: _Setting) -> None:
    run.check(trace)
    for model in run.models:
        model.refuse_array(setting.array)
        if model.pe is None:
            raise InputError(f"{model.spec} {model.kind}; a prediction expects PE designs")
    if any(model.cycles_depend_on_values for model in run.models):
        trace.check_computable()
    running = setting.running(run)
    for layer in trace.layers:
        running.bound(layer).refuse_layer(layer, setting.array)


def _predicted(layer: Layer, run: Assignment, setting: _Setting) -> LayerPrediction:
    model, shape, array, memory = run.bound(layer), layer.gemm, setting.array, setting.memory
    passes = model.pass_designs
    moved = None if memory is None else least_dram_bytes(layer, passes, memory)
    of, activation_bits, weight_bits = _operand_bits(layer, passes)
    bits = (activation_bits, weight_bits)
    return LayerPrediction(
        name=layer.name,
        run_as=model.spec,
        kept_8bit=run.keeps(layer),
        gemm=Gemm(m=shape.m, k=shape.k, n=shape.n, groups=shape.groups),
        bits_of=of,
        activation_bits=activation_bits,
        weight_bits=weight_bits,
        hcm_per_pixel=bit_operations.hcm_per_pixel(shape.n, shape.k, *bits),
        bit_operations=BitOperations(
            hcm=bit_operations.hcm(shape, *bits),
            uniq=bit_operations.uniq(shape, *bits),
            product=bit_operations.product(shape, *bits),
        ),
        streamed_steps=_streamed_steps(layer, passes[0], array),
        least_dram_bytes=moved,
        compute_cycles=compute_cycles(layer, passes, array.pes),
        array_cycles=array_cycles(layer, passes, array),
        dram_cycles=None if moved is None or memory is None else dram_cycles(moved, memory),
        simulated_cycles=_simulated_cycles(Task(layer, array), model, memory),
    )


def _operand_bits(
    layer: Layer, passes: Sequence[PEDesign]
) -> tuple[Literal["multipliers", "codes"], int, int]:
    """Return whose bits operands have, and those of activations and weights.

    Where one pass multiplies operands whole: as many as the multiplier takes, or the codes have if
    that is less. Several passes put together what the codes have.
    """
    codes = layer.record.bits
    wide = passes[0].multiplier_bits if len(passes) == 1 else None
    if wide is None:
        return "codes", codes["activations"], codes["weights"]
    return "multipliers", min(wide[0], codes["activations"]), min(wide[1], codes["weights"])


def _streamed_steps(layer: Layer, pe: PEDesign, array: ArrayConfig) -> int:
    return get_dataflow(array.dataflow).grid(work_of(layer, pe), array).stream


def _simulated_cycles(task: Task, model: EngineModel, memory: MemoryConfig | None) -> int:
    """Return the total cycles of a layer, as `sparqsim.simulate` finds them."""
    timing = model.time(task)
    if memory is None:
        return timing.total
    waits = through_memory(task.layer, model.loops(task, timing), memory)
    return timing.total + waits.memory_stall


def _area(run: Assignment, array: ArrayConfig) -> PredictedArea:
    """Return the areas of a design's PE, or why it has none."""
    pe = run.default.pe
    if run.own_rules or pe is None:
        reason = "an assignment of several designs; expected one"
        return PredictedArea(
            synthesised=None,
            not_synthesised=reason,
            hcm_by_bits_um2=None,
            hcm_by_bit_operations_um2=None,
            not_fitted=reason,
        )
    synthesised, not_synthesised = _synthesised(pe, array)
    not_fitted, by_bits, by_bit_operations = _fitted(pe)
    return PredictedArea(
        synthesised=synthesised,
        not_synthesised=not_synthesised,
        hcm_by_bits_um2=by_bits,
        hcm_by_bit_operations_um2=by_bit_operations,
        not_fitted=not_fitted,
    )


def _synthesised(pe: PEDesign, array: ArrayConfig) -> tuple[Range | None, str]:
    """Return the area over a PE of mac-8b8b, or why there is none."""
    if array.broadcast:
        return None, "there is no RTL that broadcasts operands"
    try:
        areas = ArrayAreas.of(array)
    except InputError as error:
        return None, str(error)
    reason = why_no_area(pe, areas)
    if reason is not None:
        return None, reason.removeprefix(f"{pe.spec}: ")
    area = areas.relative_pe_area(pe, BASELINE)
    return Range(low=area.low, middle=area.middle, high=area.high), ""


def _fitted(pe: PEDesign) -> tuple[str, float | None, float | None]:
    """Return why no fit of HCM is of such a PE ('' where one is), and the area by both fits."""
    if pe.multiplier_bits is None:
        return "more, or other, than multipliers of whole operands", None, None
    try:
        area = fitted_area(*pe.multiplier_bits)
    except InputError as error:
        return str(error), None, None
    return "", area.by_bits_um2, area.by_bit_operations_um2
