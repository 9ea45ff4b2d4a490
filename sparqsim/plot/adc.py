"""SQNR and cycles of crossbars over the bits of their converters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Unpack

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sparqsim.base.errors import InputError
from sparqsim.plot.adc_points import ConverterPoint, ConverterPoints
from sparqsim.plot.labels import (
    add_legend,
    add_notes,
    cycles_unit,
    design_label,
    result_notes,
    subject_of,
    value_note,
)
from sparqsim.plot.panel import check_target, delivered
from sparqsim.plot.style import INK, Saving, house_style, line_color, looks_of, new_figure

HEIGHTS_INCHES = (1.5, 1.3)
#: Above the decibels, in heights of their axis: where exact outputs are drawn.
EXACT_STEP = 0.15
EXACT_LABEL = "exact"
MARK: dict[str, Any] = {"markersize": 4, "markeredgecolor": INK, "markeredgewidth": 0.3}
#: Of designs whose converters are not all of the same bits.
MIXED_MARKERS = "D^vPX*"


def plot_adc(
    points: ConverterPoints,
    path: str | Path | None = None,
    *,
    width: str = "column",
    **saving: Unpack[Saving],
) -> Figure:
    """Draw SQNR of the outputs (dB) above, cycles below, both over bits of a conversion.

    A line joins designs all of whose converters have the same bits; others, whose bits differ by
    slice or layer, are marks of their own at their mean.

    `path`, `width`, `saving` and errors as in `plot_speedup`.
    """
    check_target(path)
    mixed = [each for series in points.series.values() for each in series if not each.uniform]
    if len(mixed) > len(MIXED_MARKERS):
        raise InputError(
            f"--kind adc: {len(mixed)} designs whose converters differ by slice or layer, expected "
            f"at most {len(MIXED_MARKERS)}; choose, e.g. with --only pe=NAME"
        )
    with house_style():
        figure = new_figure(width, sum(HEIGHTS_INCHES) + 0.12 * (len(points.series) + len(mixed)))
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=HEIGHTS_INCHES)
        top = _exact_height(points)
        handles = _draw(above, points, lambda each: top if each.sqnr_db is None else each.sqnr_db)
        unit, unit_name = cycles_unit(_most_cycles(points))
        _draw(below, points, lambda each: each.cycles / unit)
        below.set_ylabel(f"cycles\n({unit_name})")
        _scale(above, below, points, top)
        add_legend(figure, subject_of(points.reports), [*handles], _names(points))
        add_notes(figure, _notes(points))
    return delivered(figure, path, title="SQNR and cycles over converter bits", **saving)


adc_figure = plot_adc


def _draw(
    axes: Axes, points: ConverterPoints, height: Callable[[ConverterPoint], float]
) -> list[Line2D]:
    """Draw every series; return what the legend shows, lines before marks."""
    looks, markers = looks_of(list(points.series)), iter(MIXED_MARKERS)
    lines: list[Line2D] = []
    marks: list[Line2D] = []
    for name, series in points.series.items():
        color = line_color(looks[name])
        uniform = [each for each in series if each.uniform]
        if uniform:
            heights = [height(each) for each in uniform]
            bits = [each.bits for each in uniform]
            lines += axes.plot(bits, heights, color=color, marker="o", clip_on=False, **MARK)
        for each in series:
            if not each.uniform:
                style: dict[str, Any] = {"marker": next(markers), "linestyle": "", "clip_on": False}
                marks += axes.plot([each.bits], [height(each)], color=color, **style, **MARK)
    return [*lines, *marks]


def _names(points: ConverterPoints) -> list[str]:
    """Return what the legend says, in the order of `_draw`."""
    lines = [
        f"{name}, all converters alike"
        for name, series in points.series.items()
        if any(each.uniform for each in series)
    ]
    labels = {report.pe.spec: design_label(report) for report in points.reports}
    marks = [
        labels[each.spec]
        for series in points.series.values()
        for each in series
        if not each.uniform
    ]
    return [*lines, *marks]


def _exact_height(points: ConverterPoints) -> float:
    """Return where exact outputs are drawn, dB: above all others."""
    levels = _levels(points)
    low, high = min([0.0, *levels]), max([1.0, *levels])
    return high + EXACT_STEP * (high - low)


def _levels(points: ConverterPoints) -> list[float]:
    return [
        each.sqnr_db
        for series in points.series.values()
        for each in series
        if each.sqnr_db is not None
    ]


def _most_cycles(points: ConverterPoints) -> int:
    return max(each.cycles for series in points.series.values() for each in series)


def _scale(above: Axes, below: Axes, points: ConverterPoints, top: float) -> None:
    """Name and limit the axes."""
    exact = any(each.sqnr_db is None for series in points.series.values() for each in series)
    above.set_ylim(min([0.0, *_levels(points)]), top)
    if exact:
        ticks = [tick for tick in above.get_yticks() if tick < 0.95 * top]
        above.set_yticks([*ticks, top], [*(f"{tick:g}" for tick in ticks), EXACT_LABEL])
    above.set_ylabel("SQNR (dB)")
    below.set_ylim(bottom=0)
    below.set_xlabel("converters, mean over the network (bits)")
    bits = [each.bits for series in points.series.values() for each in series]
    first, last = int(min(bits)), int(-(-max(bits) // 1))
    below.set_xlim(first - 0.3, last + 0.3)
    below.set_xticks(range(first, last + 1))
    for axes in (above, below):
        axes.grid(visible=True)


def _notes(points: ConverterPoints) -> Sequence[str]:
    reports = points.reports
    return [value_note(reports), *result_notes(reports)]
