"""Grids of sweeps in TOML: read and planned, not computed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from _mutate import toml_mutations
from _sound import trace_bytes

from sparqsim.sweep.grid import load_grid
from sparqsim.sweep.point import Planner

LINES = (
    'trace = "t.safetensors"',
    'pe = ["mac-8b8b", "sparq-5opt"]',
    'array = ["2x3", "4x4"]',
    'dataflow = ["os", "ws"]',
    'coupling = "elastic:2"',
    'overlap = ["on", "off"]',
    'memory = "edge"',
    "all_layers = [true, false]",
    'engine = "fast"',
    "[[grid]]",
    'array = "1x1"',
)


def prepare(folder: Path) -> None:
    (folder / "t.safetensors").write_bytes(trace_bytes())


def run(file: Path) -> None:
    Planner().points(load_grid(file))


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    yield from toml_mutations(LINES, ".toml", seed, count)
