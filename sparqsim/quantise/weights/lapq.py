"""`lapq:B`: clips of weights and activations, of all layers together, by the network's loss.

Phase 1 (`fit`): for ten p from 2 to 4, every clip is the one of least mean error^p; a parabola
through the network's losses gives p*, where all clips start. Phase 2 (`powell`): Powell's method
moves all of them together, each as a factor on where it started, to a smaller loss. Weights get B
bits; of the activations' 8-bit codes the top `activation_bits` are used, as `mac-4b8b` uses four:
`lapq:4` is meant for designs that take 4 bits of activations, and weights as they are.

The loss is the cross-entropy of the calibration pictures' labels where a recipe names some; without
labels the mean Kullback-Leibler divergence from the float network's answers, a deviation. Facts say
which it was, which phases ran, and every loss. Cycles do not change by scales.

`clips=channel` starts each output channel at its own clip and moves a layer's channels by one
factor; `clips=layer` is one clip per layer, as in the source.

*Source*: LAPQ (Nahshan et al. 2019; ynahshan/nn-quantization-pytorch): phases, ten p, a quadratic
fit, Powell for one or two iterations, weight steps 2 clip / (2^B - 1). **Ours**: clips by channel,
factors and their bounds, p* kept within 2..4, the limit of evaluations. The correction of the
weights' bias is a key of recipes (`bias_correction`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.quantise.clips import (
    POWERS,
    Descent,
    PowerFit,
    cross_entropy,
    divergence,
    fitted_power,
    joint_powell,
    scipy_optimize,
)
from sparqsim.quantise.codes import LEAST_WEIGHT_BITS, MOST_WEIGHT_BITS
from sparqsim.quantise.observers import LeastError
from sparqsim.quantise.weights.base import Chosen, Need, WeightQuantiser
from sparqsim.quantise.weights.codes import QuantisedWeights
from sparqsim.quantise.weights.facts import LayerFacts, NetworkFacts, RunningNetwork
from sparqsim.quantise.weights.lp import best_scales

Array = NDArray[Any]

#: No scale is smaller.
TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, eq=False)
class Clips:
    """Scales of all layers: weights' float32 (channel,), activations' of 8-bit codes, by layer."""

    weights: Mapping[str, NDArray[np.float32]]
    activations: Mapping[str, float]

    def moved(self, factors: Array) -> Clips:
        """Return scales times factors: first those of the weights, then those of activations."""
        of_weights = dict(zip(self.weights, factors, strict=False))
        of_activations = dict(zip(self.activations, factors[len(self.weights) :], strict=True))
        return Clips(
            {
                name: np.maximum(scales * of_weights[name], TINY).astype(np.float32)
                for name, scales in self.weights.items()
            },
            {name: scale * of_activations[name] for name, scale in self.activations.items()},
        )


@dataclass(frozen=True)
class Lapq(WeightQuantiser):
    """Clips of least loss. activation_bits: top bits of activations that are used. clips: of what
    there is one. iterations: of Powell's method; 0 leaves phase 2 out. evaluations: the most losses
    that phase 2 takes.
    """

    name: ClassVar[str] = "lapq"
    needs: ClassVar[frozenset[Need]] = frozenset({"inputs", "answers"})

    bits: int = field(default=4, metadata={"least": LEAST_WEIGHT_BITS, "most": MOST_WEIGHT_BITS})
    activation_bits: int = field(default=4, metadata={"least": 2, "most": 8})
    clips: Literal["channel", "layer"] = "channel"
    iterations: int = field(default=1, metadata={"least": 0, "most": 100})
    evaluations: int = field(default=1000, metadata={"least": 1, "most": 1_000_000})

    def quantise(self, layer: LayerFacts) -> QuantisedWeights:
        """Return the codes of a network of which only this layer is quantised."""
        return self.quantise_network(NetworkFacts((layer,), layer.network)).weights[layer.name]

    def quantise_network(self, network: NetworkFacts) -> Chosen:
        """Return the codes of all layers and the scales of what they take."""
        if network.network is None:
            raise InputError(f"weight quantiser {self.spec!r} needs a network that gives answers")
        if self.iterations:
            scipy_optimize()  # what it lacks is told before the work
        search = _Search(self, network, network.network)
        fit, losses = search.fit()
        (start,) = search.clips_of([fit.power])
        start_loss = search.loss(start)
        facts = {
            "phases": ["fit"],
            "loss": search.loss_name,
            "pictures": search.pictures,
            "powers": list(POWERS),
            "losses": losses,
            "power": fit.power,
            "vertex": fit.vertex,
            "start_loss": start_loss,
        }
        best = start
        if self.iterations:
            found = search.descend(start)
            best = start.moved(found.factors)
            facts |= _facts_of(found)
        return Chosen(search.weights_of(best), best.activations, facts)


def _facts_of(found: Descent) -> dict[str, Any]:
    return {
        "phases": ["fit", "powell"],
        "final_loss": found.loss,
        "evaluations": found.evaluations,
        "factors": [round(float(each), 4) for each in found.factors],
    }


class _Search:
    """The loss of a network under clips, and the clips of a power."""

    def __init__(self, keys: Lapq, facts: NetworkFacts, network: RunningNetwork) -> None:
        self._keys, self._facts, self._network = keys, facts, network
        self._seen = {layer.name: self._observed(layer) for layer in facts.layers}
        self._coded: dict[str, QuantisedWeights] = {}
        self._told = self._measure()

    def _measure(self) -> Callable[[Array], float]:
        """Return what makes a loss of answers."""
        labels = self._network.labels
        if labels is not None:
            self.loss_name, self.pictures = "cross-entropy of the labels", len(labels)
            return lambda logits: cross_entropy(logits, labels)
        reference = self._network.logits()
        self.loss_name = "Kullback-Leibler divergence from the float network's answers"
        self.pictures = len(reference)
        return lambda logits: divergence(logits, reference)

    def _observed(self, layer: LayerFacts) -> LeastError:
        observer = LeastError(None, POWERS[0], self._keys.activation_bits)
        with layer.named():
            for real, _ in layer.rows():
                observer.update(real)
        return observer

    def fit(self) -> tuple[PowerFit, list[float]]:
        """Return p*, and the loss of every power."""
        losses = []
        for done, (power, clips) in enumerate(zip(POWERS, self.clips_of(POWERS), strict=True)):
            self._facts.progress(f"p={power:.2f}", done, len(POWERS))
            losses.append(self.loss(clips))
        return fitted_power(POWERS, losses), losses

    def descend(self, start: Clips) -> Descent:
        """Return what Powell's method finds from there."""
        most = self._keys.evaluations
        return joint_powell(
            lambda factors: self.loss(start.moved(factors)),
            2 * len(self._facts.layers),
            iterations=self._keys.iterations,
            evaluations=most,
            each=lambda done: self._facts.progress("powell", done, most),
        )

    def loss(self, clips: Clips) -> float:
        """Return the loss of the network under clips."""
        chosen = dict(self._facts.fixed) | self.weights_of(clips)
        bits = self._keys.activation_bits
        return self._told(self._network.logits(chosen, clips.activations, bits))

    def weights_of(self, clips: Clips) -> dict[str, QuantisedWeights]:
        """Return all layers' weights at the nearest codes: the same objects as last time where a
        layer's scales are, so that whoever runs the network knows what did not change.
        """
        for layer in self._facts.layers:
            scales, last = clips.weights[layer.name], self._coded.get(layer.name)
            if last is None or not np.array_equal(last.scales, scales):
                coded = QuantisedWeights.at_scales(layer.weights, scales, self._keys.bits)
                self._coded[layer.name] = coded
        return dict(self._coded)

    def clips_of(self, powers: Sequence[float]) -> list[Clips]:
        """Return the clips of least mean |error|^p, for each of some p."""
        layers = self._facts.layers
        weights = {layer.name: self._weight_scales(layer, powers) for layer in layers}
        activations = {layer.name: self._activation_scales(layer.name, powers) for layer in layers}
        found = []
        for place in range(len(powers)):
            of_weights = {name: scales[place] for name, scales in weights.items()}
            of_activations = {name: scales[place] for name, scales in activations.items()}
            found.append(Clips(of_weights, of_activations))
        return found

    def _weight_scales(self, layer: LayerFacts, powers: Sequence[float]) -> NDArray[np.float32]:
        """Return a layer's scales, float32 (p, output channel)."""
        by_channel = self._keys.clips == "channel"
        weights = layer.weights if by_channel else layer.weights.reshape(1, -1)
        with layer.named():
            scales = best_scales(weights, self._keys.bits, powers)
        return np.broadcast_to(scales, (len(powers), len(layer.weights)))

    def _activation_scales(self, layer: str, powers: Sequence[float]) -> list[float]:
        observer = self._seen[layer]
        if observer.largest == 0:
            return [1.0] * len(powers)
        clips = np.array(observer.clips_of(powers))
        scales = (clips / observer.top_code).astype(np.float32)
        return [max(float(scale), TINY) for scale in scales]
