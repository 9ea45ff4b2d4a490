"""Llama's architecture written again in plain NumPy, one token at a time behind a cache of keys and
values, in float64; and GGUF's Q4_1 from its bytes.
"""

from __future__ import annotations

import struct

import numpy as np


def logits_by_hand(weights, sizes, tokens):
    """Return the logits (tokens, vocabulary) of a list of token numbers."""
    return np.stack(list(_steps(weights, sizes, tokens)))


def _steps(weights, sizes, tokens):
    head = sizes.width // sizes.heads
    keys = [[] for _ in range(sizes.blocks)]
    values = [[] for _ in range(sizes.blocks)]
    for position, token in enumerate(tokens):
        x = weights["embedding.weight"][token]
        for block in range(sizes.blocks):
            of = {
                name.removeprefix(f"blocks.{block}."): value
                for name, value in weights.items()
                if name.startswith(f"blocks.{block}.")
            }
            y = normed(x, of["attention_norm.weight"], sizes.norm_epsilon)
            query, key, value = (
                (of[f"attention.{name}.weight"] @ y).reshape(-1, head)
                for name in ("query", "key", "value")
            )
            keys[block].append(turned(key, position, sizes.rotary_base))
            values[block].append(value)
            query = turned(query, position, sizes.rotary_base)
            mixed = []
            for number in range(sizes.heads):
                shared = number * sizes.kv_heads // sizes.heads
                scores = np.array([query[number] @ each[shared] for each in keys[block]])
                weight = np.exp(scores / np.sqrt(head))
                weight /= weight.sum()
                parts = zip(weight, values[block], strict=True)
                mixed.append(sum(share * each[shared] for share, each in parts))
            x = x + of["attention.output.weight"] @ np.concatenate(mixed)
            y = normed(x, of["feed_forward_norm.weight"], sizes.norm_epsilon)
            gate = of["feed_forward.gate.weight"] @ y
            inner = gate / (1 + np.exp(-gate)) * (of["feed_forward.up.weight"] @ y)
            x = x + of["feed_forward.down.weight"] @ inner
        yield weights["head.weight"] @ normed(x, weights["norm.weight"], sizes.norm_epsilon)


def normed(x, weight, epsilon):
    return x / np.sqrt((x**2).mean() + epsilon) * weight


def turned(heads, position, base):
    """Turn adjacent pairs of each head as complex numbers."""
    width = heads.shape[1]
    pairs = heads[:, ::2] + 1j * heads[:, 1::2]
    pairs = pairs * np.exp(1j * position * base ** (-np.arange(0, width, 2) / width))
    return np.stack([pairs.real, pairs.imag], axis=-1).reshape(heads.shape)


def q4_1_by_hand(data: bytes, shape):
    """Return what groups of 32 stand for: scale and minimum in float16, then 16 bytes, in which low
    nibbles are the first 16 weights, high ones the others.
    """
    found = []
    for at in range(0, len(data), 20):
        scale, least = struct.unpack_from("<2e", data, at)
        packed = data[at + 4 : at + 20]
        codes = [byte & 15 for byte in packed] + [byte >> 4 for byte in packed]
        found += [scale * code + least for code in codes]
    return np.array(found).reshape(shape)
