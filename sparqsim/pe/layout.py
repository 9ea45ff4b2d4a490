"""Operands as a PE takes them: step by step, lane by lane."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.trace.layer import Layer

Array = NDArray[Any]

#: Pairs of 8-bit codes.
PAIRS = 1 << 16


def padded_to(x: Array, lanes: int) -> Array:
    """Return `x` (..., K) with zeros appended so that K is a multiple of `lanes`, C-contiguous."""
    short = -x.shape[-1] % lanes
    if short:
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, short)])
    return np.ascontiguousarray(x)


def arranged(values: Array, order: NDArray[np.int64]) -> Array:
    """Return (..., K) as (..., steps, lanes) in the order of `PEDesign.k_order`, zeros where
    nothing is taken.
    """
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, 1)])
    taken: Array = padded[..., order]  # an index of -1 finds the zero just appended
    return taken


def looked_up(table: Array, codes: Array) -> Array:
    """Return `table` (256,), of one byte an entry, at the bytes of 8-bit codes, of its dtype."""
    if codes.size % 2 or codes.size < PAIRS:
        return np.take(table, codes.view(np.uint8))
    # Two at a time: half as many look-ups.
    pairs = np.ascontiguousarray(codes).reshape(-1).view(np.uint16)
    found: Array = np.take(_of_pairs(table.tobytes()), pairs)
    return found.view(table.dtype).reshape(codes.shape)


@lru_cache(maxsize=8)
def _of_pairs(table: bytes) -> NDArray[np.uint16]:
    """Return what a table of bytes has for two bytes at once, uint16 (65536,)."""
    codes = np.arange(PAIRS, dtype=np.uint16).view(np.uint8)
    return np.frombuffer(table, np.uint8)[codes].view(np.uint16)


def nonzero_masks(values: Array, lanes: int) -> NDArray[np.uint8]:
    """Return, for each `lanes` adjacent elements of (..., K), the bit mask of those that are not
    zero.
    """
    there = padded_to(values != 0, lanes)
    if lanes in (1, 2, 4, 8):
        return _bits_of_bytes(there.view(f"<u{lanes}"), lanes)
    groups = there.view(np.uint8).reshape(*values.shape[:-1], -1, lanes)
    mask = groups[..., 0].copy()
    for lane in range(1, lanes):
        mask |= groups[..., lane] << lane
    return mask


def _bits_of_bytes(words: Array, count: int) -> NDArray[np.uint8]:
    """Return words of so many bytes, each 0 or 1, with a bit for each byte."""
    # Neighbours first, then neighbouring twos, then fours: twice as many bits lie side by side.
    for shift in (7, 14, 28)[: count.bit_length() - 1]:
        words = words | words >> shift
    return words.astype(np.uint8) & np.uint8((1 << count) - 1)


def mask_examples(lanes: int, value: int) -> list[tuple[int, ...]]:
    """Return, for every bit mask, a tuple with `value` in the lanes of the mask and 0 elsewhere."""
    return [
        tuple(value if mask >> lane & 1 else 0 for lane in range(lanes))
        for mask in range(1 << lanes)
    ]


def magnitude_pairs(x: Array) -> NDArray[np.int64]:
    """Return how many pairs of 8-bit activations (..., K) have the magnitudes [second, first],
    int64 (256, 256).
    """
    magnitudes = np.abs(x).view(np.uint8) if x.dtype == np.int8 else x
    numbers = padded_to(magnitudes, 2).view("<u2")
    return np.bincount(numbers.ravel(), minlength=PAIRS).reshape(256, 256)


def blocks_can_be_stored(layer: Layer, size: int) -> bool:
    """Return whether blocks of `size` activations along K are the same at every kernel position.

    What a block shares (an outlier's mark, an exponent) can then lie in memory. Where channels of a
    group are no whole blocks, a pixel has other neighbours in every window that reads it.
    """
    geometry = layer.record.geometry
    if geometry is None or geometry.kernel == (1, 1):
        return True
    channels = layer.activations_source.shape[-1] // layer.gemm.groups
    return channels % size == 0
