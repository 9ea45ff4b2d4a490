"""What a design, its array and its memory did, as a table that explains every action."""

from __future__ import annotations

from dataclasses import fields

from sparqsim.html.cells import Cell, Column, Table
from sparqsim.html.definitions import meaning_in
from sparqsim.results.actions import EXPLAINED, Action
from sparqsim.results.engine_notes import cost_lines
from sparqsim.results.report import Report

PART = "Cycles in which the part works, summed over PEs."
OWN = "As the engine counts it."


def actions_table(report: Report) -> Table | None:
    """Return the actions of a whole network, an action a row; None where none were counted."""
    actions = report.totals.actions
    if not actions:
        return None
    columns = (
        Column("action", "", text=True),
        Column("count", ""),
        Column("of what", "", text=True),
        Column("counted by", "", text=True),
        Column("meaning", "", text=True),
    )
    rows = tuple(_row(name, actions[name]) for name in sorted(actions))  # as files have them
    note = " ".join(cost_lines([report]))
    return Table(f"{report.pe.spec}: actions that cost energy", columns, rows, note=note)


def _row(name: str, action: Action) -> tuple[Cell, ...]:
    count = Cell(f"{action.count:,}", action.count)
    return Cell(name), count, Cell(action.unit), Cell(action.counter), Cell(explained(name))


def explained(name: str) -> str:
    """Return what an action means, by its name."""
    counter, last = name.partition(".")[0], name.rpartition(".")[2]
    for record in EXPLAINED.get(counter, ()):
        if last in {each.name for each in fields(record)}:
            return meaning_in(record, last)
    return PART if counter == "pe" else OWN
