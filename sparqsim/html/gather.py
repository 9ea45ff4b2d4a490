"""Result files, put together: what ran on the same trace and array stands side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sparqsim.results.accuracy_report import ACCURACY_SCHEMA, AccuracyReport
from sparqsim.results.comparison import Comparison
from sparqsim.results.filekinds import result_text
from sparqsim.results.gather_report import GATHER_SCHEMA, GatherReport
from sparqsim.results.loading import KINDS, as_comparison, load_result
from sparqsim.results.report import Report

Kept = TypeVar("Kept", AccuracyReport, GatherReport)


@dataclass(frozen=True)
class Gathered:
    """What a page is made of. `runs`: each of one trace, array and setting. `lookups`: gathers from
    embedding tables.
    """

    runs: tuple[Comparison, ...]
    accuracy: tuple[AccuracyReport, ...] = ()
    lookups: tuple[GatherReport, ...] = ()

    @classmethod
    def of(
        cls,
        results: Sequence[Comparison | Report],
        accuracy: Sequence[AccuracyReport] = (),
        lookups: Sequence[GatherReport] = (),
    ) -> Gathered:
        """Put results of the same trace, array and settings into one run; what is there twice
        counts once.

        Raises
        ------
        InputError
            For two different reports of one design in one run.
        """
        groups: dict[str, list[Comparison | Report]] = {}
        for result in results:
            groups.setdefault(_surroundings(result), []).append(result)
        return cls(
            tuple(_together(group) for group in groups.values()), _once(accuracy), _once(lookups)
        )


def gather(paths: Sequence[str | Path]) -> Gathered:
    """Return what result files hold: JSON of `simulate`, `compare`, `accuracy` and `gather`, in any
    number and order.

    Raises
    ------
    InputError
        For a file that is none of these: what it is, and which command takes it.
    """
    results: list[Comparison | Report] = []
    accuracy: list[AccuracyReport] = []
    lookups: list[GatherReport] = []
    for path in paths:
        text, schema = result_text(
            path,
            (*KINDS, ACCURACY_SCHEMA, GATHER_SCHEMA),
            "the -o of `simulate`, `compare`, `accuracy` or `gather`",
        )
        if schema == ACCURACY_SCHEMA:
            accuracy.append(AccuracyReport.from_json(text, str(path)))
        elif schema == GATHER_SCHEMA:
            lookups.append(GatherReport.from_json(text, str(path)))
        else:
            results.append(load_result(path))
    return Gathered.of(results, accuracy, lookups)


def _once(records: Sequence[Kept]) -> tuple[Kept, ...]:
    """Return records without those that are there already."""
    return tuple(each for at, each in enumerate(records) if each not in records[:at])


def _surroundings(result: Comparison | Report) -> str:
    """Return what results must have in common to stand side by side."""
    report = result.reports[result.baseline] if isinstance(result, Comparison) else result
    memory = None if report.memory is None else report.memory.model_dump()
    return json.dumps(
        [
            report.provenance.trace_sha256,
            report.array.model_dump(),
            memory,
            report.keep_8bit,
            report.kept,
            None if report.energy is None else report.energy.basis,
            [layer.name for layer in report.layers],
        ]
    )


def _together(results: Sequence[Comparison | Report]) -> Comparison:
    if len(results) == 1 and isinstance(results[0], Comparison):
        return results[0]
    baselines = [result.baseline for result in results if isinstance(result, Comparison)]
    seen: list[Report] = []
    for result in results:
        reports = (
            [result.reports[name] for name in result.order]
            if isinstance(result, Comparison)
            else [result]
        )
        seen += [report for report in reports if report not in seen]
    return as_comparison(seen, baselines[0] if baselines else None)
