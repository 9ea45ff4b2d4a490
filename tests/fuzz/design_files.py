"""Python files with a design of one's own: lines left out, doubled, exchanged, and odd values."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from _mutate import flipped
from _sound import trace_bytes

COMMANDS = (
    ("pe", "show", "{file}:Mine"),
    ("simulate", "{folder}/t.safetensors", "--array", "2x3", "--pe", "{file}:Mine"),
)
LINES = """\
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from sparqsim import PEDesign
from sparqsim.pe import Step

@dataclass(frozen=True)
class Mine(PEDesign):
    "Keeps the top bits of activations; steps with large ones take two cycles."
    name: ClassVar[str] = "mine"
    lanes: ClassVar[int] = 2
    multipliers: ClassVar[int] = 2
    signed_activations: ClassVar[bool] = False
    edge_cycles: ClassVar[int] = 0
    most_step_cycles: ClassVar[int] = 2
    cost: ClassVar[str] = "activations"
    bits: int = field(default=4, metadata={"least": 1, "most": 8})
    way: Literal["cut", "round"] = "cut"
    def step(self, xs, ws, signed=False):
        value = sum((x >> 4 << 4) * w for x, w in zip(xs, ws))
        return Step(value, cycles=1 + (max(xs) > 200))
    def used_activations(self, x):
        return x >> 4 << 4
    def step_cycles(self, x):
        padded = np.pad(x, ((0, 0), (0, 0), (0, x.shape[-1] % 2)))
        return (1 + (padded.reshape(*x.shape[:-1], -1, 2).max(-1) > 200)).astype(np.uint8)
""".splitlines()
VALUES = (
    "None",
    "-1",
    "0",
    "2.5",
    '""',
    '"\\x1b[31m\\0"',
    '"' + "a" * 600 + '"',
    "[]",
    "{}",
    "1 << 70",
    "float('nan')",
    "lambda *_: 0",
    "np.zeros(3)",
    "undefined",
    "(",
)
ENDS = ("None", "x", "-x", "x.astype(float)", "x[:1]", "np.zeros((0,), np.uint8)", "1 / 0", "7")


def prepare(folder: Path) -> None:
    (folder / "t.safetensors").write_bytes(trace_bytes())


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    rng = random.Random(seed)
    yield "sound.py", "\n".join(LINES).encode()
    for number in range(1, count):
        lines = list(LINES)
        for _ in range(rng.choice((1, 1, 2))):
            at = rng.randrange(len(lines))
            lines[at : at + 1] = _line(rng, lines[at])
            lines = lines or [""]
        content = "\n".join(lines).encode()
        yield f"m{number}.py", flipped(rng, content) if rng.random() < 0.2 else content


def _line(rng: random.Random, line: str) -> list[str]:
    kind = rng.randrange(6)
    if kind == 0:
        return []
    if kind == 1:
        return [line, line]
    if "return" in line:
        return [line[: line.index("return")] + f"return {rng.choice(ENDS)}"]
    if " = " in line:
        return [line.partition(" = ")[0] + f" = {rng.choice(VALUES)}"]
    return [line.replace(*rng.choice((("def", "class"), ("Mine", "Other"), ("x", "y"))))]
