"""Batch normalisation folded into the convolution or product before it, exactly in the reals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparqsim.networks.images import needed
from sparqsim.networks.onnx.graph import Array, Graph
from sparqsim.networks.onnx.operators import MOVES, attributes
from sparqsim.networks.onnx.quantisation import dequantised


@dataclass(frozen=True)
class Folded:
    """A graph without the norms that became part of a layer. pairs: layer and norm, by name."""

    graph: Graph
    pairs: tuple[tuple[str, str], ...]


def folded(graph: Graph) -> Folded:
    """Return a graph in which every batch normalisation that follows a convolution directly is part
    of it.

    y = (w * x + b - mean) * g / sqrt(var + eps) + shift has weights w * g / sqrt(var + eps). Folded
    where the convolution's weights are constant and nobody else uses its output; others stay as
    they are.
    """
    helper = needed("onnx.helper", "onnx")
    model = type(graph.model)()
    model.CopyFrom(graph.model)
    replaced, dropped = _folds(graph)
    del model.graph.node[:]
    for at, node in enumerate(graph.nodes):
        if at in dropped:
            continue
        if at in replaced:
            weights, bias, output = replaced[at]
            names = [f"{output}.folded_weight", f"{output}.folded_bias"]
            model.graph.initializer.extend([_tensor(names[0], weights), _tensor(names[1], bias)])
            made = helper.make_node(node.op_type, [node.input[0], *names], [output], name=node.name)
            made.attribute.extend(node.attribute)
            node = made  # noqa: PLW2901 - the folded node takes its place
        model.graph.node.append(node)
    result = Graph(model, graph.path, graph.sizes)
    pairs = (
        (result.names[result.producers[graph.nodes[norm].output[0]]], graph.names[norm])
        for norm in sorted(dropped)
    )
    return Folded(result, tuple(pairs))


def _tensor(name: str, value: Array) -> Any:
    return needed("onnx.numpy_helper", "onnx").from_array(np.ascontiguousarray(value), name)


def _folds(graph: Graph) -> tuple[dict[int, tuple[Array, Array, str]], set[int]]:
    """Return convolution -> (weights, bias, output), and the batch normalisations that go away."""
    replaced, dropped = {}, set()
    for at, node in enumerate(graph.nodes):
        if node.op_type != "BatchNormalization" or len(node.input) != 5 or not any(node.output):
            continue
        if attributes(node).get("training_mode", 0):
            continue
        maker = graph.producers.get(node.input[0])
        if maker is None or graph.nodes[maker].op_type != "Conv" or node.input[0] in graph.outputs:
            continue
        if (
            len(graph.consumers[node.input[0]]) == 1
            and (parts := _folded_parts(graph, maker, node)) is not None
        ):
            replaced[maker] = (*parts, node.output[0])
            dropped.add(at)
    return replaced, dropped


def _folded_parts(graph: Graph, maker: int, norm: Any) -> tuple[Array, Array] | None:
    """Return the folded weights and bias, or None where something is not constant."""
    inputs = [*graph.nodes[maker].input, ""]
    values = [graph.constant(name) for name in (inputs[1], *norm.input[1:5])]
    if any(value is None for value in values):
        return None
    weights, *statistics = (np.asarray(value, np.float64) for value in values)
    channels = weights.shape[:1]
    if weights.ndim < 3 or any(value.shape != channels for value in statistics):
        return None
    gain, shift, mean, variance = statistics
    bias = graph.constant(inputs[2]) if inputs[2] else np.zeros(len(weights))
    if bias is None or dequantised(graph, inputs[1], MOVES) is not None:
        return None
    factor = gain / np.sqrt(variance + attributes(norm).get("epsilon", 1e-5))
    folded_weights = weights * factor.reshape(-1, *[1] * (weights.ndim - 1))
    return folded_weights.astype(np.float32), ((bias - mean) * factor + shift).astype(np.float32)
