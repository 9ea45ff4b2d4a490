"""Multipoint quantisation: a channel's weights as a sum of several vectors of few bits.

    w ~ a[0] * q[0] + a[1] * q[1] + ...        q: codes -limit..limit, a: real, above 0

Points are found greedily. With r what the points so far leave of w, the next is the (a, q) of least
squared error (r - a q)^2 among SCALES_TRIED candidates: q = round(r / s) with s evenly spaced from
LOWEST to HIGHEST times max abs(r) / limit, and a = sum(r q) / sum(q q), the best one for that q.

How many points a channel has is decided by what it gains: as long as `extra` more points may be
given, the channel whose output error falls most by its next point gets it.

*Source*: multipoint quantization (Liu et al., AAAI 2021), of which neither the full text nor code
could be read. Read of it elsewhere: a greedy linear combination of low-bit vectors by channel, more
points where the output error is large. **Ours, so a reconstruction**: the candidates, least-squares
a, the budget in the place of a threshold on the error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: Scales that are tried for a point, in parts of the one that reaches the largest value.
SCALES_TRIED, LOWEST, HIGHEST = 80, 0.2, 1.2
#: Channels are taken together up to so many weights, which a processor's cache holds.
BLOCK = 1 << 15
#: No channel has more points.
MOST_POINTS = 16


class Points(NamedTuple):
    """The first points of every channel.

    codes: int8 (point, channel, K). factors: float32 (point, channel), above 0; 1 where the codes
    are 0.
    """

    codes: NDArray[np.int8]
    factors: NDArray[np.float32]

    def sums(self) -> NDArray[np.float64]:
        """Return what channels are with 0, 1, ... points, float64 (points + 1, channel, K)."""
        parts = self.codes * self.factors[..., None].astype(np.float64)
        nothing = np.zeros((1, *self.codes.shape[1:]))
        return np.concatenate([nothing, np.cumsum(parts, axis=0)])


def greedy_points(weights: Array, limit: int, count: int) -> Points:
    """Return the first points of channels.

    Parameters
    ----------
    weights : real (channel, K)
    limit : int
        The largest code.
    count : int
        Of points, at least 1.
    """
    left = np.asarray(weights, np.float64)
    codes, factors = [], []
    for _ in range(count):
        code, factor = nearest_point(left, limit)
        left = left - code * factor[:, None].astype(np.float64)
        codes.append(code)
        factors.append(factor)
    return Points(np.stack(codes), np.stack(factors))


def nearest_point(left: Array, limit: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return the point of every channel that is nearest to what is left of it.

    Parameters
    ----------
    left : float64 (channel, K)
    limit : int

    Returns
    -------
    int8 (channel, K), float32 (channel,)
        Codes and factors; the first of equally near points. Nothing left: codes 0, factor 1.
    """
    together = max(1, BLOCK // max(1, left.shape[1]))
    starts = range(0, len(left), together) or (0,)
    blocks = [_nearest_of(left[start : start + together], limit) for start in starts]
    codes, factors = zip(*blocks, strict=True)
    return np.concatenate(codes), np.concatenate(factors)


def _nearest_of(left: Array, limit: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return what `nearest_point` does, of some channels."""
    largest = np.abs(left).max(axis=1, initial=0)
    unit = np.where(largest > 0, largest, 1.0)[:, None]
    # Of the largest value 1, so that squares neither overflow nor vanish.
    scaled = left / unit
    best = np.zeros_like(scaled)
    gained = np.zeros(len(scaled))
    for part in np.linspace(LOWEST, HIGHEST, SCALES_TRIED):
        codes = np.clip(np.rint(scaled * (limit / part)), -limit, limit)
        gain = _gain(scaled, codes)
        better = gain > gained
        best[better] = codes[better]
        gained = np.where(better, gain, gained)
    factors = unit[:, 0] * _factor(scaled, best)
    held = np.where(best.any(axis=1), factors, 1).astype(np.float32)
    return best.astype(np.int8), np.maximum(held, np.finfo(np.float32).tiny)


def _gain(left: Array, codes: Array) -> Array:
    """Return |left|^2 - |left - a codes|^2 with the best a: <left, codes>^2 / <codes, codes>."""
    return np.asarray(_factor(left, codes) * (left * codes).sum(axis=1))


def _factor(left: Array, codes: Array) -> Array:
    """Return the a of least |left - a codes|^2; 0 for codes of zeros."""
    squares = (codes * codes).sum(axis=1)
    return np.asarray((left * codes).sum(axis=1) / np.where(squares > 0, squares, 1))


def adaptive_counts(errors: Array, extra: int) -> NDArray[np.int64]:
    """Return how many points each channel gets, 1 and up, int64 (channel,).

    As long as fewer than `extra` points beyond the first of each channel are given, the channel
    whose error falls most by its next one gets it, the first of equal ones; none where no error
    falls.

    Parameters
    ----------
    errors : real (points, channel)
        Output error with 1, 2, ... points.
    extra : int
    """
    counts = np.ones(errors.shape[1], np.int64)
    most = len(errors)
    channels = np.arange(errors.shape[1])
    for _ in range(extra):
        following = np.minimum(counts, most - 1)
        falls = errors[counts - 1, channels] - errors[following, channels]
        chosen = int(np.argmax(falls))
        if falls[chosen] <= 0:
            break
        counts[chosen] += 1
    return counts


def extra_points(share: float, channels: int, most: int) -> int:
    """Return how many points beyond the first `channels` channels get: `share` of them, rounded
    down, and no more than `most` points each hold.
    """
    # 0.29 of 100 are 29, though 0.29 * 100 is below it.
    return min(int(share * channels + 1e-9), (most - 1) * channels)


def errors_by_count(
    points: Points, squared_error: Callable[[Array], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return the error of every channel with 1, 2, ... points, float64 (points, channel).

    `squared_error`: that of real weights (channel, K), float64 (channel,).
    """
    return np.stack([squared_error(real) for real in points.sums()[1:]])


class Combination(NamedTuple):
    """What it takes to add up the columns of a channel behind the array.

    Each extra point of each output is one multiply-add of its column's sum, in a slot beside the
    array that does `per_cycle` of them in a cycle.
    """

    multiply_adds: int
    per_cycle: int

    @property
    def cycles(self) -> int:
        """How long the slot is busy."""
        return -(-self.multiply_adds // self.per_cycle)

    def total_cycles(self, array_cycles: int) -> int:
        """Return the cycles of a layer, given the array's: the longer of both.

        Assumed: the slot works while the array does, with room for sums that wait.
        """
        return max(array_cycles, self.cycles)


def combination(rows: int, columns: int, channels: int, per_cycle: int) -> Combination:
    """Return the combining of a layer of `rows` outputs per channel, on `columns` columns in all
    groups for `channels` channels.
    """
    return Combination(rows * (columns - channels), per_cycle)
