"""Q4_1: 4-bit weights in groups of 32, each with a scale and a minimum in float16 (GGUF).

    d = (max - min) / 15
    q = min(15, floor((w - min) / d + 0.5))
    w ~ float16(d) * q + float16(min)

q is found with d before it is rounded to float16; d = 0 gives q = 0, as does one too small for
float32's normal numbers, which float16 does not hold either. Stored: 4 bits a weight, and 32 bits a
group: 5 bits a weight.

*Source*: GGUF's format Q4_1 for what is stored. How codes are rounded is written down as we know
it of ggml's reference quantiser, whose text was not at hand: a reconstruction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError

Array = NDArray[Any]

#: Weights along K that share a scale and a minimum.
GROUP: Final = 32
HIGHEST: Final = 15


@dataclass(frozen=True)
class Groups:
    """Weights (..., K) as Q4_1. codes: int64 (..., K). scales, minima: float64 (..., K), of each
    weight's group, numbers that float16 holds.
    """

    codes: NDArray[np.int64]
    scales: NDArray[np.float64]
    minima: NDArray[np.float64]

    @property
    def real(self) -> NDArray[np.float64]:
        """What the weights are used as, exactly."""
        return self.codes * self.scales + self.minima


def grouped(weights: NDArray[np.float64]) -> Groups:
    """Return real weights (..., K) in groups along the last axis; a last group may be shorter.

    Raises
    ------
    InputError
        For a group whose scale or minimum float16 does not hold.
    """
    groups = _in_groups(weights)
    minima = groups.min(axis=-1, keepdims=True)
    stored_minima = _as_float16(minima)
    steps = (groups.max(axis=-1, keepdims=True) - minima) / np.float32(HIGHEST)
    stored_steps = _as_float16(steps)
    is_normal = steps >= np.finfo(np.float32).tiny
    inverse = np.divide(1, steps, out=np.zeros_like(steps), where=is_normal)
    in_steps = (groups - minima) * inverse
    codes = np.minimum(np.floor(in_steps + np.float32(0.5)), HIGHEST)

    def by_weight(values: Array) -> Array:
        """Return what a group or its weights have, weight by weight, without the padding."""
        spread = np.broadcast_to(values, groups.shape)
        return spread.reshape(*weights.shape[:-1], -1)[..., : weights.shape[-1]]

    return Groups(
        by_weight(codes).astype(np.int64),
        by_weight(stored_steps).astype(np.float64),
        by_weight(stored_minima).astype(np.float64),
    )


def _as_float16(values: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return values rounded to float16. Raises InputError for those that it does not hold."""
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float16)
    lost = values[np.isinf(rounded)]
    if lost.size:
        raise InputError(
            f"a group of {GROUP} weights has the scale or minimum {lost[0]:g}, expected at most "
            f"{np.finfo(np.float16).max:g}, which float16 holds"
        )
    return rounded


def _in_groups(weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return float32 (..., groups, GROUP); the last weight fills a shorter group."""
    missing = -weights.shape[-1] % GROUP
    padding = [(0, 0)] * (weights.ndim - 1) + [(0, missing)]
    with np.errstate(over="ignore"):  # an infinite minimum is refused
        padded = np.pad(weights, padding, mode="edge").astype(np.float32)
    return padded.reshape(*weights.shape[:-1], -1, GROUP)
