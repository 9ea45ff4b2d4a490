"""A trace of an ONNX network: onnxruntime runs it, the inputs of its convolutions and products are stored at 8 bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparqsim.base.errors import InputError
from sparqsim.networks.images import Pictures
from sparqsim.networks.onnx.graph import Array
from sparqsim.networks.onnx.macs import MacNode
from sparqsim.networks.onnx.network import Network
from sparqsim.networks.onnx.session import Session
from sparqsim.quantise.codes import Quantised
from sparqsim.trace.coverage import Coverage, Tally
from sparqsim.trace.dumpreport import DumpedLayer, DumpReport
from sparqsim.trace.layer import Layer
from sparqsim.trace.source import TensorSource
from sparqsim.trace.trace import Trace
from sparqsim.trace.writer import TraceWriter

ORIGIN = "sparqsim trace dump (onnxruntime)"


class _LeftOut:
    """Counts the multiply-accumulates of the nodes that a network leaves out, batch by batch."""

    def __init__(self, network: Network) -> None:
        self._nodes = network.left_out
        self._tally = Tally((node.name, node.reason) for node in self._nodes)
        #: Tensors whose shapes say them.
        self.tensors = [name for node in self._nodes for name in node.tensors]

    def count(self, values: Mapping[str, Array]) -> None:
        for node in self._nodes:
            self._tally.add(node.name, node.reason, node.macs_of_batch(values))

    def coverage(self, inputs: int) -> Coverage:
        """Return what a trace of so many inputs says of itself."""
        return self._tally.coverage(inputs)


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
    about: dict[str, Any] = {
        "pictures": len(pictures),
        "preprocess": pictures.preprocess.spec,
        "skipped": list(network.skipped),
        "notes": list(network.notes),
        **network.folded_entry(),
    }
    left_out = _LeftOut(network)
    with TraceWriter(path, calibrator=network.calibrator, provenance=about, **document) as writer:
        for node in network.nodes:
            weights = None if node.weights is None else node.weights.codes
            writer.add_layer(network.record(node), weights, node.bias)
        session = Session(network.graph, network.sources, left_out.tensors)
        for values in session.batches(pictures, network.batch):
            for node in network.nodes:
                _append(writer, network, node, values, layers[node.name])
            left_out.count(values)
        # The writer takes its document at the end: only now is it known what was left out.
        coverage = left_out.coverage(len(pictures))
        about |= coverage.entry()
    return DumpReport(
        tuple(layers.values()), network.skipped, len(pictures), coverage, network.notes
    )


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
    found = [values[name] for name in node.tensors]
    for value in found:
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise InputError(
                f"layer {node.name!r}: activations hold NaN or infinite values, expected finite ones"
            )
    return [network.stored(name, value) for name, value in zip(node.tensors, found, strict=True)]


def operands(node: MacNode, stored: Sequence[Array]) -> tuple[Array, Array | None]:
    """Return a layer's activations, and its weights where they are activations too, in the axes of a trace."""
    if node.weights is not None:
        return node.channels_last(stored[0]), None
    return stacked(node.product.rows(stored[0]), node.product.columns(stored[1]))


def layer_of(network: Network, node: MacNode, batches: Sequence[Sequence[Array]]) -> Layer:
    """Return the layer in memory, given its stored operands in the graph's axes, batch by batch."""
    parts = [operands(node, stored) for stored in batches]
    # Rows of a product with weights grow along M, pictures and stacked products along the first axis.
    rows = not node.convolution and node.weights is not None
    activations = np.concatenate([part[0] for part in parts], axis=int(rows))
    second = [part[1] for part in parts if part[1] is not None]
    weights = np.concatenate(second) if second else None
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
    left_out = _LeftOut(network)
    session = Session(network.graph, network.sources, left_out.tensors)
    stored: dict[str, list[list[Array]]] = {node.name: [] for node in network.nodes}
    for values in session.batches(pictures, network.batch):
        for node in network.nodes:
            operand_codes = _stored_operands(network, node, values)
            stored[node.name].append([operand.codes for operand in operand_codes])
        left_out.count(values)
    layers = [layer_of(network, node, stored[node.name]) for node in network.nodes]
    return Trace(
        layers,
        network=Path(network.graph.path).name,
        origin=ORIGIN,
        calibrator=network.calibrator,
        provenance=left_out.coverage(len(pictures)).entry() | network.folded_entry(),
    )


def stacked(left: Array, right: Array) -> tuple[Array, Array]:
    """Return a product of activations as groups: left (..., M, K), right (..., K, N) -> (G, M, K), (G * N, 1, K)."""
    front = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    xs = np.broadcast_to(left, (*front, *left.shape[-2:])).reshape(-1, *left.shape[-2:])
    ws = np.broadcast_to(right, (*front, *right.shape[-2:])).reshape(-1, *right.shape[-2:])
    return np.ascontiguousarray(xs), np.ascontiguousarray(ws.swapaxes(1, 2)).reshape(
        -1, 1, right.shape[-2]
    )
