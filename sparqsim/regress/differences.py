"""What moved between two reports of one case, the cause before its consequences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sparqsim.results.actions import part_actions
from sparqsim.results.layer_report import Cycles, LayerReport
from sparqsim.results.report import Report

#: Longest value shown in a finding, in characters.
SHOWN = 100
#: Fields that move whenever a layer's cycles do; they would only repeat it.
FOLLOW_CYCLES = (
    "counts.pe_cycles",
    "counts.lane_cycles",
    "counts.multiplier_cycles",
    "counts.used_pe_cycles",
    "utilization.",
    "bounds.",
    "actions.pe.idle_cycles.",
)


@dataclass(frozen=True)
class Finding:
    """One thing that differs from a golden report.

    kind: 'missing' (no golden report), 'golden' (it cannot be read), 'schema', 'refused' (the case
    does not run any more, though its trace is the same), 'failed' (it raises an error), 'trace
    missing', 'trace changed', 'setup' (design, array, memory), 'layers', 'cycles' or 'values'. All
    but the last two make the rest meaningless, so they stand alone. layer: '' where it concerns the
    whole case.
    """

    kind: str
    layer: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {f'layer {self.layer}: ' if self.layer else ''}{self.message}"


def differences(golden: Report, new: Report) -> tuple[Finding, ...]:
    """Return what moved; nothing where all of it is as it was.

    The package's version is not compared.
    """
    return _cause(golden, new) or (*_cycles_moved(golden, new), *_values_changed(golden, new))


def _cause(golden: Report, new: Report) -> tuple[Finding, ...]:
    """Return what makes cycles and values incomparable, if anything does."""
    moved = trace_changed(golden, new.provenance.trace_sha256)
    if moved is not None:
        return (moved,)
    for part in ("pe", "array", "memory", "keep_8bit", "kept", "energy"):
        before, after = getattr(golden, part), getattr(new, part)
        if before != after:
            what = f"{part} is not that of the golden report: {shown(before)} -> {shown(after)}"
            return (Finding("setup", "", what),)
    if [layer.name for layer in golden.layers] != [layer.name for layer in new.layers]:
        return (
            Finding("layers", "", "the layers' names or their order changed, of the same trace"),
        )
    return ()


def trace_changed(golden: Report, sha256: str, path: str = "the trace") -> Finding | None:
    """Return that the trace has other bytes than the golden report's, None for the same."""
    old = golden.provenance.trace_sha256
    if sha256 == old:
        return None
    return Finding(
        "trace changed",
        "",
        f"{path} has other bytes (sha256 {old[:12]}... -> {sha256[:12]}...), so cycles "
        "say nothing about the simulator; put the old trace back, or update the golden report",
    )


def _cycles_moved(golden: Report, new: Report) -> Iterator[Finding]:
    if golden.cycles != new.cycles:
        moved = _moved(golden.cycles, new.cycles, new.totals.tiles)
        yield Finding("cycles", "", f"{_whose(new)}: {moved}")
    for old, now in zip(golden.layers, new.layers, strict=True):
        if old.cycles != now.cycles:
            yield Finding("cycles", now.name, _moved(old.cycles, now.cycles, now.tiles))


def _whose(report: Report) -> str:
    """Return what total cycles are those of: how much of the network, and how many inputs."""
    coverage = report.coverage
    scope = coverage.scope()
    return f"{scope[0].lower()}{scope[1:]}, {coverage.label(report.totals.macs)}"


def _moved(old: Cycles, now: Cycles, tiles: int) -> str:
    """Return 'total A -> B (+x%): class +d (+d/tiles on each of the tiles), ...'."""
    parts = [
        _change(name, getattr(now, name) - getattr(old, name), tiles)
        for name in Cycles.model_fields
    ]
    share = f" ({(now.total - old.total) / old.total:+.2%})" if old.total else ""
    return f"total {old.total:,} -> {now.total:,}{share}: {', '.join(filter(None, parts))}"


def _change(name: str, cycles: int, tiles: int) -> str:
    if not cycles:
        return ""
    # A formula that is off by one is off by one on every tile: the quotient points at it.
    per_tile = (
        f" ({cycles // tiles:+,} on each of {tiles:,} tiles)"
        if tiles > 1 and cycles % tiles == 0
        else ""
    )
    return f"{name} {cycles:+,}{per_tile}"


def _values_changed(golden: Report, new: Report) -> Iterator[Finding]:
    for old, now in zip(golden.layers, new.layers, strict=True):
        before, after = _fields(old), _fields(now)
        if old.actions == part_actions(old.activity):  # version 1 counts no others
            after = {
                name: value
                for name, value in after.items()
                if name in before or not name.startswith("actions")
            }
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        if old.cycles != now.cycles:
            names = [name for name in names if not name.startswith(FOLLOW_CYCLES)]
        if names:
            parts = [
                f"{name} {shown(before.get(name))} -> {shown(after.get(name))}" for name in names
            ]
            yield Finding("values", now.name, ", ".join(parts))


def _fields(layer: LayerReport) -> dict[str, object]:
    """Return what is stored of a layer but for its cycles, by path: 'gemm.k', 'windows.2'."""
    stored = set(LayerReport.model_fields) - {"cycles"}
    return dict(_leaves(layer.model_dump(include=stored), ""))


def _leaves(values: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def shown(value: object) -> str:
    """Return a value as text of bounded length."""
    text = str(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
