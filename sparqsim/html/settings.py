"""The configuration, and where it comes from, as tables that explain themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sparqsim.base.wording import counted
from sparqsim.html.cells import Cell, Column, Table
from sparqsim.html.definitions import meaning
from sparqsim.html.tables import design_name, reports_of
from sparqsim.results.comparison import Comparison
from sparqsim.results.report import Report
from sparqsim.results.setting import Provenance
from sparqsim.trace.coverage import Coverage

NO_LIMIT = "no limit"
NOT_STATED = "not stated by the trace"
#: Operations that are named with their reasons; beyond it they are counted.
MOST_LEFT_OUT = 30
KEEP_8BIT = (
    "Whether layers marked keep_8bit in the trace stayed at 8 bits, as the method has it, rather "
    "than running as the others."
)
KEPT = (
    "How they stayed: honest, on each design's own circuit, in as many cycles as that needs, or "
    "ideal, as mac-8b8b under every design."
)


def settings_table(report: Report) -> Table:
    """Return array, memory and treatment of marked layers: setting, value, meaning."""
    rows = [*_rows("array", report.array.model_dump())]
    rows.append(("keep 8 bit", _shown(report.keep_8bit), KEEP_8BIT))
    if report.keep_8bit:
        rows.append(("kept", report.kept, KEPT))
    if report.memory is None:
        rows.append(
            (
                "memory",
                "not modelled",
                "Operands are there when the array needs them: no cycle waits.",
            )
        )
    else:
        rows += _memory_rows(report.memory.model_dump())
    columns = (
        Column("setting", "", text=True),
        Column("value", "", text=True),
        Column("meaning", "", text=True),
    )
    return Table(
        "Array, memory, layers", columns, tuple(tuple(Cell(text) for text in row) for row in rows)
    )


def _memory_rows(memory: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    plain = {name: value for name, value in memory.items() if not isinstance(value, dict)}
    yield from _rows("memory", plain, "memory ")
    yield from _rows("dram", memory["dram"], "DRAM ")
    for name in ("activations", "weights", "outputs"):
        yield from _rows("scratchpad", memory[name], f"{name} scratchpad ")


def _rows(
    record: str, values: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, str, str]]:
    for name, value in values.items():
        yield prefix + name.replace("_", " "), _shown(value), meaning(f"{record}.{name}")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return NO_LIMIT if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def pes_table(comparison: Comparison) -> Table:
    """Return what the designs are."""
    columns = (
        Column("design", "design", text=True),
        Column("lanes", "pe.lanes"),
        Column("multipliers", "pe.multipliers"),
        Column("cycles depend on values", "pe.cycles_depend_on_values", text=True),
        Column("times itself", "pe.times_itself", text=True),
    )
    rows = tuple(
        (
            design_name(report),
            Cell(str(report.pe.lanes), report.pe.lanes),
            Cell(str(report.pe.multipliers), report.pe.multipliers),
            _yes(report.pe.cycles_depend_on_values),
            _yes(report.pe.times_itself),
        )
        for report in reports_of(comparison)
    )
    return Table("Processing elements", columns, rows)


def _yes(value: bool) -> Cell:
    return Cell("yes" if value else "no")


def provenance_rows(comparison: Comparison) -> list[tuple[str, str]]:
    """Return what made the results; versions and engines where reports differ in them."""
    reports = reports_of(comparison)
    first = reports[0].provenance
    rows = [
        ("trace SHA-256", first.trace_sha256),
        ("network", first.network or "not named in the trace"),
        ("calibrator", first.calibrator or NOT_STATED),
        *_coverage_rows(comparison.coverage, comparison.macs),
        ("batch norms folded", _folded(first)),
    ]
    if first.synthetic:
        rows.append(
            ("values", f"SYNTHETIC, drawn and not measured on a network: {first.synthetic}")
        )
    for name in ("version", "engine"):
        values = dict.fromkeys(getattr(report.provenance, name) for report in reports)
        rows.append((f"sparqsim {name}", ", ".join(values)))
    return rows


def _folded(provenance: Provenance) -> str:
    """Return how many batch norms are part of a layer's weights."""
    folded = provenance.folded_batch_norms
    return NOT_STATED if folded is None else f"{folded} into the layer before"


def _coverage_rows(coverage: Coverage, macs: int) -> Iterator[tuple[str, str]]:
    """Yield for how many inputs the trace is, and every operation that is not in it."""
    yield "inputs", NOT_STATED if coverage.inputs is None else f"{coverage.inputs:,}"
    if coverage.left_out:
        yield "not simulated", coverage.left_out_text(macs)
    elif coverage.is_stated:
        yield "not simulated", "nothing: every product of the network is in the trace"
    else:
        yield "not simulated", NOT_STATED
    for operation in coverage.left_out[:MOST_LEFT_OUT]:
        yield "left out", f"{operation.name}: {operation.reason}"
    if len(coverage.left_out) > MOST_LEFT_OUT:
        yield "left out", f"and {counted(len(coverage.left_out) - MOST_LEFT_OUT, 'more operation')}"
