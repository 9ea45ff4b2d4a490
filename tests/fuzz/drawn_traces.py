"""Traces that say how their values are drawn: the document, and bytes of the file."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from _mutate import altered, flipped, json_text
from _sound import drawn_trace_bytes

import sparqsim
from sparqsim.base.errors import printable
from sparqsim.cli.show_trace import trace_shown

TENSORS = ("conv/activations", "product/weights", "arrays/labels", "other")
ENTRY = {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}


#: By default a file may ask for minutes of work, and gets them.
BOUNDS = {"SPARQSIM_MAX_DRAWN_ELEMENTS": str(1 << 18)}


def run(file: Path) -> None:
    """Check the file, tell what it holds, simulate it."""
    with patch.dict(os.environ, BOUNDS):
        faults = sparqsim.check_trace(file)
        assert all(map(str.isprintable, map(printable, faults)))
        trace = sparqsim.load_trace(file)
        assert not faults
        trace_shown(trace)
        sparqsim.simulate(trace, "sparq-5opt", sparqsim.ArrayConfig(rows=2, cols=3))


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    rng, sound = random.Random(seed), drawn_trace_bytes()
    header = json.loads(sound[8:])
    yield "sound.safetensors", sound
    for number in range(1, count):
        yield f"m{number}.safetensors", _mutated(rng, header)


def _mutated(rng: random.Random, header: dict) -> bytes:
    document = json.loads(header["__metadata__"]["sparqsim"])
    kind, data = rng.randrange(6), b""
    if kind < 4:
        document = altered(rng, document)
    text = json_text({"__metadata__": {"sparqsim": json_text(document).decode()}})
    if kind == 4:
        tensor = {rng.choice(TENSORS): ENTRY}
        text, data = json_text(header | tensor), b"ab"
    content = len(text).to_bytes(8, "little") + text + data
    return flipped(rng, content) if kind == 5 else content
