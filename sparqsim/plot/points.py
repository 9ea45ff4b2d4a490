"""From reports of a store or files to speedup curves: what is the axis, what must be equal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sparqsim.base.errors import InputError
from sparqsim.plot.reports import EXACTLY, SETTINGS, check_alike, chosen_baseline
from sparqsim.results.layer_report import LayerReport
from sparqsim.results.report import Report

Place = tuple[float, ...]
Shape = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class Point:
    """One place on a curve: speedup there, and the least and the greatest of the single layers it
    is made of.

    shape: what ran there, where shapes could differ from place to place: (M, K, N, groups) of each
    layer.
    """

    place: Place
    speedup: float
    low: float
    high: float
    shape: Shape = ()


@dataclass(frozen=True)
class Curve:
    """Speedup of designs that take equal cycles everywhere. fixed: whether values cannot change
    their cycles.
    """

    specs: tuple[str, ...]
    points: tuple[Point, ...]
    fixed: bool


@dataclass(frozen=True)
class Curves:
    """Curves of one kind.

    whole_networks: whether points are whole networks, not layers. reports: those the curves are
    made of.
    """

    kind: str
    baseline: str
    curves: tuple[Curve, ...]
    whole_networks: bool
    reports: tuple[Report, ...]

    @property
    def joined(self) -> bool:
        """Whether all points of a curve differ in nothing but their place."""
        return len({point.shape for curve in self.curves for point in curve.points}) == 1


def speedup_curves(reports: Sequence[Report], kind: str, baseline: str | None = None) -> Curves:
    """Return speedup curves.

    Parameters
    ----------
    reports : sequence of Report
        In any order; a case that is there twice must be the same twice.
    kind : {'array-size', 'k', 'zero-fraction'}
        array-size: whole networks by (rows, columns). k: layers of equal K together. zero-fraction:
        whole networks by their share of zero activations, or, where there is one trace, its layers;
        shapes move speedups, too, so points hold theirs. Layers kept at 8 bits, which no design
        trims, are left out where layers are shown.
    baseline : str, optional
        The design of speedup 1. Default: mac-8b8b, or the first design without it.

    Raises
    ------
    InputError
        For reports that differ in more than the kind's axis and the design, or a baseline that is
        not among them.
    """
    check_alike(reports, kind, {"array-size": "array"}.get(kind, "trace"))
    by_design = _by_design(reports, "array" if kind == "array-size" else "trace")
    chosen = chosen_baseline(by_design, baseline)
    several = len({EXACTLY["trace"](report) for report in reports}) > 1
    parts_of = {
        "array-size": _whole_by_array,
        "k": _layers_by_k,
        "zero-fraction": _whole_by_zeros if several else _layers_by_zeros,
    }[kind]
    base = by_design[chosen]
    curves: dict[tuple[tuple[Point, ...], bool], list[str]] = {}
    for name, mine in by_design.items():
        points = _points(
            [pair for at, one in mine.items() if at in base for pair in parts_of(base[at], one)]
        )
        fixed = not next(iter(mine.values())).pe.cycles_depend_on_values
        if name != chosen and points:
            curves.setdefault((points, fixed), []).append(name)
    if not curves:
        raise InputError(
            f"--kind {kind}: no design ran where the baseline {chosen} did, expected results "
            "of both"
        )
    return Curves(
        kind,
        chosen,
        tuple(Curve(tuple(names), *key) for key, names in curves.items()),
        kind == "array-size" or (kind == "zero-fraction" and several),
        tuple(reports),
    )


def _by_design(reports: Sequence[Report], axis: str) -> dict[str, dict[Any, Report]]:
    """Return design -> place on the axis -> report."""
    found: dict[str, dict[Any, Report]] = {}
    for report in reports:
        place = EXACTLY[axis](report)
        known = found.setdefault(report.pe.spec, {}).setdefault(place, report)
        if known.layers != report.layers:
            raise InputError(
                f"two different results of {report.pe.spec} on {axis} {SETTINGS[axis](report)} "
                f"(sparqsim {known.provenance.version} and {report.provenance.version}); expected "
                "one"
            )
    return found


#: A place, what ran there, and total cycles of the baseline and of a design.
Part = tuple[Place, Shape, int, int]


def _points(parts: Sequence[Part]) -> tuple[Point, ...]:
    """Put parts of equal shape at a place together: baseline's cycles / the design's."""
    places: dict[tuple[Place, Shape], list[Part]] = {}
    for part in parts:
        places.setdefault(part[:2], []).append(part)
    points = []
    for (place, shape), here in sorted(places.items()):
        each = [base / own for *_, base, own in here]
        together = sum(base for *_, base, _ in here) / sum(own for *_, own in here)
        points.append(Point(place, together, min(each), max(each), shape))
    return tuple(points)


def _whole_by_array(base: Report, own: Report) -> Iterator[Part]:
    array = own.array
    yield (array.rows * array.cols, array.rows, array.cols), (), base.cycles.total, own.cycles.total


def _layers_by_k(base: Report, own: Report) -> Iterator[Part]:
    for one, other in _compared_layers(base, own):
        yield (other.gemm.k,), (), one.cycles.total, other.cycles.total


def _whole_by_zeros(base: Report, own: Report) -> Iterator[Part]:
    yield (zero_share(own.layers),), shape_of(own.layers), base.cycles.total, own.cycles.total


def _layers_by_zeros(base: Report, own: Report) -> Iterator[Part]:
    for one, other in _compared_layers(base, own):
        yield (zero_share([other]),), shape_of([other]), one.cycles.total, other.cycles.total


def shape_of(layers: Sequence[LayerReport]) -> Shape:
    """Return what decides cycles where values cannot: (M, K, N, groups) of each layer."""
    return tuple((layer.gemm.m, layer.gemm.k, layer.gemm.n, layer.gemm.groups) for layer in layers)


def _compared_layers(base: Report, own: Report) -> Iterator[tuple[LayerReport, LayerReport]]:
    return (
        (one, other)
        for one, other in zip(base.layers, own.layers, strict=True)
        if not other.kept_8bit
    )


def zero_share(layers: Sequence[LayerReport]) -> float:
    """Return the share of zeros of the layers' X, zeros of convolutions' padding included."""
    elements = sum(layer.gemm.m * layer.gemm.k * layer.gemm.groups for layer in layers)
    # With odd K the last element of a row pairs with a zero that is not in X.
    added = sum(layer.gemm.m * layer.gemm.groups * (layer.gemm.k % 2) for layer in layers)
    return (
        sum(2 * layer.pairs.both_zero + layer.pairs.one_zero for layer in layers) - added
    ) / elements
