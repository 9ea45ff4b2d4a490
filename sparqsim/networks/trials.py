"""An accuracy record as it grows, trial by trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sparqsim.base.version import VERSION
from sparqsim.results.accuracy_report import (
    AccuracyReport,
    AccuracyRow,
    Trial,
    known_row,
    measured_coverage,
    network_layers,
    rows_so_far,
)
from sparqsim.results.report import Comparison
from sparqsim.trace import Trace


def begun(
    trace: Trace, timing: Comparison, traced_pictures: int, skipped: Sequence[str], **told: Any
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
    **told
        Its other fields: network, data, pictures, reference, ...
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
