"""Small networks for tests of `sparqsim search`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from sparqsim import ArrayConfig

ARRAY = ArrayConfig(rows=4, cols=4)


def saved(path: Path, matrices: dict[str, np.ndarray]) -> str:
    """Store products with a ReLU between them."""
    names, nodes, value = list(matrices), [], "x"
    for name in names:
        output = "y" if name == names[-1] else f"{name}.out"
        nodes.append(helper.make_node("MatMul", [value, f"{name}.w"], [output], name=name))
        value = output
        if output != "y":
            nodes.append(helper.make_node("Relu", [output], [f"{name}.relu"]))
            value = f"{name}.relu"
    width = len(matrices[names[0]])
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(matrix.astype(np.float32), f"{name}.w")
            for name, matrix in matrices.items()
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path))
    return str(path)


def three_products(place: Path) -> Path:
    """Write net.onnx, of three products, and x.npz, its inputs with classes; return the folder."""
    random = np.random.default_rng(3)
    sizes = {"first": (12, 16), "mid.1": (16, 16), "last": (16, 4)}
    saved(place / "net.onnx", {name: random.normal(size=size) for name, size in sizes.items()})
    images = random.random((30, 12)).astype(np.float32)
    np.savez(place / "x.npz", images=images, labels=random.integers(0, 4, 30))
    return place
