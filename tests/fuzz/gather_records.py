"""Records of embedding gathers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from _mutate import json_mutations

COMMANDS = (("plot", "{file}", "--kind", "gather", "-o", "{folder}/g.svg"),)


@cache
def text() -> str:
    """Return a record of two formats at two widths."""
    from sparqsim.engine.gather import Asked, gather
    from sparqsim.gather.lookups import Draw, lookups_of
    from sparqsim.gather.table import Table
    from sparqsim.memory.accelerator import load_accelerator

    values = np.random.default_rng(1).normal(size=(20, 16)).astype(np.float32)
    table, lookups = Table(values, "t", "0" * 64, "float32"), lookups_of("zipf:1", 20, Draw(99))
    asked = Asked(table, lookups, load_accelerator("edge"), ("fp16", "int8"), widths=(8, 16))
    return gather(asked).to_json()


def document() -> Any:
    """Return it as JSON values."""
    return json.loads(text())


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of `count` files."""
    yield from json_mutations(document(), ".json", seed, count)
