"""What follows from an ONNX graph alone: shapes and types of its tensors, and small constants.

One walk over the nodes in order. onnx's shape inference says what one node makes of its inputs;
shapes that a graph computes (Shape, Gather, Concat, ...) are computed as soon as they are known.
Nothing is computed before its size is known to be within bounds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.base.limits import ONNX_ELEMENTS, ONNX_TRIPS
from sparqsim.networks.images import needed
from sparqsim.networks.onnx.guard import elements, evaluated, is_array
from sparqsim.networks.onnx.operators import STANDARD_DOMAINS, attributes, has_graphs, hidden_nodes

#: Elements and axes of a tensor whose values are followed: shapes, pads, limits of slices.
MOST_FOLLOWED, MOST_AXES = 1 << 10, 2
RANDOM = "Random"


Array = NDArray[Any]


class Walked(Protocol):
    """What is asked of a graph: `sparqsim.networks.onnx.graph.Graph` has it."""

    model: Any
    proto: Any
    path: str | Path
    nodes: list[Any]
    initializers: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """Names of the nodes."""

    def initializer(self, name: str) -> Array:
        """Return the values of an initializer."""


class TensorSizes:
    """Shapes and types of a graph's tensors.

    Parameters
    ----------
    graph : Walked
        Inputs may have free sizes; what depends on them is then not known.

    Raises
    ------
    InputError
        Naming a node whose output, or a loop whose trips, are beyond the bounds of `guard`.
    """

    def __init__(self, graph: Walked) -> None:
        self._graph = graph
        self._infos: dict[str, Any] = {}
        self._values: dict[str, Array] = {}
        for value in (*graph.proto.input, *graph.proto.value_info):
            self._infos.setdefault(value.name, value)
        helper = needed("onnx.helper", "onnx")
        for name, tensor in graph.initializers.items():
            ONNX_ELEMENTS.check(elements(tensor.dims), f"{graph.path}: initializer {name!r}")
            self._infos[name] = helper.make_tensor_value_info(
                name, tensor.data_type, list(tensor.dims)
            )
        for at in range(len(graph.nodes)):
            self._walk(at)

    def shape(self, tensor: str) -> tuple[int, ...] | None:
        """Return a tensor's shape, None where it is not known whole."""
        info = self._infos.get(tensor)
        if info is None or not info.type.tensor_type.HasField("shape"):
            return None
        axes = info.type.tensor_type.shape.dim
        if not all(axis.HasField("dim_value") and axis.dim_value >= 0 for axis in axes):
            return None
        return tuple(int(axis.dim_value) for axis in axes)

    def element_type(self, tensor: str) -> int:
        """Return ONNX's number of a tensor's type, 0 where it is not known."""
        info = self._infos.get(tensor)
        return 0 if info is None else int(info.type.tensor_type.elem_type)

    def value(self, tensor: str) -> Array | None:
        """Return the value of a small tensor that no input changes, once sizes are fixed."""
        if tensor not in self._values and tensor in self._graph.initializers:
            held = self._graph.initializers[tensor]
            if not _is_followed(tuple(held.dims)):
                return None
            try:
                self._values[tensor] = self._graph.initializer(tensor)
            except InputError:  # shapes alone are asked for: data may be missing
                return None
        return self._values.get(tensor)

    def _walk(self, at: int) -> None:
        node, name = self._graph.nodes[at], self._graph.names[at]
        what = f"{self._graph.path}: node {name!r} ({node.op_type})"
        self._check_trips(node, what)
        if node.op_type in ("Shape", "Size") and self._measured(node):
            return
        for output, info in self._inferred(node).items():
            self._infos[output] = info
            shape = self.shape(output)
            if shape is not None:
                ONNX_ELEMENTS.check(elements(shape), what)
        if self._is_small(node):
            self._compute(node, what)

    def _measured(self, node: Any) -> bool:
        """Take the shape of a known tensor for a value; return whether it is known."""
        shape = self.shape(node.input[0]) if node.input else None
        if shape is None or not node.output:
            return False
        limits = attributes(node)
        value = np.array(shape[limits.get("start", 0) : limits.get("end")], np.int64)
        if node.op_type == "Size":
            value = np.array(elements(shape), np.int64)
        self._keep(node.output[0], value)
        return True

    def _keep(self, tensor: str, value: Array) -> None:
        helper = needed("onnx.helper", "onnx")
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        self._values[tensor] = value
        self._infos[tensor] = helper.make_tensor_value_info(tensor, kind, list(value.shape))

    def _inferred(self, node: Any) -> dict[str, Any]:
        """Return what onnx says of a node's outputs; nothing where it cannot tell."""
        onnx, helper = needed("onnx", "onnx"), needed("onnx.helper", "onnx")
        inner = (name for hidden in hidden_nodes(node) for name in hidden.input)
        names = dict.fromkeys(name for name in (*node.input, *inner) if name in self._infos)
        values = {name: value for name in names if (value := self.value(name)) is not None}
        graph = helper.make_graph(
            [node],
            "node",
            [self._infos[name] for name in names],
            [],
            [onnx.numpy_helper.from_array(value, name) for name, value in values.items()],
        )
        model = helper.make_model(graph, opset_imports=self._graph.model.opset_import)
        graph.ClearField("output")
        try:
            inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        except Exception:  # noqa: BLE001 - onnx's own kinds: a node it cannot judge stays unknown
            return {}
        return {value.name: value for value in inferred.value_info if value.name in node.output}

    def _is_small(self, node: Any) -> bool:
        """Return whether a node can be computed here: small constants in, small known sizes out."""
        if node.domain not in STANDARD_DOMAINS or has_graphs(node):
            return False
        shapes = [self.shape(name) for name in node.output if name]
        return (
            not node.op_type.startswith(RANDOM)
            and bool(shapes)
            and all(shape is not None and _is_followed(shape) for shape in shapes)
            and all(self.value(name) is not None for name in node.input if name)
        )

    def _compute(self, node: Any, what: str) -> None:
        numpy_helper = needed("onnx.numpy_helper", "onnx")
        feeds = [
            numpy_helper.from_array(self._values[name], name)
            for name in dict.fromkeys(filter(None, node.input))
        ]
        for output in filter(None, node.output):
            try:
                value = evaluated([node], feeds, output, self._graph.model, what)
            except InputError:  # what cannot be computed stays unknown
                return
            if is_array(value):
                self._keep(output, value)

    def _check_trips(self, node: Any, what: str) -> None:
        """Refuse loops that a file makes long; one that an input decides ends, or is stopped."""
        for loop in (node, *hidden_nodes(node)):
            if loop.op_type != "Loop" or not loop.input or not loop.input[0]:
                continue
            trips = self.value(loop.input[0])
            if trips is not None and trips.size == 1:
                ONNX_TRIPS.check(int(trips.item()), f"{what}: a loop with a fixed number of trips")


def _is_followed(shape: tuple[int, ...]) -> bool:
    return len(shape) <= MOST_AXES and elements(shape) <= MOST_FOLLOWED
