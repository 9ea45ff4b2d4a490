"""Results: the JSON of one report."""

from __future__ import annotations

from collections.abc import Iterator

from _mutate import json_mutations
from _sound import report_document

COMMANDS = (
    ("card", "show", "{file}"),
    ("report", "{file}", "-o", "{folder}/page.html"),
    ("plot", "{file}", "--kind", "roofline", "-o", "{folder}/a.svg"),
    ("plot", "{file}", "--kind", "energy", "-o", "{folder}/a.svg"),
)


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    yield from json_mutations(report_document(), ".json", seed, count)
