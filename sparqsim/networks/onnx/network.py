"""An ONNX network made ready for 8 bits: its layers, their scales found on pictures, what is left out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.record import faults_of
from sparqsim.networks.images import Pictures
from sparqsim.networks.onnx.batching import batching
from sparqsim.networks.onnx.fold import folded
from sparqsim.networks.onnx.graph import Array, Graph
from sparqsim.networks.onnx.macs import MacNode
from sparqsim.networks.onnx.reader import read_nodes
from sparqsim.networks.onnx.session import Session
from sparqsim.networks.onnx.skipped import SkippedNode, skipped_nodes
from sparqsim.quantise.calibrate import Observer, calibrator
from sparqsim.quantise.codes import ActivationCodes, Quantised, quantise
from sparqsim.trace.schema import LayerRecord


@dataclass(frozen=True)
class Network:
    """An ONNX network ready to run at 8 bits.

    `graph`: batch normalisation folded. `folded`: (layer, norm), by name. `nodes`: those the array
    runs. `codes`, `shapes`, `dtypes`: of every tensor that a node takes. `kept`: names of layers
    that stay at 8 bits. `left_out`: nodes with multiply-accumulates that are not run.
    `calibrator`: its name. `batch`: pictures at a time. `notes`: what a user must know of all this.
    """

    graph: Graph
    folded: tuple[tuple[str, str], ...]
    nodes: tuple[MacNode, ...]
    codes: dict[str, ActivationCodes]
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, np.dtype[Any]]
    kept: frozenset[str]
    left_out: tuple[SkippedNode, ...]
    calibrator: str
    batch: int
    notes: tuple[str, ...] = ()

    @property
    def skipped(self) -> tuple[str, ...]:
        """The nodes left out, as reports name them."""
        return tuple(node.label for node in self.left_out)

    @property
    def sources(self) -> list[str]:
        """Every tensor that a node takes."""
        return sources_of(self.nodes)

    def folded_entry(self) -> dict[str, Any]:
        """Return what a trace's provenance gets: the batch norm that is part of each layer."""
        return {"folded_batch_norms": dict(self.folded)}

    def record(self, node: MacNode) -> LayerRecord:
        """Return the trace's record of a layer."""
        codes = self.codes[node.source]
        corrected = bool(codes.stored_zero_point) or (
            node.weights is not None and bool(node.weights.zero_points.any())
        )
        return record_of(
            name=node.name,
            op=node.op,
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
            reason = codes.reason
        elif codes.signed:
            reason = "signed: its input has negative values"
        else:
            reason = "unsigned: its input has no negative value"
        return f"{reason}; {node.note}" if node.note else reason

    @cached_property
    def own(self) -> frozenset[str]:
        """Tensors with the network's own codes."""
        return frozenset(own_codes(self.nodes))

    def stored(self, tensor: str, values: Array) -> Quantised:
        """Return a tensor's values as the trace stores them: 8-bit integers in the same axes."""
        codes = self.codes[tensor]
        if values.dtype.kind != "f":
            return Quantised(codes.stored(values), chosen=False)
        if tensor in self.own:
            return Quantised(codes.stored(_own_code(values, codes)), chosen=False)
        return quantise(values, codes.scale, codes.signed)


def record_of(name: str, **fields: Any) -> LayerRecord:
    """Return a layer's record.

    Raises InputError for what a trace cannot hold, as a name or a size.
    """
    try:
        return LayerRecord(name=name, **fields)
    except ValidationError as error:
        raise InputError(f"layer {name!r}: {faults_of(error)[0]}") from None


def _own_code(values: Array, codes: ActivationCodes) -> Array:
    """Return the network's own codes of real values that stand for them, as its QuantizeLinear does."""
    limits = np.iinfo(np.int8 if codes.signed else np.uint8)
    steps = np.rint(np.asarray(values, np.float32) / np.float32(codes.scale)) + codes.zero_point
    own: Array = np.clip(steps, limits.min, limits.max).astype(limits.dtype)
    return own


def sources_of(nodes: Sequence[MacNode]) -> list[str]:
    """Return every tensor that `nodes` take, each once."""
    return list(dict.fromkeys(name for node in nodes for name in node.tensors))


def own_codes(nodes: Sequence[MacNode]) -> dict[str, ActivationCodes]:
    """Return the network's own codes, by tensor.

    Raises InputError where two nodes read one tensor differently.
    """
    own: dict[str, ActivationCodes] = {}
    for node in nodes:
        for tensor, codes in ((node.source, node.codes), (node.other, node.other_codes)):
            if codes is not None and own.setdefault(tensor, codes) != codes:
                raise InputError(
                    f"layer {node.name!r}: it reads {tensor!r} as {codes}, another layer as "
                    f"{own[tensor]}; expected one scale and zero point"
                )
    return own


def calibrated(
    path: str | Path,
    pictures: Pictures,
    calibrate: str = "mean-max",
    *,
    skip: Collection[str] = (),
    keep_8bit: Collection[str] | None = None,
    batch: int | None = None,
) -> Network:
    """Read a network, fold it, and find the scales of its activations on `pictures`.

    Parameters
    ----------
    path : str or Path
        ONNX file.
    pictures : Pictures
    calibrate : str
        See `sparqsim.quantise.calibrate`; networks with their own 8-bit codes need none.
    skip : names of nodes or operators to leave out
    keep_8bit : layers that stay at 8 bits
        Default: the first convolution and the last layer.
    batch : int or None
        Pictures at a time; default: as many as the graph fixes, else 8 where that mixes none, else 1.

    Raises
    ------
    InputError
        Naming the node or layer at fault: unsupported, NaN or infinite activations, unknown names.
    """
    without_norms = folded(Graph.load(path).modern())
    graph = without_norms.graph
    left_out = frozenset(skip)
    nodes = tuple(read_nodes(graph, left_out))
    chosen = batching(graph, pictures, [*sources_of(nodes), *graph.outputs], batch)
    seen = _observed(graph, nodes, pictures, calibrate, chosen.size)
    codes = own_codes(nodes) | {
        tensor: ActivationCodes(observer.scale(), 0, observer.signed)
        for tensor, observer in seen.observers.items()
    }
    own = "the network's own scales"
    return Network(
        graph,
        without_norms.pairs,
        nodes,
        codes,
        seen.shapes,
        seen.dtypes,
        _kept(nodes, keep_8bit),
        skipped_nodes(graph, left_out),
        calibrator=calibrate if seen.observers else own,
        batch=chosen.size,
        notes=(chosen.note,) if chosen.note else (),
    )


@dataclass(frozen=True)
class Seen:
    """Observers of real tensors; shape, in its first batch, and type of every tensor."""

    observers: dict[str, Observer]
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, np.dtype[Any]]


def _observed(
    graph: Graph, nodes: Sequence[MacNode], pictures: Pictures, calibrate: str, batch: int
) -> Seen:
    own = own_codes(nodes)
    layer_with = {name: node.name for node in reversed(nodes) for name in node.tensors}
    make = calibrator(calibrate)
    # The second of two tensors is stored int8: weights are int8.
    weights = {node.other for node in nodes if node.other}
    observers = {
        name: make.observer(True if name in weights else None)
        for name in layer_with
        if name not in own
    }
    seen = Seen(observers, {}, {})
    session = Session(graph, list(layer_with))
    for values in session.batches(pictures, batch):
        for name, value in values.items():
            seen.shapes.setdefault(name, value.shape)
            seen.dtypes.setdefault(name, value.dtype)
            if name in observers:
                _observe(observers[name], value, layer_with[name])
        if not observers:
            break
    return seen


def _observe(observer: Observer, value: Array, layer: str) -> None:
    if not value.size or value.dtype.kind != "f":
        raise InputError(
            f"layer {layer!r}: activations are {value.dtype} {value.shape}, expected real values"
        )
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
