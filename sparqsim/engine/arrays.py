"""One design on many arrays: what values decide is measured once, by itself, and timed for each.

A layer's `Measurement` depends on the layer and on what runs it, and on nothing of the array. So
reports of many arrays need one pass over the values: `measured` makes it, `simulate_on` uses it.
The reports are those that `simulate` gives for each array alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.engine.assignment import Assignment
from sparqsim.engine.engines import ENGINES
from sparqsim.engine.layer_reports import layer_report
from sparqsim.engine.measure import Measurement, metered
from sparqsim.engine.models import EngineModel, Task
from sparqsim.engine.provenance import with_card
from sparqsim.engine.simulation import Setting, check_run, report_of
from sparqsim.memory import MemoryConfig
from sparqsim.results.layer_report import LayerReport
from sparqsim.results.report import Report
from sparqsim.results.setting import Kept
from sparqsim.trace import Layer, Trace
from sparqsim.trace.quantisation import quantisation_of

#: How models are asked: by their fast form.
ENGINE = "fast"
#: An array, and the memory around it or None.
Place = tuple[ArrayConfig, MemoryConfig | None]


def measured(layer: Layer, runs: Sequence[Assignment]) -> list[Measurement]:
    """Return what values decide in a layer for each assignment; operands are read once for all.

    Parameters
    ----------
    layer : Layer
    runs : sequence of Assignment
        With what layers marked keep_8bit run on: `Setting.running` of each.
    """
    models = [run.bound(layer) for run in runs]
    # As in a comparison: equal designs may differ in a key.
    distinct = dict.fromkeys((model.spec, model) for model in models)
    lowered = layer.lower()
    found = metered(lowered, [model.meter(lowered) for _, model in distinct])
    of_model = dict(zip(distinct, found, strict=True))
    return [of_model[model.spec, model] for model in models]


def simulate_on(
    trace: Trace,
    run: Assignment,
    places: Sequence[Place],
    measurements: Iterable[Measurement],
    *,
    keep_8bit: bool,
    kept: Kept,
) -> list[Report | Exception]:
    """Return the report of each place, or what stopped it; layers are worked on one by one.

    Parameters
    ----------
    trace : Trace
    run : Assignment
        What `signed` makes of designs included.
    places : sequence of (ArrayConfig, MemoryConfig or None)
    measurements : iterable of Measurement
        What `measured` gave for each layer, in their order; one at a time is looked at.
    keep_8bit, kept
        As in `simulate`.
    """
    settings = [Setting(array, memory, keep_8bit, ENGINE, kept) for array, memory in places]
    found: list[list[LayerReport] | Exception] = [
        _checked(run, trace, setting) or [] for setting in settings
    ]
    for layer, measurement in zip(trace.layers, measurements, strict=True):
        _add_layer(found, layer, run, settings, measurement)
    quantisation = quantisation_of(trace, keep_8bit=keep_8bit)
    return [
        with_card(report_of(trace, run, setting, reports), run, quantisation)
        if isinstance(reports, list)
        else reports
        for setting, reports in zip(settings, found, strict=True)
    ]


def _add_layer(
    found: list[list[LayerReport] | Exception],
    layer: Layer,
    run: Assignment,
    settings: Sequence[Setting],
    measurement: Measurement,
) -> None:
    """Add a layer's report on each array; where that fails, what was raised takes their place."""
    running = settings[0].running(run)
    model, task = running.bound(layer), Task(layer, settings[0].array)
    _check_shape(layer, model, measurement)
    kept = {"kept_8bit": running.keeps(layer)}
    for at, (setting, reports) in enumerate(zip(settings, found, strict=True)):
        if isinstance(reports, Exception):
            continue
        on_array = task.on(setting.array)
        try:
            outcome = ENGINES[ENGINE].outcome(model, on_array, measurement)
            report = layer_report(on_array, model, setting.memory, ENGINE, outcome)
        except Exception as error:  # noqa: BLE001 - a user's own design
            found[at] = error
        else:
            reports.append(report.model_copy(update=kept))


def _checked(run: Assignment, trace: Trace, setting: Setting) -> Exception | None:
    """Return what refuses an assignment on an array, as before a simulation."""
    try:
        check_run(run, trace, setting)
        trace.check_computable()
    except Exception as error:  # noqa: BLE001 - a user's own design may raise anything; the caller tells it
        return error
    return None


def _check_shape(layer: Layer, model: EngineModel, measurement: Measurement) -> None:
    """Raise InputError for step cycles that are not of the layer."""
    cycles, shape = measurement.step_cycles, layer.gemm
    if cycles is None or model.pe is None:
        return
    expected = shape.groups, shape.m, model.pe.steps(shape.k)
    if cycles.shape != expected:
        raise InputError(
            f"layer {layer.name!r}: step cycles of shape {cycles.shape} were kept, expected "
            f"{expected}"
        )
