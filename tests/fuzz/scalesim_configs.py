"""Configurations of SCALE-Sim."""

from __future__ import annotations

from collections.abc import Iterator

import accelerators
from _mutate import toml_mutations

COMMANDS = accelerators.COMMANDS
prepare = accelerators.prepare
LINES = (
    "[general]",
    "run_name = made",
    "[architecture_presets]",
    "ArrayHeight = 2",
    "ArrayWidth = 3",
    "IfmapSramSzkB = 64",
    "FilterSramSzkB = 64",
    "OfmapSramSzkB = 64",
    "Dataflow = ws",
    "Bandwidth = 10",
    "[run_presets]",
    "InterfaceBandwidth = USER",
)


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    yield from toml_mutations(LINES, ".cfg", seed, count)
