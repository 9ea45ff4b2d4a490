"""Speedup over the baseline against DRAM bandwidth, a line a design: where a gain dies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sparqsim.analysis.bandwidth import BandwidthCurves
from sparqsim.base.errors import InputError
from sparqsim.plot.labels import (
    coverage_note,
    equal_groups,
    group_label,
    group_notes,
    marked,
    subject,
    varying_note,
)
from sparqsim.plot.panel import Panel, check_target, delivered
from sparqsim.plot.style import INK, Saving, house_style, line_color, looks_of
from sparqsim.results.setting import note_lines

PANEL_INCHES = 2.4
#: The mark without memory stands this many times to the right of the largest bandwidth.
WITHOUT_MEMORY = 2.5


def plot_bandwidth(
    curves: BandwidthCurves,
    path: str | Path | None = None,
    *,
    ax: Axes | None = None,
    width: str = "column",
    **saving: Unpack[Saving],
) -> Figure:
    """Draw lines of speedup (x) over DRAM bandwidth (bytes per cycle, logarithmic); the last mark:
    without memory.

    `path`, `ax`, `width`, `saving` and errors as in `plot_pareto`.

    Raises
    ------
    InputError
        For curves without a finite bandwidth, too.
    """
    check_target(path, ax)
    finite = [at for at, value in enumerate(curves.bandwidths) if value is not None]
    if not finite:
        raise InputError("bandwidth curves: no finite bandwidth, expected at least one")
    varying = curves.cycles_depend_on_values
    groups = equal_groups(
        {
            name: (curves.speedup[name], curves.array_speedup[name], varying.get(name))
            for name in curves.order
        }
    )
    labels = [
        [marked(name, varying=varying.get(name, False)) for name in group] for group in groups
    ]
    with house_style():
        panel = Panel.of(ax, width, PANEL_INCHES + 0.12 * len(groups))
        axes = panel.axes
        handles = _draw_lines(axes, curves, [group[0] for group in groups], finite)
        axes.set_ylabel(f"speedup (x) over {curves.baseline}")
        axes.set_xlabel("DRAM bandwidth (bytes per cycle)")
        axes.set_ylim(bottom=0)
        axes.grid(visible=True)
        panel.add_legend(
            subject(curves.provenance, curves.array),
            handles,
            [group_label(group) for group in labels],
        )
        panel.add_notes([*_notes(curves), *group_notes(labels)])
    return delivered(panel.figure, path, ax, title="Speedup against DRAM bandwidth", **saving)


bandwidth_figure = plot_bandwidth


def _notes(curves: BandwidthCurves) -> list[str]:
    memory, varying = curves.memory, curves.cycles_depend_on_values
    return [
        f"memory {memory.name}, storage {memory.storage}, loop order {memory.loop_order}",
        "all designs at equal bandwidth; rightmost: memory not modelled",
        *([varying_note([*varying.values()])] if varying else []),
        coverage_note(curves.coverage, curves.macs or 0),
        *note_lines(curves.timing_notes),
        *curves.confound_notes,
    ]


def _draw_lines(
    axes: Axes, curves: BandwidthCurves, names: Sequence[str], finite: list[int]
) -> list[Line2D]:
    """Draw every design's line and its mark without memory; return what the legend shows."""
    looks, handles = looks_of(curves.order), []
    places = [curves.bandwidths[at] or 0.0 for at in finite]
    right = max(places) * WITHOUT_MEMORY
    for name in names:
        look, speedups = looks[name], [curves.speedup[name][at] for at in finite]
        style: dict[str, Any] = {
            "color": line_color(look),
            "marker": look.marker,
            "markersize": 3.5,
            "markerfacecolor": look.color,
            "markeredgecolor": INK,
            "markeredgewidth": 0.3,
        }
        handles += axes.plot(places, speedups, **style)
        axes.plot(
            [places[-1], right],
            [speedups[-1], curves.array_speedup[name]],
            linestyle=":",
            color=line_color(look),
        )
        axes.plot([right], [curves.array_speedup[name]], **style)
    axes.set_xscale("log", base=2)
    ticks = places if len(places) <= 10 else places[:: -(-len(places) // 10)]
    axes.set_xticks([*ticks, right], [*(f"{value:g}" for value in ticks), "no\nmemory"])
    axes.minorticks_off()
    return handles
