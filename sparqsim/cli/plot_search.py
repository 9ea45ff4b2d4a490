"""`sparqsim plot --kind pareto` of the record of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sparqsim.base.errors import InputError
from sparqsim.results.filekinds import is_of_schema


def is_search(paths: Sequence[str]) -> bool:
    """Return whether the first file is the JSON of `sparqsim search`."""
    return is_of_schema(paths[0], "sparqsim.search")


def plot_search_record(
    paths: Sequence[str],
    output: str,
    loss: str | None,
    baseline: str | None,
    how: Mapping[str, Any],
) -> None:
    """Draw the one record among `paths`. Raises InputError for several files, and for options that
    a search answers itself.
    """
    from sparqsim.plot.search import plot_search
    from sparqsim.results.search_report import SearchReport

    if len(paths) != 1:
        raise InputError(
            f"--kind pareto: {len(paths)} files, expected one where it is the JSON of "
            "`sparqsim search`"
        )
    for option, value in {"--loss": loss, "--baseline": baseline}.items():
        if value is not None:
            raise InputError(
                f"{option} {value}: {paths[0]} is the record of a search, whose objective and "
                f"bits say it; expected no {option}"
            )
    plot_search(SearchReport.load(paths[0]), output, **how)
