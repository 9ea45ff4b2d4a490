"""Results: the JSON of one bandwidth curve."""

from __future__ import annotations

from collections.abc import Iterator

from _mutate import json_mutations
from _sound import bandwidth_document

COMMANDS = (("plot", "{file}", "--kind", "bandwidth", "-o", "{folder}/b.svg"),)


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    yield from json_mutations(bandwidth_document(), ".json", seed, count)
