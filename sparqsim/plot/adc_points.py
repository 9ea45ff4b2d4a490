"""From reports to points over converter bits: SQNR and cycles of designs whose sums are converted.

Bits are those of a conversion, the mean over all of the network, from the actions that reports
count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sparqsim.base.errors import InputError
from sparqsim.plot.reports import check_alike
from sparqsim.results.report import Report

CONVERSIONS = re.compile(r"\.adc_(\d+)bit\.conversions$")
#: Keys that set or find bits of converters.
BITS_KEYS = ("adc_bits", "sqnr_db")


@dataclass(frozen=True)
class ConverterPoint:
    """A design with its converters.

    spec: its name. bits: of a conversion, the mean. uniform: whether all conversions are of those
    bits. sqnr_db: of the network's outputs; None where they are exact. cycles: of the network.
    """

    spec: str
    bits: float
    uniform: bool
    sqnr_db: float | None
    cycles: int


@dataclass(frozen=True)
class ConverterPoints:
    """Points by what designs are beside bits of converters; `reports`: those they are made of."""

    series: dict[str, tuple[ConverterPoint, ...]]
    reports: tuple[Report, ...]


def converter_points(reports: Sequence[Report]) -> ConverterPoints:
    """Return points of all reports with conversions, by bits; designs without any are left out.

    Raises
    ------
    InputError
        For reports that differ in more than the design, or of which none has conversions.
    """
    check_alike(reports, "adc", "pe")
    series: dict[str, dict[str, ConverterPoint]] = {}
    used = []
    for report in reports:
        point = _point(report)
        if point is not None:
            series.setdefault(_without_bits(report.pe.spec), {})[point.spec] = point
            used.append(report)
    if not used:
        names = ", ".join(report.pe.spec for report in reports)
        raise InputError(
            f"--kind adc: no design of the results ({names}) converts sums, expected results of "
            "crossbars, e.g. --pe reram:adc_bits=4,reram:adc_bits=8"
        )
    ordered = {
        name: tuple(sorted(points.values(), key=lambda each: (each.bits, each.spec)))
        for name, points in series.items()
    }
    return ConverterPoints(ordered, tuple(used))


def _point(report: Report) -> ConverterPoint | None:
    found = {
        int(match[1]): action.count
        for name, action in report.totals.actions.items()
        if (match := CONVERSIONS.search(name))
    }
    conversions = sum(found.values())
    if not conversions:
        return None
    bits = sum(each * count for each, count in found.items()) / conversions
    error = report.totals.error
    return ConverterPoint(report.pe.spec, bits, len(found) == 1, error.sqnr_db, report.cycles.total)


def _without_bits(spec: str) -> str:
    """Return a design's name without the keys that set bits of converters."""
    name, _, keys = spec.partition(":")
    kept = [key for key in keys.split(",") if key and key.partition("=")[0] not in BITS_KEYS]
    return f"{name}:{','.join(kept)}" if kept else name
