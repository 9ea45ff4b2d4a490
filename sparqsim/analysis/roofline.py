"""Operational intensity against attained MACs per cycle, from a report.

The data of `plot --kind roofline`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sparqsim.base.errors import InputError
from sparqsim.results.report import Report


@dataclass(frozen=True)
class RooflinePoint:
    """One layer: MACs per DRAM byte, and MACs per cycle."""

    layer: str
    kept_8bit: bool
    intensity: float
    attained: float


@dataclass(frozen=True)
class Roofline:
    """A design's roofs and layers.

    `pes`, `lanes`: of the array and of each PE, or the units of an engine that is no array.
    `bandwidth`: slope of the other roof, DRAM bytes per cycle; None: no limit.
    """

    spec: str
    pes: int
    lanes: int
    bandwidth: float | None
    points: tuple[RooflinePoint, ...]

    @property
    def compute_roof(self) -> int:
        """MACs per cycle when every lane of every PE works."""
        return self.pes * self.lanes

    def roof(self, intensity: float) -> float:
        """Return the MACs per cycle that both roofs allow."""
        return (
            self.compute_roof
            if self.bandwidth is None
            else min(self.compute_roof, intensity * self.bandwidth)
        )


def roofline(report: Report) -> Roofline:
    """Return the roofline of a report.

    Raises
    ------
    InputError
        For a report without memory.
    """
    if report.memory is None:
        raise InputError(
            f"report of {report.pe.spec}: memory is not modelled; expected a run with --config"
        )
    points = tuple(
        RooflinePoint(
            layer.name,
            layer.kept_8bit,
            layer.macs / layer.traffic.dram_bytes,
            layer.macs / layer.cycles.total,
        )
        for layer in report.layers
        if layer.traffic is not None
    )
    return Roofline(
        report.pe.spec,
        report.units,
        report.pe.lanes,
        report.memory.dram.bandwidth_bytes_per_cycle,
        points,
    )
