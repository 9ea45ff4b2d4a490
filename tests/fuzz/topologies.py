"""Topologies of convolutions and of products."""

from __future__ import annotations

from collections.abc import Iterator

from _mutate import table_mutations

COMMANDS = (("trace", "import", "{file}", "-o", "{folder}/t.safetensors"),)
CONVOLUTIONS = (
    ("Layer name", "IH", "IW", "FH", "FW", "Channels", "Filters", "Stride", "Batch Size", ""),
    ("c1", "8", "9", "3", "3", "4", "5", "1", "2", ""),
    ("c2-DP", "8", "9", "3", "3", "4", "1", "2", "1", ""),
)
PRODUCTS = (("Layer", "M", "N", "K", ""), ("g1", "3", "4", "5", ""), ("g2", "6", "7", "8", ""))


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    half = count // 2
    yield from table_mutations(CONVOLUTIONS, lambda at: f"c{at}.csv", seed, count - half)
    yield from table_mutations(PRODUCTS, lambda at: f"g{at}.csv", seed + 1, half)
