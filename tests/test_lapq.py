"""`lapq`: what it starts from, what it gains, and what it says of itself."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from weight_networks import answering

from sparqsim import InputError
from sparqsim.quantise.calibrate import calibrator
from sparqsim.quantise.clips import POWERS
from sparqsim.quantise.weights import get_weight_quantiser

pytest.importorskip("scipy")

PHASE_1 = "lapq:3:iterations=0"


def loss_of(facts, weights, scales, bits=4):
    """The loss, from the answers, by plain sums."""
    network = facts.network
    logits = network.logits(weights, scales, bits).astype(float).tolist()
    total = 0.0
    for number, row in enumerate(logits):
        sizes = [math.exp(each) for each in row]
        if network.labels is not None:
            total -= math.log(sizes[network.labels[number]] / sum(sizes))
            continue
        meant = [math.exp(each) for each in network.logits()[number].tolist()]
        for size, true in zip(sizes, meant, strict=True):
            share = true / sum(meant)
            total += share * math.log(share / (size / sum(sizes)))
    return total / len(logits)


@pytest.fixture(scope="module")
def searched():
    """A network with labels, and what both phases choose of it."""
    facts = answering()
    return facts, get_weight_quantiser("lapq:3:evaluations=60").quantise_network(facts)


@pytest.mark.parametrize("labelled", [True, False])
def test_losses_are_those_of_the_answers(labelled, searched):
    facts, found = searched
    if not labelled:
        facts = answering(labelled)
        found = get_weight_quantiser("lapq:3:evaluations=60").quantise_network(facts)
    told = found.facts
    assert told["phases"] == ["fit", "powell"]
    assert told["pictures"] == 16
    assert ("labels" in told["loss"]) == labelled
    assert ("divergence" in told["loss"]) != labelled
    final = loss_of(facts, found.weights, found.activation_scales)
    assert told["final_loss"] == pytest.approx(final, rel=1e-4)
    assert told["final_loss"] < told["start_loss"]


def test_clips_of_a_power_are_those_of_lp_and_of_the_calibrator():
    """The first power is 2: weights of `lp:2`, activations of `mse`."""
    facts = answering()
    weights = {layer.name: get_weight_quantiser("lp:2:3").quantise(layer) for layer in facts.layers}
    scales = {}
    for layer in facts.layers:
        observer = calibrator("mse:4").observer()
        for real, _ in layer.rows():
            observer.update(real)
        scales[layer.name] = observer.scale()
    told = get_weight_quantiser(PHASE_1).quantise_network(facts).facts
    assert told["losses"][0] == pytest.approx(loss_of(facts, weights, scales), rel=1e-4)


def test_the_start_is_at_the_bottom_of_the_parabola():
    facts = answering()
    found = get_weight_quantiser(PHASE_1).quantise_network(facts)
    told = found.facts
    assert told["phases"] == ["fit"]
    assert "final_loss" not in told
    assert told["powers"] == list(POWERS)
    curvature, slope, _ = np.polyfit(told["powers"], told["losses"], 2)
    if curvature > 0:
        assert told["power"] == pytest.approx(np.clip(-slope / 2 / curvature, 2, 4))
    start = loss_of(facts, found.weights, found.activation_scales)
    assert told["start_loss"] == pytest.approx(start, rel=1e-4)


def test_one_clip_for_a_layer_or_one_for_each_channel():
    facts = answering()
    for clips, several in (("layer", False), ("channel", True)):
        quantiser = get_weight_quantiser(f"{PHASE_1},clips={clips}")
        scales = quantiser.quantise_network(facts).weights["convolution"].scales
        assert (len(set(scales.tolist())) > 1) == several


def test_powell_moves_a_layer_by_one_factor(searched):
    facts, found = searched
    start = get_weight_quantiser(PHASE_1).quantise_network(facts)
    factors = iter(found.facts["factors"])
    for layer in facts.layers:
        moved = found.weights[layer.name].scales / start.weights[layer.name].scales
        assert moved == pytest.approx(next(factors), abs=1e-3)
    for layer in facts.layers:
        moved = found.activation_scales[layer.name] / start.activation_scales[layer.name]
        assert moved == pytest.approx(next(factors), abs=1e-3)


def test_what_it_lacks_is_told():
    facts = answering()
    with pytest.raises(InputError, match="needs a network that gives answers"):
        get_weight_quantiser("lapq:4").quantise_network(replace(facts, network=None))


def test_the_network_that_is_searched_is_the_one_that_runs():
    """What the search calls the loss is the loss of integers under `mac-4b8b`."""
    torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")
    from networks.small import batches, small

    from sparqsim.networks.torch import QuantisedNetwork, evaluate
    from sparqsim.quantise.recipe import Recipe

    recipe = Recipe(weights="lapq:4:evaluations=30")
    quantised = QuantisedNetwork(small(), batches(), recipe=recipe)
    (told,) = quantised.recipe_entry["weight_quantisers"].values()
    found, meant = (
        torch.log_softmax(evaluate(quantised, batches(), pe).logits.double(), dim=1)
        for pe in ("mac-4b8b", None)
    )
    divergence = (meant.exp() * (meant - found)).sum(dim=1).mean()
    assert told["final_loss"] == pytest.approx(float(divergence), rel=1e-3)
    assert told["final_loss"] < told["start_loss"]


def test_progress_of_both_phases():
    told = []
    facts = replace(answering(), progress=lambda *values: told.append(values))
    get_weight_quantiser("lapq:3:evaluations=20").quantise_network(facts)
    assert told[0] == ("p=2.00", 0, 10)
    assert told[9] == ("p=4.00", 9, 10)
    assert told[10:] == [("powell", done, 20) for done in range(2, 21)]


def test_layers_whose_clips_stay_keep_their_weights():
    """Whoever runs the network knows then what did not change: the objects are the same."""
    facts, asked = answering(), []
    logits = facts.network.logits

    def asking(chosen=None, scales=None, bits=8):
        asked.append(chosen)
        return logits(chosen, scales, bits)

    facts.network.logits = asking
    get_weight_quantiser("lapq:3:evaluations=30").quantise_network(facts)
    moved = [
        sum(before[name] is not weights for name, weights in after.items())
        for before, after in pairwise(asked[-29:])
    ]
    assert max(moved) <= 2, "a search along one clip, and back from the one before"
    assert 1 in moved
