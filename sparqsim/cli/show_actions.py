"""The actions of designs as a table: what costs energy, counted."""

from __future__ import annotations

from collections.abc import Sequence

from sparqsim.base.errors import printable
from sparqsim.cli.cells import heading_of, new_table
from sparqsim.cli.tables import Table
from sparqsim.results.report import Report


def actions_table(reports: Sequence[Report]) -> Table:
    """Return the actions of whole networks, an action a row, designs across; of one design with
    units, for which several leave no room.

    '-': the design has no such part, or its engine does not count it.
    """
    tables = [report.totals.actions for report in reports]
    units = {name: action.unit for table in tables for name, action in table.items()}
    title = f"Actions that cost energy, {reports[0].coverage.scope().lower()}"
    alone = len(reports) == 1
    energies = _energies_pj(reports[0]) if alone else {}
    table = new_table(
        "action",
        *(["unit"] if alone else []),
        *(heading_of(report.pe.spec) for report in reports),
        *(["nJ"] if energies else []),
        title=title if units else f"{title}: none were counted",
    )
    for name, unit in sorted(units.items()):
        counts = (f"{each[name].count:,}" if name in each else "-" for each in tables)
        energy = [f"{energies[name] / 1000:,.4g}" if name in energies else "-"] if energies else []
        table.add_row(printable(name), *([printable(unit)] if alone else []), *counts, *energy)
    return table


def _energies_pj(report: Report) -> dict[str, float]:
    """Return what the actions cost that have a figure, pJ."""
    engine = report.pe.engine_model
    costs = None if engine is None else engine.costs
    return {} if costs is None else costs.energies_pj(report.totals.actions)
