"""Energies as tables, and what must be known of them."""

from __future__ import annotations

from collections.abc import Sequence

from sparqsim.base.errors import printable
from sparqsim.cli.cells import layer_label, mark, new_table, percent
from sparqsim.cli.tables import Table
from sparqsim.results.energy import PARTS, Energy, EnergyInfo, WordEnergy
from sparqsim.results.report import Report

PJ_PER_UJ = 1e6
#: nJ x us of one uJ x ms.
NJ_US_PER_UJ_MS = 1e6


#: Headings of the parts of a PE's energy.
SHORT = {
    "switching": "switch-\ning",
    "internal": "inter-\nnal",
    "clock": "clock",
    "leakage": "leak-\nage",
}


def layers_energy_table(report: Report) -> Table:
    """Return the energies of a design's layers, layers down."""
    totals = report.totals.energy_pj
    table = new_table("layer", *_headings(totals), title=_title(report))
    for layer in report.layers:
        table.add_row(layer_label(layer), *_cells(layer.energy_pj))
    table.add_section()
    table.add_row("total", *_cells(totals))
    return table


def designs_energy_table(reports: Sequence[Report]) -> Table:
    """Return the energies of whole networks, designs down; '-' for one that has none."""
    known = [report for report in reports if report.energy is not None]
    table = new_table("design", *_headings(known[0].totals.energy_pj), title=_title(known[0]))
    width = len(_headings(known[0].totals.energy_pj))
    for report in reports:
        energy = report.totals.energy_pj
        cells = ["-"] * width if energy is None else _cells(energy)
        table.add_row(report.pe.spec + mark(report), *cells)
    return table


def _title(report: Report) -> str:
    return (
        f"Energy by the fast model, {report.coverage.scope().lower()}: the array's per MAC; total, "
        "and total x time; PEs' parts and edge in % of the array's"
    )


def _headings(energy: Energy | None) -> list[str]:
    memory = energy is not None and energy.sram is not None
    return [
        "pJ per\nMAC",
        "total\nuJ",
        "x time\nuJ ms",
        *(f"{SHORT[part]}\n%" for part in PARTS),
        "edge\n%",
        *(["SRAM\nuJ", "DRAM\nuJ"] if memory else []),
    ]


def _cells(energy: Energy | None) -> list[str]:
    if energy is None:
        return []
    array = energy.array
    memory = [] if energy.sram is None else [energy.sram.total, energy.dram]
    return [
        f"{energy.array_per_mac:.2f}",
        _micro(energy.total),
        _scaled(energy.delay_product_nj_us, NJ_US_PER_UJ_MS),
        *(percent(getattr(energy.pe, part) / array) for part in PARTS),
        percent(energy.edge.total / array),
        *map(_micro, memory),
    ]


def _micro(picojoules: float | None) -> str:
    return _scaled(picojoules, PJ_PER_UJ)


def _scaled(value: float | None, unit: float) -> str:
    return "-" if value is None else f"{value / unit:,.4g}"


def notes(reports: Sequence[Report]) -> str:
    """Return what a reader must know: cells, clock, source, errors, memory, what is not there."""
    infos = [report.energy for report in reports if report.energy is not None]
    lines = [_cells_line(infos[0]), _error_line(reports), *_memory_lines(infos[0])]
    lines += dict.fromkeys(remark for info in infos for remark in info.remarks)
    lines += [f"No energy: {report.energy_absent}." for report in reports if report.energy_absent]
    return "\n".join(map(printable, lines))


def _cells_line(info: EnergyInfo) -> str:
    cells = info.cells
    return (
        f"Energy: {cells.library}, {cells.node_nm:g} nm, {cells.corner}, {cells.voltage_v:g} V, "
        f"clock of {cells.clock_ns:g} ns (all designs; leakage and time are over it). "
        f"{cells.method[0].upper()}{cells.method[1:]}. Source: {cells.source}; {cells.tools}."
    )


def _error_line(reports: Sequence[Report]) -> str:
    """Return how far the model is from gates, design by design."""
    told = []
    for report in reports:
        cells = None if report.energy is None else report.energy.cells
        if cells is not None and cells.test_median_percent is not None:
            told.append(
                f"{report.pe.spec} {cells.test_median_percent:.1f} ({cells.test_worst_percent:.1f})"
            )
    if not told:
        return "The model was tried on no layers that it was not fitted on."
    return (
        "Error against gate-level runs of layers not in the fit, %, median (worst): "
        f"{', '.join(told)}."
    )


def _memory_lines(info: EnergyInfo) -> list[str]:
    lines = []
    if info.memory is not None:
        lines += [f"{_word(info.memory.sram)}.", f"{_word(info.memory.dram)}."]
    if info.scaled is not None:
        sram = info.scaled.sram_factor
        of_sram = "" if sram is None else f", scratchpads x {sram:.4g}"
        lines.append(
            f"Scaled to {info.scaled.to_nm:g} nm: cells x {info.scaled.cells_factor:.4g}{of_sram}. "
            f"Rule: {info.scaled.rule}."
        )
    return lines


def _word(word: WordEnergy) -> str:
    return f"Memory: {word.label()} ({word.source})"
