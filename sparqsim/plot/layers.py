"""Where the cycles went: stacked attribution bars, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sparqsim.layer_report import Cycles
from sparqsim.plot.labels import (
    add_legend,
    add_notes,
    design_label,
    reading_notes,
    subject_of,
    wrapped,
)
from sparqsim.plot.slots import Slot, frame, label_height_inches, panel_rows, slot_rows
from sparqsim.plot.style import (
    CYCLE_LOOKS,
    FONT_POINTS,
    INK,
    SMALL_POINTS,
    figure_format,
    house_style,
    save_figure,
)
from sparqsim.report import Comparison, Report

BAR_POINTS = 6.0
PANEL_INCHES = 1.05


def plot_layers(
    result: Comparison | Report, path: str | Path, *, width: str = "page", command: str = ""
) -> None:
    """Draw `layers_figure` into a file. Parameters and errors as in `plot_speedup`."""
    figure_format(path)
    save_figure(
        layers_figure(result, width=width), path, title="Where the cycles went", command=command
    )


def layers_figure(result: Comparison | Report, *, width: str = "page") -> Figure:
    """Return stacked bars of cycles by what they were spent on.

    A report gives two panels: cycles of each layer, and their shares with the total. A comparison gives one panel for
    each design, in percent of the baseline's cycles in the same layer; designs with equal cycles everywhere share one.
    """
    return (
        _comparison_figure(result, width)
        if isinstance(result, Comparison)
        else _report_figure(result, width)
    )


def _report_figure(report: Report, width: str) -> Figure:
    rows = slot_rows(len(report.layers), width, 1, BAR_POINTS)
    parts = parts_spent([report])
    cycles = [layer.cycles for layer in report.layers]
    unit, unit_name = _unit(max(each.total for each in cycles))
    absolute = Stacks(cycles, report.cycles, [unit] * (len(cycles) + 1), parts)
    shares = Stacks(
        cycles, report.cycles, [each.total / 100 for each in (*cycles, report.cycles)], parts
    )
    with house_style():
        figure, panels = panel_rows(
            len(rows), (PANEL_INCHES,) * 2, width, label_height_inches(report.layers) + 0.35
        )
        for row, (upper, lower) in zip(rows, panels, strict=True):
            absolute.draw(upper, (slot for slot in row.slots if slot.index is not None))
            shares.draw(lower, row.slots)
            upper.set_ylabel(f"array cycles\n({unit_name})")
            lower.set_ylabel("share of\ncycles (%)")
            lower.set_ylim(0, 100)
            frame((upper, lower), row, report.layers)
        _write_total(panels[-1][0], rows[-1].slots[-1], report.cycles)
        _same_limits([upper for upper, _ in panels])
        panels[-1][-1].set_xlabel("layer")
        _add_words(figure, [report], parts, f"{design_label(report)}\n{subject_of(report)}")
    return figure


def _write_total(axes: Axes, slot: Slot, cycles: Cycles) -> None:
    """Write the total where a bar would dwarf the layers."""
    axes.text(
        slot.center,
        0.5,
        f"{cycles.total:,} cycles",
        rotation=90,
        ha="center",
        va="center",
        fontsize=SMALL_POINTS,
        transform=axes.get_xaxis_transform(),
    )


def _comparison_figure(comparison: Comparison, width: str) -> Figure:
    reports = [comparison.reports[name] for name in comparison.order]
    baseline, groups, parts = (
        comparison.reports[comparison.baseline],
        equal_cycles(reports),
        parts_spent(reports),
    )
    rows = slot_rows(len(baseline.layers), width, 1, BAR_POINTS)
    hundredths = [
        cycles.total / 100
        for cycles in (*(layer.cycles for layer in baseline.layers), baseline.cycles)
    ]
    with house_style():
        around = label_height_inches(baseline.layers) + 0.5
        figure, panels = panel_rows(len(rows), (PANEL_INCHES,) * len(groups), width, around)
        for row, axes_of_row in zip(rows, panels, strict=True):
            for axes, group in zip(axes_of_row, groups, strict=True):
                stacks = Stacks(
                    [layer.cycles for layer in group[0].layers], group[0].cycles, hundredths, parts
                )
                stacks.draw(axes, row.slots)
                names = " = ".join(design_label(report) for report in group)
                axes.set_title(wrapped(figure, names, FONT_POINTS), loc="left", pad=2)
                axes.set_ylabel("cycles (%)")
            frame(axes_of_row, row, baseline.layers)
        _same_limits([axes for axes_of_row in panels for axes in axes_of_row])
        panels[-1][-1].set_xlabel("layer")
        meaning = f"Cycles, 100 % = {comparison.baseline} in the same layer"
        _add_words(figure, reports, parts, f"{meaning}\n{subject_of(baseline)}")
    return figure


def equal_cycles(reports: Sequence[Report]) -> list[list[Report]]:
    """Group reports whose every layer spends the same cycles on the same things."""
    groups: dict[tuple[Cycles, ...], list[Report]] = {}
    for report in reports:
        groups.setdefault(tuple(layer.cycles for layer in report.layers), []).append(report)
    return list(groups.values())


def parts_spent(reports: Sequence[Report]) -> list[str]:
    """Return the classes of cycles that occur at all."""
    return [part for part in CYCLE_LOOKS if any(getattr(report.cycles, part) for report in reports)]


@dataclass(frozen=True)
class Stacks:
    """Cycles to be stacked: of each layer and the total, each in units of its own (the total's are last).

    `parts`: the classes of cycles, from the bottom.
    """

    layers: Sequence[Cycles]
    total: Cycles
    units: Sequence[float]
    parts: Sequence[str]

    def draw(self, axes: Axes, slots: Iterable[Slot]) -> None:
        """Draw one stacked bar in each slot."""
        for slot in slots:
            at = len(self.layers) if slot.index is None else slot.index
            cycles, unit = [*self.layers, self.total][at], self.units[at]
            (place,), bar = slot.places(1)
            bottom = 0.0
            for part in self.parts:
                look, height = CYCLE_LOOKS[part], getattr(cycles, part) / unit
                axes.bar(
                    place, height, bar, bottom, color=look.color, hatch=look.hatch, edgecolor=INK
                )
                bottom += height


def _unit(most: int) -> tuple[int, str]:
    """Return the unit in which `most` cycles is a short number, and its name."""
    for unit, name in ((10**9, "billions"), (10**6, "millions"), (10**3, "thousands")):
        if most >= 2 * unit:
            return unit, name
    return 1, "count"


def _same_limits(panels: Sequence[Axes]) -> None:
    highest = max(axes.get_ylim()[1] for axes in panels)
    for axes in panels:
        axes.set_ylim(0, highest)


def _add_words(figure: Figure, reports: Sequence[Report], parts: Sequence[str], title: str) -> None:
    """Add title, legend and notes."""
    handles = [
        Patch(facecolor=CYCLE_LOOKS[part].color, hatch=CYCLE_LOOKS[part].hatch, edgecolor=INK)
        for part in parts
    ]
    add_legend(figure, title, handles, [part.replace("_", " ") for part in parts])
    add_notes(figure, reading_notes(reports))
