"""Bit-slice L1: weights whose slices of two bits are small, and what crossbars need to read them.

A layer's weights are codes of dynamic fixed point, as the weight quantiser `bitslice:8` has them.
Four slices of two bits make up a magnitude, and the L1 norm of all slices is added to the loss:
sum of slices / (4 * weights), times a weight. A slice's gradient is that of its place, 1 / 4^place,
and 0 where it is 0.

A crossbar holds 128 rows (along K) of one slice, of positive weights or of negative ones. With all
inputs 1 its columns have the sums of `column_sums`, and a converter that loses nothing needs
ceil(log2(largest sum + 1)) bits: `lossless_bits`.

*Source*: bit-slice L1 (zjysteven/bitslice_sparsity @adcfbce, no licence: rule only), whose
magnitudes have 8 bits beside the sign. *Ours*: magnitudes of 7 bits, so that codes are int8; the
gradient of a slice, which could not be read; pruning (weights below 0.01 become 0 and stay so) when
two thirds of the epochs are over.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from few_bits import MOST_MAGNITUDE_BITS, Codes, FewBits, straight_through
from numpy.typing import NDArray
from torch import Tensor

from sparqsim.quantise.weights.bitslice import fixed_point_scale

Array = NDArray[Any]

SLICES, SLICE_BITS = 4, 2
ROWS = 128
PRUNED_BELOW = 0.01


class SlicedWeights(FewBits):
    """Weights of dynamic fixed point; `mask`: 0 where a weight was pruned."""

    mask: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones_like(weight))

    def requantise(self, weight: Tensor) -> None:
        """Prune small weights."""
        self.mask *= weight.abs() >= PRUNED_BELOW

    def forward(self, weight: Tensor) -> Tensor:
        """Return codes times the step."""
        weight = weight * self.mask
        codes = self.codes(weight.detach())
        return straight_through(codes.real, weight)

    def codes(self, weight: Tensor) -> Codes:
        """Return the codes of `bitslice:8`."""
        weight = weight * self.mask
        step = fixed_point_scale(weight.numpy(), MOST_MAGNITUDE_BITS)
        highest = (1 << MOST_MAGNITUDE_BITS) - 1
        values = (weight / step).round().clamp(-highest, highest).long()
        return Codes(values, step, MOST_MAGNITUDE_BITS)

    def penalty(self, weight: Tensor) -> Tensor:
        """Return the sum of all slices, over four."""
        weight = weight * self.mask
        found = self.codes(weight.detach())
        magnitudes = found.values.abs()
        inside = weight.abs() / found.step
        total = weight.new_zeros(())
        for place in range(SLICES):
            part = (magnitudes >> SLICE_BITS * place & 3).float()
            smooth = inside * (part > 0) / 4**place
            total = total + straight_through(part, smooth).sum()
        return total / SLICES


def slices_of(magnitudes: Array) -> NDArray[np.int64]:
    """Return the slices of magnitudes 0..255, int64 (4, *magnitudes), the highest first."""
    shifts = SLICE_BITS * np.arange(SLICES)[::-1].reshape(-1, *[1] * magnitudes.ndim)
    return magnitudes.astype(np.int64) >> shifts & 3


def column_sums(codes: Array) -> NDArray[np.int64]:
    """Return what columns of crossbars add up where all inputs are 1.

    Parameters
    ----------
    codes : integers (N, K)
        Rows of crossbars lie along K.

    Returns
    -------
    int64 (4 slices, the highest first; 2 signs, positive first; tiles along K; N)
    """
    signs = np.stack([np.maximum(codes, 0), np.maximum(-codes.astype(np.int64), 0)])
    parts = slices_of(signs)
    missing = -codes.shape[1] % ROWS
    padded = np.pad(parts, [(0, 0), (0, 0), (0, 0), (0, missing)])
    tiles = padded.reshape(*parts.shape[:3], -1, ROWS).sum(axis=-1)
    return tiles.swapaxes(2, 3)


def lossless_bits(largest_sum: int) -> int:
    """Return the bits of a converter that tells all sums up to the largest: ceil(log2(sum + 1))."""
    return int(largest_sum).bit_length()


def needs(matrices: list[Array]) -> dict[str, list[float]]:
    """Return what crossbars need for the codes of all layers, each list by slice, highest first.

    worst: the largest column sum. adc_bits: that a converter needs to lose nothing, of the layer
    that needs most. mean_adc_bits: mean over layers. zeros: share of cells that are 0, positive and
    negative weights not counted apart.
    """
    sums = [column_sums(each).reshape(SLICES, -1).max(axis=1) for each in matrices]
    magnitudes = np.concatenate([np.abs(each.astype(np.int64)).reshape(-1) for each in matrices])
    bits = np.array([[lossless_bits(each) for each in of_layer] for of_layer in sums])
    return {
        "worst": np.max(sums, axis=0).tolist(),
        "adc_bits": bits.max(axis=0).tolist(),
        "mean_adc_bits": bits.mean(axis=0).tolist(),
        "zeros": (slices_of(magnitudes) == 0).mean(axis=1).tolist(),
    }
