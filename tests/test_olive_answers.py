"""Networks of files that answer under `olive-4b`: an independent model in plain Python and numpy.

Its pairs and scales are those of `test_olive`, in fractions: code that shares nothing with ours.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="extra 'onnx' is not installed")

import onnx
from onnx import TensorProto, helper, numpy_helper
from test_olive import plain_pairs, plain_scale

from sparqsim.networks.images import Pictures
from sparqsim.networks.modelfiles import open_network
from sparqsim.pe import get_pe

INPUTS, HIDDEN, CLASSES, COUNT = 6, 5, 3, 20


@pytest.fixture(scope="module")
def perceptron(tmp_path_factory):
    """Two layers with ReLU between them, as a file; its weights (N, K); pictures."""
    rng = np.random.default_rng(4)
    weights = [
        rng.standard_t(2, shape).astype(np.float32)
        for shape in ((HIDDEN, INPUTS), (CLASSES, HIDDEN))
    ]
    names = ("w1", "w2")
    nodes = [
        helper.make_node("Gemm", ["x", "w1"], ["a"], name="first", transB=1),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Gemm", ["b", "w2"], ["y"], name="second", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", INPUTS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CLASSES])],
        [numpy_helper.from_array(each, name) for each, name in zip(weights, names, strict=True)],
    )
    folder = tmp_path_factory.mktemp("olive")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, folder / "net.onnx")
    x = rng.standard_t(2, (COUNT, INPUTS)).astype(np.float32)
    np.save(folder / "x.npy", x)
    return folder, weights, x


def coded(values, scale, *, signed):
    """Codes of 8 bits, as integers."""
    lowest, highest = (-127, 127) if signed else (0, 255)
    steps = np.rint(values.astype(np.float32) / np.float32(scale))
    return np.clip(steps, lowest, highest).astype(int)


def in_pairs(rows, scale, *, signed):
    """Codes (rows, K) as they are held at a scale, in fractions."""
    return [
        plain_pairs([Fraction(int(value)) for value in row], scale, signed=signed) for row in rows
    ]


def tensor_scale(codes):
    """The scale of all rows of a tensor: a last value without partner pairs with 0."""
    padded = np.pad(codes, ((0, 0), (0, codes.shape[1] % 2)))
    return plain_scale(padded.ravel().tolist(), signed=bool((codes < 0).any()))


def real_outputs(codes, found_on, weight, site):
    """A layer's outputs in real units, rounded to whole units of a product's least bit."""
    signed = bool((found_on < 0).any())
    if not signed:
        codes = np.maximum(codes, 0)
    xs = in_pairs(codes, tensor_scale(found_on), signed=signed)
    scales = np.abs(weight).max(axis=1) * 2 / 255
    w = site.weights.codes[:, 0].astype(int)
    assert np.abs(w - weight / scales[:, None]).max() < 0.51  # largest weights lie between codes
    sums = np.zeros((len(codes), len(w)))
    for n, row in enumerate(w):
        (held,) = in_pairs([row], plain_scale(row.tolist(), signed=True), signed=True)
        for m, given in enumerate(xs):
            exact = sum(a * b for a, b in zip(given, held, strict=True))
            sums[m, n] = np.rint(float(exact))
    return sums * (site.activation.scale * scales)


@pytest.mark.parametrize("calibrated_on", [COUNT, 7])
def test_answers_are_those_of_a_plain_model(perceptron, calibrated_on):
    """Scales of 8-bit codes and of OliVe's are found on calibration pictures alone."""
    folder, weights, x = perceptron
    pictures = Pictures.open(folder / "x.npy")
    network = open_network(str(folder / "net.onnx"), pictures.first(calibrated_on), calibrate="max")
    hidden = np.maximum(x @ weights[0].T, 0)
    first, second = network.sites
    signs = (True, False)
    scales = [
        np.abs(each[:calibrated_on]).max() / (127 if signed else 255)
        for each, signed in zip((x, hidden), signs, strict=True)
    ]
    assert np.allclose([site.activation.scale for site in (first, second)], scales)
    seen = [
        coded(each[:calibrated_on], site.activation.scale, signed=signed)
        for each, site, signed in zip((x, hidden), (first, second), signs, strict=True)
    ]
    codes = coded(x, first.activation.scale, signed=True)
    made = np.maximum(real_outputs(codes, seen[0], weights[0], first), 0)
    codes = coded(made, second.activation.scale, signed=False)
    expected = real_outputs(codes, seen[1], weights[1], second)
    found = np.concatenate(list(network.under(get_pe("olive-4b"), pictures, keep_8bit=False)))
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-6)
    exact = np.concatenate(list(network.under(get_pe("mac-8b8b"), pictures, keep_8bit=False)))
    assert not np.allclose(found, exact, rtol=1e-2)


def test_the_command_tells_its_accuracy(perceptron, run):
    folder, _, _ = perceptron
    ended = run(
        *("accuracy", folder / "net.onnx", "--images", folder / "x.npy"),
        *("--pe", "mac-8b8b,olive-4b", "--calibrate", "max"),
    )
    assert ended.code == 0, ended
    assert "olive-4b" in ended.out
