"""Lists of bits by layer in JSON, given to a trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from _mutate import json_mutations
from _sound import trace_bytes

COMMANDS = (
    ("trace", "requantise", "{folder}/t.safetensors", "--bits", "{file}", "-o", "{folder}/n"),
)


def prepare(folder: Path) -> None:
    (folder / "t.safetensors").write_bytes(trace_bytes())


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    document = {"magnitude_bits": True, "conv": {"weights": 4, "activations": 3}, "product": 2}
    yield from json_mutations(document, ".json", seed, count)
