"""Where designs lie between quality and speedup, and which of them no other beats in both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sparqsim.base.errors import InputError
from sparqsim.plot.iso_area import iso_area_speedup
from sparqsim.plot.labels import design_label
from sparqsim.results.comparison import Comparison


@dataclass(frozen=True)
class ParetoPoint:
    """One design's place.

    Parameters
    ----------
    spec : str
        The design; it decides the mark.
    speedup : float
        Over a baseline, above 0.
    quality : float
        In the unit of the axis, more is better; infinite: exact.
    label : str
        What the legend says; the design's name if empty.
    speedup_range : (float, float), optional
        Least and greatest speedup, drawn as an error bar.
    equal_pes : float, optional
        The speedup at equal PEs where `speedup` is another, drawn as a small open mark.
    """

    spec: str
    speedup: float
    quality: float
    label: str = ""
    speedup_range: tuple[float, float] | None = None
    equal_pes: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.speedup) and self.speedup > 0):
            raise InputError(
                f"pareto point {self.spec!r}: speedup={self.speedup!r}, expected a number above 0"
            )
        if math.isnan(self.quality) or self.quality == -math.inf:
            raise InputError(
                f"pareto point {self.spec!r}: quality={self.quality!r}, expected a number, or "
                "infinity for an exact result"
            )


def pareto_points(comparison: Comparison) -> list[ParetoPoint]:
    """Return every design's SQNR over the whole network (dB) and speedup over the baseline; exact
    designs at infinity.

    Where the comparison tells of equal area, the speedup is that at equal area, and designs without
    an area are left out.

    Raises
    ------
    InputError
        For a design that has noise where the exact outputs are all zero: no SQNR exists.
    """
    points = []
    for name in comparison.order:
        report = comparison.reports[name]
        error = report.totals.error
        quality = (
            math.inf if error.noise == 0 else -math.inf if error.sqnr_db is None else error.sqnr_db
        )
        points.append(_point(comparison, name, quality, design_label(report)))
    return [point for point in points if point is not None]


def _point(comparison: Comparison, name: str, quality: float, label: str) -> ParetoPoint | None:
    equal_pes = comparison.speedup(name)
    if comparison.iso_area is None:
        return ParetoPoint(name, equal_pes, quality, label)
    speedup = iso_area_speedup(comparison, name, None)
    if speedup is None:
        return None
    return ParetoPoint(name, speedup.middle, quality, label, (speedup.low, speedup.high), equal_pes)


def front_of(points: Sequence[ParetoPoint]) -> list[ParetoPoint]:
    """Return the points that no other beats (as good in both, better in one), slowest first."""

    def beaten(point: ParetoPoint) -> bool:
        """Return whether another point is at least as good in both, and better in one."""
        return any(
            other.speedup >= point.speedup
            and other.quality >= point.quality
            and (other.speedup, other.quality) != (point.speedup, point.quality)
            for other in points
        )

    return sorted((point for point in points if not beaten(point)), key=lambda point: point.speedup)
