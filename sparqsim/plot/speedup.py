"""Speedup per layer and in total, and below it what it costs in error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sparqsim.plot.groups import group_note, grouped
from sparqsim.plot.iso_area import BASELINE, draw_iso_area, iso_area_notes, write_above
from sparqsim.plot.labels import (
    add_legend,
    add_notes,
    design_label,
    equal_groups,
    group_label,
    group_notes,
    reading_notes,
    subject_of,
)
from sparqsim.plot.panel import check_target, delivered
from sparqsim.plot.slots import (
    SlotRow,
    frame,
    label_height_inches,
    laid_out,
    panel_rows,
    set_layer_label,
)
from sparqsim.plot.style import (
    INK,
    Look,
    Saving,
    house_style,
    looks_of,
    most_height_inches,
)
from sparqsim.results.comparison import Comparison
from sparqsim.results.layer_report import Error
from sparqsim.results.report import Report

LEAST_BAR_POINTS = 3.2
HEIGHTS_INCHES = (1.45, 1.0)
ISO_AREA_INCHES = 1.3
EXACT_LABEL = "exact"
#: How far above the decibels exact results are drawn, in heights of the decibel axis: room for a
#: line of text.
EXACT_STEP = 0.22
MARK: dict[str, Any] = {
    "linestyle": "",
    "markersize": 3.2,
    "markeredgecolor": INK,
    "markeredgewidth": 0.3,
}


def plot_speedup(
    comparison: Comparison,
    path: str | Path | None = None,
    *,
    width: str = "page",
    **saving: Unpack[Saving],
) -> Figure:
    """Draw grouped bars of speedup over the baseline, by layer and in total, and each design's SQNR
    below its bar.

    Where the comparison tells of equal area, its speedups stand between: an error bar is the range
    over libraries and flows. Designs that are equal in all of it share a bar; layers that do not
    fit a page are grouped.

    Parameters
    ----------
    comparison : Comparison
    path : str or Path, optional
        .svg, .pdf or .png.
    width : str
        'page' or 'column'; layers that do not fit side by side continue on a further row, and where
        rows would not fit a page, consecutive layers are summed.
    **saving
        command, with_title, with_notes: as in `sparqsim.plot.style.Saving`.

    Returns
    -------
    Figure
        Of matplotlib, with panels of its own.

    Raises
    ------
    InputError
        For an unknown suffix or width, or a path that cannot be written.
    """
    check_target(path)
    figure = _figure(comparison, width)
    return delivered(figure, path, title=f"Speedup over {comparison.baseline}", **saving)


speedup_figure = plot_speedup


def _figure(comparison: Comparison, width: str) -> Figure:
    groups = _shown(comparison)
    specs = [group[0] for group in groups]
    every_layer = comparison.reports[comparison.baseline].layers
    between = () if comparison.iso_area is None else (ISO_AREA_INCHES,)
    heights = (HEIGHTS_INCHES[0], *between, HEIGHTS_INCHES[1])
    around = label_height_inches(every_layer) + 0.35
    most_inches = most_height_inches(len(specs))
    layout = laid_out(
        len(every_layer), width, len(specs), LEAST_BAR_POINTS, heights, around, most_inches
    )
    drawn = grouped(comparison, layout.group)
    shown = [drawn.reports[spec] for spec in specs]
    layers, looks, scale = shown[0].layers, looks_of(comparison.order), SqnrScale.of(shown)
    with house_style():
        figure, panels = panel_rows(
            len(layout.rows), layout.heights_inches, width, around, most_inches
        )
        for row, axes in zip(layout.rows, panels, strict=True):
            _draw_speedups(axes[0], row, drawn, shown, looks)
            _draw_errors(axes[-1], row, shown, looks, scale)
            for middle in axes[1:-1]:
                draw_iso_area(middle, row, drawn, specs, looks)
            frame(axes, row, layers)
        set_layer_label(panels[-1][-1], layers)
        notes = group_note(every_layer, layout.group)
        _draw_words(figure, comparison, groups, looks, notes)
    return figure


def _shown(comparison: Comparison) -> list[list[str]]:
    """Return the designs that get a bar, equal ones together; the baseline if it has an error."""
    names = list(comparison.order)
    others = [name for name in names if name != comparison.baseline]
    baseline_is_exact = comparison.reports[comparison.baseline].totals.error.noise == 0
    shown = others if others and baseline_is_exact else names
    return equal_groups({name: _drawn_values(comparison, name) for name in shown})


def _drawn_values(comparison: Comparison, name: str) -> object:
    """Return everything the figure draws of a design."""
    report = comparison.reports[name]
    iso = comparison.iso_area.designs.get(name) if comparison.iso_area else None
    return (
        [(layer.cycles.total, layer.error) for layer in report.layers],
        report.pe.cycles_depend_on_values,
        None if iso is None else iso.arrays,
    )


def _draw_speedups(
    axes: Axes,
    row: SlotRow,
    comparison: Comparison,
    shown: Sequence[Report],
    looks: dict[str, Look],
) -> None:
    for slot in row.slots:
        places, bar = slot.places(len(shown))
        values = [speedup_at(comparison, report.pe.spec, slot.index) for report in shown]
        axes.bar(
            places,
            values,
            bar,
            color=[looks[report.pe.spec].color for report in shown],
            hatch=[looks[report.pe.spec].hatch for report in shown],
            edgecolor=INK,
        )
        for place, value in zip(places, values, strict=True) if slot.index is None else ():
            write_above(axes, place, value, f"{value:.2f}", 1.5)
    axes.axhline(1, **BASELINE)
    axes.set_ylim(0, _highest(comparison, shown) * 1.05 + 0.35)
    axes.set_ylabel(f"speedup (x) over\n{comparison.baseline}, {comparison.terms}")


def speedup_at(comparison: Comparison, spec: str, layer: int | None) -> float:
    """Return the speedup of layer number `layer`, or of the whole network for None."""
    return comparison.speedup(spec) if layer is None else comparison.layer_speedup(spec, layer)


def _highest(comparison: Comparison, shown: Sequence[Report]) -> float:
    layers = range(len(shown[0].layers))
    return max(
        1.0, *(comparison.layer_speedup(report.pe.spec, at) for report in shown for at in layers)
    )


class SqnrScale:
    """The decibel axis: from below the least SQNR to above the greatest, then exact results."""

    def __init__(self, values: Sequence[float]) -> None:
        low, high = (min(values), max(values)) if values else (0.0, 10.0)
        self.bottom = 5 * math.floor((low - 1) / 5)
        self.top = 5 * math.ceil((high + 1) / 5)
        step = EXACT_STEP * (self.top - self.bottom)
        self.exact, self.limit = self.top + step, self.top + 1.5 * step

    @classmethod
    def of(cls, reports: Sequence[Report]) -> SqnrScale:
        """Return the scale that holds every layer and total of `reports`."""
        values = [
            part.error.sqnr_db for report in reports for part in (*report.layers, report.totals)
        ]
        return cls([value for value in values if value is not None])

    def place(self, error: Error) -> float:
        """Return where an error is drawn; nan for noise on an all-zero signal, without SQNR."""
        if error.noise == 0:
            return self.exact
        return math.nan if error.sqnr_db is None else error.sqnr_db

    def apply(self, axes: Axes) -> None:
        """Give the axes this scale, its line for exact results set off."""
        step = 5 * max(1, round((self.top - self.bottom) / 20))
        ticks = [*range(self.bottom, self.top + 1, step)]
        axes.set_ylim(self.bottom, self.limit)
        axes.set_yticks([*ticks, self.exact], [*map(str, ticks), EXACT_LABEL])


def _draw_errors(
    axes: Axes, row: SlotRow, shown: Sequence[Report], looks: dict[str, Look], scale: SqnrScale
) -> None:
    for slot in row.slots:
        for place, report in zip(slot.places(len(shown))[0], shown, strict=True):
            measured = report.totals if slot.index is None else report.layers[slot.index]
            look = looks[report.pe.spec]
            error = scale.place(measured.error)
            axes.plot(place, error, marker=look.marker, color=look.color, clip_on=False, **MARK)
    scale.apply(axes)
    axes.set_ylabel("output SQNR (dB)")


def _draw_words(
    figure: Figure,
    comparison: Comparison,
    groups: Sequence[Sequence[str]],
    looks: dict[str, Look],
    notes: Sequence[str],
) -> None:
    line = Line2D([], [], **BASELINE)
    handles = [(_patch(looks[group[0]]), _mark(looks[group[0]])) for group in groups]
    labels = [[design_label(comparison.reports[name]) for name in group] for group in groups]
    add_legend(
        figure,
        subject_of([comparison.reports[name] for name in (comparison.baseline, *comparison.order)]),
        [line, *handles],
        [f"{comparison.baseline} = 1", *map(group_label, labels)],
    )
    area = iso_area_notes(comparison.iso_area) if comparison.iso_area else []
    reports = [comparison.reports[name] for name in comparison.order]
    add_notes(figure, [*reading_notes(reports), *notes, *group_notes(labels), *area])


def _patch(look: Look) -> Patch:
    return Patch(facecolor=look.color, hatch=look.hatch, edgecolor=INK)


def _mark(look: Look) -> Line2D:
    return Line2D([], [], marker=look.marker, color=look.color, **MARK)
