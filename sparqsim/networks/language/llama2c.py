"""Weights in the first file format of llama2.c: seven sizes, then float32 values, no names.

The sizes are int32: width, hidden, blocks, heads, heads of keys and values, vocabulary (below 0
where the head has weights of its own), longest sequence. Then the embedding, of all blocks each
kind of weights together, the last norm, two tables of rotary positions that are computed here, and
the head where it has its own.

*Source*: karpathy/llama2.c, run.c and export.py (version 0).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sparqsim.base.errors import InputError
from sparqsim.networks.language.llama import Llama, Sizes, empty, with_weights

HEADER_BYTES = 28
Shape = tuple[int, ...]


def load_llama2c(path: str | PathLike[str]) -> Llama:
    """Return the network of a file.

    Raises
    ------
    InputError
        For a file that is none, or whose size is not that of its weights.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}, expected a file of llama2.c") from None
    if len(data) < HEADER_BYTES:
        raise InputError(f"{path}: {len(data)} bytes, expected a file of llama2.c")
    width, hidden, blocks, heads, kv_heads, vocabulary, longest = np.frombuffer(
        data[:HEADER_BYTES], "<i4"
    ).tolist()
    try:
        sizes = Sizes(abs(vocabulary), width, hidden, blocks, heads, kv_heads, context=longest)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    tables = 2 * longest * sizes.head // 2
    kinds = _kinds(sizes, tables, own_head=vocabulary < 0)
    expected = HEADER_BYTES + 4 * sum(math.prod(shape) for _, shape in kinds)
    if len(data) != expected:
        raise InputError(f"{path}: {len(data)} bytes, expected {expected} for its sizes")
    values = torch.from_numpy(np.frombuffer(data, "<f4", offset=HEADER_BYTES).copy())
    return with_weights(empty(sizes), dict(_named(values, kinds)), str(path))


def _kinds(sizes: Sizes, tables: int, *, own_head: bool) -> list[tuple[str, Shape]]:
    """Return (name, shape) in the file's order; names with '*' have all blocks along axis 0."""
    width, hidden, blocks = sizes.width, sizes.hidden, sizes.blocks
    shared = sizes.kv_heads * sizes.head
    kinds = [
        ("embedding.weight", (sizes.vocabulary, width)),
        ("blocks.*.attention_norm.weight", (blocks, width)),
        ("blocks.*.attention.query.weight", (blocks, width, width)),
        ("blocks.*.attention.key.weight", (blocks, shared, width)),
        ("blocks.*.attention.value.weight", (blocks, shared, width)),
        ("blocks.*.attention.output.weight", (blocks, width, width)),
        ("blocks.*.feed_forward_norm.weight", (blocks, width)),
        ("blocks.*.feed_forward.gate.weight", (blocks, hidden, width)),
        ("blocks.*.feed_forward.down.weight", (blocks, width, hidden)),
        ("blocks.*.feed_forward.up.weight", (blocks, hidden, width)),
        ("norm.weight", (width,)),
        ("", (tables,)),
    ]
    return [*kinds, ("head.weight", (sizes.vocabulary, width))] if own_head else kinds


def _named(values: Tensor, kinds: list[tuple[str, Shape]]) -> Iterator[tuple[str, Tensor]]:
    at = 0
    for name, shape in kinds:
        count = math.prod(shape)
        part = values[at : at + count].reshape(shape)
        at += count
        if "*" in name:
            yield from ((name.replace("*", str(n)), each) for n, each in enumerate(part))
        elif name:
            yield name, part
