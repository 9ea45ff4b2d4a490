"""Lists of cases in TOML."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from _mutate import toml_mutations
from _sound import trace_bytes

COMMANDS = (("regress", "check", "{file}"),)
EXIT_CODES = (0, 1, 2)
LINES = (
    'golden = "gold"',
    "[[case]]",
    'name = "one"',
    'trace = "t.safetensors"',
    'pe = "mac-8b8b"',
    'array = "2x3"',
    'dataflow = "os"',
    'coupling = "lockstep"',
    'overlap = "off"',
    'memory = "edge"',
    "all_layers = false",
    'engine = "fast"',
)


def prepare(folder: Path) -> None:
    (folder / "t.safetensors").write_bytes(trace_bytes())


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    yield from toml_mutations(LINES, ".toml", seed, count)
