"""Trace files: the header's entries, the document in it, the bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from _mutate import altered, flipped, json_text
from _sound import narrow_trace_bytes, trace_bytes

COMMANDS = (
    ("trace", "check", "{file}"),
    ("trace", "info", "{file}"),
    ("card", "show", "{file}"),
    ("card", "budget", "{file}", "--bits", "3"),
    ("simulate", "{file}", "--pe", "sparq-5opt", "--array", "2x3"),
    (
        *("trace", "transform", "{file}", "--with", "requantise:weights=4,activations=3"),
        *("--with", "prune-2of4", "-o", "{folder}/changed.safetensors"),
    ),
)
ODD_LENGTHS = (0, 1, 2**31, 2**40, 2**63, 2**64 - 1)


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    rng, sound = random.Random(seed), (trace_bytes(), narrow_trace_bytes())
    for number, content in enumerate(sound):
        yield f"sound{number}.safetensors", content
    for number in range(len(sound), count):
        yield f"m{number}.safetensors", _mutated(rng, *_parsed(sound[number % len(sound)]))


def _parsed(content: bytes) -> tuple[dict, bytes]:
    """Return the header of a trace file, and what follows it."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def _mutated(rng: random.Random, header: dict, data: bytes) -> bytes:
    document = json.loads(header["__metadata__"]["sparqsim"])
    kind = rng.randrange(5)
    text = json_text(header)
    if kind in {0, 1}:
        changed = json_text(altered(rng, document)).decode()
        text = json_text(header | {"__metadata__": {"sparqsim": changed}})
    elif kind == 2:
        text = json_text(altered(rng, header))
    elif kind == 3:
        text = flipped(rng, text)
    length = rng.choice(ODD_LENGTHS) if rng.random() < 0.05 else len(text)
    content = length.to_bytes(8, "little") + text + data
    return flipped(rng, content) if kind == 4 else content
