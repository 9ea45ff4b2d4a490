"""Accuracy reports as tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from sparqsim.accuracy_report import AccuracyReport, Hits
from sparqsim.cli import records
from sparqsim.cli.show import heading_of, new_table
from sparqsim.cli.tables import Shown, Table
from sparqsim.errors import printable


@contextmanager
def batch_progress() -> Iterator[Callable[[Iterable[Any], str], Iterable[Any]]]:
    """Give a wrapper that shows which design answers, on a terminal's stderr, and nothing in a pipe."""
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    bar = Progress(TextColumn("{task.description}: batch {task.completed}"), TimeElapsedColumn(),
                   console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    with bar:
        yield lambda batches, name: bar.track(batches, total=None, description=name)


def accuracy_shown(report: AccuracyReport) -> Shown:
    """Return accuracy beside cycles, one design a row, then SQNR layer by layer."""
    array = report.array
    heading = (f"{report.network}: {report.pictures} pictures; array {array.rows}x{array.cols}, dataflow "
               f"{array.dataflow}, {array.coupling}, overlap {'on' if array.overlap else 'off'}; scales: "
               f"{report.calibrator}")
    routes = [f"{design.pe}: computed by {design.route}" for design in report.designs]
    meaning = ("agree: first answer as the first row's. SQNR: a layer's outputs against exact 8-bit arithmetic on the "
               "traced pictures, '-': exact; * kept at 8 bits.")
    return Shown(printable(heading), [_design_table(report), _layer_table(report)], "\n".join([*routes, meaning]),
                 lambda: records.of_accuracy(report), report.to_json)


def _design_table(report: AccuracyReport) -> Table:
    table = new_table("design", "top-1", "top-5", "agree", "cycles", f"x {heading_of(report.baseline)}",
                      "worst\nSQNR dB",
                      title=f"Answers of {report.pictures} pictures; cycles of {report.traced_pictures}")
    table.add_row(report.reference, *_cells(report.reference_hits), "", "", "")
    for design in report.designs:
        known = [layer.sqnr_db for layer in design.layers if layer.sqnr_db is not None]
        table.add_row(design.pe, *_cells(design.hits), f"{design.cycles:,}", f"{design.speedup:.2f}",
                      f"{min(known):.1f}" if known else "-")
    return table


def _cells(hits: Hits) -> list[str]:
    return ["-" if count is None else str(count) for count in (hits.top1, hits.top5, hits.agree)]


def _layer_table(report: AccuracyReport) -> Table:
    table = new_table("layer", *(heading_of(design.pe) for design in report.designs), title="SQNR of every layer, dB")
    for at, layer in enumerate(report.designs[0].layers):
        values = [design.layers[at].sqnr_db for design in report.designs]
        table.add_row(printable(layer.name) + ("*" if layer.kept_8bit else ""),
                      *("-" if value is None else f"{value:.1f}" for value in values))
    return table
