"""Pairs of activations with zeros, counted as the array sees them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from sparqsim.networks.torch.integer import Integers, patches


def pair_counts(layer: Integers) -> tuple[int, int, int]:
    """Return of the pairs (k, k + 1) of X, k even: how many there are, with at least one zero, with exactly one."""
    geometry = layer.geometry
    if geometry is None or layer.w.shape[2] % 2:
        x = layer.x if geometry is None else patches(layer.x, geometry, layer.groups)
        zeros = _zeros_per_pair(x)
        return zeros.numel(), int((zeros > 0).sum()), int((zeros == 1).sum())
    # Pairs of channels of one pixel: counted once per pixel, then as often as kernel positions visit the pixel.
    zeros = _zeros_per_pair(layer.x)
    pairs_of_pixel, batch = zeros.shape[3], zeros.shape[0]
    visits = [
        _visited((zeros != value).sum(dim=(0, 3)), geometry, outside)
        for value, outside in ((0, batch * pairs_of_pixel), (1, batch * pairs_of_pixel))
    ]
    rows, columns = layer.output_shape[1:3]
    total = batch * rows * columns * layer.w.shape[1] * pairs_of_pixel
    return total, visits[0], total - visits[1]


def _zeros_per_pair(x: Tensor) -> Tensor:
    """Return how many of each two adjacent elements are zero, uint8 (..., ceil(K / 2)); a missing partner is zero."""
    zero = (functional.pad(x, (0, x.shape[-1] % 2)) == 0).to(torch.uint8)
    return zero[..., ::2] + zero[..., 1::2]


def _visited(counts: Tensor, geometry: Any, outside: int) -> int:
    """Return the sum of `counts` (height, width) over all kernel positions of all output pixels.

    Pixels of padding count as `outside`.
    """
    top, bottom, left, right = geometry.padding
    padded = functional.pad(counts.double(), (left, right, top, bottom), value=outside)
    return int(
        patches(
            padded[None, :, :, None], geometry.model_copy(update={"padding": (0, 0, 0, 0)}), 1
        ).sum()
    )
