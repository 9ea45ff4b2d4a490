"""Folders of .npy files: one of them, or the model.csv beside them, is altered."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _mutate import flipped, table_mutations

COMMANDS = (("trace", "import", "{folder}", "-o", "{folder}/t.safetensors"),)
ROWS = (("a", "conv", "1", "1"), ("fc", "fc", "1", "0"))
SHAPES = {
    "act-a-0.npy": (2, 3, 4, 4),
    "wgt-a.npy": (2, 3, 2, 2),
    "act-fc.npy": (2, 5),
    "wgt-fc.npy": (4, 5),
}


def _sound() -> dict[str, bytes]:
    files = {}
    for number, (name, shape) in enumerate(SHAPES.items()):
        content = io.BytesIO()
        np.save(content, np.random.default_rng(number).integers(0, 9, shape).astype(np.int64))
        files[name] = content.getvalue()
    return files


def prepare(folder: Path) -> None:
    (folder / "model.csv").write_text("\n".join(map(",".join, ROWS)))
    for name, content in _sound().items():
        (folder / name).write_bytes(content)


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    rng, sound = random.Random(seed), _sound()
    half = count // 2
    yield from table_mutations(ROWS, lambda _: "model.csv", seed, count - half)
    for _ in range(half):
        name = rng.choice(list(sound))
        header_first = rng.random() < 0.7
        content = sound[name]
        if header_first:
            yield name, flipped(rng, content[:128]) + content[128:]
        else:
            yield name, flipped(rng, content)
