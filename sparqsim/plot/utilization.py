"""Heat maps of the array: how busy each PE was."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from sparqsim.analysis.heatmap import Heatmap
from sparqsim.array.registry import reported_dataflow
from sparqsim.base.wording import counted
from sparqsim.plot.labels import add_notes, subject, wrapped
from sparqsim.plot.layer_names import shortened
from sparqsim.plot.panel import check_target, delivered
from sparqsim.plot.style import FONT_POINTS, Saving, house_style, new_figure
from sparqsim.results.setting import note_lines, timing_notes

#: Equal steps of lightness: readable in grey and by the colour-blind.
COLORS = "cividis"
#: Beyond this many PEs the cells are pixels, so that the file stays small.
MOST_VECTOR_CELLS = 4096
ROLES = {"m": "outputs M", "s": "steps of K", "n": "outputs N"}


def plot_utilization(
    heatmap: Heatmap,
    path: str | Path | None = None,
    *,
    width: str = "page",
    **saving: Unpack[Saving],
) -> Figure:
    """Draw two maps: cycles with a step in flight on real work, and MACs whose operands are both
    non-zero.

    `heatmap` is that of `sparqsim.analysis.heatmap`; the rest as in `plot_speedup`.
    """
    check_target(path)
    with house_style():
        figure = new_figure(width, 3.2 if width == "page" else 5.4)
        panels = figure.subplots(*((1, 2) if width == "page" else (2, 1)))
        _draw_map(
            panels[0],
            heatmap,
            heatmap.in_flight,
            "Step in flight on real work",
            "share of cycles (%)",
        )
        _draw_map(
            panels[1],
            heatmap,
            heatmap.effective,
            "Both operands non-zero",
            "share of MACs possible (%)",
        )
        figure.suptitle(wrapped(figure, _title(heatmap), FONT_POINTS), fontsize=FONT_POINTS)
        add_notes(figure, _notes(heatmap))
    return delivered(figure, path, title="Busy share of each PE", **saving)


utilization_figure = plot_utilization


def _notes(heatmap: Heatmap) -> list[str]:
    coverage, pe = heatmap.provenance.coverage, heatmap.pe
    notes = [f"cycles of {coverage.inputs_text()}" if coverage.inputs else coverage.inputs_text()]
    if coverage.left_out and not heatmap.layer:
        notes.append(f"of the network not simulated: {coverage.names()}")
    return [*notes, *note_lines(timing_notes([pe]))]


def _title(heatmap: Heatmap) -> str:
    scope = heatmap.provenance.coverage.scope()
    what = f"layer {shortened(heatmap.layer, 60)}" if heatmap.layer else scope.lower()
    cycles = counted(heatmap.cycles_total, "cycle")
    about = subject(heatmap.provenance, heatmap.array)
    return f"{heatmap.pe.spec}, {what}, {cycles}\n{about}"


def _draw_map(
    axes: Axes, heatmap: Heatmap, share: NDArray[np.float64], title: str, unit: str
) -> None:
    percent = 100 * share
    rows, cols = percent.shape
    edges = np.arange(cols + 1) - 0.5, np.arange(rows + 1) - 0.5
    mesh = axes.pcolormesh(
        *edges,
        percent,
        cmap=COLORS,
        edgecolors="face",
        linewidth=0.1,
        vmin=0,
        vmax=_round_up(percent.max()),
        rasterized=percent.size > MOST_VECTOR_CELLS,
    )
    axes.set_aspect("equal")
    axes.invert_yaxis()  # row 0, where columns' operands enter, is at the top
    axes.spines[["left", "bottom"]].set_visible(False)
    _, along_rows, along_cols = tuple(reported_dataflow(heatmap.array.dataflow).roles)
    axes.set_ylabel(f"PE row ({ROLES[along_rows]})")
    axes.set_xlabel(f"PE column ({ROLES[along_cols]})")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_title(
        f"{title}\nleast {percent.min():.1f}, mean {percent.mean():.1f}, most {percent.max():.1f} %"
    )
    axes.figure.colorbar(mesh, ax=axes, label=unit, shrink=0.85)


def _round_up(percent: float) -> float:
    """Return the end of a scale from 0 that holds `percent`: 1, 2, 5, 10, then tens."""
    return next((limit for limit in (1, 2, 5) if percent <= limit), 10 * np.ceil(percent / 10))
