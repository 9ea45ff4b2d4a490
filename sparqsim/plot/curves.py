"""Speedup over the baseline against array size, K or the share of zeros, a line a design."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sparqsim.plot.iso_area import BEHIND_TEXT
from sparqsim.plot.labels import (
    confound_lines,
    coverage_notes,
    group_label,
    group_notes,
    marked,
    source_of,
    text_points,
    timing_lines,
    value_note,
)
from sparqsim.plot.panel import Panel, check_target, delivered
from sparqsim.plot.points import Curve, Curves, Point
from sparqsim.plot.style import (
    INK,
    POINTS_PER_INCH,
    SMALL_POINTS,
    Look,
    Saving,
    house_style,
    line_color,
    looks_of,
    width_inches,
)
from sparqsim.results.confounds import trace_axis
from sparqsim.results.report import Report

PANEL_INCHES = 3.0
#: What stands left and right of the axes.
MARGIN_INCHES = 0.6
FLAT_LABEL = "cycles do not depend on values"
#: A flat curve's label and the air around it.
LABEL_POINTS = 11.0
#: Least height of the axes, points.
LEAST_AXES_POINTS = 110.0
AXIS_LABELS = {
    "array-size": "array (PE rows x columns)",
    "k": "K, multiply-accumulates per output (count)",
}
ZEROS_OF_NETWORKS = "zero activations, all layers (%)"
ZEROS_OF_LAYERS = "zero activations of a layer (%)"
BASELINE_LINE: dict[str, Any] = {"color": INK, "linestyle": (0, (1, 1.5)), "linewidth": 0.8}
FIXED_LINE, VARYING_LINE = (0, (4, 1.5)), "-"


def plot_curves(
    curves: Curves,
    path: str | Path | None = None,
    *,
    ax: Axes | None = None,
    width: str = "column",
    **saving: Unpack[Saving],
) -> Figure:
    """Draw speedups (x) over the baseline; dashed: cycles that do not depend on values, solid:
    cycles that do.

    Lines join points of equal shapes alone, so over the share of zeros the dashed ones are flat.

    Against K, a vertical stroke reaches from the least to the greatest speedup of single layers of
    that K.

    `path`, `ax`, `width`, `saving` and errors as in `plot_pareto`.
    """
    check_target(path, ax)
    looks = looks_of([curve.specs[0] for curve in curves.curves])
    with house_style():
        panel = Panel.of(ax, width, PANEL_INCHES + 0.12 * (len(curves.curves) + 1))
        axes = panel.axes
        places = _scale(axes, curves, width)
        line = axes.axhline(1, **BASELINE_LINE)
        handles = [_draw(axes, curve, places, looks[curve.specs[0]]) for curve in curves.curves]
        axes.set_ylim(
            0, 1.12 * max(1.0, *(point.high for curve in curves.curves for point in curve.points))
        )
        axes.set_ylabel(f"speedup (x) over {curves.baseline}")
        axes.grid(visible=True)
        if curves.kind == "zero-fraction" and curves.joined:
            _label_flat(axes, curves.curves, places)
        labels = [group_label(_labels(curve)) for curve in curves.curves]
        panel.add_legend(_title(curves), [line, *handles], [f"{curves.baseline} = 1", *labels])
        panel.add_notes(_notes(curves))
    title = f"Speedup against {curves.kind.replace('-', ' ')}"
    return delivered(panel.figure, path, ax, title=title, **saving)


curves_figure = plot_curves


def _scale(axes: Axes, curves: Curves, width: str) -> dict[tuple[float, ...], float]:
    """Give the x axis its scale, ticks and label; return where each place is drawn."""
    places = sorted({point.place for curve in curves.curves for point in curve.points})
    if curves.kind == "zero-fraction":
        axes.set_xlabel(ZEROS_OF_NETWORKS if curves.whole_networks else ZEROS_OF_LAYERS)
        return {place: 100 * place[0] for place in places}
    axes.set_xlabel(AXIS_LABELS[curves.kind])
    if curves.kind == "array-size":
        drawn = {place: float(at) for at, place in enumerate(places)}
        names = {at: f"{place[1]:g}x{place[2]:g}" for place, at in drawn.items()}
        axes.set_xlim(-0.3, len(places) - 0.7)
    else:
        drawn = {place: place[0] for place in places}
        names = {at: f"{at:g}" for at in drawn.values()}
        axes.set_xscale("log")
        axes.set_xlim(places[0][0] / 1.15, places[-1][0] * 1.15)
    _set_ticks(axes, names, width)
    return drawn


def _set_ticks(axes: Axes, names: dict[float, str], width: str) -> None:
    """Label as many places as have room, from the left."""
    room = (width_inches(width) - MARGIN_INCHES) * POINTS_PER_INCH
    to_points = math.log if axes.get_xscale() == "log" else float
    low, high = (to_points(limit) for limit in axes.get_xlim())
    ticks: list[float] = []
    free = -math.inf
    for at, name in names.items():
        center, half = (
            (to_points(at) - low) / (high - low) * room,
            text_points(name, SMALL_POINTS) / 2,
        )
        if center - half >= free:
            ticks.append(at)
            free = center + half + 4
    axes.set_xticks(ticks, [names[at] for at in ticks])
    axes.minorticks_off()


def _draw(axes: Axes, curve: Curve, places: dict[tuple[float, ...], float], look: Look) -> Line2D:
    """Draw a curve's marks, and a line through those of equal shapes; return the legend's."""
    color = line_color(look)
    strokes = [(places[point.place], point.low, point.high) for point in curve.points]
    axes.vlines(*zip(*strokes, strict=True), color=color, linewidth=0.5)
    style: dict[str, Any] = {
        "color": color,
        "marker": look.marker,
        "markersize": 3.8,
        "markerfacecolor": look.color,
        "markeredgecolor": INK,
        "markeredgewidth": 0.3,
    }
    series = of_equal_shape(curve.points)
    lines = [_line_style(curve) if len(points) > 1 else "" for points in series]
    for points, line in zip(series, lines, strict=True):
        xs, ys = [places[point.place] for point in points], [point.speedup for point in points]
        axes.plot(xs, ys, linestyle=line, **style)
    joined = any(len(points) > 1 for points in series)
    return Line2D([], [], linestyle=_line_style(curve) if joined else "", **style)


def of_equal_shape(points: Sequence[Point]) -> list[list[Point]]:
    """Return points of equal shape together, each along the axis."""
    series: dict[object, list[Point]] = {}
    for point in points:
        series.setdefault(point.shape, []).append(point)
    return list(series.values())


def _line_style(curve: Curve) -> Any:
    return FIXED_LINE if curve.fixed else VARYING_LINE


def _label_flat(
    axes: Axes, curves: Sequence[Curve], places: dict[tuple[float, ...], float]
) -> None:
    """Say at flat lines why they are: values cannot change cycles; close lines share the words."""
    apart = axes.get_ylim()[1] / LEAST_AXES_POINTS * LABEL_POINTS
    flat = sorted(
        (curve for curve in curves if curve.fixed), key=lambda curve: curve.points[0].speedup
    )
    for at, curve in enumerate(flat):
        height = curve.points[0].speedup
        if at + 1 < len(flat) and flat[at + 1].points[0].speedup - height < apart:
            continue  # the words stand above the next one
        end = _emptier_end(curve, curves, apart)
        axes.annotate(
            FLAT_LABEL,
            (places[curve.points[end].place], curve.points[end].speedup),
            (0, 3),
            textcoords="offset points",
            ha="right" if end else "left",
            va="bottom",
            fontsize=SMALL_POINTS,
            bbox=BEHIND_TEXT,
        )


def _emptier_end(curve: Curve, curves: Sequence[Curve], apart: float) -> int:
    """Return the end with fewer points of other curves at the words' place: 0 left, -1 right."""

    def crowd(points: slice) -> int:
        """Return how many points of other curves stand where the words would."""
        height = curve.points[0].speedup
        return sum(
            0 < point.speedup - height < apart
            for other in curves
            if other is not curve
            for point in other.points[points]
        )

    half = (len(curve.points) + 1) // 2
    return 0 if crowd(slice(None, half)) <= crowd(slice(-half, None)) else -1


def _labels(curve: Curve) -> list[str]:
    return [marked(spec, varying=not curve.fixed) for spec in curve.specs]


def _title(curves: Curves) -> str:
    """Return what ran, and on what: of the array only what all of it share."""
    networks = list(
        dict.fromkeys(
            report.provenance.network or report.provenance.trace_sha256[:12]
            for report in curves.reports
        )
    )
    traces = len({report.provenance.trace_sha256 for report in curves.reports})
    synthetic = list(dict.fromkeys(report.provenance.synthetic for report in curves.reports))
    source = networks[0] if len(networks) == 1 else f"{len(networks)} networks"
    many = f", {traces} traces" if traces > 1 else ""
    drawn = (
        ""
        if not any(synthetic)
        else (
            f" [SYNTHETIC values: {synthetic[0]}]" if len(synthetic) == 1 else " [SYNTHETIC values]"
        )
    )
    array, memory = curves.reports[0].array, curves.reports[0].memory
    settings = array.mode if curves.kind == "array-size" else array.words
    around = "memory not modelled" if memory is None else f"memory {memory.name}"
    return f"{source}{many}{drawn}\n{settings}, {around}"


def _notes(curves: Curves) -> list[str]:
    notes = [value_note(curves.reports)]
    lines = any(
        len(series) > 1 for curve in curves.curves for series in of_equal_shape(curve.points)
    )
    if lines and len({curve.fixed for curve in curves.curves}) > 1:
        notes[0] += "; dashed: shapes alone, solid: values"
    if curves.kind == "k":
        notes.append("layers of equal K together; strokes: the single layers, least to greatest")
    if curves.kind == "zero-fraction" and not curves.joined:
        what = "network" if curves.whole_networks else "layer"
        notes.append(
            f"one mark a {what}; lines join equal shapes alone: other shapes change speedups, too"
        )
    if curves.kind != "array-size" and any(
        layer.kept_8bit for report in curves.reports for layer in report.layers
    ):
        notes.append(
            "layers kept at 8 bits are "
            + ("part of the network" if curves.whole_networks else "left out")
        )
    notes += [*_sources(curves.reports), *_confounds(curves)]
    return [*notes, *group_notes([_labels(curve) for curve in curves.curves])]


def _confounds(curves: Curves) -> list[str]:
    """Return what results differ in beside the design and the axis."""
    if curves.kind == "array-size":
        return confound_lines(curves.reports, free={"array"})
    return confound_lines(curves.reports, trace_axis([each.card for each in curves.reports]))


def _sources(reports: Sequence[Report]) -> list[str]:
    """Return of how many inputs cycles are, what is not simulated, what times itself."""
    by_trace = {report.provenance.trace_sha256: [report] for report in reports}
    coverage = {sha256: coverage_notes(one) for sha256, one in by_trace.items()}
    said = [note for notes in coverage.values() for note in notes]
    if len(set(said)) > 1:
        said = [
            f"{source_of(by_trace[sha256][0].provenance)}: {note}"
            for sha256, notes in coverage.items()
            for note in notes
        ]
    return [*dict.fromkeys(said), *timing_lines(reports)]
