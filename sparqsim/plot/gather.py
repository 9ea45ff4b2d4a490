"""Bytes, bursts and rate of embedding gathers over the width of a row, a line a format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Unpack

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sparqsim.base.wording import counted
from sparqsim.plot.labels import add_legend, add_notes
from sparqsim.plot.panel import check_target, delivered
from sparqsim.plot.style import (
    INK,
    Look,
    Saving,
    house_style,
    line_color,
    looks_of,
    new_figure,
)
from sparqsim.results.gather_report import GatherEntry, GatherReport

PANEL_INCHES = 1.9
AROUND_INCHES = 0.9
#: Of the formats that ship; others take spare ones.
FORMAT_LOOKS = {
    "fp32": Look("#4d4d4d", marker="s"),
    "fp16": Look("#999999", marker="D"),
    "int8": Look("#0072b2", marker="o"),
    "int4": Look("#d55e00", marker="^"),
    "codebook4": Look("#009e73", marker="v"),
}
Value = Callable[[GatherEntry], float]
#: What each panel shows, by its name.
PANELS: tuple[tuple[str, Value], ...] = (
    ("a row (bytes)", lambda each: each.row_bytes),
    ("a look-up (bursts)", lambda each: each.bursts_per_lookup),
    ("look-ups (per 1000 cycles)", lambda each: 1000 * each.lookups_per_cycle),
)


def plot_gather(
    report: GatherReport,
    path: str | Path | None = None,
    *,
    width: str = "page",
    **saving: Unpack[Saving],
) -> Figure:
    """Draw bytes of a row, bursts of a look-up and look-ups per 1000 cycles over the width of a
    row.

    A line for each row format; dotted where rows are packed, a short bar at the bound of a rate.

    Parameters
    ----------
    report : GatherReport
    path, width, **saving
        And errors: as in `plot_speedup`.
    """
    check_target(path)
    with house_style():
        figure = _figure(report, width)
    return delivered(figure, path, title="Gathers from an embedding table", **saving)


def _figure(report: GatherReport, width: str) -> Figure:
    formats = list(dict.fromkeys(each.format for each in report.entries))
    looks = looks_of(formats) | {
        name: FORMAT_LOOKS[name] for name in formats if name in FORMAT_LOOKS
    }
    side_by_side = width == "page"
    rows, columns = (1, len(PANELS)) if side_by_side else (len(PANELS), 1)
    figure = new_figure(width, rows * PANEL_INCHES + AROUND_INCHES)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, value) in zip(panels, PANELS, strict=True):
        _draw(axes, report, looks, value)
        axes.set_ylabel(name)
        if side_by_side or axes is panels[-1]:
            axes.set_xlabel("width of a row (elements)")
    _draw_bounds(panels[-1], report, looks)
    handles = [Line2D([], [], **_style(looks[name])) for name in formats]
    drawn = " [SYNTHETIC look-ups]" if report.lookups.synthetic else ""
    title = (
        f"{report.table.name}, {counted(report.lookups.lookups, 'look-up')}{drawn}, "
        f"{report.hardware.name}"
    )
    add_legend(figure, title, handles, formats)
    add_notes(figure, _notes(report))
    return figure


def _style(look: Look) -> dict[str, Any]:
    return {
        "color": line_color(look),
        "marker": look.marker,
        "markersize": 3.5,
        "markerfacecolor": look.color,
        "markeredgecolor": INK,
        "markeredgewidth": 0.3,
    }


def _draw(axes: Axes, report: GatherReport, looks: dict[str, Look], value: Value) -> None:
    layouts = list(dict.fromkeys(each.layout for each in report.entries))
    for name, look in looks.items():
        for number, layout in enumerate(layouts):
            drawn = _points(report, name, layout, value)
            if number:
                axes.plot(*drawn, linestyle=":", color=line_color(look))
            else:
                axes.plot(*drawn, **_style(look))
    widths = sorted({each.width for each in report.entries})
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, [str(each) for each in widths])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.grid(visible=True)


def _points(
    report: GatherReport, format_: str, layout: str, value: Value
) -> tuple[Sequence[float], Sequence[float]]:
    entries = [each for each in report.entries if (each.format, each.layout) == (format_, layout)]
    entries.sort(key=lambda each: each.width)
    return [each.width for each in entries], [value(each) for each in entries]


def _draw_bounds(axes: Axes, report: GatherReport, looks: dict[str, Look]) -> None:
    first = report.entries[0].layout
    for name, look in looks.items():
        drawn = _points(report, name, first, lambda each: 1000 * each.bounds.tightest[1])
        axes.plot(
            *drawn, linestyle="none", marker="_", markersize=9, color=line_color(look), zorder=1
        )


def _notes(report: GatherReport) -> list[str]:
    hardware = report.hardware
    bandwidth = hardware.bandwidth_bytes_per_cycle
    limit = "no limit" if bandwidth is None else f"{bandwidth:g} bytes per cycle"
    layouts = list(dict.fromkeys(each.layout for each in report.entries))
    notes = [
        (
            f"{limit}, latency {hardware.latency_cycles} cycles, bursts of "
            f"{hardware.burst_bytes} bytes, {counted(hardware.outstanding, 'row')} outstanding, "
            f"{counted(hardware.lanes, 'lane')}"
        ),
        f"rows {layouts[0]}" + (f"; dotted: {layouts[1]}" if len(layouts) > 1 else ""),
        "short bars: the least of the bounds of channel, lanes, requests and latency",
        "where formats have the same value, the later one in the legend is on top",
    ]
    if report.lookups.synthetic:
        notes.append(f"look-ups are SYNTHETIC: {report.lookups.synthetic}")
    if len({each.width for each in report.entries}) > 1:
        notes.append("narrower rows: the first elements of the table's")
    return notes
