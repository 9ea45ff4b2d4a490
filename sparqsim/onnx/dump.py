"""A trace of an ONNX network: onnxruntime runs it, the inputs of its convolutions and products are stored at 8 bits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparqsim.calibrate import Observer, calibrator
from sparqsim.errors import InputError, nearest
from sparqsim.images import Pictures
from sparqsim.onnx.fold import folded
from sparqsim.onnx.graph import Array, Graph
from sparqsim.onnx.macs import MacNode, read_nodes
from sparqsim.onnx.session import Session
from sparqsim.trace.codes import ActivationCodes, Quantised, quantise
from sparqsim.trace.dumpreport import DumpedLayer, DumpReport
from sparqsim.trace.layer import Layer
from sparqsim.trace.schema import LayerRecord
from sparqsim.trace.source import TensorSource
from sparqsim.trace.trace import Trace
from sparqsim.trace.writer import TraceWriter

ORIGIN = "sparqsim trace dump (onnxruntime)"


@dataclass(frozen=True)
class Network:
    """An ONNX network ready to run at 8 bits.

    `graph`: batch normalisation folded. `nodes`: those the array runs. `codes`, `shapes`: of every tensor that a node
    takes. `kept`: names of layers that stay at 8 bits. `skipped`: nodes left out. `calibrator`: its name.
    """

    graph: Graph
    nodes: tuple[MacNode, ...]
    codes: dict[str, ActivationCodes]
    shapes: dict[str, tuple[int, ...]]
    kept: frozenset[str]
    skipped: tuple[str, ...]
    calibrator: str

    @property
    def sources(self) -> list[str]:
        """Every tensor that a node takes."""
        return sources_of(self.nodes)

    def record(self, node: MacNode) -> LayerRecord:
        """Return the trace's record of a layer."""
        codes = self.codes[node.source]
        corrected = bool(codes.stored_zero_point) or (
            node.weights is not None and bool(node.weights.zero_points.any())
        )
        return LayerRecord(
            name=node.name,
            op=node.op,  # type: ignore[arg-type]
            groups=node.groups,
            geometry=node.geometry(self.shapes[node.source]),
            activation_scale=codes.scale,
            activation_zero_point=codes.stored_zero_point,
            zero_point_corrected=corrected,
            keep_8bit=node.name in self.kept,
            note=self.reason(node),
            **self._weight_fields(node),
        )

    def _weight_fields(self, node: MacNode) -> dict[str, Any]:
        if node.weights is None:
            return {"weight_scales": (self.codes[node.other].scale,)}
        return node.weights.fields

    def reason(self, node: MacNode) -> str:
        """Return why a layer's activations are signed or unsigned."""
        codes = self.codes[node.source]
        if node.codes is not None:
            return codes.reason
        return (
            "signed: its input has negative values"
            if codes.signed
            else "unsigned: its input has no negative value"
        )

    def stored(self, tensor: str, values: Array) -> Quantised:
        """Return a tensor's values as the trace stores them: 8-bit integers in the same axes."""
        codes = self.codes[tensor]
        return (
            quantise(values, codes.scale, codes.signed)
            if values.dtype.kind == "f"
            else Quantised(codes.stored(values), chosen=False)
        )


def sources_of(nodes: Sequence[MacNode]) -> list[str]:
    """Return every tensor that `nodes` take, each once."""
    return list(dict.fromkeys(name for node in nodes for name in (node.source, node.other) if name))


def calibrated(
    path: str | Path,
    pictures: Pictures,
    calibrate: str = "mean-max",
    *,
    skip: Collection[str] = (),
    keep_8bit: Collection[str] | None = None,
) -> Network:
    """Read a network, fold it, and find the scales of its activations on `pictures`.

    Parameters
    ----------
    path : str or Path
        ONNX file.
    pictures : Pictures
    calibrate : str
        See `sparqsim.calibrate`; networks with their own 8-bit codes need none.
    skip : names of nodes or operators to leave out
    keep_8bit : layers that stay at 8 bits
        Default: the first convolution and the last layer.

    Raises
    ------
    InputError
        Naming the node or layer at fault: unsupported, NaN or infinite activations, unknown names.
    """
    graph = folded(Graph.load(path).modern())
    left_out = frozenset(skip)
    nodes = tuple(read_nodes(graph, left_out))
    observers, shapes = _observed(graph, nodes, pictures, calibrate)
    codes = {node.source: node.codes for node in nodes if node.codes is not None}
    codes |= {
        tensor: ActivationCodes(observer.scale(), 0, observer.signed)
        for tensor, observer in observers.items()
    }
    own = "the network's own scales"
    return Network(
        graph,
        nodes,
        codes,
        shapes,
        _kept(nodes, keep_8bit),
        tuple(graph.skipped_nodes(left_out)),
        calibrator=calibrate if observers else own,
    )


def _observed(
    graph: Graph, nodes: Sequence[MacNode], pictures: Pictures, calibrate: str
) -> tuple[dict[str, Observer], dict[str, tuple[int, ...]]]:
    """Return an observer of every real tensor, and the shape of every tensor in its first batch."""
    own = {node.source for node in nodes if node.codes is not None}
    layer_with = {
        name: node.name for node in reversed(nodes) for name in (node.source, node.other) if name
    }
    make = calibrator(calibrate)
    # Stacked products are stored int8 on their right side: weights are int8.
    weights = {node.other for node in nodes if node.other}
    observers = {
        name: make.observer(True if name in weights else None)
        for name in layer_with
        if name not in own
    }
    shapes: dict[str, tuple[int, ...]] = {}
    session = Session(graph, list(layer_with))
    for values in session.batches(pictures):
        for name, value in values.items():
            shapes.setdefault(name, value.shape)
            if name in observers:
                _observe(observers[name], value, layer_with[name])
        if not observers:
            break
    return observers, shapes


def _observe(observer: Observer, value: Array, layer: str) -> None:
    try:
        observer.update(np.asarray(value, np.float32))
    except InputError as error:
        raise InputError(f"layer {layer!r}: {error}") from None


def _kept(nodes: Sequence[MacNode], wanted: Collection[str] | None) -> frozenset[str]:
    names = [node.name for node in nodes]
    if wanted is None:
        first = next((node.name for node in nodes if node.convolution), None)
        return frozenset(name for name in (first, names[-1]) if name is not None)
    for name in wanted:
        if name not in names:
            raise InputError(f"--keep-8bit {name!r}: no such layer{nearest(name, names)}")
    return frozenset(wanted)


def dump(network: Network, pictures: Pictures, path: str | Path, **document: str) -> DumpReport:
    """Write the trace of `pictures`, one batch in memory at a time.

    Parameters
    ----------
    network : Network
    pictures : Pictures
    path : str or Path
        The trace file.
    **document
        More fields of the document: license_note, ...

    Raises
    ------
    InputError
        When the place cannot be written, or activations are NaN or infinite.
    """
    layers = {
        node.name: DumpedLayer(node.name, node.op, network.reason(node), node.name in network.kept)
        for node in network.nodes
    }
    document = {"network": Path(network.graph.path).name, "origin": ORIGIN} | document
    about = {
        "pictures": len(pictures),
        "preprocess": pictures.preprocess.spec,
        "skipped": list(network.skipped),
    }
    with TraceWriter(path, calibrator=network.calibrator, provenance=about, **document) as writer:
        for node in network.nodes:
            weights = None if node.weights is None else node.weights.codes
            writer.add_layer(network.record(node), weights, node.bias)
        for values in Session(network.graph, network.sources).batches(pictures):
            for node in network.nodes:
                _append(writer, network, node, values, layers[node.name])
    return DumpReport(tuple(layers.values()), network.skipped, len(pictures))


def _append(
    writer: TraceWriter,
    network: Network,
    node: MacNode,
    values: dict[str, Array],
    counted: DumpedLayer,
) -> None:
    stored = _stored_operands(network, node, values)
    activations, weights = operands(node, [operand.codes for operand in stored])
    writer.append(node.name, activations, weights)
    counted.count(activations)
    for operand in stored:
        counted.count_clipped(operand)


def _stored_operands(network: Network, node: MacNode, values: dict[str, Array]) -> list[Quantised]:
    found = [values[name] for name in (node.source, node.other) if name]
    for value in found:
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise InputError(
                f"layer {node.name!r}: activations hold NaN or infinite values, expected finite ones"
            )
    return [
        network.stored(name, value)
        for name, value in zip((node.source, node.other), found, strict=False)
    ]


def operands(node: MacNode, stored: Sequence[Array]) -> tuple[Array, Array | None]:
    """Return a layer's activations, and its weights where they are activations too, in the axes of a trace."""
    if node.weights is not None:
        return node.channels_last(stored[0]), None
    return stacked(stored[0], stored[1])


def layer_of(network: Network, node: MacNode, stored: Sequence[Array]) -> Layer:
    """Return the layer in memory, given its stored operands in the graph's axes."""
    activations, weights = operands(node, stored)
    record = network.record(node)
    if weights is None:
        assert node.weights is not None  # noqa: S101 - a layer has weights, or a second activation
        weights = node.weights.codes
    else:
        scales = record.weight_scales * len(weights)
        record = record.model_copy(update={"groups": len(activations), "weight_scales": scales})
    return Layer(
        record,
        TensorSource.of(activations),
        TensorSource.of(weights),
        None if node.bias is None else TensorSource.of(node.bias),
    )


def trace_of(network: Network, pictures: Pictures) -> Trace:
    """Return the trace of a few pictures, in memory."""
    session = Session(network.graph, network.sources)
    batches = list(session.batches(pictures, len(pictures)))
    values = {name: np.concatenate([batch[name] for batch in batches]) for name in network.sources}
    layers = [
        layer_of(
            network,
            node,
            [operand.codes for operand in _stored_operands(network, node, values)],
        )
        for node in network.nodes
    ]
    return Trace(
        layers, network=Path(network.graph.path).name, origin=ORIGIN, calibrator=network.calibrator
    )


def stacked(left: Array, right: Array) -> tuple[Array, Array]:
    """Return a product of activations as groups: left (..., M, K), right (..., K, N) -> (G, M, K), (G * N, 1, K)."""
    front = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    xs = np.broadcast_to(left, (*front, *left.shape[-2:])).reshape(-1, *left.shape[-2:])
    ws = np.broadcast_to(right, (*front, *right.shape[-2:])).reshape(-1, *right.shape[-2:])
    return np.ascontiguousarray(xs), np.ascontiguousarray(ws.swapaxes(1, 2)).reshape(
        -1, 1, right.shape[-2]
    )
