"""Assignments in TOML: which design runs which layer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from _mutate import toml_mutations
from _sound import trace_bytes

COMMANDS = (
    ("simulate", "{folder}/t.safetensors", "--array", "2x3", "--pe", "@{file}"),
    ("compare", "{folder}/t.safetensors", "--array", "2x3", "--pe", "@{file},mac-2x8b8b"),
)
LINES = (
    'name = "mixed"',
    'default = "mac-8b8b"',
    "[[layers]]",
    'match = "con*"',
    'pe = "mac-4b8b"',
    "[[layers]]",
    'match = "pro?uct"',
    'pe = "sparq-5opt:rounding=trim"',
)


def prepare(folder: Path) -> None:
    (folder / "t.safetensors").write_bytes(trace_bytes())


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    yield from toml_mutations(LINES, ".toml", seed, count)
