"""Results: the JSON of one comparison."""

from __future__ import annotations

from collections.abc import Iterator

from _mutate import json_mutations
from _sound import comparison_document

COMMANDS = (
    ("card", "show", "{file}"),
    ("report", "{file}", "-o", "{folder}/page.html"),
    ("plot", "{file}", "-o", "{folder}/a.svg"),
    ("plot", "{file}", "--kind", "pareto", "-o", "{folder}/b.svg"),
)


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    yield from json_mutations(comparison_document(), ".json", seed, count)
