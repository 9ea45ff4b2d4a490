"""What a design gives up against what it gains: quality over speedup, one mark for each design."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sparqsim.errors import InputError
from sparqsim.plot.iso_area import ERROR_BAR, iso_area_notes, iso_area_speedup
from sparqsim.plot.labels import add_legend, add_notes, design_label, subject_of, value_note
from sparqsim.plot.style import INK, figure_format, house_style, looks_of, new_figure, save_figure
from sparqsim.report import Comparison

SQNR = "output SQNR, all layers (dB)"
PANEL_INCHES = 2.6
#: One line of the legend holds at least one design.
LEGEND_LINE_INCHES = 0.125
FRONT: dict[str, Any] = {"color": INK, "linestyle": (0, (1, 1.5)), "linewidth": 0.8}


@dataclass(frozen=True)
class ParetoPoint:
    """One design's place.

    Parameters
    ----------
    spec : str
        The design; it decides the mark.
    speedup : float
        Over a baseline, above 0.
    quality : float
        In the unit of the axis, more is better; infinite: exact.
    label : str
        What the legend says; the design's name if empty.
    speedup_range : (float, float), optional
        Least and greatest speedup, drawn as an error bar.
    equal_pes : float, optional
        The speedup at equal PEs where `speedup` is another, drawn as a small open mark.
    """

    spec: str
    speedup: float
    quality: float
    label: str = ""
    speedup_range: tuple[float, float] | None = None
    equal_pes: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.speedup) and self.speedup > 0):
            raise InputError(
                f"pareto point {self.spec!r}: speedup={self.speedup!r}, expected a number above 0"
            )
        if math.isnan(self.quality) or self.quality == -math.inf:
            raise InputError(
                f"pareto point {self.spec!r}: quality={self.quality!r}, expected a number, or infinity "
                "for an exact result"
            )


def pareto_points(comparison: Comparison) -> list[ParetoPoint]:
    """Return every design's SQNR over the whole network (dB) and speedup over the baseline; exact designs at infinity.

    Where the comparison tells of equal area, the speedup is that at equal area, and designs without an area are left
    out.

    Raises
    ------
    InputError
        For a design that has noise where the exact outputs are all zero: no SQNR exists.
    """
    points = []
    for name in comparison.order:
        report = comparison.reports[name]
        error = report.totals.error
        quality = (
            math.inf if error.noise == 0 else -math.inf if error.sqnr_db is None else error.sqnr_db
        )
        points.append(_point(comparison, name, quality, design_label(report)))
    return [point for point in points if point is not None]


def _point(comparison: Comparison, name: str, quality: float, label: str) -> ParetoPoint | None:
    equal_pes = comparison.speedup(name)
    if comparison.iso_area is None:
        return ParetoPoint(name, equal_pes, quality, label)
    speedup = iso_area_speedup(comparison, name, None)
    if speedup is None:
        return None
    return ParetoPoint(name, speedup.middle, quality, label, (speedup.low, speedup.high), equal_pes)


def plot_pareto(
    points: Comparison | Sequence[ParetoPoint],
    path: str | Path,
    *,
    quality: str = SQNR,
    baseline: str = "the baseline",
    width: str = "column",
    command: str = "",
) -> None:
    """Draw `pareto_figure` into a file. `path`, `width`, `command` and errors as in `plot_speedup`."""
    figure_format(path)
    figure = pareto_figure(points, quality=quality, baseline=baseline, width=width)
    save_figure(figure, path, title="Quality against speedup", command=command)


def pareto_figure(
    points: Comparison | Sequence[ParetoPoint],
    *,
    quality: str = SQNR,
    baseline: str = "the baseline",
    width: str = "column",
) -> Figure:
    """Return one mark for each design, and the front: designs that no other beats.

    Parameters
    ----------
    points : Comparison or sequence of ParetoPoint
        A comparison gives SQNR of the whole network against speedup over its baseline.
    quality : str
        Label of the quality axis with its unit; more is better.
    baseline : str
        What the speedups are over, where `points` are given.
    width : str
        'column' or 'page'.
    """
    title, notes, equal = "", [], "equal PEs"
    if isinstance(points, Comparison):
        reports = [points.reports[name] for name in points.order]
        baseline, title, notes = points.baseline, subject_of(reports[0]), [value_note(reports)]
        if points.iso_area is not None:
            equal = "equal area"
            notes = [*notes, *iso_area_notes(points.iso_area), "open marks: equal PEs"]
        points = pareto_points(points)
    if not points:
        raise InputError("pareto: no points, expected at least one design")
    with house_style():
        figure = new_figure(width, PANEL_INCHES + LEGEND_LINE_INCHES * len(points))
        axes = figure.subplots()
        handles = _draw_points(axes, points)
        axes.set_xlabel(f"speedup (x) over {baseline}, {equal}")
        axes.set_ylabel(quality)
        names = [point.label or point.spec for point in points]
        add_legend(
            figure, title, [*handles, Line2D([], [], **FRONT)], [*names, "best for its speedup"]
        )
        add_notes(figure, notes)
    return figure


def _draw_points(axes: Axes, points: Sequence[ParetoPoint]) -> list[Line2D]:
    """Draw marks and the front; return the marks."""
    exact = _scale(axes, points)
    looks = looks_of([point.spec for point in points])
    corners = [(point.speedup, min(point.quality, exact)) for point in front_of(points)]
    axes.plot([x for x, _ in corners], [y for _, y in corners], drawstyle="steps-pre", **FRONT)
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
            axes.plot(
                point.equal_pes,
                height,
                look.marker,
                color="none",
                markersize=4,
                markeredgecolor=look.color,
                markeredgewidth=0.7,
                clip_on=False,
            )
        handles += axes.plot(
            point.speedup,
            height,
            look.marker,
            linestyle="",
            color=look.color,
            markersize=5,
            markeredgecolor=INK,
            markeredgewidth=0.4,
            clip_on=False,
            zorder=3,
        )
    return handles


def _scale(axes: Axes, points: Sequence[ParetoPoint]) -> float:
    """Scale the axes to the points; return where exact results are drawn, above the others."""
    drawn = [(point.speedup, point.equal_pes, *(point.speedup_range or ())) for point in points]
    speedups = [
        1.0,
        *(speedup for of_point in drawn for speedup in of_point if speedup is not None),
    ]
    finite = [point.quality for point in points if math.isfinite(point.quality)]
    low, high = (min(finite), max(finite)) if finite else (-1.0, 0.0)
    step = (high - low or 0.1 * abs(high) or 1.0) / 6
    axes.set_xlim(min(speedups) - 0.1 * (max(speedups) - min(speedups) or 1), max(speedups) * 1.05)
    candidates = MaxNLocator(6).tick_values(low - step, high + step)
    ticks = [tick for tick in candidates if low - step < tick < high + step / 2]
    exact = high + 1.5 * step
    has_exact = len(finite) < len(points)
    axes.set_ylim(low - step, exact + step / 2 if has_exact else high + step)
    labels = [f"{tick:g}" for tick in ticks] if finite else []
    axes.set_yticks(
        [*ticks[: len(labels)], *[exact] * has_exact], [*labels, *["exact"] * has_exact]
    )
    axes.grid(visible=True, axis="both")
    return exact


def front_of(points: Sequence[ParetoPoint]) -> list[ParetoPoint]:
    """Return the points that no other beats (at least as good in both, better in one), slowest first."""

    def beaten(point: ParetoPoint) -> bool:
        return any(
            other.speedup >= point.speedup
            and other.quality >= point.quality
            and (other.speedup, other.quality) != (point.speedup, point.quality)
            for other in points
        )

    return sorted((point for point in points if not beaten(point)), key=lambda point: point.speedup)
