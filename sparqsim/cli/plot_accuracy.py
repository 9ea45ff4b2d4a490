"""`sparqsim plot --kind pareto` of an accuracy record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sparqsim.base.errors import InputError
from sparqsim.results.filekinds import is_of_schema


def is_record(paths: Sequence[str], loss: str | None) -> bool:
    """Return whether the first file is the JSON of `sparqsim accuracy`.

    Raises InputError for a loss of another.
    """
    record = is_of_schema(paths[0], "sparqsim.accuracy")
    if loss is not None and not record:
        raise InputError(
            f"--loss {loss!r}: {paths[0]} is no accuracy record, expected the JSON of "
            "`sparqsim accuracy`"
        )
    return record


def plot_record(
    paths: Sequence[str],
    output: str,
    loss: str | None,
    baseline: str | None,
    how: Mapping[str, Any],
) -> None:
    """Draw the one accuracy record among `paths`. Raises InputError for several files."""
    from sparqsim.plot.accuracy import plot_accuracy
    from sparqsim.results.accuracy_report import AccuracyReport

    if len(paths) != 1:
        raise InputError(
            f"--kind pareto: {len(paths)} files, expected one where it is the JSON of "
            "`sparqsim accuracy`"
        )
    plot_accuracy(AccuracyReport.load(paths[0]), output, loss=loss, baseline=baseline, **how)
