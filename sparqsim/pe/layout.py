"""Operands as a PE takes them: step by step, lane by lane."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.trace.layer import Layer

Array = NDArray[Any]


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


def nonzero_masks(values: Array, lanes: int) -> NDArray[np.uint8]:
    """Return, for each `lanes` adjacent elements of (..., K), the bit mask of those that are not
    zero.
    """
    present = padded_to(values != 0, lanes).view(np.uint8)
    if lanes == 1:
        return present
    groups = present.reshape(*values.shape[:-1], -1, lanes)
    mask = np.zeros(groups.shape[:-1], np.uint8)
    for lane in range(lanes):
        mask |= groups[..., lane] << lane
    return mask


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
    return np.bincount(numbers.ravel(), minlength=1 << 16).reshape(256, 256)


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
