"""Answers of networks whose weights have the bits of a list: every integer is that of the
requantised trace, whatever front end runs the network.
"""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from networks.plain import plain_network
from networks.small import batches, small

from sparqsim import InputError, get_pe, load_trace
from sparqsim.networks.accuracy import accuracy
from sparqsim.networks.images import Pictures
from sparqsim.networks.modelfiles import dump as dump_file
from sparqsim.networks.modelfiles import open_network
from sparqsim.networks.torch import QuantisedNetwork, dump, evaluate
from sparqsim.networks.torch.accuracy import Study
from sparqsim.networks.torch.loaders import Inputs
from sparqsim.results.accuracy_report import AccuracyReport, Trial
from sparqsim.trace.bitlist import BitList, requantise

LISTED = {"stem": 6, "odd": 5, "grouped": 2, "pairs": {"weights": 3}, "fc": 4}


def same_layers(one, other):
    for mine, theirs in zip(one.layers, other.layers, strict=True):
        assert mine.record == theirs.record
        assert np.array_equal(mine.weights, theirs.weights)
        assert np.array_equal(mine.activations, theirs.activations)


@pytest.mark.parametrize("pe", ["mac-8b8b", "sparq-5opt", "sparq-exact", "bitfusion", "swis"])
def test_every_integer_is_that_of_the_requantised_trace(tmp_path, pe):
    """A plain recomputation from the trace; sums come in units of the weights before."""
    model, calibration, inputs = small(), batches(), batches(seed=9)[0][0]
    dump(model, calibration, tmp_path / "t.safetensors", images=1, keep_8bit=["stem", "last"])
    before = load_trace(tmp_path / "t.safetensors")
    fewer = requantise(before, LISTED)
    design = get_pe(pe)
    if pe == "bitfusion":  # exact, whatever its lanes
        design = get_pe("mac-8b8b")
    plain, seen = plain_network(
        model, fewer, lambda layer: get_pe("mac-8b8b") if layer.keep_8bit else design
    )
    quantised = QuantisedNetwork(
        model, calibration, keep_8bit=["stem", "last"], bits=BitList.of(LISTED)
    )
    found = {}

    def sums(site, operands):
        found[site.name] = site.sums(operands, get_pe("mac-8b8b" if site.keep_8bit else pe))
        return found[site.name]

    with torch.no_grad():
        outputs = quantised.run(Inputs.of(inputs), sums)
        assert torch.equal(outputs, plain(inputs))
    for one, other in zip(before.layers, fewer.layers, strict=True):
        unit = other.record.weight_scales[0] / one.record.weight_scales[0]
        expected = seen[one.name][1] * int(unit)
        assert np.array_equal(found[one.name].reshape(expected.shape), expected), one.name


def test_a_narrow_design_loses_nothing_of_weights_that_fit():
    """`mac-4b4b` trims activations alone where weights have four bits."""
    model, calibration = small(), batches()
    bits = BitList.of(dict.fromkeys(["odd", "grouped", "pairs", "fc"], 4))
    four, wide = (
        evaluate(model, calibration, pe, keep_8bit=["stem", "last"], bits=bits).logits
        for pe in ("mac-4b4b", "mac-4b8b")
    )
    assert torch.equal(four, wide)


def test_a_dump_has_the_bits(tmp_path):
    model, calibration = small(), batches()
    quantised = QuantisedNetwork(model, calibration, bits=BitList.of(LISTED))
    dump(model, calibration, tmp_path / "all.safetensors")
    dump(quantised, calibration, tmp_path / "fewer.safetensors")
    fewer = load_trace(tmp_path / "fewer.safetensors")
    assert [layer.record.weight_bits for layer in fewer.layers] == [6, 5, 2, 3, 8, 4]
    for mine, theirs in zip(
        fewer.layers, requantise(tmp_path / "all.safetensors", LISTED).layers, strict=True
    ):
        assert np.array_equal(mine.weights, theirs.weights)
        assert mine.record.weight_scales == theirs.record.weight_scales


def test_a_study_says_its_bits():
    bits = BitList.of(LISTED, "a list")
    study = Study(small(), batches(), batches(), bits=bits)
    report = study.report([Trial(None), Trial("serial-w"), Trial("mac-8b8b")])
    assert AccuracyReport.from_json(report.to_json()) == report
    assert report.bits == "a list"
    without = Study(small(), batches(), batches()).report([Trial(None)])
    assert "bits" not in json.loads(without.to_json())
    assert report.card.quantisation.training == "bits by a list: a list"
    assert without.card.quantisation.training == "none"
    serial, mac = report.rows[1:]
    assert serial.hits == mac.hits
    assert serial.cycles > mac.cycles


@pytest.fixture
def onnx_file(tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs the extra 'onnx'")
    pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
    helper, random = onnx.helper, np.random.default_rng(4)
    values = random.normal(size=(16, 5)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="fc")],
        "g",
        [helper.make_tensor_value_info("x", 1, ["n", 16])],
        [helper.make_tensor_value_info("y", 1, ["n", 5])],
        [
            onnx.numpy_helper.from_array(values, "w"),
            onnx.numpy_helper.from_array(np.arange(5, dtype=np.float32), "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(tmp_path / "n.onnx"))
    np.save(tmp_path / "x.npy", random.random((6, 16)).astype(np.float32))
    return tmp_path / "n.onnx"


def answered(file, bits):
    """The trace before, the trace of the network with bits, and its outputs."""
    pictures = Pictures.open(str(file.with_name("x.npy")), "", None)
    dump_file(str(file), pictures, str(file.with_name("t.safetensors")), calibration=pictures)
    network = open_network(str(file), pictures, bits=bits)
    trace = network.trace(pictures)
    outputs = np.concatenate(list(network.under(get_pe("mac-8b8b"), pictures)))
    return requantise(file.with_name("t.safetensors"), bits), trace, outputs


@pytest.mark.parametrize("bits", [2, 5])
def test_an_onnx_network(onnx_file, bits):
    fewer, trace, outputs = answered(onnx_file, BitList.of({"fc": bits}))
    same_layers(trace, fewer)
    (layer,) = fewer.layers
    assert layer.record.weight_bits == bits
    sums = layer.activations[0].astype(int) @ layer.weights[:, 0].T.astype(int)
    unit = np.array(layer.record.weight_scales) * layer.record.activation_scale
    expected = np.float32(sums) * np.float32(unit) + np.arange(5, dtype=np.float32)
    assert np.allclose(outputs, expected, rtol=1e-6)


def test_a_tflite_network(tmp_path):
    """Sums, an integer bias and the output's codes, by float64 from the requantised trace."""
    pytest.importorskip("ai_edge_litert", reason="needs the extra 'tflite'")
    from tflite_builder import Builder

    build = Builder(signed=True)
    x = build.tensor("x", (1, 12), [0.02], [7])
    w = build.weights("w", (5, 12), 5)
    y = build.tensor("y", (1, 5), [0.05], [-9])
    bias = build.bias(w, 5, 0.02)
    build.operator("FULLY_CONNECTED", [x, w, bias], y)
    file = build.save(tmp_path / "n.tflite", [x], [y])
    values = np.random.default_rng(2).integers(-128, 128, (6, 12)).astype(np.int8)
    np.save(tmp_path / "x.npy", values)
    (name,) = [layer.name for layer in _trace_of_file(file).layers]
    fewer, trace, outputs = answered(file, BitList.of({name: 3}))
    same_layers(trace, fewer)
    (layer,) = fewer.layers
    codes = layer.activations.reshape(6, 12).astype(int) - layer.record.activation_zero_point
    scales = np.array(layer.record.weight_scales) * layer.record.activation_scale
    real = codes @ layer.weights[:, 0].T.astype(int) * scales + layer.bias
    expected = np.clip(np.rint(real / 0.05) - 9, -128, 127)
    assert np.array_equal(outputs.reshape(6, 5), expected)


def _trace_of_file(file):
    pictures = Pictures.open(str(file.with_name("x.npy")), "", None)
    dump_file(str(file), pictures, str(file.with_name("a.safetensors")), calibration=pictures)
    return load_trace(file.with_name("a.safetensors"))


def test_the_command_line(onnx_file, run):
    listed, out = onnx_file.with_name("b.json"), onnx_file.with_name("a.json")
    listed.write_text(json.dumps({"fc": 3, "magnitude_bits": True}), encoding="utf-8")
    asked = ("accuracy", onnx_file, "--images", onnx_file.with_name("x.npy"))
    done = run(*asked, "--pe", "serial-w", "--bits", listed, "-o", out, "--all-layers")
    assert (done.code, done.err) == (0, "")
    assert "Weights lost bits by b.json" in done.out
    assert AccuracyReport.load(out).bits == "b.json"
    refused = run(*asked, "--scheme", "a")
    assert (refused.code, "expected --bits FILE" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        ({"fd": 4}, "'fd' is not in the network .did you mean fc"),
        ({"fc": {"activations": 4}}, "layer 'fc': activations=4, expected 8"),
        ({"fc": 9}, "layer 'fc': weights=9, expected 2..8 bits"),
    ],
)
def test_lists_that_do_not_fit(onnx_file, bits, words):
    pictures = Pictures.open(str(onnx_file.with_name("x.npy")), "", None)
    with pytest.raises(InputError, match=words):
        accuracy(open_network(str(onnx_file), pictures, bits=BitList.of(bits)), pictures, None, [])
