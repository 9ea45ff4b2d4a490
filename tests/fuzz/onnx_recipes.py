"""Recipes in TOML: how an ONNX network becomes integers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from _mutate import toml_mutations
from _quantisable import INPUTS, write

COMMANDS = (
    (
        *("trace", "dump", "{folder}/net.onnx", *INPUTS, "--recipe", "{file}"),
        *("-o", "{folder}/t.safetensors"),
    ),
)
LINES = (
    'activations = "mse:4"',
    'weights = "lp:2.4:4"',
    'keep_8bit = ["product"]',
    "bias_correction = true",
    "accumulator_bits = 32",
    "[calibration]",
    "pictures = 2",
    'labels = "float-network"',
    '[layers."conv"]',
    'weights = "nearest:6"',
    'activations = "percentile:99.9"',
)


def prepare(folder: Path) -> None:
    write(folder)


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    yield from toml_mutations(LINES, ".toml", seed, count)
