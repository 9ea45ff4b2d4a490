"""Quantization cards: the JSON of one card, shown, and compared with that of a sound report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from _mutate import json_mutations
from _sound import report_document

COMMANDS = (
    ("card", "show", "{file}"),
    ("card", "show", "{file}", "--format", "csv"),
    ("card", "diff", "{file}", "{folder}/other.json"),
)
EXIT_CODES = (0, 1, 2)


def prepare(folder: Path) -> None:
    (folder / "other.json").write_text(json.dumps(report_document()))


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    card = report_document()["card"]
    yield from json_mutations(card, ".json", seed, count)
