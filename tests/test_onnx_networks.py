"""Whole networks of today's forms: every layer of a dump against onnxruntime's integers, and its
real outputs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparqsim import get_pe, load_trace
from sparqsim.networks.images import Pictures
from sparqsim.pe.arithmetic import layer_sums

pytest.importorskip("onnx", reason="needs the extra 'onnx'")
ort = pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")

import onnx  # noqa: E402
from networks.onnx_graphs import detector, mobile  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from sparqsim.networks.dump import dump  # noqa: E402
from sparqsim.networks.onnx.network import calibrated  # noqa: E402
from sparqsim.networks.onnx.shapes import read_shapes  # noqa: E402

#: What 8 bits leave of a layer's output, with scales of the largest value, dB.
LEAST_SQNR_DB = 25.0


def integers(node: Any, activations: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return onnxruntime's sums of codes, with the attributes that stand in the file.

    Signed activations go in 128 higher, with that zero point; weights likewise.
    """
    signed = activations.dtype == np.int8
    codes = activations.view(np.uint8) ^ np.uint8(128) if signed else activations
    points = {"zx": np.uint8(128 if signed else 0), "zw": np.uint8(128)}
    constants = {"w": weights.view(np.uint8) ^ np.uint8(128), **points}
    operator = "ConvInteger" if node.op_type == "Conv" else "MatMulInteger"
    made = helper.make_node(operator, ["x", "w", "zx", "zw"], ["y"])
    if node.op_type == "Conv":
        made.attribute.extend(node.attribute)
    graph = helper.make_graph(
        [made],
        "sums",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, None)],
        [helper.make_tensor_value_info("y", TensorProto.INT32, None)],
        [numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    value: np.ndarray = session.run(None, {"x": codes})[0]
    return value


def outputs_of(model: Any, names: list[str], x: np.ndarray) -> dict[str, np.ndarray]:
    """Return tensors of the network as it is."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = ort.InferenceSession(copy.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, {"x": x}), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("build", [detector, mobile])
def test_every_layer_of_a_whole_network(build: Any, tmp_path: Path) -> None:
    model = build()
    path, target = tmp_path / "net.onnx", tmp_path / "t.safetensors"
    onnx.save(model, str(path))
    x = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    inputs = Pictures.open(tmp_path / "x.npy")
    dump(calibrated(path, inputs, "max"), inputs, target)
    layers = {layer.name: layer for layer in load_trace(target).layers}
    nodes = {node.name: node for node in model.graph.node if node.op_type in ("Conv", "Gemm")}
    assert list(layers) == list(nodes)
    normalised = {
        node.input[0]: node.output[0]
        for node in model.graph.node
        if node.op_type == "BatchNormalization"
    }
    results = {name: normalised.get(node.output[0], node.output[0]) for name, node in nodes.items()}
    real = outputs_of(model, list(results.values()), x)
    for name, node in nodes.items():
        layer, record = layers[name], layers[name].record
        sums = layer_sums(layer, get_pe("mac-8b8b"))
        if node.op_type == "Conv":
            kernel = record.geometry.kernel
            codes = layer.activations.transpose(0, 3, 1, 2)
            weights = layer.weights.transpose(0, 2, 1).reshape(*layer.weights.shape[::2], *kernel)
            wanted = integers(node, np.ascontiguousarray(codes), np.ascontiguousarray(weights))
            ours = sums.reshape(layer.output_shape).transpose(0, 3, 1, 2)
        else:
            wanted = integers(
                node, layer.activations[0], np.ascontiguousarray(layer.weights[:, 0].T)
            )
            ours = sums
        assert np.array_equal(ours, wanted), name
        line = (-1, 1, 1) if node.op_type == "Conv" else (-1,)
        value = ours * (record.activation_scale * np.array(record.weight_scales)).reshape(line)
        if layer.bias is not None:
            value = value + layer.bias.reshape(line)
        expected = real[results[name]].astype(np.float64)
        noise = np.square(value - expected).sum()
        assert 10 * np.log10(np.square(expected).sum() / noise) > LEAST_SQNR_DB, name
    read = read_shapes(path).layers
    assert [(2, *shape.activations[1:]) for shape in read if shape.record.op == "conv2d"] == [
        layer.activations.shape for layer in layers.values() if layer.op == "conv2d"
    ]
