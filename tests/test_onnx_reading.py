"""What ONNX nodes say, as traces hold it: products of every form, own codes, batches, what is left
out.

The oracle is onnxruntime on the same file, or numpy on the file's own numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqsim import InputError, get_pe, load_trace
from sparqsim.networks.accuracy import accuracy
from sparqsim.networks.images import Pictures
from sparqsim.pe.arithmetic import layer_sums
from sparqsim.trace.coverage import Coverage

onnx = pytest.importorskip("onnx", reason="needs the extra 'onnx'")
ort = pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from sparqsim.networks.dump import dump, trace_of  # noqa: E402
from sparqsim.networks.onnx.evaluate import OnnxNetwork  # noqa: E402
from sparqsim.networks.onnx.network import calibrated  # noqa: E402
from sparqsim.networks.onnx.shapes import parsed_sizes, read_shapes  # noqa: E402

Node = helper.make_node
EXACT = "mac-8b8b"


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def save(
    folder: Path,
    nodes: list[Any],
    constants: dict[str, Any],
    inputs: dict[str, list[Any]],
    kind: int = TensorProto.FLOAT,
    opset: int = 17,
    **model: Any,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [helper.make_empty_tensor_value_info("y")],
        [
            numpy_helper.from_array(np.ascontiguousarray(each), name)
            for name, each in constants.items()
        ],
    )
    opsets = [helper.make_opsetid("", opset), *model.pop("opsets", [])]
    path = folder / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10, **model), str(path))
    return path


#: Weights of which onnxruntime's kernels make exact sums on every processor: those of AVX2 without
#: VNNI add two products in 16 bits, which 255 times a weight of 8 bits leaves.
SEVEN_BITS = (-63, 64)


def given_values(folder: Path, **arrays: np.ndarray) -> Pictures:
    np.savez(folder / "inputs.npz", **arrays)
    return Pictures.open(folder / "inputs.npz")


def run_as_it_is(path: Path, **feeds: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    value: np.ndarray = session.run(["y"], feeds)[0]
    return value


def signal_to_noise_db(expected: np.ndarray, value: np.ndarray) -> float:
    noise = np.square(expected.astype(np.float64) - value).sum()
    return float(10 * np.log10(np.square(expected.astype(np.float64)).sum() / max(noise, 1e-300)))


# Products: (nodes, constants, input shape, macs of all inputs)
G, M, K, N = 3, 4, 16, 5
PRODUCTS = {
    "weights with a leading 1": (
        [Node("MatMul", ["x", "w"], ["y"], name="m")],
        {"w": normal(1, 1, K, N)},
        (2, M, K),
        2 * M * K * N,
    ),
    "a stack of weights": (
        [Node("MatMul", ["x", "w"], ["y"], name="m")],
        {"w": normal(1, G, K, N)},
        (2, G, M, K),
        2 * G * M * K * N,
    ),
    "a vector of weights": (
        [Node("MatMul", ["x", "w"], ["y"], name="m")],
        {"w": normal(1, K)},
        (2, M, K),
        2 * M * K,
    ),
    "weights on the left": (
        [Node("MatMul", ["w", "x"], ["y"], name="m")],
        {"w": normal(1, N, K)},
        (2, K, M),
        2 * M * K * N,
    ),
    "a stack of weights on the left": (
        [Node("MatMul", ["w", "x"], ["y"], name="m")],
        {"w": normal(1, G, N, K)},
        (2, G, K, M),
        2 * G * M * K * N,
    ),
    "a vector of weights on the left": (
        [Node("MatMul", ["w", "x"], ["y"], name="m")],
        {"w": normal(1, K)},
        (2, K, M),
        2 * M * K,
    ),
    "transA": (
        [Node("Gemm", ["x", "w"], ["y"], name="m", transA=1)],
        {"w": normal(1, K, N)},
        (K, M),
        M * K * N,
    ),
    "transA, transB, alpha, beta, a bias per channel": (
        [Node("Gemm", ["x", "w", "c"], ["y"], name="m", transA=1, transB=1, alpha=0.5, beta=2.0)],
        {"w": normal(1, N, K), "c": normal(2, N)},
        (K, M),
        M * K * N,
    ),
    "Gemm with weights on the left": (
        [Node("Gemm", ["w", "x", "c"], ["y"], name="m", transB=1, alpha=-0.5)],
        {"w": normal(1, N, K), "c": normal(2, M)},
        (M, K),
        M * K * N,
    ),
    "a whole bias": (
        [Node("Gemm", ["x", "w", "c"], ["y"], name="m", beta=3.0)],
        {"w": normal(1, K, N), "c": normal(2, M, N)},
        (M, K),
        M * K * N,
    ),
    "a bias per row, as many rows as channels": (
        [Node("Gemm", ["x", "w", "c"], ["y"], name="m")],
        {"w": normal(1, K, N), "c": normal(2, N, 1)},
        (N, K),
        N * K * N,
    ),
    "Gemm of two activations": (
        [Node("Gemm", ["x", "x"], ["y"], name="m", transB=1, alpha=0.25)],
        {},
        (M, K),
        M * K * M,
    ),
}


@pytest.mark.parametrize("form", PRODUCTS)
def test_products_of_every_form(form: str, tmp_path: Path) -> None:
    """Accuracy's graph with exact 8-bit sums gives the network's output, in its shape; counts are
    right.
    """
    nodes, constants, shape, macs = PRODUCTS[form]
    x = normal(5, *shape)
    path = save(tmp_path, nodes, constants, {"x": list(shape)})
    inputs = given_values(tmp_path, x=x)
    network = calibrated(path, inputs, "max")
    expected = run_as_it_is(path, x=x)
    answers = next(iter(OnnxNetwork(network).under(get_pe(EXACT), inputs, keep_8bit=False)))
    assert answers.shape == expected.shape
    assert signal_to_noise_db(expected, answers) > 30
    layers = trace_of(network, inputs).layers
    assert [layer.gemm.macs for layer in layers] == [macs]
    read = read_shapes(path)
    assert [(each.gemm.m, each.gemm.k, each.gemm.n, each.gemm.groups) for each in layers] == [
        (
            shape.activations[1],
            shape.activations[2],
            shape.weights[0] // shape.record.groups,
            shape.record.groups,
        )
        for shape in read.layers
    ]


def test_weights_on_the_left_are_weights(tmp_path: Path) -> None:
    x, w = np.maximum(normal(1, 4, K, M), 0), normal(2, N, K)
    path = save(
        tmp_path, [Node("MatMul", ["w", "x"], ["y"], name="m")], {"w": w}, {"x": ["n", K, M]}
    )
    layer = trace_of(
        calibrated(path, given_values(tmp_path, x=x), "max"), given_values(tmp_path, x=x)
    )
    layer = layer.layers[0]
    assert layer.activations.dtype == np.uint8
    assert np.array_equal(layer.activations[0] == 0, x.transpose(0, 2, 1).reshape(-1, K) == 0)
    assert layer.weights.shape == (N, 1, K)


def test_a_bias_of_a_layer_is_added_and_told(tmp_path: Path) -> None:
    nodes = [
        Node("MatMul", ["x", "v"], ["r"], name="first"),
        Node("Gemm", ["x", "w", "r"], ["y"], name="second", beta=-2.0),
    ]
    x = normal(3, M, K)
    path = save(tmp_path, nodes, {"v": normal(1, K, N), "w": normal(2, K, N)}, {"x": [M, K]})
    inputs = given_values(tmp_path, x=x)
    network = calibrated(path, inputs, "max")
    answers = next(iter(OnnxNetwork(network).under(get_pe(EXACT), inputs, keep_8bit=False)))
    assert signal_to_noise_db(run_as_it_is(path, x=x), answers) > 30
    record = trace_of(network, inputs).layers[1].record
    assert "added outside of the array" in record.note


# Own codes


def _quantised_input() -> tuple[list[Any], dict[str, Any]]:
    nodes = [
        Node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        Node("DequantizeLinear", ["q", "s", "z"], ["d"]),
    ]
    return nodes, {"s": np.float32(0.03), "z": np.uint8(9)}


MOVES: dict[str, Any] = {
    "Transpose": ([Node("Transpose", ["wd"], ["wt"], perm=[1, 0])], (N, K), 0, lambda w: w.T),
    "Transpose, axis from the end": (
        [Node("Transpose", ["wd"], ["wt"], perm=[1, 0])],
        (N, K),
        -2,
        lambda w: w.T,
    ),
    "Reshape and Identity": (
        [Node("Reshape", ["wd", "to"], ["wi"]), Node("Identity", ["wi"], ["wt"])],
        (K, 1, N),
        2,
        lambda w: w.reshape(K, N),
    ),
    "Squeeze of Unsqueeze": (
        [Node("Unsqueeze", ["wd", "one"], ["wi"]), Node("Squeeze", ["wi", "one"], ["wt"])],
        (K, N),
        1,
        lambda w: w,
    ),
    "Cast": (
        [Node("Cast", ["wd"], ["wi"], to=TensorProto.DOUBLE), Node("Cast", ["wi"], ["wt"], to=1)],
        (K, N),
        1,
        lambda w: w,
    ),
    "Split, second part": (
        [Node("Split", ["wd"], ["wi", "wt"], axis=1)],
        (K, 2 * N),
        1,
        lambda w: w[:, N:],
    ),
}


@pytest.mark.parametrize("way", MOVES)
def test_own_weight_codes_are_followed(way: str, tmp_path: Path) -> None:
    """Codes and scales are the file's own, whatever moves them between DequantizeLinear and the
    product.
    """
    moves, shape, axis, place = MOVES[way]
    codes = np.random.default_rng(0).integers(-9, 10, shape).astype(np.int8)
    scales = np.linspace(0.01, 0.05, shape[axis], dtype=np.float32)
    nodes, constants = _quantised_input()
    nodes += [
        Node("DequantizeLinear", ["w", "ws"], ["wd"], axis=axis),
        *moves,
        Node("MatMul", ["d", "wt"], ["y"], name="m"),
    ]
    constants |= {"w": codes, "ws": scales, "to": np.array([K, N]), "one": np.array([1])}
    path = save(tmp_path, nodes, constants, {"x": ["n", K]})
    inputs = given_values(tmp_path, x=np.abs(normal(1, 6, K)))
    layer = trace_of(calibrated(path, inputs), inputs).layers[0]
    line = [1] * len(shape)
    line[axis] = -1
    each = place(np.broadcast_to(scales.reshape(line), shape))[0]
    assert np.array_equal(layer.weights[:, 0].T, place(codes))
    assert np.array_equal(np.array(layer.record.weight_scales, np.float32), each)


@settings(max_examples=25)
@given(data=st.data(), operator=st.sampled_from(["Conv", "MatMul", "Gemm"]))
def test_the_axis_of_scales_is_read(data: Any, operator: str, tmp_path_factory: Any) -> None:
    """Scales per output channel give onnxruntime's output; along any other axis they are
    refused.
    """
    shape = (4, 4, 2, 2) if operator == "Conv" else (4, 4)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    turned = operator == "Gemm" and data.draw(st.booleans())
    outputs = {"Conv": 0, "MatMul": 1, "Gemm": 0 if turned else 1}[operator]
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    scales = random.uniform(0.01, 0.9, shape[axis]).astype(np.float32)
    nodes, constants = _quantised_input()
    more = {"transB": 1} if turned else {}
    nodes += [
        Node("DequantizeLinear", ["w", "ws"], ["wd"], axis=axis),
        Node(operator, ["d", "wd"], ["y"], name="m", **more),
    ]
    constants |= {"w": random.integers(-128, 128, shape).astype(np.int8), "ws": scales}
    folder = tmp_path_factory.mktemp("axis")
    x = random.random((3, 4, 5, 5) if operator == "Conv" else (3, 4)).astype(np.float32)
    path = save(folder, nodes, constants, {"x": ["n", *x.shape[1:]]})
    inputs = given_values(folder, x=x)
    if axis % len(shape) != outputs:
        with pytest.raises(InputError, match=r"node 'm'.*expected one per output channel"):
            calibrated(path, inputs)
        return
    layer = trace_of(calibrated(path, inputs), inputs).layers[0]
    real = layer_sums(layer, get_pe(EXACT)) * (
        layer.record.activation_scale * np.array(layer.record.weight_scales)
    )
    expected = run_as_it_is(path, x=x)
    expected = (
        expected.transpose(0, 2, 3, 1).reshape(real.shape) if expected.ndim == 4 else expected
    )
    np.testing.assert_allclose(real, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("scales", "more", "words"),
    [
        (np.full((2, 4), 0.1, np.float32), {"axis": 0, "block_size": 2}, "blocks of 2"),
        (np.full(3, 0.1, np.float32), {"axis": 0}, "expected 4 values"),
        (np.full(4, 0.1, np.float32), {"axis": 5}, "axis=5"),
        (np.float32(-0.1), {}, "scale -0.1"),
        (np.float32(np.nan), {}, "scale nan"),
    ],
)
def test_scales_that_cannot_be_kept_are_refused(
    scales: np.ndarray, more: dict[str, int], words: str, tmp_path: Path
) -> None:
    nodes, constants = _quantised_input()
    nodes += [
        Node("DequantizeLinear", ["w", "ws"], ["wd"], **more),
        Node("MatMul", ["d", "wd"], ["y"], name="m"),
    ]
    constants |= {"w": np.ones((4, 4), np.int8), "ws": scales}
    path = save(tmp_path, nodes, constants, {"x": ["n", 4]}, opset=21)
    with pytest.raises(InputError) as caught:
        calibrated(path, given_values(tmp_path, x=np.ones((2, 4), np.float32)))
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_own_activation_codes_are_followed(tmp_path: Path) -> None:
    nodes, constants = _quantised_input()
    nodes += [
        Node("Transpose", ["d"], ["t"], perm=[0, 2, 1]),
        Node("MatMul", ["t", "w"], ["y"], name="m"),
    ]
    x = np.abs(normal(1, 3, K, M))
    path = save(tmp_path, nodes, constants | {"w": normal(2, K, N)}, {"x": ["n", K, M]})
    inputs = given_values(tmp_path, x=x)
    layer = trace_of(calibrated(path, inputs), inputs).layers[0]
    codes = np.clip(np.rint(x / np.float32(0.03)) + 9, 0, 255).astype(np.uint8)
    assert np.array_equal(layer.activations[0], codes.transpose(0, 2, 1).reshape(-1, K))
    assert (layer.record.activation_scale, layer.record.activation_zero_point) == (
        pytest.approx(0.03),
        9,
    )


@pytest.mark.parametrize("route", ["native", "direct"])
def test_alpha_of_integer_weights(route: str, tmp_path: Path) -> None:
    """Gemm's alpha is a factor of the sums whether weights are real or codes."""
    nodes, constants = _quantised_input()
    nodes += [
        Node("DequantizeLinear", ["w", "ws"], ["wd"], axis=1),
        Node("Gemm", ["d", "wd"], ["y"], name="m", alpha=0.125),
    ]
    constants |= {
        "w": np.random.default_rng(0).integers(-128, 128, (K, N)).astype(np.int8),
        "ws": np.linspace(0.01, 0.05, N, dtype=np.float32),
    }
    x = np.abs(normal(1, 6, K))
    path = save(tmp_path, nodes, constants, {"x": ["n", K]})
    inputs = given_values(tmp_path, x=x)
    network = OnnxNetwork(calibrated(path, inputs), native=route == "native")
    answers = next(iter(network.under(get_pe(EXACT), inputs, keep_8bit=False)))
    np.testing.assert_allclose(answers, run_as_it_is(path, x=x), rtol=1e-4, atol=1e-4)


class OwnProduct(type(get_pe(EXACT))):  # type: ignore[misc]
    """Multiplies exactly, by a product of its own: the corrections for zero points are then
    separate.
    """

    values_by_pair = True

    def matmul(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.asarray(x, np.int64) @ np.asarray(w, np.int64)


@pytest.mark.parametrize("points", [(0, 128), (7, 128), (0, 99), (131, 77)])
def test_a_design_with_its_own_product_meets_both_zero_points(
    points: tuple[int, int], tmp_path: Path
) -> None:
    """Sums of (x - zx) (w - zw): both corrections, and their product K zx zw, are in onnxruntime's
    integers.
    """
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (3, K)).astype(np.uint8)
    constants = {
        "w": random.integers(0, 256, (K, N)).astype(np.uint8),
        "zx": np.uint8(points[0]),
        "zw": np.uint8(points[1]),
    }
    node = Node("MatMulInteger", ["x", "w", "zx", "zw"], ["y"], name="m")
    path = save(tmp_path, [node], constants, {"x": ["n", K]}, TensorProto.UINT8)
    inputs = given_values(tmp_path, x=x)
    layer = trace_of(calibrated(path, inputs), inputs).layers[0]
    expected = run_as_it_is(path, x=x)
    assert np.array_equal(layer_sums(layer, OwnProduct()), expected)
    assert np.array_equal(layer_sums(layer, get_pe(EXACT)), expected)


def test_dynamic_quantisation(tmp_path: Path) -> None:
    nodes = [
        Node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        Node("MatMulInteger", ["q", "w", "z"], ["i"], name="m"),
        Node("Cast", ["i"], ["f"], to=1),
        Node("Mul", ["f", "s"], ["y"]),
    ]
    w = np.random.default_rng(0).integers(*SEVEN_BITS, (K, N)).astype(np.int8)
    x = normal(1, 4, K)
    path = save(tmp_path, nodes, {"w": w}, {"x": [4, K]})
    inputs = given_values(tmp_path, x=x)
    network = calibrated(path, inputs, "max")
    layer = trace_of(network, inputs).layers[0]
    assert np.array_equal(layer.weights[:, 0].T, w)
    assert "anew for every batch" in layer.record.note
    answers = next(iter(OnnxNetwork(network).under(get_pe(EXACT), inputs, keep_8bit=False)))
    assert signal_to_noise_db(run_as_it_is(path, x=x), answers) > 30


# Batches


def _mixing(folder: Path) -> Path:
    nodes = [
        Node("Reshape", ["x", "to"], ["r"]),
        Node("MatMul", ["r", "w"], ["h"], name="fc"),
        Node("Transpose", ["h"], ["t"], perm=[0, 2, 1]),
        Node("MatMul", ["h", "t"], ["y"], name="att"),
    ]
    return save(
        folder, nodes, {"to": np.array([1, -1, K]), "w": normal(1, K, N)}, {"x": ["n", 6, K]}
    )


def test_pictures_of_a_batch_are_not_mixed(tmp_path: Path) -> None:
    path, x = _mixing(tmp_path), normal(2, 3, 6, K)
    inputs = given_values(tmp_path, x=x)
    network = calibrated(path, inputs, "max")
    report = dump(network, inputs, tmp_path / "t.safetensors")
    assert network.batch == 1
    assert any("one at a time" in note for note in report.notes)
    trace = load_trace(tmp_path / "t.safetensors")
    assert [layer.gemm.macs for layer in trace.layers] == [3 * 6 * K * N, 3 * 6 * N * 6]
    assert Coverage.of(trace.metadata.provenance).inputs == 3
    for layer, memory in zip(trace.layers, trace_of(network, inputs).layers, strict=True):
        assert np.array_equal(layer.activations, memory.activations)
        assert np.array_equal(layer.weights, memory.weights)


def test_a_mean_over_the_batch_is_seen(tmp_path: Path) -> None:
    """Shapes are those of single pictures; only values tell."""
    nodes = [
        Node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
        Node("Sub", ["x", "mean"], ["c"]),
        Node("MatMul", ["c", "w"], ["y"], name="m"),
    ]
    path = save(tmp_path, nodes, {"w": normal(1, K, N)}, {"x": ["n", K]})
    inputs = given_values(tmp_path, x=normal(2, 3, K) + 4)
    network = calibrated(path, inputs)
    assert network.batch == 1
    assert "changes with the other pictures" in network.notes[0]


def test_a_batch_of_ones_own(tmp_path: Path, run: Callable[..., Any]) -> None:
    path = _mixing(tmp_path)
    inputs = given_values(tmp_path, x=normal(2, 3, 6, K))
    with pytest.raises(InputError, match=r"--batch 2.*expected --batch 1"):
        calibrated(path, inputs, batch=2)
    sound = save(
        tmp_path,
        [Node("MatMul", ["x", "w"], ["y"], name="m")],
        {"w": normal(1, K, N)},
        {"x": ["n", 6, K]},
    )
    assert calibrated(sound, inputs, batch=2).batch == 2
    dump(calibrated(sound, inputs), inputs, tmp_path / "all.safetensors")
    command = ["trace", "dump", str(sound), "--images", str(tmp_path / "inputs.npz")]
    ended = run(*command, "--batch", "2", "-o", tmp_path / "twos.safetensors")
    assert ended.code == 0
    whole, twos = (tmp_path / f"{name}.safetensors" for name in ("all", "twos"))
    assert whole.read_bytes() == twos.read_bytes()


# Inputs


def test_several_inputs_by_name(tmp_path: Path) -> None:
    nodes = [Node("Add", ["a", "b"], ["s"]), Node("MatMul", ["s", "w"], ["y"], name="m")]
    path = save(tmp_path, nodes, {"w": normal(1, K, N)}, {"a": ["n", K], "b": ["n", K]})
    a, b = normal(2, 4, K), normal(3, 4, K)
    inputs = given_values(tmp_path, a=a, b=b)
    network = calibrated(path, inputs, "max")
    layer = trace_of(network, inputs).layers[0]
    steps = (a + b) / np.float32(layer.record.activation_scale)
    assert np.array_equal(layer.activations[0], np.clip(np.rint(steps), -128, 127))
    for route in (True, False):
        answers = OnnxNetwork(network, native=route).under(get_pe(EXACT), inputs, keep_8bit=False)
        assert signal_to_noise_db(run_as_it_is(path, a=a, b=b), next(iter(answers))) > 30
    with pytest.raises(InputError, match="no array for input 'b'"):
        calibrated(path, given_values(tmp_path, a=a, c=b))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.int32])
def test_vectors_of_whole_numbers(dtype: Any, tmp_path: Path) -> None:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [Node("Cast", ["x"], ["f"], to=1), Node("MatMul", ["f", "w"], ["y"], name="m")]
    path = save(tmp_path, nodes, {"w": normal(1, K, N)}, {"x": ["n", K]}, kind)
    x = np.random.default_rng(0).integers(0, 100, (4, K)).astype(dtype)
    layer = trace_of(
        calibrated(path, given_values(tmp_path, x=x), "max"), given_values(tmp_path, x=x)
    )
    scale = layer.layers[0].record.activation_scale
    assert np.array_equal(layer.layers[0].activations[0], np.rint(x / np.float32(scale)))
    if dtype == np.uint8:
        with pytest.raises(InputError, match="expected values of that type"):
            calibrated(path, given_values(tmp_path, x=x.astype(np.int64) - 300))
        with pytest.raises(InputError, match="expected values of that type"):
            calibrated(path, given_values(tmp_path, x=x / 2))


def test_uint8_values_for_a_real_input(tmp_path: Path) -> None:
    """Pictures that stand channel by channel are values as they are."""
    node = Node("Conv", ["x", "w"], ["y"], name="c")
    path = save(tmp_path, [node], {"w": normal(1, 2, 5, 3, 3)}, {"x": ["n", 5, 6, 6]})
    x = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 6)).astype(np.uint8)
    layer = trace_of(
        calibrated(path, given_values(tmp_path, x=x), "max"), given_values(tmp_path, x=x)
    )
    assert np.array_equal(layer.layers[0].activations, x.transpose(0, 2, 3, 1))


def test_local_functions_are_opened(tmp_path: Path) -> None:
    function = helper.make_function(
        "own",
        "Block",
        ["a", "k"],
        ["o"],
        [Node("Conv", ["a", "k"], ["o"])],
        [helper.make_opsetid("", 17)],
    )
    path = save(
        tmp_path,
        [Node("Block", ["x", "w"], ["y"], domain="own", name="block")],
        {"w": normal(1, 2, 3, 3, 3)},
        {"x": ["n", 3, 6, 6]},
        functions=[function],
        opsets=[helper.make_opsetid("own", 1)],
    )
    inputs = given_values(tmp_path, x=normal(2, 2, 3, 6, 6))
    assert [layer.gemm.macs for layer in trace_of(calibrated(path, inputs), inputs).layers] == [
        2 * 16 * 27 * 2
    ]


def test_sparse_weights(tmp_path: Path) -> None:
    w = normal(1, K, N)
    w[::2] = 0
    path = save(tmp_path, [Node("MatMul", ["x", "w"], ["y"], name="m")], {"w": w}, {"x": ["n", K]})
    inputs = given_values(tmp_path, x=normal(2, 3, K))
    dense = trace_of(calibrated(path, inputs), inputs).layers[0]
    for flat in (True, False):
        model = onnx.load(str(path))
        del model.graph.initializer[:]
        at = np.flatnonzero(w) if flat else np.argwhere(w)
        model.graph.sparse_initializer.append(
            helper.make_sparse_tensor(
                numpy_helper.from_array(w[w != 0], "w"),
                numpy_helper.from_array(at.astype(np.int64), "w_indices"),
                list(w.shape),
            )
        )
        (tmp_path / "sparse.onnx").write_bytes(model.SerializeToString())
        layer = trace_of(calibrated(tmp_path / "sparse.onnx", inputs), inputs).layers[0]
        assert np.array_equal(layer.weights, dense.weights)


# Shapes alone


def test_sizes_that_the_graph_computes(tmp_path: Path) -> None:
    """Pads by ConstantOfShape and Add; a reshape by Shape, Gather, Mul, Concat."""
    nodes = [
        Node("ConstantOfShape", ["eight"], ["none"], value=numpy_helper.from_array(np.array([0]))),
        Node("Add", ["none", "amount"], ["pads"]),
        Node("Pad", ["x", "pads", "zero"], ["p"]),
        Node("Conv", ["p", "w"], ["c"], name="conv"),
        Node("Shape", ["c"], ["s"]),
        Node("Gather", ["s", "first"], ["rows"]),
        Node("Gather", ["s", "others"], ["rest"]),
        Node("ReduceProd", ["rest"], ["columns"], keepdims=1),
        Node("Concat", ["rows", "columns"], ["to"], axis=0),
        Node("Reshape", ["c", "to"], ["f"]),
        Node("MatMul", ["f", "k"], ["y"], name="fc"),
    ]
    constants = {
        "eight": np.array([8]),
        "amount": np.array([0, 0, 1, 2, 0, 0, 0, 1]),
        "zero": np.float32(0),
        "w": normal(1, 4, 3, 3, 3),
        "first": np.array([0]),
        "others": np.array([1, 2, 3]),
        "k": normal(2, 4 * 7 * 9, 5),
    }
    path = save(tmp_path, nodes, constants, {"x": ["n", 3, "h", "w"]})
    with pytest.raises(InputError, match=r"--size h=N,w=N"):
        read_shapes(path)
    read = read_shapes(path, sizes=parsed_sizes("n=2,h=8,x:3=8"))
    inputs = given_values(tmp_path, x=normal(3, 2, 3, 8, 8))
    layers = trace_of(calibrated(path, inputs), inputs).layers
    assert [shape.activations for shape in read.layers] == [
        layer.activations.shape for layer in layers
    ]
    assert [shape.weights for shape in read.layers] == [layer.weights.shape for layer in layers]
    assert read.coverage.inputs == 2
    assert "input 'x': axis 2 h is 8 (--size)" in read.notes
    with pytest.raises(InputError, match=r"--size q: .*no such free size"):
        read_shapes(path, sizes={"q": 3})


@pytest.mark.parametrize("text", ["h", "h=", "=3", "h=0", "h=-1", "h=1.5", "h=" + "9" * 5000])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="--size"):
        parsed_sizes(text)


# What is left out

LEFT_OUT: dict[str, Any] = {
    "ConvTranspose": (
        Node("ConvTranspose", ["r", "t"], ["u"], name="left", strides=[2, 2]),
        {"t": normal(1, 4, 6, 2, 2)},
        4 * 6 * 6 * 6 * 2 * 2,
    ),
    "MatMul": (Node("MatMul", ["r", "t"], ["u"], name="left"), {"t": normal(1, 6, 7)}, 24 * 6 * 7),
    "Einsum": (
        Node("Einsum", ["r", "t"], ["u"], name="left", equation="ncij,jk->ncik"),
        {"t": normal(1, 6, 7)},
        24 * 6 * 7,
    ),
    "Gemm": (Node("Gemm", ["m", "t"], ["u"], name="left", transA=1), {"t": normal(1, 24, 5)}, 720),
}


@pytest.mark.parametrize("operator", LEFT_OUT)
def test_what_is_left_out_is_counted(
    operator: str, tmp_path: Path, run: Callable[..., Any]
) -> None:
    node, constants, macs = LEFT_OUT[operator]
    nodes = [
        Node("Conv", ["x", "w"], ["r"], name="kept"),
        Node("Reshape", ["r", "rows"], ["m"]),
        node,
        Node("ReduceSum", ["u"], ["y"], keepdims=0),
    ]
    constants = constants | {"w": normal(2, 4, 3, 1, 1), "rows": np.array([24, 6])}
    path = save(tmp_path, nodes, constants, {"x": ["n", 3, 6, 6]})
    inputs = given_values(tmp_path, x=normal(3, 3, 3, 6, 6))
    dump(calibrated(path, inputs, skip=[operator], batch=1), inputs, tmp_path / "t.safetensors")
    coverage = Coverage.of(load_trace(tmp_path / "t.safetensors").metadata.provenance)
    assert coverage.inputs == 3
    assert [(each.name, each.macs) for each in coverage.left_out] == [("left", 3 * macs)]
    read = read_shapes(path, frozenset({operator}))
    assert [each.macs for each in read.coverage.left_out] == [macs]
    assert (
        run("trace", "import", path, "--skip", operator, "-o", tmp_path / "i.safetensors").code == 0
    )
    imported = Coverage.of(load_trace(tmp_path / "i.safetensors").metadata.provenance)
    assert imported == read.coverage


def test_macs_of_the_unknown_are_not_known(tmp_path: Path) -> None:
    nodes = [
        Node("Conv", ["x", "w"], ["r"], name="kept"),
        Node("Einsum", ["r", "a", "a"], ["y"], name="left", equation="ncij,jk,kl->ncil"),
    ]
    constants = {"w": normal(2, 4, 3, 1, 1), "a": normal(1, 6, 6)}
    path = save(tmp_path, nodes, constants, {"x": ["n", 3, 6, 6]})
    read = read_shapes(path, frozenset({"left"}))
    assert read.coverage.macs_left_out() is None


def test_a_bias_in_units_of_scale_0_is_0(tmp_path: Path) -> None:
    """QLinearConv's integer bias counts in activation scale x weight scale, whatever a trace
    stores.
    """
    random = np.random.default_rng(4)
    scales = np.array([0.001, 0.0, 0.002], np.float32)
    x = random.random((2, 2, 5, 5)).astype(np.float32)
    path = save(
        tmp_path,
        [
            Node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            Node("QLinearConv", ["q", "s", "z", "w", "ws", "wz", "ys", "yz", "b"], ["p"], name="c"),
            Node("DequantizeLinear", ["p", "ys", "yz"], ["y"]),
        ],
        {
            "s": np.float32(0.004),
            "z": np.uint8(3),
            "w": random.integers(*SEVEN_BITS, (3, 2, 3, 3)).astype(np.int8),
            "ws": scales,
            "wz": np.zeros(3, np.int8),
            "ys": np.float32(0.01),
            "yz": np.uint8(100),
            "b": np.array([4000, -5000, 6000], np.int32),
        },
        {"x": ["n", 2, 5, 5]},
    )
    inputs = given_values(tmp_path, x=x)
    network = calibrated(path, inputs)
    expected = run_as_it_is(path, x=x)
    answers = next(iter(OnnxNetwork(network).under(get_pe(EXACT), inputs, keep_8bit=False)))
    assert not expected[:, 1].any()
    assert np.array_equal(answers, expected)
    (layer,) = trace_of(network, inputs).layers
    factors = np.float32(0.004) * scales
    assert layer.bias[1] == 0
    assert np.allclose(layer.bias, [4000, -5000, 6000] * factors, rtol=1e-6)


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.FLOAT])
def test_uint8_values_that_fit_one_way_are_fed_that_way(kind: int, tmp_path: Path) -> None:
    """Four channels in front: no picture (height, width, channels) has these axes."""
    x = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 7)).astype(np.uint8)
    weights = normal(1, 2, 4, 3, 3)
    nodes = [Node("Cast", ["x"], ["f"], to=TensorProto.FLOAT), Node("Conv", ["f", "w"], ["y"])]
    path = save(tmp_path, nodes, {"w": weights}, {"x": ["n", 4, 6, 7]}, kind=kind)
    np.save(tmp_path / "x.npy", x)
    inputs = Pictures.open(tmp_path / "x.npy")
    (layer,) = trace_of(calibrated(path, inputs, "max"), inputs).layers
    assert np.array_equal(layer.activations, x.transpose(0, 2, 3, 1))


def test_accuracy_of_a_network_that_fixes_its_batch(tmp_path: Path) -> None:
    """Cycles come from as many pictures as it takes at a time, and are said to."""
    node = Node("MatMul", ["x", "w"], ["y"], name="m")
    path = save(tmp_path, [node], {"w": normal(1, 16, 5)}, {"x": [3, 16]})
    inputs = given_values(tmp_path, x=normal(2, 6, 16))
    network = OnnxNetwork(calibrated(path, inputs))
    report = accuracy(network, inputs, None, [EXACT])
    assert (report.pictures, report.traced_pictures, report.coverage.inputs) == (6, 3, 3)
    with pytest.raises(InputError, match="takes exactly 3 pictures at a time, and 2 is not"):
        accuracy(network, inputs, None, [EXACT], traced_pictures=2)
