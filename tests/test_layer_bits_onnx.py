"""ONNX: weights whose own type says fewer than 8 bits are stored with their bits."""

from __future__ import annotations

import numpy as np
import pytest

import sparqsim

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from sparqsim.networks.images import Pictures  # noqa: E402
from sparqsim.networks.modelfiles import dump  # noqa: E402

CASES = {
    TensorProto.INT4: (-8, 7, 0, 4),
    TensorProto.UINT4: (0, 15, 8, 4),
    TensorProto.INT8: (-128, 127, 0, 8),
}


def model_of(kind: int, codes, point: int, path):
    """Write y = dequantised(quantised(x)) @ dequantised(codes)."""
    scale = numpy_helper.from_array(np.float32(0.5), "scale")
    zero = numpy_helper.from_array(np.uint8(0), "zero")
    weights = helper.make_tensor("codes", kind, codes.shape, codes.ravel().tolist())
    weights_point = helper.make_tensor("point", kind, (), [point])
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "scale", "zero"], ["xd"]),
        helper.make_node("DequantizeLinear", ["codes", "scale", "point"], ["w"]),
        helper.make_node("MatMul", ["xd", "w"], ["y"], name="product"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", codes.shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", codes.shape[1]])],
        [scale, zero, weights, weights_point],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)


@pytest.mark.parametrize("kind", CASES)
def test_weights_keep_the_bits_of_their_type(kind, tmp_path):
    low, high, point, bits = CASES[kind]
    rng = np.random.default_rng(5)
    codes = rng.integers(low, high + 1, (6, 4))
    codes[0, :2] = low, high
    model_of(kind, codes, point, tmp_path / "m.onnx")
    x = rng.integers(0, 256, (3, 6)).astype(np.float32) / 2
    np.save(tmp_path / "x.npy", x)
    pictures = Pictures.open(str(tmp_path / "x.npy"), "", None)
    dump(tmp_path / "m.onnx", pictures, tmp_path / "t.safetensors", calibration=pictures)
    assert sparqsim.check_trace(tmp_path / "t.safetensors") == []
    (layer,) = sparqsim.load_trace(tmp_path / "t.safetensors").layers
    assert layer.record.weight_bits == bits
    assert layer.record.activation_bits == 8
    assert set(layer.record.weight_zero_points) <= {0}
    assert np.array_equal(layer.weights[:, 0].T, codes - point)
    sums = layer.lower().sums(layer.lower().rows(), layer.lower().weights)[0]
    assert np.array_equal(sums, (2 * x).astype(int) @ (codes - point))
