"""An accuracy record on the page: what each trial answered, beside its cycles on the same
network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from sparqsim.base.wording import counted
from sparqsim.html.cells import ABSENT, EXACT, WIDE, Cell, Column, Table, count, decimal
from sparqsim.html.figures import Drawing, optional
from sparqsim.html.summary import Number, Piece
from sparqsim.plot.accuracy import accuracy_figure
from sparqsim.results.accuracy_report import AccuracyReport, AccuracyRow


def trials_table(report: AccuracyReport) -> Table:
    """Return one row for each trial: how it was made, its answers, its cycles, its worst layer."""
    columns = (
        Column("design", "trial.pe", text=True),
        Column("calibrator", "trial.calibrator", text=True),
        Column("batch norms recalibrated", "trial.recalibrated_bn", text=True),
        Column("computed by", "trial.route", text=True),
        Column("top-1 (pictures)", "hits.top1"),
        Column("top-5 (pictures)", "hits.top5"),
        Column("agree (pictures)", "hits.agree"),
        Column("cycles", "trial.cycles"),
        Column("speedup (x)", "trial.speedup"),
        Column("worst layer's SQNR (dB)", "trial.worst_sqnr_db"),
    )
    rows = tuple(
        (
            Cell(_design(report, row)),
            Cell(row.calibrator),
            Cell("yes" if row.recalibrated_bn else "no"),
            Cell(row.route),
            count(row.hits.top1),
            count(row.hits.top5),
            count(row.hits.agree),
            count(row.cycles),
            decimal(row.speedup),
            _worst(report, row),
        )
        for row in report.rows
    )
    return Table(f"Trials: answers, and speedup over {report.baseline}", columns, rows)


def accuracy_sqnr_table(report: AccuracyReport) -> Table:
    """Return the SQNR of every layer under every trial of a design."""
    rows = [row for row in report.rows if row.pe is not None]
    heads = (Column(_trial(report, row), "trial_layer.sqnr_db") for row in rows)
    cells = tuple(
        (
            Cell(layer.name + ("*" if layer.kept else "")),
            *(_sqnr(row.layers[at].sqnr_db) for row in rows),
        )
        for at, layer in enumerate(report.layers)
    )
    return Table(
        "SQNR (dB), layer by layer",
        (Column("layer", "network_layer.name", text=True), *heads),
        cells,
        wide=len(rows) > WIDE,
    )


def _design(report: AccuracyReport, row: AccuracyRow) -> str:
    return report.reference if row.pe is None else row.pe


def _trial(report: AccuracyReport, row: AccuracyRow) -> str:
    """Return the design, and in what the trial is not like the first."""
    calibrator = "" if row.calibrator == report.rows[0].calibrator else row.calibrator
    keys = ", ".join(filter(None, (calibrator, "batch norms recalibrated" * row.recalibrated_bn)))
    return _design(report, row) + (f" ({keys})" if keys else "")


def _sqnr(sqnr_db: float | None) -> Cell:
    return Cell(EXACT, math.inf) if sqnr_db is None else decimal(sqnr_db, 1)


def _worst(report: AccuracyReport, row: AccuracyRow) -> Cell:
    return _sqnr(min(report.sqnr_db(row).values(), default=None)) if row.layers else decimal(None)


def accuracy_settings(report: AccuracyReport) -> list[tuple[str, str]]:
    """Return which pictures, scales, array and baseline the numbers are of."""
    values = {
        "data": report.data,
        "calibration": report.calibration,
        "preprocess": report.preprocess,
        "pictures": f"{report.pictures:,}",
        "traced pictures": f"{report.traced_pictures:,}",
        "error pictures": f"{report.error_pictures:,}",
        "compared with": report.reference,
        "kept layers computed as": report.kept_as,
        "kept layers timed as": report.kept,
        "skipped": ", ".join(report.skipped),
        "array": f"{report.array.size}, {report.array.mode}",
        "baseline": report.baseline,
        "sparqsim version": report.version,
    }
    if report.answer_note:
        values["answers"] = report.answer_note
    if report.signed_note:
        values["int8 layers"] = report.signed_note
    if report.bits:
        values["weights lost bits by"] = report.bits
    if report.recipe:
        values["recipe"] = report.recipe
    return [(name, value or ABSENT) for name, value in values.items()]


def accuracy_drawings(report: AccuracyReport, prefix: str) -> Iterator[Drawing]:
    """Yield loss against speedup; nothing without the network as it is, or without designs."""
    if any(row.speedup is not None for row in _alike(report)):
        said = (
            "Further right: faster. Further up: fewer answers lost, against the network as it is; "
            "trials with recalibrated batch norms are left out. The dotted line joins the designs "
            "that no other beats in both."
        )
        yield from optional(
            "Answers lost against speedup",
            said,
            ("trial.speedup", _term(report)),
            f"{prefix}-pareto",
            lambda: accuracy_figure(report, width="page"),
        )


def accuracy_summary(report: AccuracyReport) -> list[Piece]:
    """Say the reference, the fastest design, and the most accurate faster than the baseline."""
    pieces: list[Piece] = [
        "Of ",
        Number(counted(report.pictures, "picture"), "accuracy.pictures"),
        ", ",
    ]
    for clause in _clauses(report):
        pieces += [*clause, "; "]
    return [*pieces[:-1], "."]


def _clauses(report: AccuracyReport) -> Iterator[list[Piece]]:
    reference = next((row for row in _alike(report) if row.pe is None), None)
    if reference and _term(report) == "hits.top1":
        yield [f"the reference ({report.reference}) ", *_answered(report, reference)]
    faster = [row for row in _alike(report) if (row.speedup or 0) > 1]
    if not faster:
        yield [f"no design is faster than {report.baseline}"]
        return
    fastest = max(faster, key=lambda row: (row.speedup or 0, _good(report, row)))
    accurate = max(faster, key=lambda row: (_good(report, row), row.speedup or 0))
    yield _gain(
        report,
        fastest,
        f"the fastest of {counted(len({row.pe for row in _alike(report)} - {None}), 'design')}",
    )
    if accurate is not fastest:
        yield _gain(report, accurate, f"the most accurate that is faster than {report.baseline}")


def _gain(report: AccuracyReport, row: AccuracyRow, what: str) -> list[Piece]:
    speedup = Number(f"{row.speedup:.2f}", "trial.speedup")
    return [
        f"{_trial(report, row)}, {what}, ",
        *_answered(report, row),
        " at a speedup of ",
        speedup,
    ]


def _answered(report: AccuracyReport, row: AccuracyRow) -> list[Piece]:
    number = Number(f"{_good(report, row):,}", _term(report))
    if _term(report) == "hits.top1":
        return ["gets ", number, " right"]
    return ["answers ", number, f" as the reference ({report.reference}) does"]


def _alike(report: AccuracyReport) -> list[AccuracyRow]:
    """Return the trials of the same network: recalibrated batch norms make another."""
    return [row for row in report.rows if not row.recalibrated_bn]


def _term(report: AccuracyReport) -> str:
    """Return what tells trials apart: right answers, or those of the reference without labels."""
    return "hits.top1" if all(row.hits.top1 is not None for row in report.rows) else "hits.agree"


def _good(report: AccuracyReport, row: AccuracyRow) -> int:
    return (row.hits.top1 or 0) if _term(report) == "hits.top1" else row.hits.agree
