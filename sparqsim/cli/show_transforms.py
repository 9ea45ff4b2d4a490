"""What transforms did to a trace, as a table."""

from __future__ import annotations

from typing import Any

from sparqsim.base.errors import printable
from sparqsim.cli.cells import json_text
from sparqsim.cli.tables import Shown, Table
from sparqsim.trace import Trace
from sparqsim.trace.transforms.applying import KEY, OPERANDS

SQNR = "output_sqnr_db"


def transforms_shown(trace: Trace, applied: int, target: str) -> Shown:
    """Return what the last `applied` transforms did, by layer; `target`: the trace's file."""
    told: Any = trace.metadata.provenance[KEY]
    entries = told[-applied:]
    rows = [
        {"transform": entry["transform"], "layer": name, **_flat(facts)}
        for entry in entries
        for name, facts in entry["layers"].items()
    ]
    notes = (
        "Changed: stored codes that differ from those before the transform. SQNR: outputs of the "
        f"layer against those of the trace read, sha256 {entries[0]['source_sha256'][:12]}...; "
        "'-': nothing is lost. Results of the new trace take its codes as exact. What else a "
        "transform says is in the trace, and in --format json and csv."
    )
    return Shown(
        f"{target}: {printable(trace.metadata.network)}",
        [_table(entry) for entry in entries],
        notes,
        lambda: rows,
        lambda: json_text({"trace": target, KEY: entries}),
    )


def _table(entry: dict[str, Any]) -> Table:
    """Return what one transform did."""
    columns = ["layer", "activations\nchanged", "weights\nchanged", "SQNR\ndB", "left alone"]
    table = Table(printable(entry["transform"]), columns, text=True)
    for name, facts in entry["layers"].items():
        sqnr = facts[SQNR]
        table.add_row(
            printable(name),
            *(f"{facts[f'{operand}_changed']:,}" for operand in OPERANDS),
            "-" if sqnr is None else f"{sqnr:.1f}",
            printable(str(facts.get("left_alone", ""))),
        )
    return table


def _flat(facts: dict[str, Any]) -> dict[str, Any]:
    """Return facts with those of an operand named after it."""
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            flat |= {f"{name}_{inner}": each for inner, each in value.items()}
        else:
            flat[name] = value
    return flat
