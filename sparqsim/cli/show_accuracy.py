"""Accuracy reports as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sparqsim.base.errors import printable
from sparqsim.base.wording import counted
from sparqsim.cli.cells import heading_of, new_table
from sparqsim.cli.tables import Shown, Table
from sparqsim.results.accuracy_report import AccuracyReport, AccuracyRow
from sparqsim.results.answer_cards import trial_notes
from sparqsim.results.kept import OTHERWISE, WHERE
from sparqsim.results.setting import note_lines
from sparqsim.results.signed import OTHERWISE as OTHERWISE_SIGNED

#: How kept layers compute, by `AccuracyReport.kept_as`.
ANSWERED = {"8bit": "exactly", "float": "in float"}


@contextmanager
def batch_progress() -> Iterator[Callable[[Iterable[Any], str], Iterable[Any]]]:
    """Give a wrapper that shows which design answers on a terminal, nothing in a pipe."""
    from rich.progress import TimeElapsedColumn

    from sparqsim.cli.progress import progress_bar

    described = "{task.description}: batch {task.completed}"
    with progress_bar(described, TimeElapsedColumn()) as bar:
        yield lambda batches, name: bar.track(batches, total=None, description=name)


def accuracy_shown(report: AccuracyReport) -> Shown:
    """Return accuracy beside cycles, one design a row, then SQNR layer by layer."""
    heading = (
        f"{report.network}: {counted(report.pictures, 'picture')}; {report.array.words}; "
        f"scales: {report.rows[0].calibrator}"
    )
    lines = [f"{row.pe}: computed by {row.route}" for row in report.rows if row.pe is not None]
    if report.macs is not None:
        lines += report.coverage.notes(report.macs)
    elif report.skipped:
        lines.append(f"left out: {', '.join(report.skipped)}")
    lines += note_lines(report.timing_notes)
    lines += trial_notes(report.rows)
    if report.answer_note:
        lines.append(report.answer_note)
    if report.kept_as != "design" and any(layer.kept for layer in report.layers):
        lines.append(
            f"* kept out of the designs: computed {ANSWERED[report.kept_as]}, timed "
            f"{WHERE[report.kept]} ({OTHERWISE[report.kept]}; --all-layers: as the others)."
        )
    if report.signed_note:
        lines.append(f"{report.signed_note} ({OTHERWISE_SIGNED}).")
    if report.bits:
        lines.append(
            f"Weights lost bits by {report.bits}: answers, cycles and SQNR are of designs on those "
            "weights; the first row's have all bits."
        )
    if report.recipe:
        lines.append(f"Recipe: {report.recipe}.")
    lines.append(
        "agree: first answer as the first row's. SQNR: a layer's outputs against exact 8-bit "
        "arithmetic on the traced pictures, '-': exact."
    )
    return Shown(
        printable(heading),
        [_design_table(report), _layer_table(report)],
        "\n".join(map(printable, lines)),
        report.flat_rows,
        report.to_json,
    )


def _design_table(report: AccuracyReport) -> Table:
    table = new_table(
        "design",
        "top-1",
        "top-5",
        "agree",
        "cycles",
        f"x {heading_of(report.baseline)}",
        "worst\nSQNR dB",
        title=f"Answers of {counted(report.pictures, 'picture')}; cycles of "
        f"{report.traced_pictures}",
    )
    for row in report.rows:
        table.add_row(row.pe or report.reference, *_cells(report, row))
    return table


def _cells(report: AccuracyReport, row: AccuracyRow) -> list[str]:
    counts = [
        "-" if count is None else str(count)
        for count in (row.hits.top1, row.hits.top5, row.hits.agree)
    ]
    if row.speedup is None:
        return [*counts, "", "", ""]
    known = report.sqnr_db(row).values()
    return [*counts, f"{row.cycles:,}", f"{row.speedup:.2f}", f"{min(known):.1f}" if known else "-"]


def _layer_table(report: AccuracyReport) -> Table:
    rows = [row for row in report.rows if row.pe is not None]
    table = new_table(
        "layer", *(heading_of(str(row.pe)) for row in rows), title="SQNR of every layer, dB"
    )
    for at, layer in enumerate(report.layers):
        values = [row.layers[at].sqnr_db for row in rows]
        table.add_row(
            printable(layer.name) + ("*" if layer.kept else ""),
            *("-" if value is None else f"{value:.1f}" for value in values),
        )
    return table
