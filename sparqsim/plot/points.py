"""From many reports, of a sweep store or of files, to speedup curves: what lies along the axis, what must be equal."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparqsim.errors import InputError, nearest
from sparqsim.filekinds import STORE, kind_of_bytes
from sparqsim.layer_report import LayerReport
from sparqsim.memory.curves import BandwidthCurves
from sparqsim.plot.style import LOOKS
from sparqsim.report import Comparison, Report, stated_coverage, timing_notes
from sparqsim.results import load_result

BASELINE = "mac-8b8b"

Place = tuple[float, ...]
Shape = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class Point:
    """One place on a curve: speedup there, and the least and the greatest of the single layers it is made of.

    shape: what ran there, where shapes could differ from place to place: (M, K, N, groups) of each layer.
    """

    place: Place
    speedup: float
    low: float
    high: float
    shape: Shape = ()


@dataclass(frozen=True)
class Curve:
    """Speedup of designs that take equal cycles everywhere. fixed: whether values cannot change their cycles."""

    specs: tuple[str, ...]
    points: tuple[Point, ...]
    fixed: bool


@dataclass(frozen=True)
class Curves:
    """Curves of one kind.

    whole_networks: whether points are whole networks, not layers. reports: those the curves are made of.
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


def load_reports(
    paths: Sequence[str | Path],
    only: Sequence[str] = (),
    expected: str = "the -o of `simulate`, `compare` or `sweep`",
) -> tuple[list[Report], str | None]:
    """Return every report that files and sweep stores hold, and the first comparison's baseline, if there is one.

    Parameters
    ----------
    paths : sequence of str or Path
        JSON of `simulate` or `compare`, and stores of `sweep`: of a store the points that this version computed, all
        points where there are none.
    only : sequence of str
        KEY=VALUE: reports with another value are left out; keys as in `SETTINGS`.
    expected : str
        What the caller takes, for the message about a file of another kind.

    Raises
    ------
    InputError
        For a file that is none of these, or a key or value that no report has.
    """
    reports: list[Report] = []
    baseline = None
    for path in paths:
        if kind_of_bytes(path) is STORE:
            reports += _stored(path)
            continue
        result = load_result(path, expected)
        if isinstance(result, Comparison):
            baseline = baseline or result.baseline
            reports += [result.reports[name] for name in result.order]
        else:
            reports.append(result)
    for condition in only:
        reports = _matching(reports, condition)
    return reports, baseline


def _stored(path: str | Path) -> list[Report]:
    from sparqsim.sweep import Store
    from sparqsim.sweep.point import package_digest

    with Store(path) as store:
        done = [point for point in store.recorded() if point.state == "done"]
    if not done:
        raise InputError(f"{path}: holds no results yet; expected a store that a sweep has filled")
    current = [point for point in done if point.facts["sources_sha256"] == package_digest()]
    reports = [
        Report.from_json(point.text, f"{path}: point {point.key[:12]}") for point in current or done
    ]
    known = list(LOOKS)
    # A store has its designs in alphabetical order; figures show them in their own.
    return sorted(
        reports,
        key=lambda report: known.index(report.pe.name) if report.pe.name in known else len(known),
    )


def _switch(value: bool) -> str:
    return "on" if value else "off"


#: What a report was made with, as a word or two.
SETTINGS: Mapping[str, Callable[[Report], str]] = {
    "trace": lambda report: report.provenance.network or report.provenance.trace_sha256[:12],
    "pe": lambda report: report.pe.spec,
    "array": lambda report: f"{report.array.rows}x{report.array.cols}",
    "dataflow": lambda report: report.array.dataflow,
    "coupling": lambda report: report.array.coupling,
    "overlap": lambda report: _switch(report.array.overlap),
    "memory": lambda report: "none" if report.memory is None else report.memory.name,
    "keep_8bit": lambda report: _switch(report.keep_8bit),
}
#: What tells reports apart where words do not.
EXACTLY: Mapping[str, Callable[[Report], Any]] = {
    **SETTINGS,
    "trace": lambda report: report.provenance.trace_sha256,
    "memory": lambda report: None if report.memory is None else report.memory.to_json(),
}


def _matching(reports: list[Report], condition: str) -> list[Report]:
    key, _, value = condition.partition("=")
    if key not in SETTINGS:
        raise InputError(
            f"--only {condition!r}: expected KEY=VALUE with a key of {', '.join(SETTINGS)}"
            f"{nearest(key, SETTINGS)}"
        )
    found = [report for report in reports if SETTINGS[key](report) == value]
    if not found:
        values = dict.fromkeys(SETTINGS[key](report) for report in reports)
        raise InputError(
            f"--only {condition!r}: no result has this {key}{nearest(value, values)}; expected one of "
            f"{', '.join(values)}"
        )
    return found


def speedup_curves(reports: Sequence[Report], kind: str, baseline: str | None = None) -> Curves:
    """Return speedup curves.

    Parameters
    ----------
    reports : sequence of Report
        In any order; a case that is there twice must be the same twice.
    kind : {'array-size', 'k', 'zero-fraction'}
        array-size: whole networks by (rows, columns). k: layers of equal K together. zero-fraction: whole networks by
        their share of zero activations, or, where there is one trace, its layers; shapes move speedups, too, so points
        hold theirs. Layers kept at 8 bits, which run as mac-8b8b under every design, are left out where layers are
        shown.
    baseline : str, optional
        The design of speedup 1. Default: mac-8b8b, or the first design without it.

    Raises
    ------
    InputError
        For reports that differ in more than the kind's axis and the design, or a baseline that is not among them.
    """
    _check_alike(reports, kind, {"array-size": "array"}.get(kind, "trace"))
    by_design = _by_design(reports, "array" if kind == "array-size" else "trace")
    chosen = _baseline(by_design, baseline)
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
            f"--kind {kind}: no design ran where the baseline {chosen} did, expected results of both"
        )
    return Curves(
        kind,
        chosen,
        tuple(Curve(tuple(names), *key) for key, names in curves.items()),
        kind == "array-size" or (kind == "zero-fraction" and several),
        tuple(reports),
    )


def _check_alike(reports: Sequence[Report], kind: str, free: str) -> None:
    if not reports:
        raise InputError(f"--kind {kind}: no results, expected at least two designs")
    for key, value in EXACTLY.items():
        if key not in {"pe", free} and len({value(report) for report in reports}) > 1:
            shown = list(dict.fromkeys(SETTINGS[key](report) for report in reports))
            raise InputError(
                f"--kind {kind}: results differ in {key} ({', '.join(shown)}), expected one; choose, e.g. "
                f"--only {shlex.quote(f'{key}={shown[0]}')}"
            )


def _by_design(reports: Sequence[Report], axis: str) -> dict[str, dict[Any, Report]]:
    """Return design -> place on the axis -> report."""
    found: dict[str, dict[Any, Report]] = {}
    for report in reports:
        place = EXACTLY[axis](report)
        known = found.setdefault(report.pe.spec, {}).setdefault(place, report)
        if known.layers != report.layers:
            raise InputError(
                f"two different results of {report.pe.spec} on {axis} {SETTINGS[axis](report)} (sparqsim "
                f"{known.provenance.version} and {report.provenance.version}); expected one"
            )
    return found


def _baseline(by_design: Mapping[str, Any], baseline: str | None) -> str:
    chosen = baseline or (BASELINE if BASELINE in by_design else next(iter(by_design)))
    if chosen not in by_design:
        raise InputError(
            f"baseline {chosen!r} is not among the results{nearest(chosen, by_design)}; expected one of "
            f"{', '.join(by_design)}"
        )
    return chosen


#: A place, what ran there, and total cycles of the baseline and of a design.
Part = tuple[Place, Shape, int, int]


def _points(parts: Sequence[Part]) -> tuple[Point, ...]:
    """Put parts of equal shape at the same place together: sum of the baseline's cycles / sum of the design's."""
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
    """Return what decides the cycles of designs that values cannot change: (M, K, N, groups) of each layer."""
    return tuple((layer.gemm.m, layer.gemm.k, layer.gemm.n, layer.gemm.groups) for layer in layers)


def _compared_layers(base: Report, own: Report) -> Iterator[tuple[LayerReport, LayerReport]]:
    return (
        (one, other)
        for one, other in zip(base.layers, own.layers, strict=True)
        if not other.kept_8bit
    )


def zero_share(layers: Sequence[LayerReport]) -> float:
    """Return the share of zeros among the elements of the layers' X, zeros of convolutions' padding included."""
    elements = sum(layer.gemm.m * layer.gemm.k * layer.gemm.groups for layer in layers)
    # With odd K the last element of a row pairs with a zero that is not in X.
    added = sum(layer.gemm.m * layer.gemm.groups * (layer.gemm.k % 2) for layer in layers)
    return (
        sum(2 * layer.pairs.both_zero + layer.pairs.one_zero for layer in layers) - added
    ) / elements


def curves_of_bandwidth(reports: Sequence[Report], baseline: str | None = None) -> BandwidthCurves:
    """Return speedups against DRAM bandwidth, from reports that differ in it and in the design alone.

    Raises
    ------
    InputError
        For reports without memory, that differ in more, or of a single bandwidth; or where a design lacks one.
    """
    known = [(report, report.memory) for report in reports if report.memory is not None]
    if not known or len({memory.dram.bandwidth_bytes_per_cycle for _, memory in known}) < 2:
        raise InputError(
            "--kind bandwidth: results of one DRAM bandwidth or none, expected several, or the JSON of "
            "`sparqsim bandwidth` (sparqsim.bandwidth/1)"
        )
    alike = [
        report.model_copy(update={"memory": _without_bandwidth(memory)}) for report, memory in known
    ]
    _check_alike(alike, "bandwidth", "bandwidth")
    cycles: dict[str, dict[float | None, Report]] = {}
    for report, memory in known:
        cycles.setdefault(report.pe.spec, {})[memory.dram.bandwidth_bytes_per_cycle] = report
    chosen = _baseline(cycles, baseline)
    bandwidths = sorted(cycles[chosen], key=lambda value: (value is None, value))
    for name, mine in cycles.items():
        if set(mine) != set(bandwidths):
            raise InputError(
                f"--kind bandwidth: {name} ran at {len(mine)} DRAM bandwidths, the baseline {chosen} at "
                f"{len(bandwidths)}; expected the same"
            )
    first, memory = known[0]
    return BandwidthCurves(
        network=first.provenance.network,
        synthetic=first.provenance.synthetic,
        trace_sha256=first.provenance.trace_sha256,
        array=first.array,
        memory=memory,
        baseline=chosen,
        order=tuple(cycles),
        bandwidths=tuple(bandwidths),
        cycles={
            name: tuple(mine[at].cycles.total for at in bandwidths) for name, mine in cycles.items()
        },
        array_cycles={name: _array_cycles(mine[bandwidths[0]]) for name, mine in cycles.items()},
        cycles_depend_on_values={
            name: mine[bandwidths[0]].pe.cycles_depend_on_values for name, mine in cycles.items()
        },
        timing_notes=timing_notes(report.pe for report, _ in known),
        coverage=stated_coverage(report for report, _ in known),
        macs=first.totals.macs,
    )


def _without_bandwidth(memory: Any) -> Any:
    """Return a memory without what the curves vary: the bandwidth, and the name that goes with it."""
    dram = memory.dram.model_copy(update={"bandwidth_bytes_per_cycle": None})
    return memory.model_copy(update={"dram": dram, "name": ""})


def _array_cycles(report: Report) -> int:
    """Return the cycles the array would take without memory."""
    return report.cycles.total - report.cycles.memory_stall
