"""`lp:P[:B]`: per output channel, the clip of least mean error^P.

The scales tried are CLIPS_TRIED even parts of the first one that clips nothing, max|w| / (2^(B-1) -
1), and that of `nearest`; the first of equally good ones wins. Weights are rounded to nearest, and
those beyond the clip saturate.

*Source*: the first phase of LAPQ (Nahshan et al. 2019) for one P; per output channel where LAPQ has
a clip per layer; the grid is ours.
"""

from __future__ import annotations

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
            best = spanning_scales(layer.weights, self.bits)
        least = self._errors(layer.weights, best)
        largest = np.abs(layer.weights).reshape(len(best), -1).max(axis=1).astype(np.float64)
        unclipped = largest / highest_symmetric(self.bits)
        for part in range(CLIPS_TRIED, 0, -1):
            tried = float32(unclipped * part / CLIPS_TRIED)
            tried = np.where(tried > 0, tried, best)
            errors = self._errors(layer.weights, tried)
            better = errors < least
            best, least = np.where(better, tried, best), np.where(better, errors, least)
        return QuantisedWeights.at_scales(layer.weights, best, self.bits)

    def _errors(self, weights: Array, scales: Array) -> NDArray[np.float64]:
        """Return each channel's sum of (error / max|w|)^p, which no size of weights overflows."""
        held = QuantisedWeights.at_scales(weights, scales, self.bits)
        flat = weights.reshape(len(scales), -1).astype(np.float64)
        steps = held.codes.reshape(flat.shape) * scales.astype(np.float64)[:, None]
        largest = np.abs(flat).max(axis=1, keepdims=True)
        errors = np.abs(steps - flat) / np.where(largest > 0, largest, 1)
        return np.asarray((errors**self.p).sum(axis=1), np.float64)
