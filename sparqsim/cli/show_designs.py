"""The PE designs there are, as a table."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from sparqsim.cli import records
from sparqsim.cli.cells import json_text
from sparqsim.cli.markdown import SOFT_HYPHEN
from sparqsim.cli.tables import Shown, Table
from sparqsim.engine.models import EngineModel
from sparqsim.pe import PEDesign


def designs_shown(
    designs: Mapping[str, type[PEDesign]],
    outside: Mapping[str, str],
    engines: Mapping[str, type[EngineModel]],
) -> Shown:
    """Return the designs there are, and engines of their own; of others where they are from."""
    found = records.of_designs(designs)
    others = [f"{name}: {first_line(engine)}" for name, engine in engines.items()]
    others += [f"{name}: from another package ({place})" for name, place in outside.items()]
    notes = "\n".join(others)
    return Shown("", [design_table(found)], notes, lambda: found, lambda: json_text(found))


def first_line(engine: type[EngineModel]) -> str:
    """Return what an engine is, in its own words."""
    return f"{engine.kind}. {(inspect.getdoc(engine) or '').partition(chr(10))[0]}"


def design_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of PE designs, a record a row."""
    table = Table(
        "PE designs",
        [
            "design",
            "lanes",
            f"multi{SOFT_HYPHEN}\npliers",
            "cycles\nper step",
            "activations",
            "keys (first: default)",
        ],
        text=True,
    )
    for row in found:
        table.add_row(
            row["pe"],
            str(row["lanes"]),
            str(row["multipliers"]),
            _step_cycles(row),
            "uint8, int8" if row["signed_activations"] else "uint8",
            row["keys"],
        )
    return table


def _step_cycles(row: Mapping[str, Any]) -> str:
    most = row["most_step_cycles"]
    if most == 1:
        return "1"
    return f"{most} (fixed)" if row["cost"] == "shape" else f"1..{most} (values)"
