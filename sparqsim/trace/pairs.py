"""Pairs of activations with zeros, counted as the array sees them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparqsim.trace.layer import Layer
from sparqsim.trace.lowering import patches
from sparqsim.trace.schema import ConvGeometry

Array = NDArray[Any]


class PairCounts(NamedTuple):
    """Of the pairs (k, k + 1) of X, k even: how many there are, with a zero, with exactly one."""

    pairs: int = 0
    with_zero: int = 0
    lone: int = 0

    def plus(self, other: PairCounts) -> PairCounts:
        """Return the counts of both."""
        return PairCounts(*(one + more for one, more in zip(self, other, strict=True)))


def pair_counts(layer: Layer) -> PairCounts:
    """Return the pairs of a layer, padding included; the last of an odd K pairs with a zero."""
    x, geometry = layer.activations, layer.record.geometry
    zero_point, groups = layer.record.activation_zero_point, layer.record.groups
    if geometry is None:
        return _counted(_zeros_per_pair(x))
    pixels = layer.output_shape[1:3]
    _, positions, depth = layer.weights_source.shape
    if depth % 2:
        counts = PairCounts()
        for at in range(len(x)):  # picture by picture: rows are many times their pixels
            view = patches(x[at : at + 1], geometry, groups, pixels, zero_point)
            rows = view.reshape(groups, -1, positions * depth)
            counts = counts.plus(_counted(_zeros_per_pair(rows)))
        return counts
    # Pairs of channels of one pixel: counted once per pixel, then as often as kernel positions
    # visit the pixel.
    zeros = _zeros_per_pair(x)
    pairs_of_pixel = len(x) * zeros.shape[3]
    total = pixels[0] * pixels[1] * positions * pairs_of_pixel
    outside = 0 if zero_point else pairs_of_pixel
    with_zero = _visited((zeros > 0).sum(axis=(0, 3)), geometry, pixels, outside)
    lone = _visited((zeros == 1).sum(axis=(0, 3)), geometry, pixels, 0)
    return PairCounts(total, with_zero, lone)


def _counted(zeros: Array) -> PairCounts:
    return PairCounts(zeros.size, int((zeros > 0).sum()), int((zeros == 1).sum()))


def _zeros_per_pair(x: Array) -> NDArray[np.uint8]:
    """Return how many of each two adjacent elements are zero, uint8 (..., ceil(K / 2))."""
    lacking = x.shape[-1] % 2
    margins = [(0, 0)] * (x.ndim - 1) + [(0, lacking)]
    zero = np.pad(x == 0, margins, constant_values=True).view(np.uint8)
    first, second = zero[..., ::2], zero[..., 1::2]
    return first + second


def _visited(counts: Array, geometry: ConvGeometry, pixels: tuple[int, ...], outside: int) -> int:
    """Return the sum of `counts` (height, width) over all kernel positions of all output pixels.

    Pixels of padding count as `outside`.
    """
    image = counts.astype(np.int64)[None, :, :, None]
    return int(patches(image, geometry, 1, pixels, outside).sum())
