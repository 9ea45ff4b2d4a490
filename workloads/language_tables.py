"""Tables of docs/how-to/language-model.md, from the records in docs/language/.

python workloads/language_tables.py            # writes them
python workloads/language_tables.py --check    # exit code 1 if the page holds others
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from accuracy_tables import ROOT, markdown_table
from page_tables import Pages

FOLDER = ROOT / "docs" / "language"
PAGE = ROOT / "docs" / "how-to" / "language-model.md"
BASELINE = "mac-8b8b"
DESIGNS = (
    "mac-8b8b",
    "mac-mxint8",
    "mac-w4a8",
    "sparq-5opt:signed=magnitude",
    "mac-mxfp4",
    "olive-4b",
    "mac-4b4b",
)
PHASES = {"prefill": "prefill:64", "decode": "decode:64"}
#: Bits of an activation and of a weight, as a memory holds them.
OPERANDS = {
    "mac-8b8b": ("8", "8"),
    "mac-mxint8": ("8.25", "8.25"),
    "mac-w4a8": ("8", "5"),
    "sparq-5opt": ("8", "8"),
    "mac-mxfp4": ("4.25", "4.25"),
    "olive-4b": ("4 (4.5 without negatives)", "4"),
    "mac-4b4b": ("4", "4"),
}


def loaded(name: str) -> dict[str, Any]:
    """Return a record."""
    record: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return record


def shown(design: str) -> str:
    """Return how a table names a design."""
    return f"`{design.partition(':')[0]}`"


def measured(entries: dict[str, Any]) -> list[str]:
    """Return the designs that a part of a record has, in the order of `DESIGNS`: a run that was
    stopped has some.
    """
    return [design for design in DESIGNS if design in entries]


def answers_table(name: str) -> list[str]:
    """Return perplexity, and how many tokens are as in float and right, of every design."""
    record = loaded(name)
    told = record.get("told", {})
    heads = ["arithmetic", "bits of activations, weights", "perplexity", "over float's"]
    heads += ["token as in float", "right token"]
    whole = record["answers"]["float"]
    rows = []
    for design in ("float", *measured(record["answers"])):
        found = record["answers"][design]
        label = "float32" if design == "float" else shown(design)
        bits = "32, 32" if design == "float" else ", ".join(OPERANDS[design.partition(":")[0]])
        more = found["perplexity"] / whole["perplexity"]
        shares = [
            f"{found[key]} ({found[key] / found['tokens']:.0%})" for key in ("agree", "right")
        ]
        row = [label, bits, number(found["perplexity"]), f"{more:.2f}", *shares]
        if told:
            row.append("-" if design == "float" else f"{told[design]} of 40")
        rows.append(row)
    return markdown_table([*heads, "first tokens told"] if told else heads, rows)


def number(value: float) -> str:
    """Return a figure with three significant digits or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def phase_table(name: str) -> list[str]:
    """Return cycles, errors and energies of a phase of one block."""
    found = loaded("smollm2")["phases"][PHASES[name]]
    designs = found["designs"]
    heads = ("design", "cycles", "speedup", "SQNR, dB", "energy, pJ per MAC", "energy over")
    base = designs[BASELINE]
    rows = []
    for design in measured(designs):
        each = designs[design]
        energy = each["energy_pj"]
        level = each["sqnr_db"]
        rows.append(
            [
                shown(design),
                f"{each['cycles']:,}",
                f"{base['cycles'] / each['cycles']:.2f}",
                "exact" if level is None else f"{level:.1f}",
                "no coefficients" if energy is None else f"{energy / found['macs']:.2f}",
                "-" if energy is None else f"{energy / base['energy_pj']:.2f}",
            ]
        )
    return markdown_table(heads, rows)


TABLES: dict[str, Callable[[], list[str]]] = {
    "answers": lambda: answers_table("smollm2"),
    "stories": lambda: answers_table("stories260k"),
    "prefill": lambda: phase_table("prefill"),
    "decode": lambda: phase_table("decode"),
}

PAGES = Pages(lambda: [PAGE], lambda name: TABLES[name]())
rendered, write_tables = PAGES.rendered, PAGES.write


if __name__ == "__main__":
    PAGES.write_or_check()
