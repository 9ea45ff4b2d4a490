"""Networks of a few lines that give weight quantisers more than inputs."""

from __future__ import annotations

import numpy as np

from sparqsim.quantise.weights import NetworkFacts
from sparqsim.quantise.weights.contract import DrawnInputs, trial_facts

PICTURES, CLASSES = 16, 3


class Additive(DrawnInputs):
    """The trial layers side by side: each layer's outputs, over their largest size in float, times
    fixed numbers are its part of the logits, and the parts add up.
    """

    provides = frozenset({"inputs", "answers", "labels"})

    def __init__(self, facts: NetworkFacts, labelled: bool = True) -> None:
        super().__init__({each.name: (each.groups, each.matrix.shape[-1]) for each in facts.layers})
        self._layers, self._labelled = facts.layers, labelled

    def logits(self, chosen=None, activation_scales=None, activation_bits=8):
        total = np.zeros((PICTURES, CLASSES))
        for number, layer in enumerate(self._layers):
            x = next(self.rows(layer.name)).real[:, :PICTURES].astype(float)
            meant = outputs(x, layer.weights)
            found = meant
            if chosen and layer.name in chosen:
                scale = (activation_scales or {}).get(layer.name, 1 / 255)
                found = outputs(held(x, scale, activation_bits), chosen[layer.name].real)
            largest = np.abs(meant).max() or 1
            rng = np.random.default_rng(number)
            total += (found / largest) @ rng.normal(size=(found.shape[1], CLASSES))
        return total.astype(np.float32)

    @property
    def labels(self):
        return self.logits().argmax(axis=1) if self._labelled else None


def outputs(x, weights):
    """Return all outputs (M, channels) of inputs (groups, M, K)."""
    matrix = weights.reshape(len(x), -1, x.shape[-1]).astype(float)
    return (x @ matrix.swapaxes(1, 2)).transpose(1, 0, 2).reshape(x.shape[1], -1)


def held(x, scale, bits):
    """Return inputs from 0 as the top bits of their 8-bit codes have them."""
    unit = 1 << (8 - bits)
    codes = np.clip(np.rint(x / scale), 0, 255)
    return np.clip(np.rint(codes / unit), 0, (1 << bits) - 1) * unit * scale


def answering(labelled: bool = True) -> NetworkFacts:
    """Return the trial layers in a network that answers."""
    facts = trial_facts()
    network = Additive(facts, labelled)
    return NetworkFacts(facts.layers, network)
