"""What a design costs a network's answers against what it gains in cycles: loss over speedup, one mark per design."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from sparqsim.accuracy_report import AccuracyReport, AccuracyRow
from sparqsim.errors import InputError, nearest
from sparqsim.plot.labels import add_notes, wrapped
from sparqsim.plot.pareto import ParetoPoint, pareto_figure
from sparqsim.plot.style import FONT_POINTS, figure_format, save_figure

#: What can be lost, and what the axis calls it.
LOSSES: Final = {
    "top1": "top-1 accuracy lost",
    "top5": "top-5 accuracy lost",
    "agree": "answers that differ",
}
PERCENT = 100


def loss_points(
    report: AccuracyReport, loss: str | None = None, baseline: str | None = None
) -> list[ParetoPoint]:
    """Return every design's speedup and, as quality, its loss in percentage points with the sign turned.

    The loss is against the network as it is. Rows with recalibrated batch norms are left out: what they are to be
    compared with is another network.

    Parameters
    ----------
    report : AccuracyReport
    loss : 'top1', 'top5' or 'agree'
        Default: top1, or agree where the pictures have no labels.
    baseline : str
        The design of speedup 1; default: the report's.

    Raises
    ------
    InputError
        For a loss that the report cannot tell, or a baseline that it does not hold.
    """
    loss = checked_loss(report, loss)
    own = _count(_reference(report), loss)
    rows = [row for row in report.rows if row.speedup is not None and not row.recalibrated_bn]
    unit = 1.0 if baseline in (None, report.baseline) else _speedup_of(rows, baseline)
    first = {row.pe: row.calibrator for row in reversed(rows)}
    names = [
        f"{row.pe}" if row.calibrator == first[row.pe] else f"{row.pe}, {row.calibrator}"
        for row in rows
    ]
    return [
        ParetoPoint(
            name, (row.speedup or 0) / unit, -PERCENT * (own - _count(row, loss)) / report.pictures
        )
        for name, row in zip(names, rows, strict=True)
    ]


def checked_loss(report: AccuracyReport, loss: str | None) -> str:
    """Return which loss to draw. Raises InputError for one that the report cannot tell."""
    labelled = _reference(report).hits.top1 is not None
    if loss is None:
        return "top1" if labelled else "agree"
    if loss not in LOSSES:
        raise InputError(
            f"--loss {loss!r}{nearest(loss, LOSSES)}: expected one of {', '.join(LOSSES)}"
        )
    if loss != "agree" and not labelled:
        raise InputError(f"--loss {loss!r}: the pictures had no labels, expected --loss agree")
    return loss


def _reference(report: AccuracyReport) -> AccuracyRow:
    found = next((row for row in report.rows if row.pe is None and not row.recalibrated_bn), None)
    if found is None:
        raise InputError(
            f"{report.network}: no row of the network as it is, expected one without pe"
        )
    return found


def _count(row: AccuracyRow, loss: str) -> int:
    return int({"top1": row.hits.top1, "top5": row.hits.top5, "agree": row.hits.agree}[loss] or 0)


def _speedup_of(rows: list[AccuracyRow], baseline: str | None) -> float:
    known = {str(row.pe): row.speedup or 1.0 for row in rows}
    if str(baseline) not in known:
        raise InputError(
            f"--baseline {baseline!r}{nearest(str(baseline), known)}: not in the record, expected one of "
            f"{', '.join(known)}"
        )
    return known[str(baseline)]


def accuracy_figure(
    report: AccuracyReport,
    *,
    loss: str | None = None,
    baseline: str | None = None,
    width: str = "column",
) -> Figure:
    """Return one mark for each design: percentage points lost, least at the top, against speedup.

    `loss`, `baseline` and errors as in `loss_points`; `width`: 'column' or 'page'.
    """
    points = loss_points(report, loss, baseline)
    axis = f"{LOSSES[checked_loss(report, loss)]} (percentage points)"
    figure = pareto_figure(points, quality=axis, baseline=baseline or report.baseline, width=width)
    (axes,) = figure.axes
    ticks = axes.get_yticks()
    axes.set_yticks(ticks, [f"{0.0 - tick:g}" for tick in ticks])
    array = report.array
    title = (
        f"{report.network}, {report.pictures} pictures, against: {report.reference}\narray {array.rows}x"
        f"{array.cols}, dataflow {array.dataflow}, {array.coupling}, overlap {'on' if array.overlap else 'off'}"
    )
    (legend,) = figure.legends
    legend.set_title(wrapped(figure, title, FONT_POINTS))  # also shows the title's box
    legend.get_title().set_multialignment("center")
    notes = [f"one picture is {PERCENT / report.pictures:.2g} percentage points"]
    add_notes(figure, [*notes, *filter(None, [report.answer_note])])
    return figure


def plot_accuracy(
    report: AccuracyReport,
    path: str | Path,
    *,
    loss: str | None = None,
    baseline: str | None = None,
    width: str = "column",
    command: str = "",
) -> None:
    """Draw `accuracy_figure` into a file. `path`, `width`, `command` and errors as in `plot_speedup`."""
    figure_format(path)
    figure = accuracy_figure(report, loss=loss, baseline=baseline, width=width)
    save_figure(figure, path, title="Loss against speedup", command=command)
