"""Operational intensity against attained MACs per cycle, by layer, under each design's roofs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from sparqsim.analysis.roofline import Roofline, roofline
from sparqsim.base.wording import counted
from sparqsim.plot.labels import (
    design_label,
    equal_groups,
    group_label,
    group_notes,
    layer_names,
    result_notes,
    subject_of,
    value_note,
)
from sparqsim.plot.layer_names import shortened
from sparqsim.plot.panel import Panel, check_target, delivered
from sparqsim.plot.placing import Named, name_marks
from sparqsim.plot.style import INK, SMALL_POINTS, Look, Saving, house_style, looks_of
from sparqsim.results.comparison import Comparison
from sparqsim.results.kept import where_kept
from sparqsim.results.report import Report

PANEL_INCHES = 3.0
#: Roofs are of several designs at once, so they have no design's colour.
ROOF_GREY = "#8c8c8c"
LAYER_POINTS = 5.0
#: Points on a roof that names keep off.
ROOF_POINTS = 80
#: Most characters of what the notes say of the layers' names.
LONGEST_PREFIX = 60
#: More names than this are a thicket.
MOST_NAMED_LAYERS = 10


def plot_roofline(
    result: Comparison | Report,
    path: str | Path | None = None,
    *,
    ax: Axes | None = None,
    width: str = "column",
    **saving: Unpack[Saving],
) -> Figure:
    """Draw a mark for each layer and design: MACs per DRAM byte against MACs per cycle, both
    logarithmic.

    `path`, `ax`, `width`, `saving` and errors as in `plot_pareto`.

    Raises
    ------
    InputError
        For results without memory, too.
    """
    check_target(path, ax)
    reports = (
        [result.reports[name] for name in result.order]
        if isinstance(result, Comparison)
        else [result]
    )
    roofs = [roofline(report) for report in reports]
    groups = equal_groups(
        {
            each.spec: (each.points, each.lanes, report.pe.cycles_depend_on_values)
            for each, report in zip(roofs, reports, strict=True)
        }
    )
    drawn = [each for each in roofs if any(each.spec == group[0] for group in groups)]
    by_name = {report.pe.spec: report for report in reports}
    labels = [[design_label(by_name[name]) for name in group] for group in groups]
    with house_style():
        panel = Panel.of(ax, width, PANEL_INCHES + 0.12 * len(groups))
        axes = panel.axes
        handles = _draw(axes, drawn)
        axes.set_xlabel("operational intensity (MACs per DRAM byte)")
        axes.set_ylabel("attained (MACs per cycle)")
        axes.grid(visible=True)
        panel.add_legend(subject_of(reports), handles, list(map(group_label, labels)))
        short = layer_names(reports[0].layers)
        notes = [*_notes(roofs, reports, short.prefix), *group_notes(labels)]
        count = len(short.labels)
        if count > MOST_NAMED_LAYERS:
            notes.append(
                f"named: the {MOST_NAMED_LAYERS} of {counted(count, 'layer')} that take most cycles"
            )
        panel.add_notes(notes)
        _name_layers(axes, drawn, short.labels, reports[0])
    return delivered(panel.figure, path, ax, title="Roofline", **saving)


roofline_figure = plot_roofline


def _notes(roofs: Sequence[Roofline], reports: Sequence[Report], prefix: str) -> list[str]:
    kept = any(point.kept_8bit for each in roofs for point in each.points)
    return [
        _roof_note(roofs[0]),
        value_note(reports),
        *([f"hollow: kept at 8 bits, run {where_kept(reports)}"] if kept else []),
        *([f"layers: names begin with {shortened(prefix, LONGEST_PREFIX)}"] if prefix else []),
        *result_notes(reports),
    ]


def _name_layers(
    axes: Axes, drawn: Sequence[Roofline], labels: Sequence[str], report: Report
) -> None:
    """Name layers at the first design's marks, those of most cycles first, where there is room."""
    first, *others = drawn
    by_name = dict(zip((layer.name for layer in report.layers), labels, strict=True))
    cycles = {layer.name: layer.cycles.total for layer in report.layers}
    order = sorted(first.points, key=lambda point: -cycles[point.layer])
    every = [Named(point.intensity, point.attained, by_name[point.layer]) for point in order]
    marks, rest = every[:MOST_NAMED_LAYERS], every[MOST_NAMED_LAYERS:]
    beside = [(mark.x, mark.y) for mark in rest]
    beside += [(point.intensity, point.attained) for each in others for point in each.points]
    right = axes.get_xlim()[1]
    beside += [(right / aside, each.compute_roof) for each in drawn for aside in (1, 1.15, 1.3)]
    roofs = [
        (float(place), each.roof(float(place)))
        for each in drawn
        for place in np.geomspace(*axes.get_xlim(), ROOF_POINTS)
    ]
    name_marks(axes, marks, beside, roofs, points=LAYER_POINTS)


def _roof_note(roofs: Roofline) -> str:
    slope = "no limit" if roofs.bandwidth is None else f"{roofs.bandwidth:g} bytes per cycle"
    return f"slope: DRAM bandwidth, {slope}; flat: {roofs.pes} PEs x lanes"


def _draw(axes: Axes, roofs: Sequence[Roofline]) -> list[Line2D]:
    """Draw roofs and layers; return what the legend shows."""
    looks = looks_of([each.spec for each in roofs])
    intensities = [point.intensity for each in roofs for point in each.points]
    low, high = min(intensities) / 2, max(intensities) * 2
    for each in {each.compute_roof: each for each in roofs}.values():
        _draw_roof(axes, each, low, high)
    _draw_kept(axes, roofs[0])
    for each in roofs:
        _draw_layers(axes, each, looks[each.spec])
    _set_scales(axes, high)
    return [Line2D([], [], linestyle="none", **_mark(looks[each.spec])) for each in roofs]


def _mark(look: Look) -> dict[str, Any]:
    return {
        "color": look.color,
        "marker": look.marker,
        "markersize": 4,
        "markeredgecolor": INK,
        "markeredgewidth": 0.4,
    }


def _draw_kept(axes: Axes, roofs: Roofline) -> None:
    """Draw the layers that stay at 8 bits, which are the same under every design."""
    hollow: dict[str, Any] = {
        "markersize": 4,
        "markeredgewidth": 0.6,
        "color": "none",
        "markeredgecolor": INK,
    }
    for point in roofs.points:
        if point.kept_8bit:
            axes.plot(point.intensity, point.attained, marker="o", linestyle="none", **hollow)


def _draw_layers(axes: Axes, roofs: Roofline, look: Look) -> None:
    for point in roofs.points:
        if not point.kept_8bit:
            axes.plot(point.intensity, point.attained, linestyle="none", zorder=3, **_mark(look))


def _set_scales(axes: Axes, high: float) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(right=high * 1.5)  # room for the lanes
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FormatStrFormatter("%g"))
        axis.set_minor_formatter(NullFormatter())


def _draw_roof(axes: Axes, roofs: Roofline, low: float, high: float) -> None:
    """Draw both roofs and their corner, and say at the end how many lanes the flat one is of."""
    corner = [] if roofs.bandwidth is None else [roofs.compute_roof / roofs.bandwidth]
    places = sorted([low, high, *(place for place in corner if low < place < high)])
    axes.plot(
        places, [roofs.roof(place) for place in places], color=ROOF_GREY, linewidth=0.8, zorder=1
    )
    if roofs.roof(high) == roofs.compute_roof:
        axes.annotate(
            f"x {roofs.lanes}",
            (high, roofs.compute_roof),
            (2, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL_POINTS,
            color=INK,
        )
