"""Answers of a network that keeps what layers before the first changed one computed."""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from networks.small import batches
from torch import nn
from torch.nn import functional

from sparqsim import InputError
from sparqsim.networks.torch import QuantisedNetwork
from sparqsim.networks.torch.kept import KeptOutputs
from sparqsim.networks.torch.network import Call
from sparqsim.networks.torch.running import CalibrationRun
from sparqsim.quantise.recipe import Recipe
from sparqsim.quantise.weights import QuantisedWeights

LAYERS = ["stem", "odd", "grouped", "pairs", "last", "fc"]


class Writing(nn.Module):
    """Writes to what its layers give."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        x = self.first(x).relu_()
        y = self.second(x)
        y += x
        return self.fc(functional.relu(y, inplace=True).mean(dim=(2, 3)))


PICTURES = batches(2)


def run_of(network):
    return CalibrationRun(
        network.network, network.layers, lambda: network.batches(PICTURES), "none"
    )


def chosen_of(network):
    return {
        name: QuantisedWeights(site.weights.codes, site.weights.scales.astype(np.float32), 8)
        for name, site in network.layers.items()
    }


def test_answers_are_those_of_a_network_that_keeps_nothing():
    """Whatever changes from run to run: weights, scales, bits, several layers, nothing."""
    network = QuantisedNetwork(Writing(), PICTURES, recipe=Recipe(keep_8bit="none"))
    kept, chosen = run_of(network), chosen_of(network)
    names, scales = list(network.layers), dict.fromkeys(network.layers, 0.02)
    rng = np.random.default_rng(0)
    for step, changes in enumerate((0, 0, 0, 1, 1, 2) * 2):
        for name in rng.choice(names, changes, replace=False):
            if rng.random() < 0.5:
                scales = scales | {name: float(rng.uniform(0.01, 0.05))}
            else:
                codes = rng.permuted(chosen[name].codes, axis=1)
                chosen = chosen | {name: QuantisedWeights(codes, chosen[name].scales, 8)}
        bits = 8 if step > 10 else 4
        found = kept.logits(chosen, scales, bits)
        assert np.array_equal(found, run_of(network).logits(chosen, scales, bits)), step


def computed(outputs, settings, batch=0, failing=""):
    """Run layers that give their own number; return which were computed."""
    asked = []

    def compute(call, _):
        if call.name == failing:
            raise InputError("failed")
        asked.append(call.name)
        return torch.tensor([float(LAYERS.index(call.name))])

    outputs.begin(settings)
    visit = outputs.visitor(batch, compute)
    for number, name in enumerate(LAYERS):
        assert visit(Call(name, "linear"), ()) == number
    return asked


def test_layers_from_the_first_changed_one_on_are_computed():
    outputs, settings = KeptOutputs(LAYERS), dict.fromkeys(LAYERS, 1)
    assert computed(outputs, settings) == LAYERS
    assert computed(outputs, settings) == LAYERS, "seen for the second time: now kept"
    assert computed(outputs, settings) == []
    for value in (2, 3):
        assert computed(outputs, settings | {"pairs": value}) == ["pairs", "last", "fc"]
    assert computed(outputs, settings | {"pairs": 3, "fc": 2}) == ["pairs", "last", "fc"]
    assert computed(outputs, settings | {"pairs": 3, "fc": 3}) == ["fc"]
    assert computed(outputs, settings | {"stem": 2}) == LAYERS


def test_a_run_that_failed_leaves_nothing_of_other_settings():
    """The layer that changed was never reached, the next run has the same settings."""
    outputs, settings = KeptOutputs(LAYERS), dict.fromkeys(LAYERS, 1)
    for _ in range(3):
        computed(outputs, settings)
    changed = settings | {"odd": 2}
    with pytest.raises(InputError):
        computed(outputs, changed, failing="odd")
    assert computed(outputs, changed) == LAYERS[1:]


def test_batches_have_outputs_of_their_own():
    outputs, settings = KeptOutputs(LAYERS), dict.fromkeys(LAYERS, 1)
    for _ in range(3):
        computed(outputs, settings)
    assert computed(outputs, settings, batch=1) == LAYERS


def test_no_more_is_kept_than_there_is_room_for():
    """Four bytes each; what no longer holds makes room."""
    outputs, settings = KeptOutputs(LAYERS, most_bytes=11), dict.fromkeys(LAYERS, 1)
    for _ in range(2):
        computed(outputs, settings)
    assert computed(outputs, settings) == LAYERS[2:]
    changed = settings | {"odd": 2}
    for _ in range(2):
        computed(outputs, changed)
    assert computed(outputs, changed) == LAYERS[2:]
