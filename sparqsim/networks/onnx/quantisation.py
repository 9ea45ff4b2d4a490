"""A network's own 8-bit codes: found behind operators that move elements, scales followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparqsim.base.errors import InputError
from sparqsim.networks.images import needed
from sparqsim.networks.onnx.graph import Array, Graph
from sparqsim.networks.onnx.guard import evaluated, is_array
from sparqsim.networks.onnx.operators import FLOATS, STANDARD_DOMAINS, attributes

#: DequantizeLinear's axis where a file gives none.
DEFAULT_AXIS = 1


@dataclass(frozen=True)
class Dequantised:
    """A tensor of real values that codes stand for.

    node: the DequantizeLinear. path: what moves its output until it is the tensor, in order, each
    with the name of its output that is used.
    """

    node: Any
    path: tuple[tuple[Any, str], ...]

    @property
    def operands(self) -> tuple[str, str, str]:
        """Tensors of codes, scale and zero point; '' for a missing zero point."""
        codes, scale, zero_point = [*self.node.input, "", "", ""][:3]
        return codes, scale, zero_point


def dequantised(graph: Graph, tensor: str, through: frozenset[str]) -> Dequantised | None:
    """Return the codes behind a tensor, through the operators `through`; None for other values."""
    path: list[tuple[Any, str]] = []
    while (node := graph.producer(tensor)) is not None:
        if node.op_type == "DequantizeLinear":
            return Dequantised(node, tuple(reversed(path)))
        known = node.op_type in through and node.domain in STANDARD_DOMAINS
        # MaxPool's second output are indices, no values.
        indices = node.op_type == "MaxPool" and tensor != node.output[0]
        if not known or not node.input or indices:
            return None
        if node.op_type == "Cast" and attributes(node).get("to") not in FLOATS:
            return None
        path.append((node, tensor))
        tensor = node.input[0]
    return None


def spread(node: Any, values: Array, codes: Array, what: str) -> Array:
    """Return a DequantizeLinear's scale or zero point for every code, as a view in the codes'
    shape.

    Raises
    ------
    InputError
        For an axis that the codes do not have, blocks, or another number of values than the axis'.
    """
    settings = attributes(node)
    if settings.get("block_size", 0):
        raise InputError(
            f"{what} come in blocks of {settings['block_size']}, expected one per output channel"
        )
    if values.size == 1 and values.ndim <= 1:
        return np.broadcast_to(values.reshape(()), codes.shape)
    axis = settings.get("axis", DEFAULT_AXIS)
    if not -codes.ndim <= axis < codes.ndim:
        raise InputError(f"{what}: axis={axis}, expected an axis of a tensor {codes.shape}")
    if values.shape != (codes.shape[axis],):
        raise InputError(
            f"{what} have shape {values.shape}, expected {codes.shape[axis]} values, one for each "
            f"on axis {axis} of a tensor {codes.shape}"
        )
    line = [1] * codes.ndim
    line[axis] = -1
    return np.broadcast_to(values.reshape(line), codes.shape)


def moved(graph: Graph, tensor: Dequantised, values: list[Array], what: str) -> list[Array] | None:
    """Return values that stand in the axes of the codes, moved as the network moves the codes.

    None where the way depends on inputs.
    """
    if not tensor.path:
        return values
    numbers = np.arange(values[0].size, dtype=np.int64).reshape(values[0].shape)
    feeds = {tensor.path[0][0].input[0]: numbers}
    for node, _ in tensor.path:
        for name in list(node.input)[1:]:
            value = graph.constant(name) if name else None
            if name and value is None:
                return None
            feeds |= {name: value} if value is not None else {}
    numpy_helper = needed("onnx.numpy_helper", "onnx")
    order = evaluated(
        [_on_numbers(node) for node, _ in tensor.path],
        [numpy_helper.from_array(value, name) for name, value in feeds.items()],
        tensor.path[-1][1],
        graph.model,
        what,
    )
    return [value.ravel()[order] for value in values] if is_array(order) else None


def _on_numbers(node: Any) -> Any:
    """Return the node for integers: a cast between real types moves nothing."""
    if node.op_type != "Cast":
        return node
    return needed("onnx.helper", "onnx").make_node("Identity", [node.input[0]], [node.output[0]])
