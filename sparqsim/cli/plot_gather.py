"""`sparqsim plot --kind gather`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sparqsim.base.errors import InputError


def plot_gather_record(paths: Sequence[str], output: str, how: Mapping[str, Any]) -> None:
    """Draw the one record among `paths`. Raises InputError for several, and for other files."""
    from sparqsim.plot.gather import plot_gather
    from sparqsim.results.filekinds import result_text
    from sparqsim.results.gather_report import GATHER_SCHEMA, GatherReport

    if len(paths) != 1:
        raise InputError(
            f"--kind gather: {len(paths)} files, expected one, the JSON of `sparqsim gather`"
        )
    text, _ = result_text(paths[0], {GATHER_SCHEMA}, "the -o of `gather`")
    plot_gather(GatherReport.from_json(text, paths[0]), output, **how)
