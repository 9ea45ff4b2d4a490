"""Reports for curves: of stores and files, those asked for, alike in all that a curve fixes."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sparqsim.base.errors import InputError, nearest
from sparqsim.plot.style import LOOKS
from sparqsim.results.comparison import Comparison
from sparqsim.results.filekinds import STORE, kind_of_bytes
from sparqsim.results.loading import load_result
from sparqsim.results.report import Report

BASELINE = "mac-8b8b"


def load_reports(
    paths: Sequence[str | Path],
    only: Sequence[str] = (),
    expected: str = "the -o of `simulate`, `compare` or `sweep`",
) -> tuple[list[Report], str | None]:
    """Return every report that files and sweep stores hold, and the first comparison's baseline, if
    there is one.

    Parameters
    ----------
    paths : sequence of str or Path
        JSON of `simulate` or `compare`, and stores of `sweep`: of a store the points that this
        version computed, all points where there are none.
    only : sequence of str
        KEY=VALUE: reports with another value are left out; keys as in `SETTINGS`.
    expected : str
        What the caller takes, for the message about a file of another kind.

    Raises
    ------
    InputError
        For a file that is none of these, or a key or value that no report has.
    """
    reports: list[Report] = []
    baseline = None
    for path in paths:
        if kind_of_bytes(path) is STORE:
            reports += _stored(path)
            continue
        result = load_result(path, expected)
        if isinstance(result, Comparison):
            baseline = baseline or result.baseline
            reports += [result.reports[name] for name in result.order]
        else:
            reports.append(result)
    for condition in only:
        reports = _matching(reports, condition)
    return reports, baseline


def _stored(path: str | Path) -> list[Report]:
    from sparqsim.sweep import Store
    from sparqsim.sweep.point import package_digest

    with Store(path) as store:
        done = [point for point in store.recorded() if point.state == "done"]
    if not done:
        raise InputError(f"{path}: holds no results yet; expected a store that a sweep has filled")
    current = [point for point in done if point.facts["sources_sha256"] == package_digest()]
    reports = [
        Report.from_json(point.text, f"{path}: point {point.key[:12]}") for point in current or done
    ]
    known = list(LOOKS)
    # A store has its designs in alphabetical order; figures show them in their own.
    return sorted(
        reports,
        key=lambda report: known.index(report.pe.name) if report.pe.name in known else len(known),
    )


def _switch(value: bool) -> str:
    return "on" if value else "off"


#: What a report was made with, as a word or two.
SETTINGS: Mapping[str, Callable[[Report], str]] = {
    "trace": lambda report: report.provenance.network or report.provenance.trace_sha256[:12],
    "pe": lambda report: report.pe.spec,
    "array": lambda report: report.array.size,
    "dataflow": lambda report: report.array.dataflow,
    "coupling": lambda report: report.array.coupling,
    "overlap": lambda report: _switch(report.array.overlap),
    "memory": lambda report: "none" if report.memory is None else report.memory.name,
    "keep_8bit": lambda report: _switch(report.keep_8bit),
    "kept": lambda report: report.kept,
}
#: What tells reports apart where words do not.
EXACTLY: Mapping[str, Callable[[Report], Any]] = {
    **SETTINGS,
    "trace": lambda report: report.provenance.trace_sha256,
    "memory": lambda report: None if report.memory is None else report.memory.to_json(),
}


def _matching(reports: list[Report], condition: str) -> list[Report]:
    key, _, value = condition.partition("=")
    if key not in SETTINGS:
        raise InputError(
            f"--only {condition!r}: expected KEY=VALUE with a key of {', '.join(SETTINGS)}"
            f"{nearest(key, SETTINGS)}"
        )
    found = [report for report in reports if SETTINGS[key](report) == value]
    if not found:
        values = dict.fromkeys(SETTINGS[key](report) for report in reports)
        raise InputError(
            f"--only {condition!r}: no result has this {key}{nearest(value, values)}; expected one "
            f"of {', '.join(values)}"
        )
    return found


def check_alike(reports: Sequence[Report], kind: str, free: str) -> None:
    """Raise InputError where reports differ in more than the design and the setting `free`."""
    if not reports:
        raise InputError(f"--kind {kind}: no results, expected at least two designs")
    for key, value in EXACTLY.items():
        if key not in {"pe", free} and len({value(report) for report in reports}) > 1:
            shown = list(dict.fromkeys(SETTINGS[key](report) for report in reports))
            raise InputError(
                f"--kind {kind}: results differ in {key} ({', '.join(shown)}), expected one; "
                f"choose, e.g. --only {shlex.quote(f'{key}={shown[0]}')}"
            )


def chosen_baseline(by_design: Mapping[str, Any], baseline: str | None) -> str:
    """Return the design of speedup 1: the one asked for, else mac-8b8b, else the first.

    Raises
    ------
    InputError
        For a design that has no results.
    """
    chosen = baseline or (BASELINE if BASELINE in by_design else next(iter(by_design)))
    if chosen not in by_design:
        raise InputError(
            f"baseline {chosen!r} is not among the results{nearest(chosen, by_design)}; expected "
            f"one of {', '.join(by_design)}"
        )
    return chosen
