"""Layers side by side, the total last: where each has its place, wrapped into rows that fit a
page's width.

A slot is the width of one layer; x is counted in slots from the left end of a row.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparqsim.plot.labels import TOTAL, layer_names, text_points, wrapped
from sparqsim.plot.layer_names import shortened
from sparqsim.plot.style import (
    FONT_POINTS,
    INK,
    MOST_HEIGHT_INCHES,
    PALE,
    POINTS_PER_INCH,
    SMALL_POINTS,
    figure_of,
    new_figure,
    width_inches,
)
from sparqsim.results.layer_report import LayerReport

#: Room for a bar's value, written upwards.
VALUE_POINTS = 8.0
#: Left of the axes: tick labels and the label of the axis.
MARGIN_INCHES = 0.55
#: Room for one line of rotated text.
LEAST_SLOT_POINTS = 9.0
FILLED = 0.84
#: Title, legend and notes.
WORDS_INCHES = 1.5
#: How thin bars and how low panels get before layers are grouped.
THINNEST, LOWEST = 0.5, 0.8
#: Of a figure's width: what an axis is long at least.
AXIS_SHARE = 0.75
#: Most characters of what the axis says of the layers' names.
LONGEST_PREFIX = 90


@dataclass(frozen=True)
class Slot:
    """A place for one layer (`index`, counted from 0) or the total (`index` None)."""

    index: int | None
    center: float
    width: float

    def places(self, number: int) -> tuple[list[float], float]:
        """Return the centres of `number` bars side by side, and the width of one."""
        bar = FILLED * self.width / number
        return [self.center + (at - (number - 1) / 2) * bar for at in range(number)], bar


@dataclass(frozen=True)
class SlotRow:
    """One row of a wrapped figure: its slots, and how many slots wide every row is."""

    slots: tuple[Slot, ...]
    width: int


@dataclass(frozen=True)
class Layout:
    """How layers are laid out on a page: rows of slots, heights of panels, layers of a slot."""

    rows: list[SlotRow]
    heights_inches: tuple[float, ...]
    group: int


def laid_out(
    layers: int,
    width: str,
    bars: int,
    bar_points: float,
    heights_inches: Sequence[float],
    around_inches: float,
    most_inches: float = MOST_HEIGHT_INCHES,
) -> Layout:
    """Lay out layers and the total so that the figure is at most `most_inches` tall.

    Bars get thinner first, then panels lower; then consecutive layers share a slot.

    Parameters
    ----------
    layers, width, bars, bar_points
        As in `slot_rows`.
    heights_inches : sequence of float
        Of the panels of a row.
    around_inches : float
        Height of what is not a panel, for each row.
    most_inches : float
    """
    room_inches = most_inches - WORDS_INCHES * most_inches / MOST_HEIGHT_INCHES
    for group in range(1, layers + 1):
        for scale, thinner in itertools.product((1, LOWEST), (1, THINNEST)):
            heights = tuple(scale * height for height in heights_inches)
            rows = slot_rows(-(-layers // group), width, bars, thinner * bar_points)
            if len(rows) * (sum(heights) + around_inches) <= room_inches:
                return Layout(rows, heights, group)
    return Layout(rows, heights, layers)


def slot_rows(layers: int, width: str, bars: int, bar_points: float) -> list[SlotRow]:
    """Cut `layers` and the total into rows of equal width.

    Parameters
    ----------
    layers : int
    width : str
        'column' or 'page'.
    bars : int
        Bars in a slot.
    bar_points : float
        Least width of a bar, points.
    """
    slot_points = max(LEAST_SLOT_POINTS, bars * bar_points / FILLED)
    total = max(2, math.ceil(bars * VALUE_POINTS / FILLED / slot_points))
    fitting = max(total, int((width_inches(width) - MARGIN_INCHES) * POINTS_PER_INCH / slot_points))
    rows = -(-(layers + total) // fitting)
    size = max(total, -(-(layers + total) // rows))
    return [
        SlotRow(tuple(_slots(layers, at * size, size, total if at == rows - 1 else 0)), size)
        for at in range(rows)
    ]


def _slots(layers: int, start: int, size: int, total: int) -> Iterator[Slot]:
    here = range(start, min(start + size, layers))
    yield from (Slot(index, at + 0.5, 1) for at, index in enumerate(here))
    if total:
        yield Slot(None, len(here) + total / 2, total)


def panel_rows(
    rows: int,
    heights_inches: Sequence[float],
    width: str,
    around_inches: float,
    most_inches: float = MOST_HEIGHT_INCHES,
) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure of `rows` x len(heights_inches) panels below each other, and its axes row by
    row.

    `around_inches`: height of what is not a panel, for each row: layer names, legend, title.
    """
    height_inches = rows * (sum(heights_inches) + around_inches) + 0.5
    figure = new_figure(width, height_inches, most_inches)
    axes = figure.subplots(
        rows * len(heights_inches), 1, squeeze=False, height_ratios=[*heights_inches] * rows
    )[:, 0]
    return figure, [list(part) for part in axes.reshape(rows, -1)]


def frame(panels: Sequence[Axes], row: SlotRow, layers: Sequence[LayerReport]) -> None:
    """Give a row's panels their x axis: names under the last, kept layers shaded, total set off."""
    for axes in panels:
        axes.set_xlim(0, row.width)
        axes.grid(visible=True, axis="y")
        axes.set_xticks([])
        for slot in row.slots:
            _mark_slot(axes, slot, layers)
    labels = layer_names(layers).labels
    names = [TOTAL if slot.index is None else labels[slot.index] for slot in row.slots]
    panels[-1].set_xticks([slot.center for slot in row.slots], names, rotation=90)
    panels[-1].tick_params(axis="x", length=0)


def set_layer_label(axes: Axes, layers: Sequence[LayerReport]) -> None:
    """Say below the last panel what stands there, and once what all names begin with."""
    said = layer_names(layers).left_out_text()
    label = f"layer ({shortened(said, LONGEST_PREFIX)})" if said else "layer"
    axes.set_xlabel(wrapped(figure_of(axes), label, FONT_POINTS, AXIS_SHARE))


def _mark_slot(axes: Axes, slot: Slot, layers: Sequence[LayerReport]) -> None:
    left, right = slot.center - slot.width / 2, slot.center + slot.width / 2
    if slot.index is None:
        axes.axvline(left, color=INK, linewidth=0.5)
    elif layers[slot.index].kept_8bit:
        axes.axvspan(left, right, color=PALE, linewidth=0, zorder=0)


def label_height_inches(layers: Sequence[LayerReport]) -> float:
    """Return the height of the longest rotated layer name."""
    labels = layer_names(layers).labels
    return max(text_points(label, SMALL_POINTS) for label in labels) / POINTS_PER_INCH + 0.25
