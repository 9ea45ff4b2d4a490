"""A small ONNX network of real weights, and inputs for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INPUTS = ("--images", "{folder}/x.npy")


def write(folder: Path) -> None:
    """Write net.onnx and x.npy."""
    random = np.random.default_rng(1)
    shapes = {"w": (4, 3, 3, 3), "v": (4 * 16, 5)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="conv"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Flatten", ["b"], ["c"]),
        helper.make_node("MatMul", ["c", "v"], ["y"], name="product"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
        [
            numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)
            for name, shape in shapes.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(folder / "net.onnx"))
    np.save(folder / "x.npy", random.random((3, 3, 6, 6), np.float32))
