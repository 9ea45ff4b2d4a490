"""What a design gives up against what it gains: quality over speedup, one mark for each design."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from sparqsim.base.errors import InputError
from sparqsim.plot.iso_area import ERROR_BAR, iso_area_notes
from sparqsim.plot.labels import (
    equal_groups,
    group_label,
    group_notes,
    result_notes,
    subject_of,
    value_note,
)
from sparqsim.plot.panel import Panel, check_target, delivered
from sparqsim.plot.pareto_points import ParetoPoint, front_of, pareto_points
from sparqsim.plot.placing import Named, name_marks
from sparqsim.plot.style import INK, SMALL_POINTS, Saving, house_style, looks_of
from sparqsim.results.comparison import Comparison

SQNR = "output SQNR, all layers (dB)"
PANEL_INCHES = 2.6
#: What one more design's name needs.
ROOM_INCHES = 0.1
#: Room for names left and right, of the span of speedups.
SIDE_MARGIN = 0.2
FRONT_LABEL = "no other is better in both"
#: Points on a line that names keep off.
LINE_POINTS = 60
#: Places of ticks between two limits, and their labels.
Ticks = Callable[[float, float], tuple[Sequence[float], Sequence[str]]]
MARK: dict[str, Any] = {
    "linestyle": "",
    "markersize": 5,
    "markeredgecolor": INK,
    "markeredgewidth": 0.4,
    "clip_on": False,
}
FRONT: dict[str, Any] = {"color": INK, "linestyle": (0, (1, 1.5)), "linewidth": 0.8}


@dataclass(frozen=True)
class ParetoWords:
    """What a figure of points says. quality: label of that axis; over: what speedups are over, at
    equal what. gain: what the other axis has, where it is no speedup.
    """

    quality: str
    over: str
    title: str = ""
    notes: tuple[str, ...] = ()
    gain: str = "speedup (x)"


def plot_pareto(
    points: Comparison | Sequence[ParetoPoint],
    path: str | Path | None = None,
    *,
    quality: str = SQNR,
    baseline: str = "the baseline",
    ax: Axes | None = None,
    width: str = "column",
    **saving: Unpack[Saving],
) -> Figure:
    """Draw one mark for each design, named beside it, and the front: a line through designs that no
    other beats.

    Parameters
    ----------
    points : Comparison or sequence of ParetoPoint
        A comparison gives SQNR of the whole network against speedup over its baseline.
    quality : str
        Label of the quality axis with its unit; more is better.
    baseline : str
        What the speedups are over, where `points` are given.
    ax : Axes, optional
        Of a figure of your own, instead of a `path`; title, legend and notes are then theirs, and
        `width` has no meaning.
    path, width, **saving
        And errors: as in `plot_speedup`.
    """
    check_target(path, ax)
    words = ParetoWords(quality, f"{baseline}, equal PEs")
    if isinstance(points, Comparison):
        words = _words(points, quality)
        points = pareto_points(points)
    figure = points_figure(points, words, width, ax=ax)
    return delivered(figure, path, ax, title="Quality against speedup", **saving)


pareto_figure = plot_pareto


def _words(comparison: Comparison, quality: str) -> ParetoWords:
    reports = [comparison.reports[name] for name in comparison.order]
    notes, equal = [value_note(reports), *result_notes(reports)], comparison.terms
    if comparison.iso_area is not None:
        equal = "equal area"
        notes += [*iso_area_notes(comparison.iso_area), "open marks: equal PEs"]
    return ParetoWords(
        quality, f"{comparison.baseline}, {equal}", subject_of(reports), tuple(notes)
    )


def points_figure(
    points: Sequence[ParetoPoint],
    words: ParetoWords,
    width: str,
    ticks: Ticks | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Return the figure of points.

    Parameters
    ----------
    points : sequence of ParetoPoint
        At least one; equal ones share a mark.
    words : ParetoWords
    width : str
    ticks : callable, optional
        Gives places and labels of the quality axis between two limits.
    ax : Axes, optional
        As in `plot_pareto`.

    Raises
    ------
    InputError
        For no points.
    """
    if not points:
        raise InputError("pareto: no points, expected at least one design")
    groups = _merged(points)
    names = [group_label([point.label or point.spec for point in group]) for group in groups]
    shown = [group[0] for group in groups]
    with house_style():
        panel = Panel.of(ax, width, PANEL_INCHES + ROOM_INCHES * len(shown))
        axes = panel.axes
        exact = _scale(axes, shown, ticks)
        handles = _draw_points(axes, shown, exact)
        axes.set_xlabel(f"{words.gain} over {words.over}")
        axes.set_ylabel(words.quality)
        labels = [[point.label or point.spec for point in group] for group in groups]
        panel.add_notes([*words.notes, *group_notes(labels)])
        front = _front_legend(shown, names, handles)
        panel.add_legend(words.title, *front)
        marks = [
            Named(point.speedup, min(point.quality, exact), name)
            for point, name in zip(shown, names, strict=True)
        ]
        lines = list(_line_points(axes, shown, exact))
        in_legend: list[Named] = []
        before = list(axes.texts)
        while homeless := _name_in_room(axes, marks, in_legend, lines, before):
            in_legend += homeless
            entries = {mark.name: handles[marks.index(mark)] for mark in in_legend}
            entries.update(zip(front[1], front[0], strict=True))
            panel.replace_legend(words.title, list(entries.values()), list(entries))
            panel.grow(len(homeless))
    return panel.figure


def _name_in_room(
    axes: Axes,
    marks: Sequence[Named],
    in_legend: Sequence[Named],
    lines: Sequence[tuple[float, float]],
    before: Sequence[Text],
) -> list[Named]:
    """Name marks that the legend does not name; return those that find no room.

    Names of an earlier call go (texts `before` it stay): a legend that has grown moves what they
    stand beside.
    """
    for text in [each for each in axes.texts if each not in before]:
        text.remove()
    named = [mark for mark in marks if mark not in in_legend]
    others = [(mark.x, mark.y) for mark in in_legend]
    return name_marks(axes, named, others, lines, points=SMALL_POINTS)


def _front_legend(
    points: Sequence[ParetoPoint], names: Sequence[str], handles: Sequence[Line2D]
) -> tuple[list[Line2D], list[str]]:
    """Return what the legend says of the front: its line or, of one design, that one's mark."""
    best = front_of(points)
    if len(best) > 1:
        return [Line2D([], [], **FRONT)], [FRONT_LABEL]
    at = points.index(best[0])
    return [handles[at]], [f"{names[at]}: {FRONT_LABEL}"]


def _merged(points: Sequence[ParetoPoint]) -> list[list[ParetoPoint]]:
    """Return points at the same place together."""
    drawn = {
        at: (point.speedup, point.quality, point.speedup_range, point.equal_pes)
        for at, point in enumerate(points)
    }
    groups = equal_groups({str(at): place for at, place in drawn.items()})
    return [[points[int(at)] for at in group] for group in groups]


def _front_corners(points: Sequence[ParetoPoint], exact: float) -> list[tuple[float, float]]:
    return [(point.speedup, min(point.quality, exact)) for point in front_of(points)]


def _line_points(
    axes: Axes, points: Sequence[ParetoPoint], exact: float
) -> Iterator[tuple[float, float]]:
    """Yield points on front, baseline and error bars, close enough to keep names off."""
    low, high = axes.get_ylim()
    corners = _front_corners(points, exact)
    ends = [((1.0, low), (1.0, high)), *itertools.pairwise(corners)]
    for point in points:
        height = min(point.quality, exact)
        reach = [point.speedup, *(point.speedup_range or ()), point.equal_pes or point.speedup]
        ends.append(((min(reach), height), (max(reach), height)))
    for (x, y), (to_x, to_y) in ends:
        for share in np.linspace(0, 1, LINE_POINTS):
            yield x + float(share) * (to_x - x), y + float(share) * (to_y - y)


def _draw_points(axes: Axes, points: Sequence[ParetoPoint], exact: float) -> list[Line2D]:
    """Draw marks and the front; return the marks."""
    looks = looks_of([point.spec for point in points])
    corners = _front_corners(points, exact)
    axes.plot([x for x, _ in corners], [y for _, y in corners], **FRONT)
    axes.axvline(1, color=INK, linestyle=(0, (4, 2)), linewidth=0.7)
    handles = []
    for point in points:
        look, height = looks[point.spec], min(point.quality, exact)
        if point.speedup_range is not None:
            low, high = point.speedup_range
            axes.errorbar(
                point.speedup,
                height,
                xerr=[[point.speedup - low], [high - point.speedup]],
                **ERROR_BAR,
            )
        if point.equal_pes is not None:
            open_mark = {**MARK, "color": "none", "markersize": 4, "markeredgewidth": 0.7}
            open_mark["markeredgecolor"] = look.color
            axes.plot(point.equal_pes, height, marker=look.marker, **open_mark)
        mark = {**MARK, "marker": look.marker, "color": look.color}
        handles += axes.plot(point.speedup, height, zorder=3, **mark)
    return handles


def _scale(axes: Axes, points: Sequence[ParetoPoint], ticks_between: Ticks | None) -> float:
    """Scale the axes to the points; return where exact results are drawn, above the others."""
    drawn = [(point.speedup, point.equal_pes, *(point.speedup_range or ())) for point in points]
    speedups = [
        1.0,
        *(speedup for of_point in drawn for speedup in of_point if speedup is not None),
    ]
    finite = [point.quality for point in points if math.isfinite(point.quality)]
    low, high = (min(finite), max(finite)) if finite else (-1.0, 0.0)
    step = (high - low or 0.1 * abs(high) or 1.0) / 6
    margin = SIDE_MARGIN * (max(speedups) - min(speedups) or 1)
    axes.set_xlim(min(speedups) - margin, max(speedups) + margin)
    places, names = (ticks_between or _plain_ticks)(low - step, high + step)
    ticks = [
        (tick, name)
        for tick, name in zip(places, names, strict=True)
        if low - step < tick < high + step / 2
    ]
    exact = high + 1.5 * step
    has_exact = len(finite) < len(points)
    axes.set_ylim(low - step, exact + step / 2 if has_exact else high + step)
    shown = [*(ticks if finite else []), *[(exact, "exact")] * has_exact]
    axes.set_yticks([tick for tick, _ in shown], [name for _, name in shown])
    axes.grid(visible=True, axis="both")
    return exact


def _plain_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    places = [float(tick) for tick in MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high)]
    return places, [f"{tick:g}" for tick in places]
