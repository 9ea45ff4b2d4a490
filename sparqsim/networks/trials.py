"""An accuracy record as it grows, trial by trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sparqsim.base.version import VERSION
from sparqsim.results.accuracy_report import (
    AccuracyReport,
    AccuracyRow,
    Hits,
    KeptAs,
    NetworkLayer,
    RowLayer,
    Trial,
)
from sparqsim.results.answer_cards import begun_card
from sparqsim.results.comparison import Comparison
from sparqsim.results.signed import signed_layers
from sparqsim.trace import Trace
from sparqsim.trace.coverage import NO_REASON, Coverage, LeftOut


def begun(
    trace: Trace,
    timing: Comparison,
    traced_pictures: int,
    skipped: Sequence[str],
    outputs: Sequence[str],
    *,
    network: str,
    kept_as: KeptAs,
    bits: str = "",
    **told: Any,
) -> AccuracyReport:
    """Return a record without rows.

    Parameters
    ----------
    trace : Trace
        Of the traced pictures.
    timing : Comparison
        The designs on it.
    traced_pictures : int
    skipped : sequence of str
        Names of operations that are in no design.
    outputs : sequence of str
        Names of the network's outputs; one alone is not told: nobody asks which it was.
    network : str
    kept_as : {'8bit', 'float', 'design'}
    bits : str
        The list that took bits from the layers' weights.
    **told
        Its other fields: data, pictures, reference, ...
    """
    return AccuracyReport(
        version=VERSION,
        traced_pictures=traced_pictures,
        skipped=tuple(skipped),
        array=timing.reports[timing.baseline].array,
        kept=timing.reports[timing.baseline].kept,
        baseline=timing.baseline,
        layers=network_layers(trace, timing),
        rows=(),
        coverage=measured_coverage(timing, traced_pictures, skipped),
        macs=timing.macs,
        timing_notes=timing.timing_notes,
        by_magnitude=tuple(name for name in timing.order if signed_layers(timing.reports[name])),
        outputs=tuple(outputs) if len(outputs) > 1 else (),
        network=network,
        kept_as=kept_as,
        bits=bits,
        stored_card=begun_card(timing.card, network=network, kept_as=kept_as, bits=bits),
        **told,
    )


def rows_of(
    trials: Sequence[Trial], known: Sequence[AccuracyRow], measured: Callable[[Trial], AccuracyRow]
) -> Iterator[tuple[AccuracyRow, ...]]:
    """Yield the rows so far after every trial; rows that an earlier run measured are taken."""
    done: list[AccuracyRow] = []
    for trial in trials:
        done.append(known_row(trial, known) or measured(trial))
        yield rows_so_far(done, known, trials)


def measured_coverage(timing: Comparison, traced_pictures: int, skipped: Sequence[str]) -> Coverage:
    """Return what of a network its cycles are of.

    Parameters
    ----------
    timing : Comparison
        The designs on the traced pictures; what its trace says of itself goes first.
    traced_pictures : int
    skipped : sequence of str
        Names of operations that are in no design.
    """
    coverage = timing.coverage
    left_out = coverage.left_out or tuple(
        LeftOut(name=name, reason=NO_REASON, macs=None) for name in skipped
    )
    return Coverage(inputs=coverage.inputs or traced_pictures, left_out=left_out)


def network_layers(trace: Trace, timing: Comparison) -> tuple[NetworkLayer, ...]:
    """Return what the record says of a network's layers, given the designs compared on its
    trace.
    """
    measured = timing.reports[timing.baseline].layers
    return tuple(
        NetworkLayer(
            name=layer.name,
            op=layer.op,
            kept=layer.record.keep_8bit,
            signed=layer.signed,
            zero_point=layer.record.activation_zero_point,
            activation_bits=layer.record.activation_bits,
            weight_bits=layer.record.weight_bits,
            pairs=found.gemm.m * -(-found.gemm.k // 2) * found.gemm.groups,
            zero_pairs=found.pairs.both_zero + found.pairs.one_zero,
        )
        for layer, found in zip(trace.layers, measured, strict=True)
    )


def row_of(
    trial: Trial,
    hits: Hits,
    route: str,
    timing: Comparison,
    sqnr_db: Mapping[str, float | None] | None = None,
) -> AccuracyRow:
    """Return the row of a trial.

    Parameters
    ----------
    trial : Trial
    hits : Hits
    route : str
    timing : Comparison
        Has the trial's design, if there is one.
    sqnr_db : mapping, optional
        Of layers by name, where it was not measured on the traced pictures; layers that are missing
        lost nothing.
    """
    report = None if trial.pe is None else timing.reports[trial.pe]
    layers = (
        []
        if report is None
        else [
            RowLayer(
                cycles=layer.cycles.total,
                sqnr_db=layer.error.sqnr_db if sqnr_db is None else sqnr_db.get(layer.name),
            )
            for layer in report.layers
        ]
    )
    return AccuracyRow(
        pe=trial.pe,
        calibrator=trial.calibrate,
        recalibrated_bn=trial.recalibrate_bn,
        route=route,
        hits=hits,
        cycles=None if report is None else report.cycles.total,
        speedup=None if trial.pe is None else timing.speedup(trial.pe),
        layers=tuple(layers),
    )


def known_row(trial: Trial, known: Sequence[AccuracyRow]) -> AccuracyRow | None:
    """Return the row that an earlier run measured, or None."""
    return next((row for row in known if row.trial == trial), None)


def rows_so_far(
    done: Sequence[AccuracyRow], known: Sequence[AccuracyRow], trials: Sequence[Trial]
) -> tuple[AccuracyRow, ...]:
    """Return the rows of a run that is under way: what is known is never lost, even where its turn
    comes later.
    """
    found = {row.trial for row in done}
    return (*done, *(row for row in known if row.trial not in found and row.trial in trials))
