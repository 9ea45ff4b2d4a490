"""What a reader of a table must know: what was simulated, and what its figures mean."""

from __future__ import annotations

from collections.abc import Sequence

from sparqsim.base.errors import printable
from sparqsim.results.confounds import confound_notes
from sparqsim.results.engine_notes import found_lines
from sparqsim.results.kept import OTHERWISE, kept_layers, kept_modes, where_kept
from sparqsim.results.report import Report, stated_coverage
from sparqsim.results.setting import note_lines, timing_notes, value_notes
from sparqsim.results.signed import OTHERWISE as OTHERWISE_SIGNED
from sparqsim.results.signed import signed_notes


def notes(reports: Sequence[Report], *, utilizations: bool = False) -> str:
    """Return what must be known to read the table; `utilizations`: it has 'PEs used' and 'eff.'."""
    fixed = [report.pe.spec for report in reports if not report.pe.cycles_depend_on_values]
    varying = [report.pe.spec for report in reports if report.pe.cycles_depend_on_values]
    kept = ", ".join(map(printable, kept_layers(reports)))
    lines = []
    if fixed:
        lines.append(f"Values cannot change cycles (only shapes can): {', '.join(fixed)}.")
    if varying:
        lines.append(f"~ Cycles depend on values: {', '.join(varying)}.")
    lines += note_lines(timing_notes(report.pe for report in reports))
    lines += map(printable, found_lines(reports))
    lines += map(printable, confound_notes([report.card for report in reports]))
    lines += note_lines(value_notes(report.pe for report in reports))
    if kept:
        lines.append(
            f"* kept at 8 bits, as the method does, and run {where_kept(reports)}: {kept} "
            f"({OTHERWISE[reports[0].kept]}; --all-layers: as the others)."
        )
        lines += note_lines(kept_modes(reports))
    lines += [f"{printable(note)} ({OTHERWISE_SIGNED})." for note in signed_notes(reports)]
    whose, waits = (
        ("of the array", "")
        if reports[0].memory is None
        else (
            "of the array and its memory",
            ", memory stall = waiting for operands, or for outputs to leave",
        )
    )
    used, effective = (
        (
            " PEs used: over all PEs, mean over tiles.",
            "; eff. (effective) = the same, both operands non-zero",
        )
        if utilizations
        else ("", "")
    )
    engines = [each.pe.engine_model for each in reports]
    equal = "" if any(engines) else ", PE count being equal"
    parts = f"Cycles are those {whose}{equal}: compute = steps at one cycle each, fill = skew and "
    parts += f"loads, drain = sums leaving, pe stall = what slower steps add{waits}."
    if all(engines):
        parts = "Cycles, and what they went to, are those of engines, as noted above."
        used = used.replace("PEs used: over all PEs", "PEs used: over all units")
    lines.append(
        f"{parts}{used} array = MACs / (cycles x PEs x lanes){effective}. SQNR '-': exact."
    )
    coverage = stated_coverage(reports)
    return "\n".join([*coverage.notes(reports[0].totals.macs), *lines])
