"""What moved between two records of the same gathers, the cause before its consequences."""

from __future__ import annotations

from collections.abc import Iterator

from sparqsim.regress.differences import Finding, shown
from sparqsim.results.gather_report import GatherEntry, GatherReport

#: What makes the rest meaningless where it differs; the version is not compared.
SETUP = ("hardware", "energy", "pool")


def gather_differences(golden: GatherReport, new: GatherReport) -> tuple[Finding, ...]:
    """Return what moved; nothing where all of it is as it was."""
    return _cause(golden, new) or tuple(_moved(golden, new))


def _cause(golden: GatherReport, new: GatherReport) -> tuple[Finding, ...]:
    if golden.table.sha256 != new.table.sha256:
        return (_other("table changed", "table", golden.table.sha256, new.table.sha256),)
    if golden.lookups != new.lookups:
        before, after = golden.lookups.sha256, new.lookups.sha256
        if before != after:
            return (_other("look-ups changed", "look-ups", before, after),)
        return (_setup("lookups", golden.lookups, new.lookups),)
    for name in SETUP:
        before, after = getattr(golden, name), getattr(new, name)
        if before != after:
            return (_setup(name, before, after),)
    if _behind(golden) != _behind(new):
        return (_setup("mlp", golden.mlp, new.mlp),)
    old, now = [*map(_place, golden.entries)], [*map(_place, new.entries)]
    return () if old == now else (_setup("entries", old, now),)


def _behind(report: GatherReport) -> object:
    """Return what is behind, its values' sources included."""
    return report.mlp, None if report.card is None else report.card.hardware


def _other(kind: str, what: str, old: str, new: str) -> Finding:
    return Finding(
        kind,
        "",
        f"another content of the {what} (sha256 {old[:12]}... -> {new[:12]}...), so cycles say "
        "nothing about the simulator; put the old content back, or update the golden report",
    )


def _setup(name: str, before: object, after: object) -> Finding:
    message = f"{name} is not that of the golden report: {shown(before)} -> {shown(after)}"
    return Finding("setup", "", message)


def _place(each: GatherEntry) -> str:
    return f"{each.format}, {each.layout}, {each.width} elements"


def _moved(golden: GatherReport, new: GatherReport) -> Iterator[Finding]:
    for old, now in zip(golden.entries, new.entries, strict=True):
        if old.cycles != now.cycles:
            change = (now.cycles - old.cycles) / old.cycles
            yield Finding(
                "cycles", _place(now), f"total {old.cycles:,} -> {now.cycles:,} ({change:+.2%})"
            )
        before, after = (dict(each) for each in (old, now))
        names = [name for name in before if name != "cycles" and before[name] != after[name]]
        if names:
            parts = [f"{name} {shown(before[name])} -> {shown(after[name])}" for name in names]
            yield Finding("values", _place(now), ", ".join(parts))
