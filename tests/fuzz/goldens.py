"""Golden reports, beside a list of cases that is sound."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from _mutate import json_mutations
from _sound import trace, trace_bytes

import sparqsim

COMMANDS = (("regress", "check", "{folder}/cases.toml"),)
#: 1: the golden report differs.
EXIT_CODES = (0, 1, 2)


def prepare(folder: Path) -> None:
    (folder / "t.safetensors").write_bytes(trace_bytes())
    case = '[[case]]\nname = "one"\ntrace = "t.safetensors"\npe = "mac-8b8b"\narray = "2x3"\n'
    (folder / "cases.toml").write_text(f'golden = "."\n{case}')


@cache
def _golden() -> dict:
    array = sparqsim.ArrayConfig(rows=2, cols=3)
    return json.loads(sparqsim.simulate(trace(), "mac-8b8b", array).to_json())


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    for _, content in json_mutations(_golden(), ".json", seed, count):
        yield "one.json", content
