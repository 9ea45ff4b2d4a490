"""Quantised networks: the header's entries, the document in it, the bytes."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from _mutate import altered, flipped, json_text
from _quantisable import INPUTS, write

from sparqsim.networks.images import Pictures
from sparqsim.networks.modelfiles import quantise
from sparqsim.networks.saved import KEY
from sparqsim.quantise.recipe import Recipe

COMMANDS = (
    (
        *("trace", "dump", "{folder}/net.onnx", *INPUTS, "--quantised", "{file}"),
        *("-o", "{folder}/t.safetensors"),
    ),
)


def prepare(folder: Path) -> None:
    write(folder)


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    rng, content = random.Random(seed), _sound()
    yield "sound.safetensors", content
    end = 8 + int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8:end]), content[end:]
    for number in range(1, count):
        yield f"m{number}.safetensors", _mutated(rng, header, data)


def _sound() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        pictures = Pictures.open(folder / "x.npy")
        recipe = Recipe(weights="nearest:4", bias_correction=True)
        quantise(str(folder / "net.onnx"), pictures, str(folder / "q"), recipe)
        return (folder / "q").read_bytes()


def _mutated(rng: random.Random, header: dict, data: bytes) -> bytes:
    document = json.loads(header["__metadata__"][KEY])
    kind, text = rng.randrange(5), json_text(header)
    if kind < 3:
        changed = json_text(altered(rng, document)).decode()
        text = json_text(header | {"__metadata__": {KEY: changed}})
    elif kind == 3:
        text = json_text(altered(rng, header))
    content = len(text).to_bytes(8, "little") + text + data
    return flipped(rng, content) if kind == 4 else content
