"""ONNX and TFLite networks by recipe, and the command line: what applies, what is refused by name."""
# ruff: noqa: E402 - what needs onnx is imported after the lines that skip without it

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="extra 'onnx' is not installed")

from networks.plain import rows_of
from onnx import helper
from test_onnx import network_file, pictures, save, scores, shown

from sparqsim import InputError, check_trace, get_pe, load_trace
from sparqsim.cli import main
from sparqsim.html.accuracy import accuracy_settings
from sparqsim.networks.accuracy import accuracy
from sparqsim.networks.images import Pictures
from sparqsim.networks.modelfiles import dump, open_network
from sparqsim.networks.onnx.evaluate import OnnxNetwork
from sparqsim.networks.onnx.network import Network, calibrated
from sparqsim.networks.onnx.running import CalibrationRun, with_recipe
from sparqsim.networks.onnx.session import Session
from sparqsim.quantise.recipe import Recipe
from sparqsim.quantise.weights import QuantisedWeights

FIXTURES = (network_file, shown)
LAYERS = ["first/Conv", "strided", "grouped", "depthwise", "hidden", "last"]
OUTPUTS = dict(zip(LAYERS, ["b0", "c1", "c2", "c3", "g", "y"], strict=True))


def recipe(**fields: Any) -> Recipe:
    return Recipe.model_validate(fields)


def opened(path: Path, shown: Pictures, chosen: Recipe) -> Network:
    return with_recipe(calibrated(path, shown, recipe=chosen), chosen, shown)


# Weights and rows.


def test_an_onnx_trace_has_the_recipes_codes(network_file, shown, tmp_path):
    chosen = recipe(
        weights="nearest:3",
        layers={"grouped": {"weights": "lp:2:5", "activations": "max"}},
    )
    dump(str(network_file), shown, str(tmp_path / "t"), recipe=chosen)
    dump(str(network_file), shown, str(tmp_path / "plain"))
    assert check_trace(tmp_path / "t") == []
    trace, plain = (load_trace(tmp_path / name) for name in ("t", "plain"))
    assert [layer.record.weight_bits for layer in trace.layers] == [8, 3, 5, 3, 3, 8]
    assert trace.metadata.calibrator == "mean-max (1 layer otherwise)"
    assert trace.metadata.provenance["recipe"]["weights"] == "nearest:3"
    assert "recipe" not in plain.metadata.provenance
    for name in ("first/Conv", "last"):
        one, other = (next(x for x in each.layers if x.name == name) for each in (trace, plain))
        assert one.record == other.record
        assert np.array_equal(one.weights, other.weights)
    depthwise = trace.layers[3]
    stored = {each.name: each for each in onnx.load(network_file).graph.initializer}
    real = onnx.numpy_helper.to_array(stored["w3"]).reshape(6, 9)
    scales = np.float32(2 * np.abs(real).max(axis=1).astype(np.float64) / 7)
    codes = np.clip(np.rint(real / scales[:, None]), -3, 3)
    assert np.array_equal(depthwise.weights[:, :, 0], codes)
    assert depthwise.record.weight_scales == tuple(scales.astype(float))


@pytest.mark.parametrize("layer", LAYERS)
def test_rows_of_an_onnx_layer_are_what_it_multiplies(network_file, shown, tmp_path, layer):
    network = calibrated(network_file, shown, "max")
    node = next(each for each in network.nodes if each.name == layer)
    rows = list(CalibrationRun(network, shown).rows(layer))
    weights = node.real_weights.reshape(node.groups, -1, rows[0].real.shape[2])
    products = np.concatenate(
        [np.concatenate(list(each.real @ weights.swapaxes(1, 2)), axis=1) for each in rows]
    )
    outputs = np.concatenate(
        [
            each[OUTPUTS[layer]]
            for each in Session(network.graph, [OUTPUTS[layer]]).batches(shown, network.batch)
        ]
    )
    outputs = outputs.transpose(0, 2, 3, 1) if outputs.ndim == 4 else outputs
    bias = 0 if node.bias is None else node.bias
    assert products.reshape(outputs.shape) + bias == pytest.approx(outputs, rel=1e-4, abs=1e-4)
    dump(str(network_file), shown, str(tmp_path / "t"), calibrate="max")
    stored = next(each for each in load_trace(tmp_path / "t").layers if each.name == layer)
    x = stored.activations
    plain = rows_of(stored, x.transpose(0, 3, 1, 2) if stored.op == "conv2d" else x[0])
    held = np.concatenate([each.quantised for each in rows], axis=1)
    for mine, theirs in zip(held, plain, strict=True):
        assert np.array_equal(np.rint(mine / stored.record.activation_scale), theirs)


def chosen_codes(network: Network) -> dict[str, QuantisedWeights]:
    return {
        node.name: QuantisedWeights(node.weights.codes, node.weights.scales.astype(np.float32), 8)
        for node in network.nodes
    }


def test_answers_with_all_weights_chosen_are_those_on_integers(network_file, shown):
    network = calibrated(network_file, shown, "max")
    run = CalibrationRun(network, shown)
    answering = OnnxNetwork(network)
    assert run.logits() == pytest.approx(scores(answering.reference(shown)), rel=1e-5, abs=1e-6)
    chosen = chosen_codes(network)
    on_integers = scores(answering.under(get_pe("mac-8b8b"), shown))
    assert np.array_equal(run.logits(chosen), on_integers)
    wider = run.logits(chosen, dict.fromkeys(LAYERS, 1.0))
    assert wider != pytest.approx(on_integers, rel=1e-2, abs=1e-2)


@pytest.mark.parametrize("layer", LAYERS[1:])
def test_rows_behind_chosen_weights_are_those_on_integers(network_file, shown, layer, tmp_path):
    """As the PyTorch front end has them: those of a run whose layers before are on integers."""
    network = calibrated(network_file, shown, "max")
    before = dict(list(chosen_codes(network).items())[: LAYERS.index(layer)])
    run = CalibrationRun(network, shown)
    behind, plain = list(run.rows(layer, before)), list(run.rows(layer))
    seen = Watched(network)
    seen.under_exact(shown)
    for mine, theirs, codes in zip(behind, plain, seen.rows[layer], strict=True):
        assert np.array_equal(mine.real, theirs.real), "the float network's stay"
        step = network.codes[run._nodes[layer].source].scale
        assert np.array_equal(np.rint(mine.quantised / step), codes)
    assert any(
        not np.array_equal(a.quantised, b.quantised) for a, b in zip(behind, plain, strict=True)
    )


@pytest.mark.parametrize("layer", [None, "grouped"])
def test_answers_of_fewer_bits_of_activations_are_those_of_a_4_bit_array(
    network_file, shown, layer
):
    network = calibrated(network_file, shown, "mse:4")
    run, chosen = CalibrationRun(network, shown), chosen_codes(network)
    names = LAYERS if layer is None else [layer]
    scales = {node.name: network.codes[node.source].scale for node in network.nodes}
    found = run.logits(chosen, {name: scales[name] for name in names}, 4)
    designs = {name: get_pe("mac-4b8b" if name in names else "mac-8b8b") for name in LAYERS}
    expected = scores(OnnxNetwork(network, native=False).computed(shown, designs))
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_a_quantiser_that_chooses_scales_by_the_answers_runs_on_onnx(network_file, shown):
    chosen = recipe(
        weights="lapq:4:iterations=0", calibration={"labels": "float-network"}, keep_8bit="none"
    )
    plain, network = calibrated(network_file, shown), opened(network_file, shown, chosen)
    scales = [network.codes[node.source].scale for node in network.nodes]
    assert scales != [plain.codes[node.source].scale for node in plain.nodes]
    assert {site.weights.bits for site in network.sites} == {4}
    assert [site.activation.scale for site in network.sites] == scales


class Watched:
    """Runs a network on integers by numpy, and keeps what layers multiply, as rows."""

    def __init__(self, network: Network) -> None:
        self.network = OnnxNetwork(network, native=False)
        self.rows: dict[str, list[np.ndarray]] = {}

    def under_exact(self, shown: Pictures) -> None:
        from sparqsim.networks import site

        fast = site.layer_sums

        def recorded(layer: Any, *others: Any) -> Any:
            x = layer.activations
            rows = rows_of(layer, x.transpose(0, 3, 1, 2) if layer.op == "conv2d" else x[0])
            self.rows.setdefault(layer.name, []).append(np.stack(rows))
            return fast(layer, *others)

        site.layer_sums = recorded
        try:
            scores(self.network.under(get_pe("mac-8b8b"), shown))
        finally:
            site.layer_sums = fast


def test_labels_of_an_onnx_network(network_file, shown):
    network = calibrated(network_file, shown, "max")
    assert CalibrationRun(network, shown).labels is None
    run = CalibrationRun(network, shown, "float-network")
    assert np.array_equal(run.labels, run.logits().argmax(axis=1))
    labelled = replace(shown, labels=np.arange(len(shown)))
    assert CalibrationRun(network, labelled, "true").labels.tolist() == [*range(len(shown))]


def test_rows_of_codes_around_a_zero_point_are_the_real_values(tmp_path):
    """Activations of the network's own codes, weights that are real."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("MatMul", ["xd", "w"], ["y"], name="product"),
    ]
    weights = np.random.default_rng(2).normal(size=(6, 4)).astype(np.float32)
    constants = {"s": np.float32(0.5), "z": np.uint8(7), "w": weights}
    file = save(tmp_path / "n.onnx", nodes, constants, ["n", 6])
    x = np.arange(-6, 12, dtype=np.float32).reshape(3, 6) / 2
    np.save(tmp_path / "x.npy", x)
    shown = Pictures.open(str(tmp_path / "x.npy"), "", None)
    network = opened(file, shown, recipe(weights="nearest:4", keep_8bit="none"))
    (rows,) = CalibrationRun(network, shown).rows("product")
    assert np.array_equal(rows.real[0], x)
    assert np.array_equal(rows.quantised[0], x)
    assert network.nodes[0].weights.bits == 4


def test_bias_of_an_onnx_layer_takes_its_mean_error(network_file, shown):
    chosen = recipe(weights="nearest:3", bias_correction=True, keep_8bit="none")
    network = opened(network_file, shown, chosen)
    plain = opened(network_file, shown, recipe(weights="nearest:3", keep_8bit="none"))
    run = CalibrationRun(plain, shown)
    for node, before in zip(network.nodes, plain.nodes, strict=True):
        rows = list(run.rows(node.name))
        k = rows[0].real.shape[2]
        real = before.real_weights.reshape(before.groups, -1, k).astype(np.float64)
        scaled = before.weights.codes * before.weights.scales[:, None, None]
        held = scaled.reshape(real.shape)
        errors = [
            each.real @ real.swapaxes(1, 2) - each.quantised @ held.swapaxes(1, 2) for each in rows
        ]
        expected = np.concatenate(errors, axis=1).mean(axis=1).reshape(-1)
        start = 0 if before.bias is None else before.bias
        assert node.bias - start == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("native", [True, False])
def test_answers_are_of_the_recipes_integers(network_file, shown, native):
    """Onnxruntime and numpy alike; and the weights of few bits are in them."""
    chosen = recipe(weights="lp:2:4", bias_correction=True)
    network = opened(network_file, shown, chosen)
    answering = OnnxNetwork(network, native=native)
    found = scores(answering.under(get_pe("mac-8b8b"), shown))
    slow = scores(OnnxNetwork(network, native=False).under(get_pe("mac-8b8b"), shown))
    assert found == pytest.approx(slow, rel=1e-4, abs=1e-4)
    eight = scores(open_network(str(network_file), shown).under(get_pe("mac-8b8b"), shown))
    assert found != pytest.approx(eight, rel=1e-3, abs=1e-3)
    assert answering.recipe.startswith("weights lp:2:4")


def test_a_narrow_accumulator_leaves_onnxruntime_and_wraps(network_file, shown):
    """Layer by layer: the sums of numpy, wrapped by Python's whole numbers."""
    narrow = OnnxNetwork(opened(network_file, shown, recipe(accumulator_bits=13)))
    wide = OnnxNetwork(opened(network_file, shown, recipe(accumulator_bits=32)))
    pe = get_pe("mac-8b8b")
    assert wide.route(pe) == "onnxruntime"
    assert narrow.route(pe) == "numpy"
    found, exact = (scores(each.under(pe, shown)) for each in (narrow, wide))
    assert not np.allclose(found, exact, rtol=0.05, atol=0.05)
    (batch, *_) = wide._onnx.operands(shown, Left())
    for one, other in zip(narrow.sites, wide.sites, strict=True):
        sums, true = (each.sums(batch[one.name], pe) for each in (one, other))
        assert [(value + 2**12) % 2**13 - 2**12 for value in true.reshape(-1).tolist()] == (
            sums.reshape(-1).tolist()
        )


class Left:
    def add(self, *_: Any) -> None:
        """Nobody counts here."""


def test_a_trace_of_a_network_as_it_is_computes_no_sums(network_file, shown, tmp_path):
    with pytest.raises(InputError, match="accumulator_bits=13, in which sums of layer 'strided'"):
        dump(
            str(network_file),
            shown,
            str(tmp_path / "t"),
            recipe=recipe(accumulator_bits=13, layers={"first/Conv": {"weights": "nearest:2"}}),
        )
    assert not (tmp_path / "t").exists()
    dump(str(network_file), shown, str(tmp_path / "t"), recipe=recipe(accumulator_bits=24))


def test_a_report_says_the_recipe(network_file, shown):
    network = open_network(str(network_file), shown, recipe=recipe(weights="nearest:4"))
    report = accuracy(network, shown, None, ["mac-8b8b"])
    assert report.recipe.startswith("weights nearest:4, activations mean-max")
    assert json.loads(report.to_json())["recipe"] == report.recipe
    assert dict(accuracy_settings(report))["recipe"] == report.recipe


# What does not apply.


def codes_network(path: Path) -> Path:
    """y = dequantised(quantised(x)) @ dequantised(codes)."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["codes", "s", "zw"], ["w"]),
        helper.make_node("MatMul", ["xd", "w"], ["y"], name="product"),
    ]
    constants = {
        "s": np.float32(0.5),
        "z": np.uint8(0),
        "zw": np.int8(0),
        "codes": np.arange(-12, 12, dtype=np.int8).reshape(6, 4),
    }
    return save(path, nodes, constants, ["n", 6])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"weights": "nearest:4"},
            r"recipe: weights='nearest:4', but the ONNX network has no layer",
        ),
        ({"bias_correction": True}, r"recipe: bias_correction=True, but the ONNX network has no"),
        ({"activations": "max"}, r"recipe: activations='max', but every layer takes"),
        ({"layers": {"product": {"weights": "nearest:4"}}}, r"the layer multiplies its own codes"),
        ({"layers": {"product": {"activations": "max"}}}, r"the layer takes the network's own"),
        ({"layers": {"prodct": {}}}, r"'prodct' is not in the network \(did you mean product"),
        (
            {"calibration": {"labels": "true"}},
            r"labels='true', but the calibration pictures have no",
        ),
        ({"calibration": {"pictures": 9}}, r"calibration.pictures=9, but there are 3"),
    ],
)
def test_codes_that_a_network_brings_are_not_chosen(tmp_path, fields, message):
    file = codes_network(tmp_path / "codes.onnx")
    np.save(tmp_path / "x.npy", np.ones((3, 6), np.float32))
    shown = Pictures.open(str(tmp_path / "x.npy"), "", None)
    with pytest.raises(InputError, match=message):
        open_network(str(file), shown, recipe=recipe(**fields))
    taken = open_network(str(file), shown, recipe=recipe(keep_8bit="none", accumulator_bits=24))
    assert [site.keep_8bit for site in taken.sites] == [False]
    assert [site.accumulator_bits for site in taken.sites] == [24]


def test_layers_that_share_a_tensor_share_its_calibrator(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="one"),
        helper.make_node("MatMul", ["x", "w"], ["b"], name="two"),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    file = save(tmp_path / "n.onnx", nodes, {"w": np.eye(6, 4, dtype=np.float32)}, ["n", 6])
    np.save(tmp_path / "x.npy", np.ones((3, 6), np.float32))
    shown = Pictures.open(str(tmp_path / "x.npy"), "", None)
    with pytest.raises(InputError, match="'one' and 'two' take the same tensor 'x'"):
        open_network(str(file), shown, recipe=recipe(layers={"one": {"activations": "max"}}))


def test_a_quantiser_that_needs_more_than_onnx_gives_is_refused(network_file, shown, tmp_path):
    own = """
from dataclasses import dataclass, field
from sparqsim.quantise.weights import QuantisedWeights, WeightQuantiser
import numpy as np

@dataclass(frozen=True)
class Learned(WeightQuantiser):
    name = "learned"
    needs = frozenset({"blocks"})
    bits: int = field(default=4, metadata={"least": 2, "most": 8})
    def quantise(self, layer):
        raise AssertionError

@dataclass(frozen=True)
class Twice(WeightQuantiser):
    name = "twice"
    bits: int = field(default=4, metadata={"least": 2, "most": 8})
    def quantise(self, layer):
        n = len(layer.weights)
        codes = np.zeros((2 * n, *layer.weights.shape[1:]), np.int8)
        return QuantisedWeights(codes, np.ones(2 * n, np.float32), 4, np.repeat(np.arange(n), 2))
"""
    (tmp_path / "own.py").write_text(own)
    (tmp_path / "r.toml").write_text('weights = "own.py:Learned"')
    chosen = Recipe.read(tmp_path / "r.toml", trust=True)
    with pytest.raises(
        InputError, match=r"'learned:4' needs blocks .* ONNX network gives answers, in"
    ):
        open_network(str(network_file), shown, recipe=chosen)
    (tmp_path / "r.toml").write_text('weights = "own.py:Twice"')
    chosen = Recipe.read(tmp_path / "r.toml", trust=True)
    with pytest.raises(InputError, match="layer 'strided': its output channels have several"):
        open_network(str(network_file), shown, recipe=chosen)


# TFLite.


@pytest.fixture
def tflite(tmp_path: Path) -> tuple[Path, Pictures]:
    pytest.importorskip("ai_edge_litert", reason="extra 'tflite' is not installed")
    from tflite_builder import small_network

    file = small_network(tmp_path / "n.tflite", signed=False)
    return file, pictures(tmp_path / "shown.npz", size=(9, 8), steps="")


def test_a_tflite_network_takes_kept_layers_and_accumulators(tflite, tmp_path):
    file, shown = tflite
    chosen = recipe(keep_8bit=["point"], accumulator_bits=12)
    network = open_network(str(file), shown, recipe=chosen)
    assert [site.name for site in network.sites if site.keep_8bit] == ["point"]
    plain = open_network(str(file), shown)
    pe = get_pe("mac-8b8b")
    narrow, exact = (scores(each.under(pe, shown)) for each in (network, plain))
    assert not np.array_equal(narrow, exact)
    assert network.recipe.startswith("weights nearest:8")
    with pytest.raises(InputError, match="accumulator_bits=12, in which sums of layer"):
        dump(str(file), shown, str(tmp_path / "t"), recipe=chosen)
    wide = recipe(keep_8bit=["point"])
    dump(str(file), shown, str(tmp_path / "t"), recipe=wide)
    assert load_trace(tmp_path / "t").metadata.provenance["recipe"]["keep_8bit"] == ["point"]


def test_the_array_accumulates_before_zero_points_are_corrected(tflite):
    """Sums of stored integers wrap, by Python's whole numbers; then they are corrected."""
    file, shown = tflite
    network = open_network(str(file), shown, recipe=recipe(accumulator_bits=12))
    plain = open_network(str(file), shown)
    (batch, *_) = plain._network.operands(shown, Left())
    for one, other in zip(network.sites, plain.sites, strict=True):
        found = one.sums(batch[one.name], get_pe("mac-8b8b")).reshape(-1)
        true = other.sums(batch[one.name], get_pe("mac-8b8b")).reshape(-1)
        assert not np.any((found - true) % 2**12)
        lowered = other.layer([batch[one.name]]).lower()
        raw = np.matmul(lowered.rows(), lowered.weights, dtype=np.int64)
        moved = lowered.sums(lowered.rows(), lowered.weights) - raw
        held = np.array([(v + 2**11) % 2**12 - 2**11 for v in raw.reshape(-1).tolist()])
        wanted = (held.reshape(raw.shape) + moved).transpose(1, 0, 2).reshape(-1)
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weights": "nearest:4"}, r"weights='nearest:4', but the TFLite network has no layer"),
        ({"activations": "mse:4"}, r"activations='mse:4', but every layer takes the network's own"),
        ({"calibration": {"pictures": 2}}, r"calibration, but the TFLite network is codes already"),
        ({"layers": {"point": {"weights": "nearest:4"}}}, r"layers.'point': weights='nearest:4'"),
    ],
)
def test_what_a_tflite_network_cannot_take_is_refused(tflite, fields, message):
    file, shown = tflite
    with pytest.raises(InputError, match=message):
        open_network(str(file), shown, recipe=recipe(**fields))


# The command line.


@pytest.fixture
def folder(network_file, shown, tmp_path: Path) -> Path:
    (tmp_path / "r.toml").write_text(
        'weights = "lp:2:4"\nkeep_8bit = ["last"]\n[calibration]\npictures = 2\n'
    )
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


def shared(folder: Path) -> list[object]:
    images = ["--images", folder / "pictures.npz", "--preprocess", "scale:1/255,mean:0.5,std:0.25"]
    return [folder / "net.onnx", *images, "--recipe", folder / "r.toml"]


def test_a_dump_by_recipe(folder, capsys):
    code, _, err = run(capsys, "trace", "dump", *shared(folder), "-o", folder / "t.safetensors")
    assert code == 0
    assert err.startswith("warning:") or not err
    trace = load_trace(folder / "t.safetensors")
    assert [layer.record.weight_bits for layer in trace.layers] == [4, 4, 4, 4, 4, 8]
    assert [layer.name for layer in trace.layers if layer.keep_8bit] == ["last"]


def test_accuracy_by_recipe(folder, capsys):
    options = ["--pe", "mac-8b8b", "--format", "json"]
    code, out, err = run(capsys, "accuracy", *shared(folder), *options)
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["recipe"].startswith("weights lp:2:4, activations mean-max, 8 bits kept: last")
    assert report["calibration"] == "2 of them"
    code, out, _ = run(capsys, "accuracy", *shared(folder), "--pe", "mac-8b8b")
    assert "Recipe: weights lp:2:4" in " ".join(out.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--calibrate", "mean-max"], "--calibrate mean-max beside --recipe"),
        (["--keep-8bit", ""], "--keep-8bit beside --recipe"),
        (["--calibrate-on", "2"], "--calibrate-on 2 beside --recipe"),
    ],
)
def test_flags_beside_a_recipe_are_refused(folder, capsys, options, message):
    target = folder / "t.safetensors"
    code, _, err = run(capsys, "trace", "dump", *shared(folder), *options, "-o", target)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not target.exists()


def test_layers_that_a_recipe_keeps_are_told_as_the_recipes(folder, capsys):
    (folder / "r.toml").write_text('keep_8bit = ["lost"]')
    code, _, err = run(capsys, "trace", "dump", *shared(folder), "-o", folder / "t.safetensors")
    assert code == 2
    told = f"sparqsim: {folder / 'r.toml'}: keep_8bit: layer 'lost' is not in the network"
    assert err.startswith(told)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[layers."lost"]\nweights = "nearest:4"', "layers.'lost' is not in the network"),
        ("calibration.pictures = 9999", "calibration.pictures=9999, but there are "),
        ('calibration.labels = "true"', "calibration.labels='true', but the calibration pictures"),
        ('weights = "brecq:4"', "weight quantiser 'brecq:4' needs blocks"),
        ('weights = "multipoint:4:extra=1"', "layer 'strided': its output channels have several"),
        ("accumulator_bits = 8", "accumulator_bits=8, in which sums of layer"),
    ],
)
def test_what_is_found_after_reading_names_the_file(folder, capsys, text, message):
    (folder / "r.toml").write_text(text)
    code, _, err = run(capsys, "trace", "dump", *shared(folder), "-o", folder / "t.safetensors")
    assert code == 2
    assert err.startswith(f"sparqsim: {folder / 'r.toml'}: {message}")
    assert err.count("\n") == 1


def test_a_recipe_that_is_wrong_ends_in_a_line(folder, capsys):
    (folder / "r.toml").write_text('weights = "nearest:1"')
    code, _, err = run(capsys, "trace", "dump", *shared(folder), "-o", folder / "t.safetensors")
    assert code == 2
    assert "r.toml: weights: weight quantiser 'nearest:1': bits='1'" in err
    assert err.count("\n") == 1


def test_python_that_a_recipe_names_runs_only_where_it_is_trusted(folder, capsys):
    (folder / "own.py").write_text(
        "from sparqsim.quantise.calibrate import Largest\nclass Mine(Largest): pass\n"
    )
    (folder / "r.toml").write_text('activations = "own.py:Mine"')
    target = folder / "t.safetensors"
    code, _, err = run(capsys, "trace", "dump", *shared(folder), "-o", target)
    assert code == 2
    assert "is Python code in a file, which is not run" in err
    assert "--trust" in err
    assert run(capsys, "trace", "dump", *shared(folder), "-o", target, "--trust")[0] == 0
    assert load_trace(target).metadata.calibrator == "own.py:Mine"
