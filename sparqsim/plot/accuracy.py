"""What a design costs a network's answers against what it gains in cycles: loss over speedup."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Final, Unpack

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.wording import counted
from sparqsim.plot.labels import coverage_note
from sparqsim.plot.panel import check_target, delivered
from sparqsim.plot.pareto import ParetoWords, points_figure
from sparqsim.plot.pareto_points import ParetoPoint
from sparqsim.plot.style import Saving
from sparqsim.results.accuracy_report import AccuracyReport, AccuracyRow
from sparqsim.results.answer_cards import trial_notes
from sparqsim.results.setting import note_lines

#: What can be lost, and what the axis calls it.
LOSSES: Final = {
    "top1": "top-1 accuracy lost",
    "top5": "top-5 accuracy lost",
    "agree": "answers that differ",
}
PERCENT = 100
MOST_TICKS = 7
#: Steps between ticks.
STEPS = tuple(factor * 10**power for power in range(12) for factor in (1, 2, 5))
#: Of a step: what float arithmetic may lose.
EDGE = 1e-9


def loss_points(
    report: AccuracyReport, loss: str | None = None, baseline: str | None = None
) -> list[ParetoPoint]:
    """Return every design's speedup and, as quality, its loss in percentage points with the sign
    turned.

    The loss is against the network as it is. Rows with recalibrated batch norms are left out: what
    they are to be compared with is another network.

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
    rows = _drawn(report)
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


def _drawn(report: AccuracyReport) -> list[AccuracyRow]:
    """Return the rows that get a mark."""
    return [row for row in report.rows if row.speedup is not None and not row.recalibrated_bn]


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
            f"--baseline {baseline!r}{nearest(str(baseline), known)}: not in the record, expected "
            f"one of {', '.join(known)}"
        )
    return known[str(baseline)]


def plot_accuracy(
    report: AccuracyReport,
    path: str | Path | None = None,
    *,
    loss: str | None = None,
    baseline: str | None = None,
    ax: Axes | None = None,
    width: str = "column",
    **saving: Unpack[Saving],
) -> Figure:
    """Draw one mark for each design: percentage points lost, least at the top, against speedup.

    `loss`, `baseline` and errors as in `loss_points`; the rest as in `plot_pareto`.
    """
    check_target(path, ax)
    points = loss_points(report, loss, baseline)
    picture = PERCENT / report.pictures
    title = (
        f"{report.network}, {counted(report.pictures, 'picture')}, against: "
        f"{report.reference}\n{report.array.words}"
    )
    # Records of earlier versions say it in one place only.
    inputs = report.coverage.inputs or report.traced_pictures
    coverage = report.coverage.model_copy(update={"inputs": inputs})
    words = ParetoWords(
        f"{LOSSES[checked_loss(report, loss)]} (percentage points)",
        f"{baseline or report.baseline}, equal PEs",
        title,
        (
            f"one picture is {picture:.2g} percentage points",
            coverage_note(coverage, report.macs or 0),
            *note_lines(report.timing_notes),
            *trial_notes(_drawn(report)),
            *([report.answer_note] if report.answer_note else []),
        ),
    )
    ticks = partial(loss_ticks, pictures=report.pictures)
    figure = points_figure(points, words, width, ticks, ax)
    return delivered(figure, path, ax, title="Loss against speedup", **saving)


accuracy_figure = plot_accuracy


def loss_ticks(low: float, high: float, pictures: int) -> tuple[list[float], list[str]]:
    """Return places and labels of ticks on an axis of minus losses, percentage points: whole
    pictures only.

    Round numbers are taken where they are whole pictures; else steps of 1, 2, 5, 10... pictures.
    """
    picture = PERCENT / pictures
    least = max(1, math.ceil((high - low) / picture / MOST_TICKS))
    plain = next(count for count in STEPS if count >= least)
    fitting = [count for count in _round_steps(pictures) if least <= count <= 2 * plain]
    step = fitting[0] if fitting else plain
    first = math.ceil(low / picture / step - EDGE)
    last = math.floor(high / picture / step + EDGE)
    places = [at * step * picture for at in range(first, last + 1)]
    return places, [f"{0.0 - place:.4g}" for place in places]


def _round_steps(pictures: int) -> list[int]:
    """Return the counts of pictures that are 0.001, 0.002, 0.005... percentage points."""
    thousandths = 1000 * PERCENT
    return [
        share * pictures // thousandths for share in STEPS if share * pictures % thousandths == 0
    ]
