"""What came out, in a paragraph of plain words; every number in it knows its term."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sparqsim.base.wording import counted
from sparqsim.html.tables import reports_of
from sparqsim.results.comparison import Comparison
from sparqsim.results.engine_notes import found_lines
from sparqsim.results.kept import kept_layers, kept_modes, where_kept
from sparqsim.results.report import Report
from sparqsim.results.setting import note_lines, value_notes
from sparqsim.results.signed import WITHOUT_SIGNS, signed_notes

#: Names are listed up to this many; beyond it they are counted.
MOST_NAMES = 4


@dataclass(frozen=True)
class Number:
    """A number in running text, and the term that defines it."""

    text: str
    term: str


Piece = str | Number


def summary(comparison: Comparison) -> list[Piece]:
    """Return the paragraph of a comparison, or of a single design."""
    pieces = [*_subject(comparison)]
    if len(comparison.order) > 1:
        pieces += _winners(comparison)
    pieces += [
        *_spent(_told(comparison)),
        *_values(comparison),
        *_memory(comparison),
        *_kept(comparison),
        *_signed(comparison),
        *_scope(comparison),
    ]
    if len(comparison.order) > 1:
        pieces.append(_terms(comparison))
    return pieces


def _terms(comparison: Comparison) -> str:
    """Return on what terms designs are compared: arrays at equal PE count; engines at none."""
    terms = (
        "are compared at equal PE count and equal clock; a PE of one design may be larger than "
        "that of another."
    )
    engines = [name for name in comparison.order if comparison.reports[name].pe.engine_model]
    if not engines:
        return f"Designs {terms}"
    return (
        f"Arrays of PEs {terms} {', '.join(engines)}: no array of PEs, so a speedup compares "
        "cycles alone, neither at equal PE count nor of one clock."
    )


def _subject(comparison: Comparison) -> Iterator[Piece]:
    report = comparison.reports[comparison.baseline]
    source = report.provenance.network or f"The trace {report.provenance.trace_sha256[:12]}"
    yield f"{source[0].upper()}{source[1:]}: "
    yield Number(counted(len(report.layers), "layer"), "layers")
    yield ", "
    yield Number(counted(report.totals.macs, "multiply-accumulate"), "measured.macs")
    yield f". On {_place(comparison)}, "
    yield (
        f"{comparison.baseline}, the baseline, takes "
        if len(comparison.order) > 1
        else f"{report.pe.spec} takes "
    )
    yield Number(counted(report.cycles.total, "cycle"), "cycles.total")
    yield ". "
    if report.provenance.synthetic:
        yield (
            "The values are synthetic, drawn and not measured on a network "
            f"({report.provenance.synthetic}). "
        )


def _place(comparison: Comparison) -> str:
    """Return what designs ran on: an array, or engines alone."""
    array = comparison.reports[comparison.baseline].array
    words = array.words_of(comparison.reports[name].pe for name in comparison.order)
    return f"an array of {array.size} PEs" if words == array.words else words


def _winners(comparison: Comparison) -> Iterator[Piece]:
    """Tell the fastest design, and the most accurate of those that are faster than the baseline."""
    fastest = _fastest(comparison)
    yield "Of "
    yield Number(counted(len(comparison.order), "design"), "designs")
    if comparison.speedup(fastest) <= 1:
        yield " none is faster than the baseline. "
        return
    yield f" {fastest} is the fastest: "
    yield from _gain(comparison, fastest)
    yield ". "
    accurate = _most_accurate(comparison)
    if accurate != fastest:
        yield f"The most accurate that is faster than the baseline is {accurate}: "
        yield from _gain(comparison, accurate)
        yield ". "


def best_designs(comparison: Comparison) -> dict[str, str]:
    """Return the fastest design and the most accurate that beats the baseline; {} if none does."""
    fastest = _fastest(comparison)
    if len(comparison.order) == 1 or comparison.speedup(fastest) <= 1:
        return {}
    accurate = _most_accurate(comparison)
    if accurate == fastest:
        return {fastest: "the fastest and the most accurate that beats the baseline"}
    return {fastest: "the fastest", accurate: "the most accurate that beats the baseline"}


def _gain(comparison: Comparison, name: str) -> Iterator[Piece]:
    report = comparison.reports[name]
    yield Number(counted(report.cycles.total, "cycle"), "cycles.total")
    yield ", a speedup of "
    yield Number(f"{comparison.speedup(name):.2f}", "speedup")
    if report.totals.error.noise == 0:
        yield ", and its results are exact"
    elif report.totals.error.sqnr_db is not None:
        yield ", at an output SQNR of "
        yield Number(f"{report.totals.error.sqnr_db:.1f} dB", "error.sqnr_db")


def _fastest(comparison: Comparison) -> str:
    return max(comparison.order, key=comparison.speedup)


def _most_accurate(comparison: Comparison) -> str:
    """Return the design of highest SQNR that is faster than the baseline, of equals the fastest."""
    faster = [name for name in comparison.order if comparison.speedup(name) > 1]
    return max(
        faster, key=lambda name: (_quality(comparison.reports[name]), comparison.speedup(name))
    )


def _quality(report: Report) -> float:
    error = report.totals.error
    return math.inf if error.noise == 0 else -math.inf if error.sqnr_db is None else error.sqnr_db


def _told(comparison: Comparison) -> Report:
    """Return the report whose cycles the paragraph explains."""
    faster = comparison.speedup(_fastest(comparison)) > 1
    return comparison.reports[_most_accurate(comparison) if faster else comparison.order[-1]]


def _spent(report: Report) -> Iterator[Piece]:
    cycles = report.cycles
    yield f"{report.pe.spec} computes in "
    yield Number(f"{100 * cycles.compute / cycles.total:.1f} %", "cycles.compute")
    yield " of its cycles, fills the array in "
    yield Number(f"{100 * cycles.fill / cycles.total:.1f} %", "cycles.fill")
    yield " and drains it in "
    yield Number(f"{100 * cycles.drain / cycles.total:.1f} %", "cycles.drain")
    if cycles.pe_stall:
        yield "; steps longer than a cycle add "
        yield Number(f"{100 * cycles.pe_stall / cycles.total:.1f} %", "cycles.pe_stall")
    if cycles.memory_stall:
        yield "; it waits for memory in "
        yield Number(f"{100 * cycles.memory_stall / cycles.total:.1f} %", "cycles.memory_stall")
    yield ". "


def _values(comparison: Comparison) -> Iterator[Piece]:
    varying = [
        report.pe.spec for report in reports_of(comparison) if report.pe.cycles_depend_on_values
    ]
    fixed = [
        report.pe.spec for report in reports_of(comparison) if not report.pe.cycles_depend_on_values
    ]
    if fixed:
        yield f"Values cannot change the cycles of {_names(fixed)}: only shapes can. "
    if varying:
        yield (
            f"Those of {_names(varying)} depend on values. "
            if fixed
            else "The cycles depend on values. "
        )


def _names(names: list[str]) -> str:
    if len(names) > MOST_NAMES:
        return counted(len(names), "design")
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _memory(comparison: Comparison) -> Iterator[Piece]:
    if comparison.reports[comparison.baseline].memory is None:
        yield "Memory is not modelled: operands are there when the array needs them. "


def _kept(comparison: Comparison) -> Iterator[Piece]:
    reports = [comparison.reports[name] for name in comparison.order]
    kept = kept_layers(reports)
    if kept:
        names = f" ({_names(kept)})" if len(kept) <= MOST_NAMES else ""
        stays = "stays at 8 bits and runs" if len(kept) == 1 else "stay at 8 bits and run"
        yield f"{counted(len(kept), 'layer')}{names} {stays} {where_kept(reports)}. "
        for line in note_lines(kept_modes(reports)):
            yield f"{line} "


def _signed(comparison: Comparison) -> Iterator[Piece]:
    """Say which layers of int8 activations ran in a way that is not the papers'."""
    notes = signed_notes(comparison.reports[name] for name in comparison.order)
    for note in notes:
        yield f"{note}. "
    if notes and (comparison.iso_area or comparison.clock):
        yield f"{WITHOUT_SIGNS}. "


def _scope(comparison: Comparison) -> Iterator[Piece]:
    """Say for how many inputs cycles are, what is not simulated, and who times itself."""
    for note in comparison.coverage.notes(comparison.macs):
        yield f"{note} "
    for line in note_lines(comparison.timing_notes):
        yield f"{line} "
    for line in found_lines(comparison.reports[name] for name in comparison.order):
        yield f"{line} "
    designs = (comparison.reports[name].pe for name in comparison.order)
    for line in note_lines(value_notes(designs)):
        yield f"{line} "
