"""`lp:P[:B]`: per output channel, the clip of least mean error^P.

The scales tried are CLIPS_TRIED even parts of the first one that clips nothing, max|w| / (2^(B-1) -
1), and that of `nearest`; the first of equally good ones wins. Weights are rounded to nearest, and
those beyond the clip saturate.

*Source*: the first phase of LAPQ (Nahshan et al. 2019) for one P; per output channel where LAPQ has
a clip per layer; the grid is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.quantise.codes import (
    LEAST_WEIGHT_BITS,
    MOST_WEIGHT_BITS,
    float32,
    highest_symmetric,
    spanning_scales,
)
from sparqsim.quantise.weights.base import WeightQuantiser
from sparqsim.quantise.weights.codes import QuantisedWeights
from sparqsim.quantise.weights.facts import LayerFacts

Array = NDArray[Any]

#: Scales that are tried for a channel, beside that of `nearest`.
CLIPS_TRIED = 128
MOST_POWER = 20.0


@dataclass(frozen=True)
class Lp(WeightQuantiser):
    """Rounding to nearest with the clip of least mean error^p, per output channel."""

    name: ClassVar[str] = "lp"

    p: float = field(default=2.0, metadata={"most": MOST_POWER, "examples": (0.5, 2.4)})
    bits: int = field(
        default=MOST_WEIGHT_BITS, metadata={"least": LEAST_WEIGHT_BITS, "most": MOST_WEIGHT_BITS}
    )

    def __post_init__(self) -> None:
        if not 0 < self.p <= MOST_POWER:
            raise ValueError(f"p={self.p:g}, expected a number above 0 and up to {MOST_POWER:g}")

    def quantise(self, layer: LayerFacts) -> QuantisedWeights:
        """Return the codes of one layer."""
        with layer.named():
            (scales,) = best_scales(layer.weights, self.bits, (self.p,))
        return QuantisedWeights.at_scales(layer.weights, scales, self.bits)


def best_scales(weights: Array, bits: int, powers: Sequence[float]) -> NDArray[np.float32]:
    """Return the scales of least mean error^p for each of some powers, float32 (power, channel).

    Parameters
    ----------
    weights : float32 (output channel, ...)
    bits : int
    powers : sequence of numbers above 0

    Raises
    ------
    InputError
        For NaN or infinite weights.
    """
    spanning = spanning_scales(weights, bits)
    best = np.tile(spanning, (len(powers), 1))
    least = _errors(weights, spanning, bits, powers)
    largest = np.abs(weights).reshape(len(weights), -1).max(axis=1).astype(np.float64)
    unclipped = largest / highest_symmetric(bits)
    for part in range(CLIPS_TRIED, 0, -1):
        tried = float32(unclipped * part / CLIPS_TRIED)
        tried = np.where(tried > 0, tried, spanning)
        errors = _errors(weights, tried, bits, powers)
        better = errors < least
        best, least = np.where(better, tried, best), np.where(better, errors, least)
    return best


def _errors(weights: Array, scales: Array, bits: int, powers: Sequence[float]) -> Array:
    """Return each channel's sum of (error / max|w|)^p, float64 (power, channel), which no size of
    weights overflows.
    """
    held = QuantisedWeights.at_scales(weights, scales, bits)
    flat = weights.reshape(len(scales), -1).astype(np.float64)
    steps = held.codes.reshape(flat.shape) * scales.astype(np.float64)[:, None]
    largest = np.abs(flat).max(axis=1, keepdims=True)
    errors = np.abs(steps - flat) / np.where(largest > 0, largest, 1)
    return np.stack([(errors**power).sum(axis=1) for power in powers])
