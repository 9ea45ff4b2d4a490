"""`multipoint:B`: a channel as a sum of several vectors of B bits, more where outputs need them.

Every channel has one point; `extra` more per channel, on average over a layer, go one by one to the
channel whose output error falls most by its next one, and no channel has more than `points`. Each
point is a row of codes with a scale of its own, so a channel with n points lies in n **columns** of
the array, whose sums are added up behind it. Groups of a grouped convolution meet the budget each
for itself, and have equally many columns: where one uses fewer points, columns of zeros fill it up.

The method is `greedy_points` and `adaptive_counts` of `sparqsim.quantise.points`. Output errors are
those of the float network's inputs, given codes.

*Source*: a reconstruction of multipoint quantization (Liu et al., AAAI 2021); what is ours stands
in `sparqsim.quantise.points`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.quantise.codes import LEAST_WEIGHT_BITS, MOST_WEIGHT_BITS, highest_symmetric
from sparqsim.quantise.points import (
    MOST_POINTS,
    Points,
    adaptive_counts,
    errors_by_count,
    extra_points,
    greedy_points,
)
from sparqsim.quantise.weights.base import Chosen, Need, WeightQuantiser
from sparqsim.quantise.weights.codes import QuantisedWeights
from sparqsim.quantise.weights.facts import LayerFacts, NetworkFacts

Array = NDArray[Any]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Multipoint(WeightQuantiser):
    """Sums of few-bit vectors. points: the most of a channel. extra: points beyond the first, per
    channel, on average over a layer.
    """

    name: ClassVar[str] = "multipoint"
    needs: ClassVar[frozenset[Need]] = frozenset({"inputs"})

    bits: int = field(default=4, metadata={"least": LEAST_WEIGHT_BITS, "most": MOST_WEIGHT_BITS})
    points: int = field(default=4, metadata={"least": 1, "most": MOST_POINTS})
    extra: float = field(default=0.25, metadata={"least": 0, "most": MOST_POINTS - 1})

    def quantise(self, layer: LayerFacts) -> QuantisedWeights:
        """Return the codes of one layer, a row for each point."""
        points = greedy_points(self._finite(layer), highest_symmetric(self.bits), self.points)
        return laid_out(layer, points, self._counts(layer, points), self.bits)

    def quantise_network(self, network: NetworkFacts) -> Chosen:
        """Return the codes of layers, and how many columns each takes."""
        chosen = super().quantise_network(network)
        layers = {
            name: {
                "columns": len(weights.codes),
                "channels": int(weights.row_channels[-1]) + 1,
                "most_points": int(np.bincount(weights.row_channels).max()),
            }
            for name, weights in chosen.weights.items()
        }
        return Chosen(chosen.weights, facts={"layers": layers})

    def _counts(self, layer: LayerFacts, points: Points) -> Counts:
        """Return how many points each channel has, int64 (groups, channels of a group)."""
        channels = layer.matrix.shape[1]
        extra = extra_points(self.extra, channels, self.points)
        if not extra:
            return np.ones((layer.groups, channels), np.int64)

        def squared_error(real: Array) -> NDArray[np.float64]:
            return layer.gram.squared_error(layer.weights, real)

        errors = errors_by_count(points, squared_error).reshape(-1, layer.groups, channels)
        return np.stack([adaptive_counts(errors[:, group], extra) for group in range(layer.groups)])

    def _finite(self, layer: LayerFacts) -> Array:
        """Return the weights, float32 (channel, K)."""
        if not np.isfinite(layer.weights).all():
            raise InputError(
                f"layer {layer.name!r}: weights hold NaN or infinite values, expected finite ones"
            )
        return layer.weights.reshape(len(layer.weights), -1)


def laid_out(layer: LayerFacts, points: Points, counts: Counts, bits: int) -> QuantisedWeights:
    """Return points as rows, channel by channel; each group as many, filled up with zeros.

    Parameters
    ----------
    layer : LayerFacts
    points : Points
    counts : int64 (groups, channels of a group)
        How many of its points each channel has.
    bits : int
    """
    per_group = counts.sum(axis=1)
    filled = counts.copy()
    filled[:, -1] += per_group.max() - per_group
    channels = np.repeat(np.arange(counts.size), filled.reshape(-1))
    starts = np.cumsum(filled) - filled.reshape(-1)
    place = np.arange(len(channels)) - starts[channels]
    real = place < counts.reshape(-1)[channels]
    place = np.where(real, place, 0)
    codes = points.codes[place, channels] * real[:, None]
    scales = np.where(real, points.factors[place, channels], np.float32(1))
    shape = (len(channels), *layer.weights.shape[1:])
    single = len(channels) == counts.size
    return QuantisedWeights(
        codes.astype(np.int8).reshape(shape),
        scales.astype(np.float32),
        bits,
        None if single else channels.astype(np.int64),
    )
