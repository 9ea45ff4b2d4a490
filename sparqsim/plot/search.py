"""The front of a search: answers over speedup, beside the points of uniform bits."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Unpack

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparqsim.base.wording import counted
from sparqsim.plot.panel import check_target, delivered
from sparqsim.plot.pareto import ParetoWords, points_figure
from sparqsim.plot.pareto_points import ParetoPoint
from sparqsim.plot.style import Saving
from sparqsim.results.search_cost import in_words
from sparqsim.results.search_report import SearchReport, SearchTrial

PERCENT = 100
#: What less of a cost is called.
GAINS: Final = {
    "cycles": "speedup (x)",
    "energy": "energy saving (x)",
    "time": "speedup in time (x)",
}
OBJECTIVES: Final = {"agree": "answers as the reference (%)", "top1": "top-1 accuracy (%)"}


def search_points(report: SearchReport) -> list[ParetoPoint]:
    """Return the front's trials, those of uniform bits and the chosen one, each once.

    How many times less they take than the trial at every edge's limit, and the percentage of
    pictures answered well.
    """
    shown = dict.fromkeys([*report.uniform, *report.front, report.best])
    return [_point(report, trial) for trial in shown]


def _point(report: SearchReport, trial: SearchTrial) -> ParetoPoint:
    name = _name(report, trial)
    quality = PERCENT * report.quality(trial) / report.pictures
    return ParetoPoint(name, report.gain(trial), quality, name)


def _name(report: SearchReport, trial: SearchTrial) -> str:
    mean = trial.total_bits / len(trial.bits)
    plain = f"{max(trial.bits)} bits" if trial in report.uniform else f"mixed, mean {mean:.2f} bits"
    return f"chosen: {plain}" if trial == report.best else plain


def _of_cost(report: SearchReport) -> tuple[str, ...]:
    """Return what to know of energies or times, where the figure is of them."""
    if report.cost == "energy" and report.energy is not None:
        return (f"energy of the array, {report.energy.table}: fast model, memory not counted",)
    if report.cost == "time":
        return (f"time at the design's own shortest clock period, {report.period_ns:g} ns",)
    return ()


def plot_search(
    report: SearchReport,
    path: str | Path | None = None,
    *,
    ax: Axes | None = None,
    width: str = "column",
    **saving: Unpack[Saving],
) -> Figure:
    """Draw the front of a search, and the points of uniform bits, as `plot_pareto` does.

    Parameters
    ----------
    report : SearchReport
    ax, path, width, **saving
        And errors: as in `plot_pareto`.
    """
    check_target(path, ax)
    words = ParetoWords(
        OBJECTIVES[report.objective],
        f"{in_words(report.cost, report.cost_of(report.default))} at most bits",
        f"{report.network}, {report.design}, {counted(report.pictures, 'picture')}, against: "
        f"{report.reference}\n{report.array.words}",
        (
            report.method_words,
            f"one picture is {PERCENT / report.pictures:.2g} percentage points",
            *_of_cost(report),
            (
                f"{report.cost} of {counted(report.traced_pictures, 'picture')}; "
                f"{counted(len(report.trials), 'trial')}, of which the front and those of uniform "
                "bits are drawn"
            ),
        ),
        GAINS[report.cost],
    )
    figure = points_figure(search_points(report), words, width, ax=ax)
    return delivered(figure, path, ax, title="Answers against speedup", **saving)
