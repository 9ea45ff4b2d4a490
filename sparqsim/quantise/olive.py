"""Outlier-victim pairs (OliVe): the codes of 4 bits, the pair rule, and how a scale is found.

Codes stand here in units of one normal step, as integers that fit 8 bits::

    tensor          normal codes   outlier codes
    with negatives  0, +-1 .. +-7  +-12, 16, 24, 32, 48, 64, 96
    without         0 .. 15        20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224

A value becomes the nearest code of both kinds. Two values that are adjacent along K, (2i, 2i + 1),
are a pair; in a pair with an outlier its neighbour, the *victim*, becomes 0 and lends its code to
say so: of two outliers the first stays. A last value without partner pairs with 0. Codes of tensors
with negatives leave one of 16 for the victim, 15 x 15 + 2 x 14 pairs; without negatives all 16 are
normal, and 16 x 16 + 2 x 15 pairs take a ninth bit (`pair_bits`).

The scale, the real value of one normal step, is the one of least squared error, the first of equal
ones, among those that bring p times the three-sigma point to the largest normal code: p = 0.75,
0.77 .. 1.49; three-sigma point: the larger magnitude of mean + 3 sigma and mean - 3 sigma,
sigma unbiased.

*Source*: Guo et al., OliVe, ISCA 2023, as the authors' quantiser has it (ANT-Quantization,
olive_quantization; its codes are 4 times these for tensors with negatives, 2 times without). Ours:
a value half way between two codes takes the smaller; the error of the search counts victims.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: Parts of the three-sigma point that are tried.
PARTS_TRIED: Final = tuple(round(0.75 + 0.02 * step, 2) for step in range(38))
BITS: Final = 4


@dataclass(frozen=True)
class PairCodes:
    """The magnitudes of codes: 0 .. `highest`, then `outliers`, ascending."""

    highest: int
    outliers: tuple[int, ...]

    @property
    def magnitudes(self) -> Array:
        """All of them, int64."""
        return np.array([*range(self.highest + 1), *self.outliers])

    def nearest(self, values: Array) -> NDArray[np.int16]:
        """Return the nearest code of each value, which is in units of one normal step, int16."""
        real = values.astype(np.float64, copy=False)
        sizes, outliers = np.abs(real), np.array(self.outliers)
        found = np.minimum(np.ceil(sizes - 0.5), self.highest)  # half way: the smaller
        beyond = sizes > (self.highest + self.outliers[0]) / 2
        if beyond.any():
            middles = (outliers[1:] + outliers[:-1]) / 2
            found[beyond] = outliers[np.searchsorted(middles, sizes[beyond])]
        return np.copysign(found, real).astype(np.int16)

    def in_pairs(self, codes: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return codes (..., even) with the victim of every pair at 0."""
        outliers = np.abs(codes) > self.highest
        if not outliers.any():
            return codes
        kept, first, second = codes.copy(), outliers[..., ::2], outliers[..., 1::2]
        kept[..., 1::2][first] = 0
        kept[..., ::2][second & ~first] = 0
        return kept


SIGNED: Final = PairCodes(7, (12, 16, 24, 32, 48, 64, 96))
UNSIGNED: Final = PairCodes(15, (20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224))


def codes_for(*, signed: bool) -> PairCodes:
    """Return the codes of tensors with negatives (`signed`), or without."""
    return SIGNED if signed else UNSIGNED


def pair_bits(*, signed: bool) -> int:
    """Return the bits of a stored pair of codes with negatives (`signed`), or without."""
    return 2 * BITS if signed else 2 * BITS + 1


def coded(values: Array, codes: PairCodes) -> NDArray[np.int16]:
    """Return (..., K) in units of one normal step as codes, pairs along the last axis, int16."""
    return in_pairs(codes.nearest(values), codes)


def in_pairs(nearest: NDArray[np.int16], codes: PairCodes) -> NDArray[np.int16]:
    """Return codes (..., K) with the victims of pairs along the last axis at 0, int16."""
    if nearest.shape[-1] % 2:
        padded = np.pad(nearest, [(0, 0)] * (nearest.ndim - 1) + [(0, 1)])
        return codes.in_pairs(padded)[..., :-1]
    return codes.in_pairs(nearest)


def three_sigma(mean: Array, deviation: Array) -> Array:
    """Return the three-sigma point: what reaches furthest from 0."""
    reach: Array = np.maximum(np.abs(mean + 3 * deviation), np.abs(mean - 3 * deviation))
    return reach


def weight_scales(weights: Array) -> NDArray[np.float64]:
    """Return a scale for each row of weights (rows, K), float64 (rows,), above 0.

    A row that consists of codes as it is has the scale 1: its values are in units of one normal
    step already. So has a row of zeros.
    """
    values = weights.astype(np.float64)
    deviation = values.std(axis=1, ddof=1) if values.shape[1] > 1 else np.zeros(len(values))
    reach = three_sigma(values.mean(axis=1), deviation)
    best, least = np.ones(len(values)), _errors(values, np.ones(len(values)))
    least = np.where(least == 0, least, np.inf)
    for part in PARTS_TRIED:
        tried = np.where(reach > 0, part * reach / SIGNED.highest, 1.0)
        errors = _errors(values, tried)
        better = errors < least
        best, least = np.where(better, tried, best), np.where(better, errors, least)
    return best


def _errors(values: NDArray[np.float64], scales: Array) -> NDArray[np.float64]:
    """Return the squared error of each row at its scale."""
    held = coded(values / scales[:, None], SIGNED) * scales[:, None]
    return np.asarray(((held - values) ** 2).sum(axis=1), np.float64)


@dataclass(frozen=True)
class PairCounts:
    """How often each pair of values stands in a tensor.

    values: float64 (V,), ascending or not. counts: int64 (V, V), by first and second of a pair.
    """

    values: NDArray[np.float64]
    counts: NDArray[np.int64]

    def plus(self, other: PairCounts) -> PairCounts:
        """Return how often the pairs stand in two tensors of the same values."""
        return PairCounts(self.values, self.counts + other.counts)

    @property
    def signed(self) -> bool:
        """Whether a value that occurs is below 0."""
        return bool((self.values[self.singles > 0] < 0).any())

    @property
    def singles(self) -> NDArray[np.int64]:
        """How often each value stands anywhere, int64 (V,)."""
        singles: NDArray[np.int64] = self.counts.sum(axis=0) + self.counts.sum(axis=1)
        return singles

    @property
    def reach(self) -> float:
        """The three-sigma point of all values."""
        singles = self.singles
        count = int(singles.sum())
        if count == 0:
            return 0.0
        mean = float(singles @ self.values) / count
        squares = float(singles @ (self.values - mean) ** 2)
        deviation = np.sqrt(squares / (count - 1)) if count > 1 else 0.0
        return float(three_sigma(np.array(mean), np.array(deviation)))

    def scale(self) -> float:
        """Return the scale of the tensor; 1 where it consists of codes as it is."""
        codes = codes_for(signed=self.signed)
        best, least = 1.0, self._error(1.0, codes)
        if least == 0 or self.reach == 0:
            return best
        least = np.inf
        for part in PARTS_TRIED:
            tried = part * self.reach / codes.highest
            error = self._error(tried, codes)
            if error < least:
                best, least = tried, error
        return best

    def _error(self, scale: float, codes: PairCodes) -> float:
        """Return the squared error of all pairs at a scale."""
        nearest = codes.nearest(self.values / scale)
        every_pair = np.broadcast_arrays(nearest[:, None], nearest[None, :])
        pairs = np.stack(every_pair, axis=-1)
        held = codes.in_pairs(pairs).astype(np.float64) * scale
        first = held[..., 0] - self.values[:, None]
        second = held[..., 1] - self.values
        squares = first**2 + second**2
        return float((self.counts * squares).sum())
