"""The numbers that a reader came for, before any prose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sparqsim.html.summary import Number, best_designs
from sparqsim.results.comparison import Comparison
from sparqsim.results.report import Report

TIMES_ITSELF = "; timed by its own queues, see the note below the table"


@dataclass(frozen=True)
class Fact:
    """A number under its label; note: what it is of."""

    label: str
    number: Number
    note: str


def headline(comparison: Comparison) -> list[Fact]:
    """Return speedups and errors of the best designs, the baseline's cycles, their coverage."""
    return [*_gains(comparison), *_cost(comparison), *_scope(comparison)]


def _gains(comparison: Comparison) -> Iterator[Fact]:
    for name, why in best_designs(comparison).items():
        report = comparison.reports[name]
        note = f"{name}, {why}" + TIMES_ITSELF * bool(report.pe.timing_note)
        yield Fact("speedup", Number(f"{comparison.speedup(name):.2f}x", "speedup"), note)
        yield Fact("output SQNR", Number(_sqnr(report), "error.sqnr_db"), note)


def _sqnr(report: Report) -> str:
    error = report.totals.error
    if error.noise == 0:
        return "exact"
    return "no value" if error.sqnr_db is None else f"{error.sqnr_db:.1f} dB"


def _cost(comparison: Comparison) -> Iterator[Fact]:
    report = comparison.reports[comparison.baseline]
    several = len(comparison.order) > 1
    name = f"{comparison.baseline}, the baseline" if several else report.pe.spec
    yield Fact("cycles", Number(f"{report.cycles.total:,}", "cycles.total"), name)
    per_input = comparison.coverage.per_input(report.cycles.total)
    if per_input is not None:
        yield Fact("cycles per input", Number(f"{per_input:,.0f}", "cycles.per_input"), name)


def _scope(comparison: Comparison) -> Iterator[Fact]:
    coverage = comparison.coverage
    inputs = "not stated" if coverage.inputs is None else f"{coverage.inputs:,}"
    yield Fact("inputs", Number(inputs, "inputs"), "whose cycles these are")
    share = coverage.share_left_out(comparison.macs)
    unknown = "unknown" if coverage.left_out else "not stated"
    said = unknown if share is None else f"{100 * share:.1f} %"
    yield Fact("MACs not simulated", Number(said, "macs.left_out"), "of the network's")
