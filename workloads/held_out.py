"""Output errors of layers on pictures that calibrated nothing: of learned rounding, and of extra
points.

Errors are means over a layer's rows, summed over its channels, against the float network's outputs.
Needs the extra `torch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from sparqsim.networks.torch import QuantisedNetwork
from sparqsim.networks.torch.running import CalibrationRun
from sparqsim.networks.torch.sites import real_weights
from sparqsim.quantise.codes import highest_symmetric
from sparqsim.quantise.points import greedy_points
from sparqsim.quantise.weights import (
    LayerFacts,
    NetworkFacts,
    QuantisedWeights,
    get_weight_quantiser,
)
from sparqsim.quantise.weights.facts import Gram
from sparqsim.quantise.weights.multipoint import laid_out

RANDOM_CHOICES = 20

Chosen = Mapping[str, QuantisedWeights]
Errors = dict[str, Any]


def facts_of(network: QuantisedNetwork, pictures: Iterable[tuple[Tensor, Tensor]]) -> NetworkFacts:
    """Return facts of all layers with weights on some pictures, inputs of 8 bits."""
    run = CalibrationRun(network.network, network.layers, lambda: network.batches(pictures), "none")
    real = real_weights(network.network.calls)
    layers = [
        LayerFacts(site.name, real[site.name], site.groups, run)
        for site in network.layers.values()
        if site.name in real
    ]
    return NetworkFacts(tuple(layers), run)


def chosen_by(network: QuantisedNetwork) -> Chosen:
    """Return the weights that a network's recipe chose."""
    return {
        site.name: QuantisedWeights(
            site.weights.codes,
            site.weights.scales.astype(np.float32),
            site.weights.bits,
            site.column_channels,
        )
        for site in network.layers.values()
        if site.weights is not None
    }


def rounding_errors(unseen: NetworkFacts, chosen: Chosen, bits: int) -> dict[str, Errors]:
    """Return the errors of layers of so many bits, each behind the chosen ones: as chosen, and
    rounded to nearest at the same scales and at those of `nearest`.
    """
    nearest = get_weight_quantiser(f"nearest:{bits}")
    errors = {}
    for layer in unseen.layers:
        found = chosen[layer.name]
        if found.bits != bits:
            continue
        gram = layer.gram_behind(chosen)
        same = QuantisedWeights.at_scales(layer.weights, found.scales, found.bits)
        errors[layer.name] = {
            "learned": _mean_error(gram, layer, found),
            "nearest_same_scales": _mean_error(gram, layer, same),
            "nearest": _mean_error(gram, layer, nearest.quantise(layer)),
        }
    return errors


def points_errors(unseen: NetworkFacts, chosen: Chosen, bits: int) -> dict[str, Errors]:
    """Return the errors of layers of so many bits behind the float network: with the chosen extra
    points, and with as many second points drawn at random, `RANDOM_CHOICES` times.
    """
    rng = np.random.default_rng(0)
    errors = {}
    for layer in unseen.layers:
        found = chosen[layer.name]
        if found.bits != bits:
            continue
        gram = Gram.of(layer.rows())
        errors[layer.name] = {
            "adaptive": _mean_error(gram, layer, found),
            "random": [_mean_error(gram, layer, each) for each in _drawn(layer, found, rng)],
        }
    return errors


def _drawn(
    layer: LayerFacts, found: QuantisedWeights, rng: np.random.Generator
) -> Iterable[QuantisedWeights]:
    """Yield the layer with as many columns as `found`, extra ones for random channels."""
    channels = len(layer.weights)
    limit = highest_symmetric(found.bits)
    points = greedy_points(layer.weights.reshape(channels, -1), limit, 2)
    extra = min(channels, len(found.codes) - channels)
    for _ in range(RANDOM_CHOICES):
        counts = np.ones((1, channels), np.int64)
        counts[0, rng.choice(channels, extra, replace=False)] += 1
        yield laid_out(layer, points, counts, found.bits)


def _mean_error(gram: Gram, layer: LayerFacts, found: QuantisedWeights) -> float:
    return float(gram.squared_error(layer.weights, found.real).sum() / gram.rows)
