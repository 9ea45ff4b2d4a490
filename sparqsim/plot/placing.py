"""Names beside marks: where each finds room without lying over a name, mark or line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from sparqsim.plot.labels import text_points
from sparqsim.plot.style import INK, POINTS_PER_INCH, figure_of

#: From a mark's middle to the nearest edge of its name, points; beyond the first two a line joins
#: them.
DISTANCES_POINTS = (4.5, 7.0, 12.0, 19.0, 28.0, 40.0, 55.0)
FREE_OF_LEADERS = 2
#: Directions in the order they are tried: right first, then around.
DIRECTIONS = tuple(sorted(range(0, 360, 15), key=lambda angle: (angle % 90 != 0, angle % 45 != 0)))
#: Half the width of a mark, and of the air around a name.
MARK_POINTS = 3.2
AIR_POINTS = 0.8
LEADER = {"arrowstyle": "-", "color": INK, "linewidth": 0.3, "shrinkA": 0, "shrinkB": 2}


@dataclass(frozen=True)
class Box:
    """A rectangle, points."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: Box) -> bool:
        """Return whether the two overlap."""
        apart = (
            self.right <= other.left
            or other.right <= self.left
            or self.top <= other.bottom
            or other.top <= self.bottom
        )
        return not apart

    def holds(self, other: Box) -> bool:
        """Return whether the other lies inside."""
        return (
            self.left <= other.left
            and self.bottom <= other.bottom
            and other.right <= self.right
            and other.top <= self.top
        )


@dataclass(frozen=True)
class Named:
    """A mark and its name: x, y in data of the axes."""

    x: float
    y: float
    name: str


def name_marks(
    axes: Axes,
    marks: Sequence[Named],
    others: Iterable[tuple[float, float]] = (),
    lines: Iterable[tuple[float, float]] = (),
    *,
    points: float,
) -> list[Named]:
    """Write names beside marks; return those that found no room.

    Call it last: it lays the figure out, and counts on its staying so.

    Parameters
    ----------
    axes : Axes
        Limits and scales final.
    marks : sequence of Named
        The first finds its place first.
    others : iterable of (x, y), optional
        Marks without a name, not to be written over either.
    lines : iterable of (x, y), optional
        Points on lines: names keep off them while there is other room.
    points : float
        Size of the letters.
    """
    figure_of(axes).draw_without_rendering()
    frame = _frame(axes)
    centers = [_place(axes, mark.x, mark.y) for mark in marks]
    solid = [_around(*at) for at in (*centers, *(_place(axes, *other) for other in others))]
    soft = [_around(*_place(axes, *point), AIR_POINTS) for point in lines]
    homeless = []
    for mark, center in zip(marks, centers, strict=True):
        spot = _spot(center, _size(mark.name, points), frame, (*solid, *soft)) or _spot(
            center, _size(mark.name, points), frame, solid
        )
        if spot is None:
            homeless.append(mark)
            continue
        solid.append(spot.box)
        _write(axes, mark, spot, points)
    return homeless


@dataclass(frozen=True)
class _Spot:
    """Where a name goes: its box, and how far its middle is from the mark's."""

    box: Box
    offset: tuple[float, float]
    distance: float


def _spot(
    center: tuple[float, float], size: tuple[float, float], frame: Box, taken: Sequence[Box]
) -> _Spot | None:
    spots = _spots(center, size)
    return next(
        (
            spot
            for spot in spots
            if frame.holds(spot.box) and not any(spot.box.meets(box) for box in taken)
        ),
        None,
    )


def _spots(center: tuple[float, float], size: tuple[float, float]) -> Iterator[_Spot]:
    width, height = size
    for distance in DISTANCES_POINTS:
        for angle in DIRECTIONS:
            cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            across = (distance + width / 2) * cosine
            up = (distance + height / 2) * sine
            x, y = center[0] + across, center[1] + up
            box = Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            yield _Spot(box, (across, up), distance)


def _write(axes: Axes, mark: Named, spot: _Spot, points: float) -> None:
    far = spot.distance not in DISTANCES_POINTS[:FREE_OF_LEADERS]
    text = axes.annotate(
        mark.name,
        (mark.x, mark.y),
        spot.offset,
        textcoords="offset points",
        ha="center",
        va="center_baseline",
        fontsize=points,
        arrowprops=LEADER if far else None,
        zorder=5,
    )
    text.set_in_layout(False)


def _size(name: str, points: float) -> tuple[float, float]:
    return text_points(name, points) + 2 * AIR_POINTS, 1.25 * points


def _place(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """Return where data lies on the figure, points."""
    across, up = axes.transData.transform((x, y)) * POINTS_PER_INCH / figure_of(axes).dpi
    return float(across), float(up)


def _frame(axes: Axes) -> Box:
    scale = POINTS_PER_INCH / figure_of(axes).dpi
    left, bottom, right, top = (float(edge) * scale for edge in axes.bbox.extents)
    return Box(left, bottom, right, top)


def _around(x: float, y: float, half: float = MARK_POINTS) -> Box:
    return Box(x - half, y - half, x + half, y + half)
