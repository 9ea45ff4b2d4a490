"""The shapes of an ONNX graph's layers, from the graph alone: initializers may be without data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparqsim.errors import InputError
from sparqsim.images import needed
from sparqsim.onnx.graph import MAC_OPS, Graph, attributes, unsupported
from sparqsim.onnx.macs import MacNode
from sparqsim.trace.synthetic import LayerShape


def read_shapes(
    path: str | Path, skip: frozenset[str] = frozenset()
) -> tuple[list[LayerShape], list[str]]:
    """Return the layers' shapes, and notes: skipped nodes, sizes that were assumed.

    Free sizes of the input's first axis (the batch) count as 1.

    Raises
    ------
    InputError
        Naming the node whose shapes are not known, or that multiplies and accumulates in an unsupported way.
    """
    onnx = needed("onnx", "onnx")
    try:
        model = onnx.load(str(path), load_external_data=False)
        notes = _fix_batch(model)
        graph = Graph(onnx.shape_inference.infer_shapes(model, data_prop=True), path)
    except Exception as error:  # noqa: BLE001 - protobuf and onnx raise many kinds; any failure means the same
        raise InputError(f"{path}: not a readable ONNX model ({error})") from None
    sizes = _sizes(graph)
    nodes = [at for at in range(len(graph.nodes)) if _wanted(graph, at, skip)]
    notes += [f"skipped: {name}" for name in graph.skipped_nodes(skip)]
    shapes = [_shape(graph, at, sizes) for at in nodes]
    if not shapes:
        raise InputError(
            f"{path}: no node multiplies and accumulates, expected {', '.join(sorted(MAC_OPS))}"
        )
    kept = {
        shapes[-1].record.name,
        next((shape.record.name for shape in shapes if shape.record.op == "conv2d"), ""),
    }
    return [_marked(shape, shape.record.name in kept) for shape in shapes], notes


def _fix_batch(model: Any) -> list[str]:
    notes = []
    initializers = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        axes = value.type.tensor_type.shape.dim
        if value.name not in initializers and axes and not axes[0].HasField("dim_value"):
            notes.append(f"input {value.name!r}: batch {axes[0].dim_param or '?'} taken as 1")
            axes[0].dim_value = 1
    return notes


def _sizes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """Return every tensor's shape that is known whole."""
    found = {name: tuple(tensor.dims) for name, tensor in graph.initializers.items()}
    for value in (*graph.proto.input, *graph.proto.value_info, *graph.proto.output):
        axes = value.type.tensor_type.shape.dim
        if axes and all(axis.HasField("dim_value") and axis.dim_value > 0 for axis in axes):
            found.setdefault(value.name, tuple(axis.dim_value for axis in axes))
    return found


def _wanted(graph: Graph, at: int, skip: frozenset[str]) -> bool:
    node = graph.nodes[at]
    if {graph.names[at], node.name, node.op_type} & skip or all(
        name in graph.initializers for name in node.input
    ):
        return False
    if node.op_type in MAC_OPS:
        return True
    if (fault := unsupported(node)) is not None:
        raise InputError(
            f"{graph.path}: node {graph.names[at]!r}: {fault}; expected {', '.join(sorted(MAC_OPS))} "
            f"(--skip {node.op_type} leaves it out, and says so)"
        )
    return False


def _shape(graph: Graph, at: int, sizes: dict[str, tuple[int, ...]]) -> LayerShape:
    node, name = graph.nodes[at], graph.names[at]
    tensors = [node.input[0], node.input[3 if node.op_type.startswith("Q") else 1]]
    unknown = [tensor for tensor in tensors if tensor not in sizes]
    if unknown:
        raise InputError(
            f"{graph.path}: node {name!r}: the shape of {unknown[0]!r} is not known, expected fixed sizes"
        )
    left, right = (sizes[tensor] for tensor in tensors)
    if node.op_type.endswith("Conv"):
        return _convolution(graph, at, left, right)
    if attributes(node).get("transA", 0):
        raise InputError(
            f"{graph.path}: node {name!r}: transA=1 is not supported, expected rows of activations"
        )
    columns = right[0] if attributes(node).get("transB", 0) else right[-1]
    if len(right) == 2:
        rows = 1
        for size in left[:-1]:
            rows *= size
        return LayerShape.gemm(name, rows, left[-1], columns)
    groups = 1
    for size in right[:-2]:
        groups *= size
    return LayerShape.gemm(name, left[-2], left[-1], columns, groups)


def _convolution(
    graph: Graph, at: int, left: tuple[int, ...], right: tuple[int, ...]
) -> LayerShape:
    name = graph.names[at]
    if len(left) not in (3, 4):
        raise InputError(
            f"{graph.path}: node {name!r}: {len(left) - 2}-dimensional convolutions are not supported, "
            "expected 1 or 2 dimensions"
        )
    spatial = {"kernel_shape": list(right[2:])} | attributes(graph.nodes[at])
    mac = MacNode(
        name, at, convolution=True, source="", codes=None, weights=None, bias=None, spatial=spatial
    )
    geometry = mac.geometry(left)
    assert geometry is not None  # noqa: S101 - a convolution has one
    height, width = (1, *left[2:])[-2:]
    return LayerShape.conv2d(
        name, (height, width), left[1], right[0], geometry, groups=mac.groups, batch=left[0]
    )


def _marked(shape: LayerShape, kept: bool) -> LayerShape:
    return LayerShape(
        shape.record.model_copy(update={"keep_8bit": kept}), shape.activations, shape.weights
    )
