"""The shapes of an ONNX graph's layers, from the graph alone: initializers may be without data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.record import faults_of
from sparqsim.networks.onnx.einsum import with_products
from sparqsim.networks.onnx.graph import Graph
from sparqsim.networks.onnx.guard import elements
from sparqsim.networks.onnx.macs import MacNode, Product
from sparqsim.networks.onnx.nodefacts import NodeFacts
from sparqsim.networks.onnx.opening import load_model
from sparqsim.networks.onnx.operators import CONVOLUTIONS, MAC_OPS
from sparqsim.networks.onnx.skipped import skipped_nodes
from sparqsim.networks.onnx.spatial import checked_spatial
from sparqsim.trace.coverage import Coverage
from sparqsim.trace.synthetic import LayerShape

Shape = tuple[int, ...]


@dataclass(frozen=True)
class GraphShapes:
    """layers: in the graph's order. notes: sizes that were assumed or given, skipped nodes.
    coverage: of the trace.
    """

    layers: tuple[LayerShape, ...]
    notes: tuple[str, ...]
    coverage: Coverage


def read_shapes(
    path: str | Path, skip: frozenset[str] = frozenset(), sizes: Mapping[str, int] | None = None
) -> GraphShapes:
    """Return the shapes of the layers that the array runs.

    Parameters
    ----------
    path : str or Path
    skip : set of str
        Nodes or operators to leave out.
    sizes : mapping
        Name of a free size, or INPUT:AXIS, -> its value. A free first axis (the batch) counts as 1
        where it is not given.

    Raises
    ------
    InputError
        Naming the node whose shapes are not known, or that multiplies and accumulates in an
        unsupported way.
    """
    model = load_model(path, data=False)
    free = _FreeSizes(model, sizes or {}, path)
    graph = with_products(Graph(model, path), skip)
    left_out = skipped_nodes(graph, skip)
    notes = [*free.notes, *(f"skipped: {node.label}" for node in left_out)]
    shapes = [_layer(graph, at, free) for at in graph.mac_nodes(skip)]
    if not shapes:
        raise InputError(
            f"{path}: no node multiplies and accumulates, expected {', '.join(sorted(MAC_OPS))}"
        )
    convolutions = [shape.record.name for shape in shapes if shape.record.op == "conv2d"]
    kept = {shapes[-1].record.name, *convolutions[:1]}
    entries = [
        node.entry(node.macs({name: graph.sizes.shape(name) for name in node.tensors}))
        for node in left_out
    ]
    return GraphShapes(
        tuple(_marked(shape, shape.record.name in kept) for shape in shapes),
        tuple(notes),
        Coverage(inputs=_batch(graph), left_out=tuple(entries)),
    )


def parsed_sizes(text: str) -> dict[str, int]:
    """Return the sizes of 'NAME=N,NAME=N'. Raises InputError naming the part that is none."""
    sizes = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, digits = part.rpartition("=")
        number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 0
        if not name or not number:
            raise InputError(f"--size {part!r}: expected NAME=N, a whole number from 1")
        sizes[name] = number
    return sizes


class _FreeSizes:
    """Gives a model's free sizes their values. names: those that stay free."""

    def __init__(self, model: Any, sizes: Mapping[str, int], path: str | Path) -> None:
        self.notes: list[str] = []
        self.names: list[str] = []
        held = {tensor.name for tensor in model.graph.initializer}
        inputs = [value for value in model.graph.input if value.name not in held]
        axes = [
            (f"{value.name}:{at}", axis)
            for value in inputs
            for at, axis in enumerate(value.type.tensor_type.shape.dim)
            if axis.dim_value <= 0
        ]
        known = [name for place, axis in axes for name in (axis.dim_param, place) if name]
        for name in sizes:
            if name not in known:
                raise InputError(
                    f"--size {name}: {path} has no such free size{nearest(name, known)}; "
                    f"expected one of {', '.join(known) or 'none'}"
                )
        batches = {axis.dim_param for place, axis in axes if place.endswith(":0")} - {""}
        for place, axis in axes:
            self._fix(place, axis, sizes, batches)

    def _fix(self, place: str, axis: Any, sizes: Mapping[str, int], batches: set[str]) -> None:
        symbol = axis.dim_param
        tensor, _, number = place.rpartition(":")
        value = sizes.get(place, sizes.get(symbol, 0))
        if value:
            self.notes.append(
                f"input {tensor!r}: axis {number} {symbol or '?'} is {value} (--size)"
            )
        elif number == "0" or symbol in batches:
            value = 1
            self.notes.append(f"input {tensor!r}: batch {symbol or '?'} taken as 1")
        else:
            self.names.append(symbol or place)
            return
        axis.dim_value = value


def _batch(graph: Graph) -> int | None:
    """Return how many inputs the graph takes at a time: the first axis of its first input."""
    shapes = [graph.sizes.shape(value.name) for value in graph.inputs]
    return next((shape[0] for shape in shapes if shape and shape[0]), None)


def _layer(graph: Graph, at: int, free: _FreeSizes) -> LayerShape:
    facts = NodeFacts(graph, at)
    operands = facts.operands()
    shapes = []
    for tensor, _, _ in operands:
        shape = graph.sizes.shape(tensor)
        if shape is None or 0 in shape:
            raise facts.fault(_unknown(tensor, shape, free))
        shapes.append(shape)
    try:
        if facts.kind in CONVOLUTIONS:
            return _convolution(facts, *shapes)
        return _matrices(facts, *shapes)
    except InputError as error:
        if str(error).startswith(f"{graph.path}:"):
            raise
        raise facts.fault(str(error)) from None
    except ValidationError as error:
        raise facts.fault(faults_of(error)[0]) from None


def _unknown(tensor: str, shape: Shape | None, free: _FreeSizes) -> str:
    if shape is not None:
        return f"{tensor!r} has shape {shape}, expected sizes from 1"
    if free.names:
        given = ",".join(f"{name}=N" for name in dict.fromkeys(free.names))
        return f"the shape of {tensor!r} is not known; --size {given} gives the free sizes"
    return (
        f"the shape of {tensor!r} does not follow from the graph; `trace dump` finds it by running"
    )


def _convolution(facts: NodeFacts, source: Shape, weights: Shape) -> LayerShape:
    spatial = checked_spatial(facts.attributes, weights, source)
    mac = MacNode(
        facts.name,
        facts.at,
        convolution=True,
        source="",
        codes=None,
        weights=None,
        bias=None,
        spatial=spatial,
    )
    geometry = mac.geometry(source)
    assert geometry is not None  # noqa: S101 - a convolution has one
    height, width = (1, *source[2:])[-2:]
    return LayerShape.conv2d(
        facts.name,
        (height, width),
        source[1],
        weights[0],
        geometry,
        groups=mac.groups,
        batch=source[0],
    )


def _matrices(facts: NodeFacts, left: Shape, right: Shape) -> LayerShape:
    constant = [facts.is_constant(tensor) for tensor, _, _ in facts.operands()]
    mirrored = constant == [True, False]
    source, second = (right, left) if mirrored else (left, right)
    weights = second if constant[0 if mirrored else 1] else None
    product = Product.of(facts.attributes, weights, mirrored)
    rows = product.rows(_empty(source)).shape
    columns = product.columns(_empty(second)).shape
    if mirrored and len(second) == 1:
        columns = (second[0], 1)
    if rows[-1] != columns[-2]:
        raise InputError(
            f"operands of shapes {left} and {right} have K={rows[-1]} and K={columns[-2]}, "
            "expected the same"
        )
    if weights is not None and not Product.is_stack(weights):
        return LayerShape.gemm(facts.name, elements(rows[:-1]), rows[-1], columns[-1])
    try:
        front = np.broadcast_shapes(rows[:-2], columns[:-2])
    except ValueError:
        raise InputError(f"operands of shapes {left} and {right} do not fit together") from None
    return LayerShape.gemm(facts.name, rows[-2], rows[-1], columns[-1], elements(front))


def _empty(shape: Shape) -> Any:
    """Return an array of a shape that takes no memory."""
    return np.broadcast_to(np.int8(0), shape)


def _marked(shape: LayerShape, kept: bool) -> LayerShape:
    return LayerShape(
        shape.record.model_copy(update={"keep_8bit": kept}), shape.activations, shape.weights
    )
