"""Where the cycles went: stacked attribution bars, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Unpack

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sparqsim.base.wording import counted
from sparqsim.plot.groups import group_note, grouped
from sparqsim.plot.labels import (
    add_legend,
    add_notes,
    cycles_unit,
    design_label,
    equal_groups,
    group_label,
    group_notes,
    reading_notes,
    subject_of,
    wrapped,
)
from sparqsim.plot.panel import check_target, delivered
from sparqsim.plot.slots import (
    WORDS_INCHES,
    Slot,
    frame,
    label_height_inches,
    laid_out,
    panel_rows,
    set_layer_label,
)
from sparqsim.plot.style import (
    CYCLE_LOOKS,
    FONT_POINTS,
    INK,
    MOST_HEIGHT_INCHES,
    SMALL_POINTS,
    Saving,
    house_style,
    most_height_inches,
)
from sparqsim.results.comparison import Comparison
from sparqsim.results.layer_report import Cycles
from sparqsim.results.report import Report

BAR_POINTS = 6.0
PANEL_INCHES = 1.05


def plot_layers(
    result: Comparison | Report,
    path: str | Path | None = None,
    *,
    width: str = "page",
    **saving: Unpack[Saving],
) -> Figure:
    """Draw stacked bars of cycles by what they were spent on.

    A report gives two panels: cycles of each layer, and their shares with the total. A comparison
    gives one panel for each design, in percent of the baseline's cycles in the same layer; designs
    with equal cycles everywhere share one. The rest as in `plot_speedup`.
    """
    check_target(path)
    figure = (
        _comparison_figure(result, width)
        if isinstance(result, Comparison)
        else _report_figure(result, width)
    )
    return delivered(figure, path, title="Where the cycles went", **saving)


layers_figure = plot_layers


def _report_figure(report: Report, width: str) -> Figure:
    around = label_height_inches(report.layers) + 0.35
    heights = (PANEL_INCHES,) * 2
    layout = laid_out(len(report.layers), width, 1, BAR_POINTS, heights, around)
    drawn, parts = grouped(report, layout.group), parts_spent([report])
    cycles = [layer.cycles for layer in drawn.layers]
    unit, unit_name = cycles_unit(max(each.total for each in cycles))
    absolute = Stacks(cycles, report.cycles, [unit] * (len(cycles) + 1), parts)
    shares = Stacks(
        cycles, report.cycles, [each.total / 100 for each in (*cycles, report.cycles)], parts
    )
    with house_style():
        figure, panels = panel_rows(len(layout.rows), layout.heights_inches, width, around)
        for row, (upper, lower) in zip(layout.rows, panels, strict=True):
            absolute.draw(upper, (slot for slot in row.slots if slot.index is not None))
            shares.draw(lower, row.slots)
            upper.set_ylabel(f"array cycles\n({unit_name})")
            lower.set_ylabel("share of\ncycles (%)")
            lower.set_ylim(0, 100)
            frame((upper, lower), row, drawn.layers)
        _write_total(panels[-1][0], layout.rows[-1].slots[-1], report.cycles)
        _same_limits([upper for upper, _ in panels])
        set_layer_label(panels[-1][-1], drawn.layers)
        title = f"{design_label(report)}\n{subject_of([report])}"
        _add_words(figure, [report], parts, title, group_note(report.layers, layout.group))
    return figure


def _write_total(axes: Axes, slot: Slot, cycles: Cycles) -> None:
    """Write the total where a bar would dwarf the layers."""
    axes.text(
        slot.center,
        0.5,
        counted(cycles.total, "cycle"),
        rotation=90,
        ha="center",
        va="center",
        fontsize=SMALL_POINTS,
        transform=axes.get_xaxis_transform(),
    )


def _comparison_figure(comparison: Comparison, width: str) -> Figure:
    reports = [comparison.reports[name] for name in comparison.order]
    every_layer = comparison.reports[comparison.baseline].layers
    groups, parts = equal_cycles(reports), parts_spent(reports)
    around = label_height_inches(every_layer) + 0.5
    most_inches = most_height_inches(len(groups))
    room_inches = most_inches - WORDS_INCHES * most_inches / MOST_HEIGHT_INCHES - around
    heights = (min(PANEL_INCHES, room_inches / len(groups)),) * len(groups)
    layout = laid_out(len(every_layer), width, 1, BAR_POINTS, heights, around, most_inches)
    drawn = grouped(comparison, layout.group)
    baseline = drawn.reports[comparison.baseline]
    hundredths = [
        cycles.total / 100
        for cycles in (*(layer.cycles for layer in baseline.layers), baseline.cycles)
    ]
    labels = [[design_label(report) for report in group] for group in groups]
    with house_style():
        figure, panels = panel_rows(
            len(layout.rows), layout.heights_inches, width, around, most_inches
        )
        for row, axes_of_row in zip(layout.rows, panels, strict=True):
            for axes, group, names in zip(axes_of_row, groups, labels, strict=True):
                own = drawn.reports[group[0].pe.spec]
                cycles = [layer.cycles for layer in own.layers]
                Stacks(cycles, own.cycles, hundredths, parts).draw(axes, row.slots)
                title = wrapped(figure, group_label(names), FONT_POINTS)
                axes.set_title(title, loc="left", pad=2)
                axes.set_ylabel("cycles (%)")
            frame(axes_of_row, row, baseline.layers)
        _same_limits([axes for axes_of_row in panels for axes in axes_of_row])
        set_layer_label(panels[-1][-1], baseline.layers)
        meaning = f"Cycles, 100 % = {comparison.baseline} in the same layer"
        notes = [*group_note(every_layer, layout.group), *group_notes(labels)]
        _add_words(figure, reports, parts, f"{meaning}\n{subject_of([baseline, *reports])}", notes)
    return figure


def equal_cycles(reports: Sequence[Report]) -> list[list[Report]]:
    """Group reports whose every layer spends the same cycles on the same things."""
    by_name = {report.pe.spec: report for report in reports}
    spent = {
        name: (
            report.pe.cycles_depend_on_values,
            [layer.cycles for layer in report.layers],
        )
        for name, report in by_name.items()
    }
    return [[by_name[name] for name in group] for group in equal_groups(spent)]


def parts_spent(reports: Sequence[Report]) -> list[str]:
    """Return the classes of cycles that occur at all."""
    return [part for part in CYCLE_LOOKS if any(getattr(report.cycles, part) for report in reports)]


@dataclass(frozen=True)
class Stacks:
    """Cycles to be stacked: of each layer and the total, each in units of its own (the total's are
    last).

    `parts`: the classes of cycles, from the bottom.
    """

    layers: Sequence[Cycles]
    total: Cycles
    units: Sequence[float]
    parts: Sequence[str]

    def draw(self, axes: Axes, slots: Iterable[Slot]) -> None:
        """Draw one stacked bar in each slot: all in one call, which takes as long as many bars."""
        drawn = [bar for slot in slots for bar in self._bars(slot)]
        places, heights, widths, bottoms, colors, hatches = zip(*drawn, strict=True)
        axes.bar(places, heights, widths, bottoms, color=colors, hatch=hatches, edgecolor=INK)

    def _bars(self, slot: Slot) -> Iterator[_Bar]:
        """Yield the bars of one slot, from the bottom."""
        at = len(self.layers) if slot.index is None else slot.index
        cycles, unit = [*self.layers, self.total][at], self.units[at]
        (place,), width = slot.places(1)
        bottom = 0.0
        for part in self.parts:
            height, look = getattr(cycles, part) / unit, CYCLE_LOOKS[part]
            yield _Bar(place, height, width, bottom, look.color, look.hatch)
            bottom += height


class _Bar(NamedTuple):
    """A class of cycles in a slot, in data of the axes."""

    place: float
    height: float
    width: float
    bottom: float
    color: str
    hatch: str


def _same_limits(panels: Sequence[Axes]) -> None:
    highest = max(axes.get_ylim()[1] for axes in panels)
    for axes in panels:
        axes.set_ylim(0, highest)


def _add_words(
    figure: Figure,
    reports: Sequence[Report],
    parts: Sequence[str],
    title: str,
    notes: Sequence[str],
) -> None:
    """Add title, legend and notes."""
    handles = [
        Patch(facecolor=CYCLE_LOOKS[part].color, hatch=CYCLE_LOOKS[part].hatch, edgecolor=INK)
        for part in parts
    ]
    add_legend(figure, title, handles, [part.replace("_", " ") for part in parts])
    add_notes(figure, [*reading_notes(reports), *notes])
