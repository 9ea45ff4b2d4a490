"""PyTorch networks by recipe: codes, biases, accumulators, and what quantisers are told of them."""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from networks.plain import plain_network, rows_of
from networks.small import batches, small
from torch import nn

from sparqsim import InputError, check_trace, get_pe, load_trace
from sparqsim.base.registry import Registry
from sparqsim.networks.arithmetic import Arithmetic
from sparqsim.networks.torch import QuantisedNetwork, dump, evaluate
from sparqsim.networks.torch.accuracy import Study
from sparqsim.networks.torch.loaders import Inputs
from sparqsim.networks.torch.running import CalibrationRun
from sparqsim.networks.torch.sites import arranged, real_weights
from sparqsim.quantise.recipe import Recipe
from sparqsim.quantise.weights import (
    Chosen,
    LayerFacts,
    NetworkFacts,
    QuantisedWeights,
    WeightQuantiser,
    get_weight_quantiser,
)
from sparqsim.results.accuracy_report import AccuracyReport, Trial

LAYERS = ["stem", "odd", "grouped", "pairs", "last", "fc"]


def recipe_of(**fields: Any) -> Recipe:
    return Recipe.model_validate_json(Recipe.model_validate(fields).model_dump_json())


def network(model: Any = None, **fields: Any) -> QuantisedNetwork:
    return QuantisedNetwork(model or small(), batches(), recipe=Recipe(**fields))


def float_layers(quantised: QuantisedNetwork) -> dict[str, Any]:
    """The folded modules, by name, still with their weights in float."""
    return {call.name: call.module for call in quantised.network.calls}


# Without a recipe nothing changes.


def test_flags_are_shorthands_for_a_recipe(tmp_path):
    dump(small(), batches(), tmp_path / "flags", calibrate="mse:4", keep_8bit=["odd"])
    dump(
        small(),
        batches(),
        tmp_path / "recipe",
        recipe=Recipe(activations="mse:4", keep_8bit=("odd",)),
    )
    flags, recipe = (load_trace(tmp_path / name) for name in ("flags", "recipe"))
    assert [layer.record for layer in flags.layers] == [layer.record for layer in recipe.layers]
    for one, other in zip(flags.layers, recipe.layers, strict=True):
        assert np.array_equal(one.weights, other.weights)
        assert np.array_equal(one.activations, other.activations)
    assert "recipe" not in flags.metadata.provenance
    told = dict(recipe.metadata.provenance)
    assert told.pop("recipe")["keep_8bit"] == ["odd"]
    before = dict(flags.metadata.provenance)
    # A recipe may name quantisers that draw: what its card says of seeds is theirs to say.
    cards = [each.pop("card") | {"seeds": None} for each in (told, before)]
    assert cards[0] == cards[1]
    assert told == before


# Weights.


def test_every_integer_of_a_trace_with_fewer_bits_equals_a_plain_recomputation(tmp_path):
    recipe = Recipe.model_validate(
        {"weights": "lp:2.4:4", "activations": "mse:4", "layers": {"odd": {"weights": "nearest:3"}}}
    )
    report = dump(small(), batches(), tmp_path / "t", recipe=recipe)
    assert report.calibrator == "mse:4"
    assert check_trace(tmp_path / "t") == []
    trace = load_trace(tmp_path / "t")
    assert [layer.record.weight_bits for layer in trace.layers] == [8, 3, 4, 4, 4, 8]
    assert trace.metadata.provenance["recipe"]["layers"]["odd"]["weights"] == "nearest:3"
    plain, seen = plain_network(small(), trace, lambda _: get_pe("mac-8b8b"))
    with torch.no_grad():
        logits = plain(torch.cat([images for images, _ in batches()]))
    assert np.array_equal(logits.numpy(), trace.arrays["logits_8bit"])
    for layer in trace.layers:
        codes = seen[layer.name][0]
        codes = codes.transpose(0, 2, 3, 1) if layer.op == "conv2d" else codes[None]
        assert np.array_equal(layer.activations, codes)


@pytest.mark.parametrize("spec", ["nearest:4", "nearest:2", "lp:2:4"])
def test_weights_are_the_quantisers_codes_of_the_folded_weights(spec):
    quantised = network(weights=spec, keep_8bit="none")
    quantiser = get_weight_quantiser(spec)
    for name, module in float_layers(quantised).items():
        values = module.weight.detach().numpy()
        rows = values.reshape(len(values), -1) if values.ndim == 2 else values.transpose(0, 2, 3, 1)
        site = quantised.layers[name]
        found = quantiser.quantise(
            LayerFacts(name, np.ascontiguousarray(rows.reshape(site.weights.codes.shape)))
        )
        assert np.array_equal(site.weights.codes, found.codes)
        assert np.array_equal(site.weights.scales, found.scales)
        assert np.abs(found.codes).max() <= 2 ** (quantiser.bits - 1) - 1


def test_fewer_bits_of_weights_answer_worse_and_better_clips_less_so():
    errors = {}
    for spec in ("nearest:8", "nearest:3", "lp:2:3"):
        quantised = network(weights=spec, keep_8bit="none")
        result = evaluate(quantised, batches(seed=9), "mac-8b8b")
        in_float = evaluate(quantised, batches(seed=9), None)
        errors[spec] = float((result.logits - in_float.logits).square().sum())
    assert errors["nearest:8"] < errors["lp:2:3"] < errors["nearest:3"]


def test_a_study_says_its_recipe():
    study = Study(small(), batches(), batches(), recipe=Recipe(weights="nearest:4"))
    report = study.report([Trial(None), Trial("mac-8b8b", "max")])
    assert report.recipe.startswith("weights nearest:4, activations mean-max")
    assert AccuracyReport.from_json(report.to_json()) == report
    assert [row.calibrator for row in report.rows] == ["mean-max", "max"]
    without = Study(small(), batches(), batches()).report([Trial(None)])
    assert "recipe" not in json.loads(without.to_json())


# Bias correction, by PyTorch's own convolutions in float64.


def shifts_of(quantised: QuantisedNetwork, name: str) -> np.ndarray:
    """Mean of (float output - output of codes) of each channel, on the calibration pictures."""
    module, site = float_layers(quantised)[name], quantised.layers[name]
    taken = []
    run = quantised.network.run

    def visitor(call, values):
        if call.name == name:
            taken.append(values[0].double())
        return call.in_float(values)

    for images, _ in batches():
        run(Inputs.of(images), visitor)
    real = torch.cat(taken)
    lowest, highest = (-127, 127) if site.activation.signed else (0, 255)
    held = torch.clamp(torch.round(real / site.activation.scale), lowest, highest)
    held = held * site.activation.scale
    copied = copy.deepcopy(module).double()
    del copied.forward
    copied.bias = None
    codes = site.weights.codes * site.weights.scales[:, None, None]
    other = copy.deepcopy(copied)
    if codes.shape[1] == 1 and module.weight.ndim == 2:
        other.weight.data = torch.from_numpy(codes[:, 0])
    else:
        channels, depth, height, width = module.weight.shape
        filters = codes.reshape(channels, height, width, depth).transpose(0, 3, 1, 2)
        other.weight.data = torch.from_numpy(np.ascontiguousarray(filters))
    with torch.no_grad():
        error = copied(real) - other(held)
    axes = (0,) if error.ndim == 2 else (0, 2, 3)
    return error.mean(dim=axes).numpy()


def test_biases_take_the_mean_error_of_their_channel():
    corrected = network(weights="nearest:3", bias_correction=True, keep_8bit="none")
    plain = network(weights="nearest:3", keep_8bit="none")
    for name in LAYERS:
        before, after = (each.layers[name].bias for each in (plain, corrected))
        before = np.zeros_like(after) if before is None else before
        expected = shifts_of(plain, name)
        assert after - before == pytest.approx(
            expected, abs=float(2e-6 * (1 + np.abs(before).max()))
        )
        assert np.abs(expected).max() > 1e-4, name


def test_a_corrected_layer_has_no_mean_error_left():
    corrected = network(weights="nearest:3", bias_correction=True, keep_8bit="none")
    plain = network(weights="nearest:3", keep_8bit="none")
    left = (corrected.layers["stem"].bias - plain.layers["stem"].bias) - shifts_of(plain, "stem")
    assert np.abs(left).max() < 1e-5


# Accumulators.


def wrapped(value: int, bits: int) -> int:
    value %= 2**bits
    return value - 2**bits if value >= 2 ** (bits - 1) else value


@pytest.mark.parametrize("pe", ["mac-8b8b", "sparq-5opt"])
def test_a_narrow_accumulator_wraps_every_sum(pe):
    narrow = network(accumulator_bits=12, keep_8bit="none")
    wide = network(accumulator_bits=64, keep_8bit="none")
    seen = {}

    def sums(site, operands):
        found = site.sums(operands, get_pe(pe))
        exact = wide.layers[site.name].sums(operands, get_pe(pe))
        seen[site.name] = (found.reshape(-1).tolist(), exact.reshape(-1).tolist())
        return found

    narrow.run(Inputs.of(batches()[0][0]), sums)
    overflowed = 0
    for found, exact in seen.values():
        assert found == [wrapped(value, 12) for value in exact]
        overflowed += found != exact
    assert overflowed >= 3


def test_a_long_product_overflows_16_bits_and_changes_the_output():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(576, 4, bias=False))
    nn.init.uniform_(model[0].weight, 0.5, 1.0)
    data = [torch.rand(3, 576)]
    exact, narrow = (
        evaluate(model, data, "mac-8b8b", recipe=Recipe(accumulator_bits=bits)) for bits in (32, 16)
    )
    assert not torch.equal(exact.logits, narrow.logits)
    assert exact.layers[0].error.noise == 0
    assert narrow.layers[0].error.noise > 0, "the error says so, even of exact arithmetic"


def test_what_can_overflow_is_recorded(tmp_path):
    dump(small(), batches(), tmp_path / "t", recipe=Recipe(accumulator_bits=16))
    told = load_trace(tmp_path / "t").metadata.provenance["can_overflow"]
    quantised = network(accumulator_bits=16)
    for name, site in quantised.layers.items():
        most = max(int(np.abs(row.astype(int)).sum()) for row in site.weights.codes)
        assert (name in told) == (most * (128 if site.activation.signed else 255) >= 2**15)
    dump(small(), batches(), tmp_path / "wide", recipe=Recipe())
    assert "can_overflow" not in load_trace(tmp_path / "wide").metadata.provenance


# Several columns for a channel.


@dataclass(frozen=True)
class Halves(WeightQuantiser):
    """8-bit codes as two columns of fewer bits: upper ones times 16, and lower ones."""

    name: ClassVar[str] = "halves"

    bits: int = field(default=5, metadata={"least": 5, "most": 5})

    def quantise(self, layer: LayerFacts) -> QuantisedWeights:
        whole = get_weight_quantiser("nearest:8").quantise(layer)
        low = ((whole.codes.astype(int) + 8) & 15) - 8
        high = (whole.codes - low) >> 4
        codes = np.stack([high, low], axis=1).reshape(-1, *low.shape[1:]).astype(np.int8)
        scales = np.stack([whole.scales * 16, whole.scales], axis=1).reshape(-1)
        channels = np.repeat(np.arange(len(low)), 2)
        return QuantisedWeights(codes, scales.astype(np.float32), 5, channels)


def ship(monkeypatch, kind: type[WeightQuantiser]) -> None:
    """Let recipes name a class of this page, as one that an installed package offers."""
    known = Registry.outside

    def outside(registry):
        own = {kind.name: EntryPoint(kind.name, f"{__name__}:{kind.__name__}", registry.group)}
        return known(registry) | (own if registry.group == "sparqsim.weights" else {})

    monkeypatch.setattr(Registry, "outside", outside)


def with_halves(monkeypatch) -> Recipe:
    ship(monkeypatch, Halves)
    return Recipe(weights="halves:5", keep_8bit="none")


def test_two_columns_for_a_channel_answer_as_one_of_all_their_bits(tmp_path, monkeypatch):
    recipe = with_halves(monkeypatch)
    whole = network(keep_8bit="none")
    halves = QuantisedNetwork(small(), batches(), recipe=recipe)
    found, expected = (
        evaluate(each, batches(seed=9), "mac-8b8b").logits for each in (halves, whole)
    )
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-7)
    dump(halves, batches(), tmp_path / "t")
    assert check_trace(tmp_path / "t") == []
    trace = load_trace(tmp_path / "t")
    for layer, site in zip(trace.layers, whole.layers.values(), strict=True):
        assert layer.gemm.n * layer.gemm.groups == 2 * len(site.weights.codes)
        assert "columns for" in layer.record.note
        assert np.array_equal(layer.bias.reshape(-1, 2).sum(axis=1), site.bias), "added once"
        rows = np.concatenate(
            rows_of(
                layer,
                layer.activations.transpose(0, 3, 1, 2)
                if layer.op == "conv2d"
                else layer.activations[0],
            ),
            axis=0,
        )
        assert rows.shape[1] == layer.gemm.k


# What quantisers are told.


def run_of(labels: str = "none") -> tuple[CalibrationRun, QuantisedNetwork]:
    quantised = network(keep_8bit="none")
    run = CalibrationRun(
        quantised.network, quantised.layers, lambda: quantised.batches(batches()), labels
    )
    return run, quantised


@pytest.mark.parametrize("layer", LAYERS)
def test_real_rows_times_weights_are_the_layers_outputs(layer):
    run, quantised = run_of()
    module = float_layers(quantised)[layer]
    outputs = []

    def visitor(call, values):
        output = call.in_float(values)
        if call.name == layer:
            outputs.append(output)
        return output

    for images, _ in batches():
        quantised.network.run(Inputs.of(images), visitor)
    output = torch.cat(outputs).numpy()
    output = output.transpose(0, 2, 3, 1) if output.ndim == 4 else output
    if module.bias is not None:
        output = output - module.bias.detach().numpy()
    rows = [each.real for each in run.rows(layer)]
    weights = arranged(module.weight).reshape(quantised.layers[layer].groups, -1, rows[0].shape[2])
    found = np.concatenate(
        [np.concatenate(list(each @ weights.swapaxes(1, 2)), axis=1) for each in rows]
    )
    assert found.reshape(output.shape) == pytest.approx(output, rel=1e-4, abs=1e-4)


def test_rows_of_several_layers_are_those_of_each(tmp_path):
    run, _ = run_of()
    together: dict[str, list[Any]] = {}
    for name, rows in run.rows_of_all(["odd", "fc"]):
        together.setdefault(name, []).append(rows)
    assert set(together) == {"odd", "fc"}
    for name, found in together.items():
        for mine, theirs in zip(found, run.rows(name), strict=True):
            assert np.array_equal(mine.real, theirs.real)
            assert np.array_equal(mine.quantised, theirs.quantised)


def test_a_network_that_writes_to_a_layers_input_changes_no_rows():
    class Writes(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x):
            x = x * 1
            y = self.fc(x)
            x += 100
            return y + x

    data = [torch.rand(4, 3)]
    quantised = QuantisedNetwork(Writes(), data, recipe=Recipe(keep_8bit="none"))
    run = CalibrationRun(
        quantised.network, quantised.layers, lambda: quantised.batches(data), "none"
    )
    (rows,) = run.rows("fc")
    assert np.array_equal(rows.real[0], data[0].numpy())


@pytest.mark.parametrize("layer", LAYERS)
def test_rows_behind_chosen_weights_are_those_of_the_8_bit_trace(tmp_path, layer):
    run, quantised = run_of()
    dump(quantised, batches(), tmp_path / "t")
    stored = next(each for each in load_trace(tmp_path / "t").layers if each.name == layer)
    x = stored.activations
    plain = rows_of(stored, x.transpose(0, 3, 1, 2) if stored.op == "conv2d" else x[0])
    chosen = {
        name: QuantisedWeights(site.weights.codes, site.weights.scales.astype(np.float32), 8)
        for name, site in quantised.layers.items()
    }
    found = np.concatenate([each.quantised for each in run.rows(layer, chosen)], axis=1)
    steps = found / np.float32(stored.record.activation_scale)
    for mine, theirs in zip(steps, plain, strict=True):
        difference = np.abs(mine - theirs)
        # Real sums are float32 here and exact there: a value on a tie may fall on either side.
        assert (difference < 1e-3).mean() > 0.999
        assert difference.max() < 1.001


def test_answers_with_all_weights_chosen_are_those_of_8_bits():
    run, quantised = run_of()
    chosen = {
        name: QuantisedWeights(site.weights.codes, site.weights.scales.astype(np.float32), 8)
        for name, site in quantised.layers.items()
    }
    expected = evaluate(quantised, batches(), "mac-8b8b").logits.numpy()
    in_float = evaluate(quantised, batches(), None).logits.numpy()
    assert run.logits(chosen) == pytest.approx(expected, rel=1e-3, abs=2e-3)
    assert run.logits() == pytest.approx(in_float, rel=1e-6)
    wide = dict.fromkeys(quantised.layers, 1.0)
    assert run.logits(chosen, wide) != pytest.approx(expected, rel=1e-2, abs=1e-2)


def test_labels_are_the_pictures_own_or_the_float_networks_answers():
    own = torch.cat([labels for _, labels in batches()]).numpy()
    assert run_of("none")[0].labels is None
    assert np.array_equal(run_of("true")[0].labels, own)
    run, _ = run_of("float-network")
    assert np.array_equal(run.labels, run.logits().argmax(axis=1))
    assert "labels" in run.provides
    assert "labels" not in run_of("none")[0].provides


def test_blocks_hold_the_folded_network_and_its_pictures():
    run, quantised = run_of()
    assert set(run.blocks.modules) == set(LAYERS)
    assert len(run.blocks.batches) == 4
    assert set(real_weights(quantised.network.calls)) == set(LAYERS)


@dataclass(frozen=True)
class Loud(WeightQuantiser):
    """Chooses weights as nearest does, and activation scales of its own."""

    name: ClassVar[str] = "loud"
    needs: ClassVar[frozenset[Any]] = frozenset({"labels"})

    bits: int = field(default=8, metadata={"least": 2, "most": 8})

    def quantise(self, layer: LayerFacts) -> QuantisedWeights:
        return get_weight_quantiser("nearest:8").quantise(layer)

    def quantise_network(self, network: NetworkFacts) -> Chosen:
        found = super().quantise_network(network)
        scales = {layer.name: 0.5 for layer in network.layers}
        return Chosen(found.weights, scales, {"phases": ["one"], "classes": 10})


def test_a_method_that_looks_at_answers_needs_labels_and_may_choose_scales(tmp_path, monkeypatch):
    ship(monkeypatch, Loud)
    with pytest.raises(InputError, match=r"'loud:8' needs labels of the network; this PyTorch"):
        network(weights="loud:8")
    labelled = {"labels": "float-network"}
    recipe = Recipe.model_validate(
        {"weights": "loud:8", "calibration": labelled, "layers": {"odd": {"weights": "nearest:4"}}}
    )
    dump(small(), batches(), tmp_path / "t", recipe=recipe)
    trace = load_trace(tmp_path / "t")
    scales = {layer.name: layer.record.activation_scale for layer in trace.layers}
    assert [name for name, scale in scales.items() if scale == 0.5] == ["grouped", "pairs", "last"]
    told = trace.metadata.provenance["weight_quantisers"]
    assert told == {"loud:8": {"phases": ["one"], "classes": 10}}


# Faults.


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"layers": {"stam": {"weights": "nearest:4"}}},
            r"layers.'stam' is not in.*did you mean st",
        ),
        ({"keep_8bit": ("stam",)}, "recipe: keep_8bit: layer 'stam' is not in the network"),
        ({"calibration": {"pictures": 13}}, "calibration.pictures=13, but there are 12"),
    ],
)
def test_what_does_not_fit_the_network_is_told(fields, message):
    with pytest.raises(InputError, match=message):
        QuantisedNetwork(small(), batches(), recipe=Recipe.model_validate(fields))


def test_labels_that_are_not_there_are_told():
    recipe = Recipe.model_validate({"calibration": {"labels": "true"}})
    images = [pictures for pictures, _ in batches()]
    with pytest.raises(
        InputError, match=r"calibration.labels='true', but the calibration pictures"
    ):
        QuantisedNetwork(small(), images, recipe=recipe)


def test_a_recipe_stands_alone(tmp_path):
    from sparqsim.trace.bitlist import BitList

    with pytest.raises(InputError, match="activations='max' beside a recipe"):
        QuantisedNetwork(small(), batches(), calibrate="max", recipe=Recipe())
    with pytest.raises(InputError, match="a list of bits beside a recipe"):
        QuantisedNetwork(small(), batches(), bits=BitList.of({"odd": 4}), recipe=Recipe())
    (tmp_path / "r.toml").write_text('weights = "nearest:4"')
    found = QuantisedNetwork(small(), batches(), recipe=tmp_path / "r.toml")
    assert found.layers["odd"].weights.bits == 4


def test_progress_is_told_layer_by_layer():
    told = []
    QuantisedNetwork(
        small(),
        batches(),
        recipe=Recipe(keep_8bit="none"),
        progress=lambda *step: told.append(step),
    )
    assert told == [(name, at, 6) for at, name in enumerate(LAYERS)]


def test_the_first_pictures_alone_calibrate():
    recipe = Recipe.model_validate({"calibration": {"pictures": 4}, "activations": "max"})
    found = QuantisedNetwork(small(), batches(), recipe=recipe)
    images = torch.cat([each for each, _ in batches()])[:4]
    largest = float(images.abs().max())
    assert found.layers["stem"].activation.scale == float(np.float32(largest / 127))


def test_products_of_two_activations_have_no_weights_to_choose():
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(6, 6)
            self.inner = nn.Module()
            self.inner.forward = lambda x: x @ x.transpose(-1, -2)

        def forward(self, x):
            return self.inner(self.fc(x))

    torch.manual_seed(0)
    data = [torch.randn(2, 3, 6)]
    recipe = Recipe(weights="nearest:4", keep_8bit="none", accumulator_bits=16)
    found = QuantisedNetwork(Product(), data, matmuls=["inner"], recipe=recipe)
    assert found.layers["fc"].weights.bits == 4
    assert found.layers["inner.product1"].can_overflow
    arithmetic = Arithmetic(found.layers.values(), get_pe("mac-8b8b"))
    found.run(Inputs.of(data[0]), arithmetic.sums)
    named = Recipe.model_validate({"layers": {"inner.product1": {"weights": "nearest:4"}}})
    with pytest.raises(InputError, match="the layer multiplies two activations"):
        QuantisedNetwork(Product(), data, matmuls=["inner"], recipe=named)
