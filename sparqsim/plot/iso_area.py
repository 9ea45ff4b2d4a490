"""Speedup at equal area: bars with the range over libraries and flows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from sparqsim.plot.slots import SlotRow
from sparqsim.plot.style import INK, SMALL_POINTS, Look
from sparqsim.results.comparison import Comparison
from sparqsim.results.iso_area import IsoArea, Range

BASELINE: dict[str, Any] = {"color": INK, "linestyle": (0, (4, 2)), "linewidth": 0.7}
ERROR_BAR: dict[str, Any] = {
    "ecolor": INK,
    "elinewidth": 0.6,
    "capsize": 1.2,
    "capthick": 0.6,
    "fmt": "none",
    "zorder": 4,
}
#: Hides the baseline's line where a number stands on it.
BEHIND_TEXT = {"facecolor": "white", "edgecolor": "none", "pad": 0.4}


def draw_iso_area(
    axes: Axes, row: SlotRow, comparison: Comparison, specs: Sequence[str], looks: dict[str, Look]
) -> None:
    """Draw a bar for each layer and design at the median area, its error bar over all speedups."""
    for slot in row.slots:
        places, width = slot.places(len(specs))
        for place, spec in zip(places, specs, strict=True):
            if (speedup := iso_area_speedup(comparison, spec, slot.index)) is None:
                continue
            axes.bar(
                place,
                speedup.middle,
                width,
                color=looks[spec].color,
                hatch=looks[spec].hatch,
                edgecolor=INK,
            )
            axes.errorbar(
                place, speedup.middle, yerr=[[part] for part in reach(speedup)], **ERROR_BAR
            )
            if slot.index is None:
                write_above(axes, place, speedup.high, f"{speedup.middle:.2f}", 3)
    axes.axhline(1, **BASELINE)
    axes.set_ylim(0, _highest(comparison, specs) * 1.05 + 0.45)
    axes.set_ylabel(f"speedup (x) over\n{comparison.baseline}, equal area")


def write_above(axes: Axes, place: float, height: float, text: str, points: float) -> None:
    """Write a bar's figure upright, so many points above it."""
    axes.annotate(
        text,
        (place, height),
        (0, points),
        textcoords="offset points",
        rotation=90,
        ha="center",
        va="bottom",
        fontsize=SMALL_POINTS,
        bbox=BEHIND_TEXT,
    )


def iso_area_speedup(comparison: Comparison, spec: str, layer: int | None) -> Range | None:
    """Return the speedup of layer number `layer`, None: of the network; None without an area."""
    if layer is not None:
        return comparison.iso_area_layer_speedup(spec, layer)
    design = comparison.iso_area.designs.get(spec) if comparison.iso_area else None
    return None if design is None else design.speedup


def reach(figure: Range) -> tuple[float, float]:
    """Return how far a range goes below its middle, and above it."""
    return figure.middle - figure.low, figure.high - figure.middle


def _highest(comparison: Comparison, specs: Sequence[str]) -> float:
    layers = range(len(comparison.reports[comparison.baseline].layers))
    ranges = [iso_area_speedup(comparison, spec, at) for spec in specs for at in (*layers, None)]
    return max([1.0, *(each.high for each in ranges if each is not None)])


def iso_area_notes(iso: IsoArea) -> list[str]:
    """Return what a reader of areas must know, as one note."""
    missing = f"; no area: {', '.join(iso.without_area)}" if iso.without_area else ""
    return [
        (
            f"equal area: {iso.source} ({iso.taken_from}), median and range of "
            f"{iso.combinations} libraries x flows, gates only{missing}"
        )
    ]
