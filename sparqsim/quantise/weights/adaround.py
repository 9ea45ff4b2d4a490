"""`adaround:B`: each weight goes up or down so that the layer's output keeps its value.

Layer by layer, in the order they run, on second moments of what the layer multiplies: by default
behind layers whose weights are chosen already (`prefix=quantised`), as BRECQ has it, so that a
layer makes up for what those before it did; `prefix=float` behind the float network. Scales start
from the best of 80 that shrink by 1 %, by mean error^2.4. The method is `learn_rounding` of
`sparqsim.quantise.rounding`: NumPy alone, without gradients of a framework or random numbers.

*Source*: AdaRound (Nagel et al., arXiv 2004.10568), constants as in BRECQ (yhhhli/BRECQ) and
MQBench (ModelTC/MQBench). **Ours**: see `sparqsim.quantise.rounding`; codes are symmetric, so that
2 bits are three levels, where BRECQ has four and a zero point.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from sparqsim.base.errors import InputError
from sparqsim.quantise.codes import LEAST_WEIGHT_BITS, MOST_WEIGHT_BITS, highest_symmetric
from sparqsim.quantise.rounding import Moments, Schedule, learn_rounding, nearest_codes
from sparqsim.quantise.rounding import start_scales as start_scales_of
from sparqsim.quantise.weights.base import Chosen, Need, WeightQuantiser
from sparqsim.quantise.weights.codes import QuantisedWeights
from sparqsim.quantise.weights.facts import Gram, LayerFacts, NetworkFacts, Progress, RunningNetwork

#: Steps between two reports of progress.
TOLD_EVERY = 100


class Learned(NamedTuple):
    """The codes of a layer, and what is told of them, as JSON values."""

    weights: QuantisedWeights
    facts: dict[str, Any]


@dataclass(frozen=True)
class AdaRound(WeightQuantiser):
    """Learned rounding, layer by layer. steps: of Adam, for each layer. prefix: what runs before a
    layer while its rounding is learned.
    """

    name: ClassVar[str] = "adaround"
    needs: ClassVar[frozenset[Need]] = frozenset({"inputs"})

    bits: int = field(default=4, metadata={"least": LEAST_WEIGHT_BITS, "most": MOST_WEIGHT_BITS})
    steps: int = field(default=2000, metadata={"least": 1, "most": 1_000_000})
    prefix: Literal["quantised", "float"] = "quantised"

    def check_needs(self, network: RunningNetwork | None) -> None:
        """Raise InputError where a network does not have what this asks of it."""
        super().check_needs(network)
        if network is None or self.prefix == "float" or "prefix" in network.provides:
            return
        raise InputError(
            f"weight quantiser {self.spec!r} learns each layer behind quantised ones, which this "
            f"{network.kind} does not run; expected {self.name}:{self.bits}:prefix=float"
        )

    def quantise(self, layer: LayerFacts) -> QuantisedWeights:
        """Return the codes of one layer, learned behind the float network."""
        return self._learned(layer, layer.gram, lambda *_: None).weights

    def quantise_network(self, network: NetworkFacts) -> Chosen:
        """Return the codes of layers, each learned behind those chosen before it."""
        chosen = dict(network.fixed)
        weights, facts = {}, {}
        for number, layer in enumerate(network.layers):
            gram = layer.gram_behind(chosen) if self.prefix == "quantised" else layer.gram
            progress = _shifted(
                network.progress, number * self.steps, self.steps * len(network.layers)
            )
            learned = self._learned(layer, gram, progress)
            weights[layer.name] = chosen[layer.name] = learned.weights
            facts[layer.name] = learned.facts
        return Chosen(weights, facts={"layers": facts})

    def _learned(self, layer: LayerFacts, gram: Gram, progress: Progress) -> Learned:
        limit = highest_symmetric(self.bits)
        with layer.named():
            scales = start_scales_of(layer.matrix, limit)

        def told(step: int) -> None:
            if step % TOLD_EVERY == 0:
                progress(layer.name, step, self.steps)

        moments = Moments(gram.inputs / gram.rows, gram.cross / gram.rows)
        schedule = Schedule(steps=self.steps)
        rounding = learn_rounding(layer.matrix, scales, limit, moments, schedule, told)
        weights = self._weights(layer, rounding.codes, scales)
        nearest = self._weights(layer, nearest_codes(layer.matrix, scales, limit), scales)
        return Learned(
            weights,
            {
                "rows": gram.rows,
                "output_error": _mean_error(gram, layer, weights),
                "output_error_nearest": _mean_error(gram, layer, nearest),
                "channels_kept_nearest": rounding.kept_nearest,
                "undecided_share": rounding.undecided,
            },
        )

    def _weights(self, layer: LayerFacts, codes: Any, scales: Any) -> QuantisedWeights:
        return QuantisedWeights(codes.reshape(layer.weights.shape), scales.reshape(-1), self.bits)


def _mean_error(gram: Gram, layer: LayerFacts, weights: QuantisedWeights) -> float:
    """Return the mean squared output error, summed over channels, in the output's unit squared."""
    return float(np.sum(gram.squared_error(layer.weights, weights.real)) / gram.rows)


def _shifted(progress: Progress, done: int, steps: int) -> Progress:
    """Return a progress that counts the steps of all layers."""
    return lambda what, step, _: progress(what, done + step, steps)
