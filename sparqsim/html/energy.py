"""Energy of designs by part, where results have it: a table for each table of coefficients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sparqsim.html.cells import Cell, Column, Table, decimal
from sparqsim.plot.energy import cells_text
from sparqsim.results.comparison import Comparison
from sparqsim.results.energy import Energy, EnergyInfo
from sparqsim.results.report import Report

CELLS = ("switching", "internal", "clock", "leakage")
COLUMNS = (
    Column("design", "design", text=True),
    Column("array (pJ per MAC)", "energy.array_per_mac"),
    *(Column(f"PE: {name}", f"cells.{name}") for name in CELLS),
    Column("edge", "energy.edge"),
    Column("scratchpads", "energy.sram"),
    Column("DRAM", "energy.dram"),
    Column("total (pJ per MAC)", "energy.per_mac"),
    Column("total (nJ)", "energy.total"),
    Column("energy x delay (nJ us)", "energy.delay_product_nj_us"),
)
PJ_PER_NJ = 1000


def energy_tables(comparison: Comparison) -> Iterator[Table]:
    """Yield tables of energy: one for all designs of one table of coefficients; none without
    energies.
    """
    reports = [comparison.reports[name] for name in comparison.order]
    groups: dict[str, list[tuple[Report, EnergyInfo]]] = {}
    for report in reports:
        if report.energy is not None:
            groups.setdefault(report.energy.basis, []).append((report, report.energy))
    absent = [f"{each.pe.spec}: {each.energy_absent}." for each in reports if each.energy_absent]
    for group in groups.values():
        yield _table(group, absent)


def _table(group: Sequence[tuple[Report, EnergyInfo]], absent: Sequence[str]) -> Table:
    info = group[0][1]
    energies = [(report, report.totals.energy_pj) for report, _ in group]
    rows = tuple(_row(report.pe.spec, each) for report, each in energies if each is not None)
    remarks = dict.fromkeys(remark for _, each in group for remark in each.remarks)
    words = [each.label() for each in (info.memory.sram, info.memory.dram)] if info.memory else []
    scaled = [f"Scaled to {info.scaled.to_nm:g} nm: {info.scaled.rule}."] if info.scaled else []
    note = [f"Cells: {cells_text(info)}; {info.cells.source}.", *(f"{each}." for each in words)]
    note += [*scaled, *remarks, *(f"No energy: {each}" for each in absent)]
    return Table(
        "Energy, whole network: pJ per multiply-accumulate, by part",
        COLUMNS,
        rows,
        note=" ".join(note),
        wide=True,
    )


def _row(name: str, energy: Energy) -> tuple[Cell, ...]:
    cells = [getattr(energy.pe, part) for part in CELLS]
    sram = None if energy.sram is None else energy.sram.total
    parts = [energy.array, *cells, energy.edge.total, sram, energy.dram, energy.total]
    per_mac = [None if part is None else part / energy.macs for part in parts]
    total_nj = None if energy.total is None else energy.total / PJ_PER_NJ
    return (
        Cell(name),
        *(decimal(part, 3) for part in per_mac),
        decimal(total_nj, 1),
        decimal(energy.delay_product_nj_us, 1),
    )
