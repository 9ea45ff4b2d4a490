"""`brecq` and `qdrop`: which modules are blocks, what is learned of them, and that a run that was
interrupted goes on.
"""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from networks.convolutional import CifarResNet, SqueezeNet
from networks.small import batches, small
from torch import nn

from sparqsim import InputError, get_pe
from sparqsim.networks.torch import QuantisedNetwork
from sparqsim.networks.torch.running import CalibrationRun
from sparqsim.networks.torch.sites import real_weights
from sparqsim.quantise import blocks
from sparqsim.quantise.layered import LayeredNetwork, find_units
from sparqsim.quantise.recipe import Recipe
from sparqsim.quantise.weights import LayerFacts, NetworkFacts, get_weight_quantiser
from sparqsim.quantise.weights.contract import check_weight_quantiser, trial_facts


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def resnet(seed=0):
    """A residual network of three blocks, its norms doing something."""
    torch.manual_seed(seed)
    model = CifarResNet(1, (4, 6, 8)).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return model


def pictures(count, seed):
    """Smooth pictures: neighbouring pixels are alike."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 4, 4, generator=random)
    fine = nn.functional.interpolate(coarse, size=(12, 12), mode="bilinear")
    return fine + 0.1 * torch.randn(fine.shape, generator=random)


def facts_of(model, inputs, kept="none"):
    """Return facts of a network, calibrated on inputs."""
    quantised = QuantisedNetwork(model, inputs, keep_8bit=kept)
    network = CalibrationRun(
        quantised.network, quantised.layers, lambda: quantised.batches(inputs), "none"
    )
    real = real_weights(quantised.network.calls)
    layers = [
        LayerFacts(site.name, real[site.name], site.groups, network)
        for site in quantised.layers.values()
    ]
    return NetworkFacts(tuple(layers), network)


@pytest.fixture(scope="module")
def facts():
    """Facts of the residual network, calibrated on eight pictures; nothing writes to them."""
    return facts_of(resnet(), [pictures(8, 1)])


def layered(model, names, scale=0.02):
    return LayeredNetwork(model, names, dict.fromkeys(names, False), dict.fromkeys(names, scale))


def units_of(model, example):
    names = [
        name for name, module in model.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))
    ]
    found = find_units(layered(model, names), example, lambda net, x: net(x))
    return [(unit.name, unit.layers) for unit in found]


def block_errors(facts, chosen, inputs):
    """The mean squared error of each block's output in the whole quantised network, by hooks."""
    given = facts.network.blocks
    names = ["layer1.0", "layer2.0", "layer3.0"]
    outputs = []
    for weights in ({}, chosen):
        copied = LayeredNetwork(
            given.model,
            list(given.activations),
            {name: each.signed for name, each in given.activations.items()},
            {name: each.scale for name, each in given.activations.items()},
        )
        copied.weights = {
            name: blocks.as_weight(each.real, copied.modules[name].weight)
            for name, each in weights.items()
        }

        def coded(name, x, copied=copied):
            return copied.coded(name, x, 8) if copied.weights else x

        met = {}
        handles = [
            copied.module(name).register_forward_hook(
                lambda _, __, output, name=name, met=met: met.setdefault(name, output)
            )
            for name in names
        ]
        with torch.no_grad(), copied.holding(coded):
            copied.model(inputs)
        for handle in handles:
            handle.remove()
        outputs.append(met)
    meant, found = outputs
    return [float((meant[name] - found[name]).square().sum(1).mean()) for name in names]


# Which modules are blocks.


def test_blocks_of_a_residual_network():
    assert units_of(resnet(), pictures(2, 0)) == [
        ("conv1", ("conv1",)),
        ("layer1.0", ("layer1.0.conv1", "layer1.0.conv2")),
        ("layer2.0", ("layer2.0.conv1", "layer2.0.conv2")),
        ("layer3.0", ("layer3.0.conv1", "layer3.0.conv2")),
        ("linear", ("linear",)),
    ]


def test_layers_one_after_another_are_no_block():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Sequential(nn.Conv2d(4, 4, 3)))
    assert units_of(model, pictures(1, 0)) == [("0", ("0",)), ("2.0", ("2.0",))]


def test_blocks_of_fire_modules():
    found = dict(units_of(SqueezeNet().eval(), torch.zeros(1, 3, 64, 64)))
    assert found["fire2"] == ("fire2.squeeze", "fire2.expand1", "fire2.expand3")
    assert found["conv1"] == ("conv1",)


class Pair(nn.Module):
    """Two layers, with two inputs, or called twice."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x, other=None):
        return self.two(torch.relu(self.one(x))) + (0 if other is None else other)


class Calls(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.pair, self.how = Pair(), how

    def forward(self, x):
        return self.how(self.pair, x)


def test_a_block_has_one_input_and_one_call():
    def names(how):
        return [name for name, _ in units_of(Calls(how), torch.randn(2, 4))]

    assert names(lambda pair, x: pair(x)) == ["pair"]
    assert names(lambda pair, x: pair(x, x)) == ["pair.one", "pair.two"]
    assert names(lambda pair, x: pair(x, other=x)) == ["pair.one", "pair.two"]
    with pytest.raises(InputError, match=r"layer 'pair\.one' runs more than once"):
        names(lambda pair, x: pair(pair(x)))


# What is learned.


@pytest.mark.slow
def test_block_errors_fall_from_nearest_to_adaround_to_brecq_on_pictures_that_were_not_seen():
    facts = facts_of(resnet(), [pictures(64, 1)])
    unseen = pictures(64, 2)
    found = {
        spec: block_errors(
            facts, get_weight_quantiser(spec).quantise_network(facts).weights, unseen
        )
        for spec in ("nearest:2", "adaround:2:steps=100", "brecq:2:steps=100")
    }
    nearest, by_layer, by_block = found.values()
    for learned in (by_layer, by_block):
        assert all(one < other for one, other in zip(learned, nearest, strict=True))
    assert sum(by_block) < sum(by_layer)


@pytest.mark.parametrize("spec", ["brecq:3:steps=8", "qdrop:2:steps=8"])
def test_codes_are_neighbours_of_the_weights(spec, facts):
    found = get_weight_quantiser(spec).quantise_network(facts).weights
    limit = 2 ** (int(spec.split(":")[1]) - 1) - 1
    for layer in facts.layers:
        chosen = found[layer.name]
        steps = layer.weights / chosen.scales[:, None, None]
        lower, upper = (np.clip(each, -limit, limit) for each in (np.floor(steps), np.ceil(steps)))
        assert ((chosen.codes == lower) | (chosen.codes == upper)).all()


@pytest.mark.parametrize("spec", ["brecq:4:steps=3", "qdrop:2:steps=3,batch=2"])
def test_shipped_quantisers_keep_the_contract(spec):
    facts = facts_of(small(), batches(), kept="none")
    found = list(check_weight_quantiser(get_weight_quantiser(spec), facts))
    assert [each for each in found if each.failure] == []


def test_each_block_is_told_of():
    facts = facts_of(resnet(), [pictures(8, 1), pictures(4, 2)])
    told = get_weight_quantiser("brecq:4:steps=12,batch=8").quantise_network(facts).facts["blocks"]
    assert list(told) == ["conv1", "layer1.0", "layer2.0", "layer3.0", "linear"]
    for block in told.values():
        assert block["pictures"] == 12
        assert 0 < block["output_error"] <= block["output_error_nearest"]


def test_qdrop_without_dropping_and_with_all_bits_is_brecq(facts):
    same, other = (
        get_weight_quantiser(spec).quantise_network(facts).weights
        for spec in ("brecq:3:steps=8", "qdrop:3:steps=8,drop=0,activation_bits=8")
    )
    dropped = get_weight_quantiser("qdrop:3:steps=8").quantise_network(facts).weights
    for name, each in same.items():
        assert np.array_equal(each.codes, other[name].codes)
    assert any((each.codes != dropped[name].codes).any() for name, each in same.items())


def test_fixed_layers_stay_as_they_are(facts):
    first, *others = facts.layers
    fixed = {first.name: get_weight_quantiser("nearest:2").quantise(first)}
    quantiser = get_weight_quantiser("brecq:3:steps=8")
    alone = replace(facts, layers=tuple(others))
    behind = quantiser.quantise_network(replace(alone, fixed=fixed))
    without = quantiser.quantise_network(alone)
    assert sorted(behind.weights) == sorted(layer.name for layer in others)
    assert any(
        (each.codes != without.weights[name].codes).any() for name, each in behind.weights.items()
    )


def test_the_network_that_is_given_stays_as_it_is(facts):
    before = facts.network.logits()
    get_weight_quantiser("brecq:3:steps=3").quantise_network(facts)
    assert np.array_equal(before, facts.network.logits())


# Inputs as codes.


@pytest.mark.parametrize("signed", [False, True])
def test_inputs_are_what_mac_4b8b_takes(signed):
    model = nn.Sequential(nn.Linear(1, 1))
    net = LayeredNetwork(model, ["0"], {"0": signed}, {"0": 0.5})
    values = np.arange(-160, 290) if signed else np.arange(0, 290)
    x = torch.tensor(values * 0.5, dtype=torch.float32, requires_grad=True)
    limits = (-127, 127) if signed else (0, 255)
    codes = np.clip(values, *limits).astype(np.int8 if signed else np.uint8)
    used = get_pe("mac-4b8b").used_activations(codes[:, None])[:, 0].astype(float)
    held = net.coded("0", x, 4)
    assert held.detach().numpy().tolist() == (used * 0.5).tolist()
    held.sum().backward()
    inside = (values >= limits[0]) & (values <= limits[1])
    assert x.grad.numpy().tolist() == inside.astype(float).tolist()
    assert net.coded("0", x, 8).detach().numpy().tolist() == (codes * 0.5).tolist()


# Going on.


def test_an_interrupted_run_goes_on_at_its_block(facts, monkeypatch):
    monkeypatch.setattr(blocks, "TOLD_EVERY", 15)
    quantiser = get_weight_quantiser("brecq:3:steps=15,batch=4")
    whole = quantiser.quantise_network(facts)
    told = []

    def fails(name, done, steps):
        told.append((name, done, steps))
        if name == "layer2.0":
            raise KeyboardInterrupt

    other = replace(facts, progress=fails, seed=1)
    with pytest.raises(KeyboardInterrupt):
        quantiser.quantise_network(other)
    assert told[0] == ("conv1", 15, 75)
    told.clear()
    again = replace(other, progress=lambda *values: told.append(values))
    found = quantiser.quantise_network(again)
    assert [name for name, *_ in told] == ["layer2.0", "layer3.0", "linear"]
    told.clear()
    kept = quantiser.quantise_network(again)
    assert told == []
    assert kept.facts == found.facts
    for name, each in found.weights.items():
        assert np.array_equal(each.codes, kept.weights[name].codes)
    # Another seed is another run.
    assert any(
        (found.weights[name].codes != whole.weights[name].codes).any() for name in whole.weights
    )


def test_damaged_and_missing_caches_do_no_harm(facts, tmp_path, monkeypatch):
    quantiser = get_weight_quantiser("brecq:3:steps=3")
    first = quantiser.quantise_network(facts).weights
    files = list((tmp_path / "cache" / "sparqsim" / "blocks").iterdir())
    assert len(files) == 5
    for file in files:
        file.write_bytes(b"nothing")
    again = quantiser.quantise_network(facts).weights
    monkeypatch.setattr(blocks, "cache_folder", lambda _: None)
    without = quantiser.quantise_network(facts).weights
    for name, each in first.items():
        assert np.array_equal(each.codes, again[name].codes)
        assert np.array_equal(each.codes, without[name].codes)


def test_progress_of_a_network_by_recipe(monkeypatch):
    monkeypatch.setattr(blocks, "TOLD_EVERY", 10)
    told = []
    recipe = Recipe(weights="brecq:4:steps=20", keep_8bit="none")
    QuantisedNetwork(
        resnet(), [pictures(4, 1)], recipe=recipe, progress=lambda *values: told.append(values)
    )
    names = ("conv1", "layer1.0", "layer2.0", "layer3.0", "linear")
    assert told == [
        (name, 20 * number + step, 100) for number, name in enumerate(names) for step in (10, 20)
    ]


# What is refused.


def test_a_network_without_blocks_is_refused():
    with pytest.raises(InputError, match="needs blocks of the network"):
        get_weight_quantiser("brecq:4").check_needs(trial_facts().network)
    with pytest.raises(InputError, match="needs a PyTorch network"):
        get_weight_quantiser("brecq:4").quantise_network(replace(trial_facts(), network=None))


def test_torch_is_imported_only_when_blocks_are_learned():
    """`sparqsim --help` and `import sparqsim` stay fast."""
    import subprocess

    script = (
        "import sys\nfrom sparqsim.quantise.weights import get_weight_quantiser\n"
        "get_weight_quantiser('qdrop:4')\nprint('torch' in sys.modules, 'scipy' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["False", "False"]
