"""Results from files: a report or a comparison, and reports of one run put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sparqsim.base.errors import InputError
from sparqsim.results.comparison import COMPARISON_SCHEMAS, Comparison
from sparqsim.results.filekinds import result_text
from sparqsim.results.report import REPORT_SCHEMAS, Report

KINDS: dict[str, type[Comparison | Report]] = {
    **dict.fromkeys(REPORT_SCHEMAS, Report),
    **dict.fromkeys(COMPARISON_SCHEMAS, Comparison),
}


def load_result(
    path: str | Path, expected: str = "the -o of `simulate` or `compare`"
) -> Comparison | Report:
    """Return the report or the comparison saved at `path`, as its field `schema` says.

    Parameters
    ----------
    path : str or Path
    expected : str
        What the caller takes, for the message about a file of another kind.

    Raises
    ------
    InputError
        For a file that is neither: what it is, and which command takes it.
    """
    text, schema = result_text(path, KINDS, expected)
    try:
        result = KINDS[schema].from_json(text, str(path))
        as_comparison([result])
    except InputError as error:
        raise InputError(
            error if str(error).startswith(str(path)) else f"{path}: {error}"
        ) from None
    return result


def as_comparison(
    results: Sequence[Comparison | Report], baseline: str | None = None
) -> Comparison:
    """Put results of one trace on one array together.

    What a comparison says of equal area stays where it comes alone, over its own baseline.

    Parameters
    ----------
    results : sequence of Comparison or Report
    baseline : str, optional
        The design with speedup 1; default: the first comparison's, else the first report's.

    Raises
    ------
    InputError
        For results of different traces, arrays or settings, a design that occurs twice, or a
        baseline that does not.
    """
    named = [pair for result in results for pair in _named_reports(result)]
    reports = dict(named)
    for name, report in named:
        if reports[name] is not report:
            raise InputError(f"design {name!r} is in two of the results, expected each design once")
        if report.pe.spec != name:
            raise InputError(f"reports.{name}.pe.spec: found {report.pe.spec!r}, expected {name!r}")
        _check_comparable(named[0][1], report)
    _check_energies(reports)
    baselines = [result.baseline for result in results if isinstance(result, Comparison)]
    chosen = baseline or [*baselines, *reports][0]
    if chosen not in reports:
        raise InputError(
            f"baseline {chosen!r} is not among the results; expected one of {', '.join(reports)}"
        )
    alone = results[0] if len(results) == 1 and isinstance(results[0], Comparison) else None
    whole = alone if alone is not None and alone.baseline == chosen else None
    return Comparison(
        baseline=chosen,
        order=tuple(reports),
        reports=reports,
        # Of this baseline alone.
        iso_area=whole.iso_area if whole else None,
        clock=whole.clock if whole else None,
    )


def _named_reports(result: Comparison | Report) -> list[tuple[str, Report]]:
    if isinstance(result, Report):
        return [(result.pe.spec, result)]
    return [(name, result.reports[name]) for name in result.order]


def _check_energies(reports: Mapping[str, Report]) -> None:
    """Raise InputError for energies of different cells, memories or nodes, naming both."""
    of_basis: dict[str, str] = {}
    for name, report in reports.items():
        if report.energy is not None:
            of_basis.setdefault(report.energy.basis, name)
    if len(of_basis) > 1:
        (one, first), (other, second), *_ = of_basis.items()
        raise InputError(
            f"energies of {first} and {second} are of different cells or memories ({one}; "
            f"{other}); expected results of one energy table"
        )


def _check_comparable(first: Report, other: Report) -> None:
    for setting, one, another in (
        ("trace sha256", first.provenance.trace_sha256, other.provenance.trace_sha256),
        ("array", first.array, other.array),
        ("memory", first.memory, other.memory),
        ("keep_8bit", first.keep_8bit, other.keep_8bit),
        ("kept", first.kept, other.kept),
        ("layers", [layer.name for layer in first.layers], [layer.name for layer in other.layers]),
    ):
        if one != another:
            raise InputError(
                f"{setting} of {other.pe.spec} ({another}) is not that of {first.pe.spec} ({one}); "
                "expected results of one trace on one array"
            )
