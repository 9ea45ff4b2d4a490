"""The contract of weight quantisers, as checks that anyone can run:
`check_weight_quantiser(get_weight_quantiser(...))`.

Each check has small layers of odd shapes quantised: grouped, depthwise, one weight, channels of
zeros, tiny and huge weights. Their inputs are drawn, and correlated from channel to channel. A
method that needs more of a network than inputs is given one by whoever checks it (`facts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.contract import Check, Outcome, expect, expect_frozen, outcomes_of
from sparqsim.base.errors import InputError
from sparqsim.quantise.codes import LEAST_WEIGHT_BITS, MOST_WEIGHT_BITS
from sparqsim.quantise.weights.base import Chosen, WeightQuantiser
from sparqsim.quantise.weights.codes import QuantisedWeights
from sparqsim.quantise.weights.facts import (
    ChosenWeights,
    LayerFacts,
    NetworkFacts,
    Rows,
    RunningNetwork,
)
from sparqsim.quantise.weights.registry import WHAT, with_values

Array = NDArray[Any]

SEED = 20
#: Rows of drawn inputs: in each of two batches.
ROWS = 40
#: Name -> output channels, kernel positions, input channels of a group, groups.
SHAPES = {
    "convolution": (6, 9, 5, 1),
    "grouped": (6, 4, 3, 2),
    "depthwise": (7, 9, 1, 7),
    "product": (5, 1, 13, 1),
    "one weight": (1, 1, 1, 1),
}


@dataclass(frozen=True)
class Trial:
    """A quantiser and the layers that it is tried on."""

    quantiser: WeightQuantiser
    facts: NetworkFacts

    def chosen(self, **changed: Any) -> Chosen:
        """Return what it chooses for copies of them; `changed`: fields of the facts."""
        facts = replace(self.facts, **changed)
        copies = [replace(layer, weights=layer.weights.copy()) for layer in facts.layers]
        return self.quantiser.quantise_network(replace(facts, layers=tuple(copies)))

    @cached_property
    def first(self) -> Chosen:
        """What it chooses the first time: the checks that only look share it."""
        return self.chosen()

    def pairs(self) -> Iterator[tuple[LayerFacts, QuantisedWeights]]:
        """Yield every layer with what is chosen for it."""
        weights = self.first.weights
        for layer in self.facts.layers:
            yield layer, weights[layer.name]


def check_weight_quantiser(
    each: WeightQuantiser, facts: NetworkFacts | None = None
) -> Iterator[Outcome]:
    """Run every check on a quantiser; `facts`: in the place of the drawn layers."""
    return outcomes_of(CHECKS, Trial(each, facts or trial_facts()))


class DrawnInputs(RunningNetwork):
    """Inputs of the trial layers: drawn, no network runs."""

    provides = frozenset({"inputs"})
    kind = "trial network"

    def __init__(self, depths: Mapping[str, tuple[int, int]]) -> None:
        self._depths = depths

    def rows(self, layer: str, chosen: ChosenWeights | None = None) -> Iterator[Rows]:
        """Yield a layer's rows; as many as its groups and K ask for."""
        groups, k = self._depths[layer]
        rng = np.random.default_rng(SEED)
        mixed = rng.normal(size=(groups, k, k)) / np.sqrt(k) + np.eye(k)
        for _ in range(2):
            real = np.maximum(rng.normal(size=(groups, ROWS, k)) @ mixed, 0).astype(np.float32)
            step = np.float32(real.max() / 15 if real.any() else 1)
            yield Rows(real, np.rint(real / step) * step)


def trial_facts() -> NetworkFacts:
    """Return small layers of odd shapes, with inputs."""
    network = DrawnInputs(
        {name: (groups, taps * depth) for name, (_, taps, depth, groups) in _trial_shapes().items()}
    )
    rng = np.random.default_rng(SEED)
    layers = []
    for name, (channels, taps, depth, groups) in _trial_shapes().items():
        weights = rng.normal(size=(channels, taps, depth)).astype(np.float32)
        layers.append(LayerFacts(name, _altered(name, weights), groups, network))
    return NetworkFacts(tuple(layers), network)


def _trial_shapes() -> dict[str, tuple[int, int, int, int]]:
    odd = dict.fromkeys(("some zeros", "all zeros", "tiny", "huge", "an outlier"), (4, 1, 6, 1))
    return SHAPES | odd


def _altered(name: str, weights: Array) -> Array:
    if name == "some zeros":
        weights[1::2] = 0
    elif name == "all zeros":
        weights[:] = 0
    elif name == "tiny":
        weights *= np.float32(1e-36)
    elif name == "huge":
        weights *= np.float32(1e36)
    elif name == "an outlier":
        weights[:, 0, 0] = 100
    return weights


def check_name(trial: Trial) -> None:
    """Expect the name and the keys to make the same quantiser again."""
    each = trial.quantiser
    expect(bool(each.name) and ":" not in each.name, f"name={each.name!r}")
    expect_frozen(each, f"{WHAT}s")
    expect(f":{each.bits}" in each.spec, f"spec={each.spec!r}, expected its bits in it")
    again = with_values(type(each), each.spec.partition(":")[2], each.spec)
    expect(again == each, f"spec {each.spec!r} makes {again!r}, expected {each!r}")


def check_layers(trial: Trial) -> None:
    """Expect weights of every layer asked for, and of no other."""
    asked = [layer.name for layer in trial.facts.layers]
    found = sorted(trial.first.weights)
    expect(found == sorted(asked), f"weights of {found}, expected those of {sorted(asked)}")


def check_codes(trial: Trial) -> None:
    """Expect int8 codes within the quantiser's stored bits, each row of a channel's shape."""
    for layer, chosen in trial.pairs():
        codes, bits = chosen.codes, chosen.bits
        expect(bits == trial.quantiser.stored_bits, f"layer {layer.name!r}: bits={bits}")
        expect(LEAST_WEIGHT_BITS <= bits <= MOST_WEIGHT_BITS, f"bits={bits}")
        form = f"layer {layer.name!r}: codes are {codes.dtype} {codes.shape}"
        expect(codes.dtype == np.int8, f"{form}, expected int8")
        expect(codes.shape[1:] == layer.weights.shape[1:], f"{form}, weights {layer.weights.shape}")
        half = 1 << (bits - 1)
        held = int(codes.min()) >= -half and int(codes.max()) < half
        expect(held, f"layer {layer.name!r}: codes {codes.min()}..{codes.max()} of {bits} bits")


def check_scales(trial: Trial) -> None:
    """Expect a float32 scale above 0 for each row of codes."""
    for layer, chosen in trial.pairs():
        scales = chosen.scales
        form = f"layer {layer.name!r}: scales are {scales.dtype} {scales.shape}"
        expect(scales.dtype == np.float32, f"{form}, expected float32")
        expect(scales.shape == (len(chosen.codes),), f"{form} for {len(chosen.codes)} rows")
        sound = bool(np.isfinite(scales).all() and (scales > 0).all())
        expect(sound, f"layer {layer.name!r}: scales {scales}, expected finite ones above 0")


def check_views(trial: Trial) -> None:
    """Expect the real weights to be codes times scales, summed over the rows of a channel."""
    for layer, chosen in trial.pairs():
        channels = chosen.row_channels
        known = sorted({*channels.tolist()}) == list(range(len(layer.weights)))
        ascending = bool((np.diff(channels) >= 0).all())
        expect(
            known and ascending and len(channels) == len(chosen.codes),
            f"layer {layer.name!r}: rows are of channels {channels}, expected each of "
            f"{len(layer.weights)}, ascending",
        )
        summed = np.zeros(layer.weights.shape, np.float64)
        for channel, codes, scale in zip(channels, chosen.codes, chosen.scales, strict=True):
            summed[channel] += codes.astype(np.float64) * np.float64(scale)
        same = chosen.real.dtype == np.float32
        same &= np.array_equal(chosen.real, summed.astype(np.float32))
        expect(same, f"layer {layer.name!r}: real weights are not codes times scales")


def check_zeros(trial: Trial) -> None:
    """Expect a channel of zeros to have no other code than 0."""
    for layer, chosen in trial.pairs():
        for channel in np.flatnonzero(~layer.weights.any(axis=(1, 2))):
            codes = chosen.codes[chosen.row_channels == channel]
            expect(not codes.any(), f"layer {layer.name!r}: channel {channel} of zeros is {codes}")


def check_determinism(trial: Trial) -> None:
    """Expect the same of the same facts each time."""
    one, other = trial.first, trial.chosen()
    for name, first in one.weights.items():
        second = other.weights[name]
        same = np.array_equal(first.codes, second.codes)
        same &= np.array_equal(first.scales, second.scales)
        same &= np.array_equal(first.row_channels, second.row_channels)
        expect(same, f"layer {name!r}: differs from one time to the next")
    expect(
        one.activation_scales == other.activation_scales,
        "activation scales differ from one time to the next",
    )


def check_input_untouched(trial: Trial) -> None:
    """Expect weights to stay as they were."""
    layers = [replace(each, weights=each.weights.copy()) for each in trial.facts.layers]
    trial.quantiser.quantise_network(replace(trial.facts, layers=tuple(layers)))
    for layer, before in zip(layers, trial.facts.layers, strict=True):
        same = np.array_equal(layer.weights, before.weights)
        expect(same, f"layer {layer.name!r}: its weights were written to")


def check_refusal(trial: Trial) -> None:
    """Expect NaN and infinite weights to be refused, naming the layer."""
    first, *others = trial.facts.layers
    for bad in (np.nan, np.inf):
        weights = first.weights.copy()
        weights[-1, -1, -1] = bad
        layers = (*others, replace(first, weights=weights))
        try:
            trial.chosen(layers=layers)
        except InputError as error:
            named = repr(first.name) in str(error)
            expect(named, f"{error}: expected the layer's name in it")
            continue
        expect(False, f"layer {first.name!r}: the weight {bad} is not refused")


CHECKS: Mapping[str, Check[Trial]] = {
    "name and keys": check_name,
    "every layer": check_layers,
    "codes within bits": check_codes,
    "scales": check_scales,
    "real = codes * scales": check_views,
    "zeros stay": check_zeros,
    "determinism": check_determinism,
    "what is given is not written to": check_input_untouched,
    "NaN and infinity are refused": check_refusal,
}
