"""The quantised graph with every layer's sums as standard operators: onnxruntime runs the design at
its own speed.

A design that transforms activations one by one is a look-up of 256 entries, one that does so pair
by pair a look-up of 65,536; the sums are ConvInteger and MatMulInteger. Weights go in as uint8, 128
higher: onnxruntime's uint8 x int8 products saturate on some processors, its uint8 x uint8 products
never do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.networks.onnx.macs import MacNode
from sparqsim.networks.onnx.network import Network
from sparqsim.networks.onnx.quantised import DOMAIN, Array, GraphBuilder
from sparqsim.pe import PEDesign
from sparqsim.pe.base import LayerFacts


class PairTable:
    """What a design makes of every pair of activations, or None (`of`) for a design that is not
    such a table.

    `used`: uint8 codes (65536, 2), index x1 + 256 * x2; codes are 128 higher for signed layers.
    """

    def __init__(self, used: NDArray[np.uint8]) -> None:
        self.used = used
        self._table = used.reshape(256, 256, 2)  # [x2, x1, position]

    @classmethod
    def of(cls, pe: PEDesign, signed: bool) -> PairTable | None:
        """Return the table of `pe`, checked on rows of other lengths; None where it is none."""
        adjacent = np.array_equal(pe.k_order(9), PEDesign.k_order(pe, 9))
        if pe.values_by_pair or pe.real_valued or not adjacent:
            return None
        x2, x1 = np.divmod(np.arange(65_536), 256)
        used = _used(pe, np.stack([x1, x2], axis=1).astype(np.uint8), signed)
        if used.min() < 0 or used.max() > 255:
            return None
        table = cls(used.astype(np.uint8))
        rows = np.random.default_rng(0).integers(0, 256, (64, 15)).astype(np.uint8)
        rows[::2] *= rows[::2] > 128
        return (
            table if np.array_equal(_used(pe, rows, signed), table.applied(rows, signed)) else None
        )

    def applied(self, codes: Array, signed: bool) -> Array:
        """Return the table's codes for rows (..., K) of codes; an odd last one pairs with zero."""
        k, zero = codes.shape[1], 128 if signed else 0
        padded = np.pad(codes, ((0, 0), (0, k % 2)), constant_values=zero).astype(np.int64)
        first, second = padded[:, ::2], padded[:, 1::2]
        pairs = self.used[first + 256 * second]
        used: Array = pairs.reshape(padded.shape)[:, :k]
        return used

    @property
    def identity(self) -> bool:
        """Whether every code stays."""
        return self.elementwise is not None and np.array_equal(self.elementwise, np.arange(256))

    @property
    def elementwise(self) -> NDArray[np.uint8] | None:
        """The table of 256 entries where partners do not matter, else None."""
        first, second = self._table[0, :, 0], self._table[:, 0, 1]
        apart = np.stack(np.broadcast_arrays(first[None, :], second[:, None]), axis=-1)
        return (
            first if np.array_equal(apart, self._table) and np.array_equal(first, second) else None
        )

    def keeps(self, code: int) -> bool:
        """Whether a pair of two such codes stays."""
        return bool((self._table[code, code] == code).all())


def _used(pe: PEDesign, codes: Array, signed: bool) -> Array:
    """Return the codes of the activations that `pe` uses for rows of codes, int64."""
    offset = 128 if signed else 0
    x = (codes.astype(np.int16) - offset).astype(np.int8 if signed else np.uint8)
    return pe.used_activations(x).astype(np.int64) + offset


def _ready(pe: PEDesign, network: Network, mac: MacNode) -> PEDesign:
    """Return the design as it runs a layer."""
    assert mac.weights is not None  # noqa: S101 - a product of two activations is never native
    _, positions, depth = mac.weights.codes.shape
    signed = network.codes[mac.source].stored_signed
    bits = mac.weights.bits
    return pe.for_layer(LayerFacts(positions * depth, signed, weight_bits=bits))


def native_fault(network: Network, mac: MacNode, pe: PEDesign) -> str | None:
    """Return why a layer cannot be standard operators under `pe`, or None."""
    if mac.weights is None:
        return "a product of two activations"
    if not mac.product.plain or len(network.shapes[mac.source]) < 2:
        return "a product with a transposed operand or a vector"
    if len(set(mac.weights.zero_points.tolist())) > 1:
        return "weight zero points differ by channel"
    ready = _ready(pe, network, mac)
    table = PairTable.of(ready, network.codes[mac.source].stored_signed)
    if table is None:
        return "not a look-up of pairs"
    depth = mac.weights.codes.shape[2]
    if table.elementwise is None and depth % 2 and mac.weights.codes.shape[1] > 1:
        return f"pairs of {depth} channels cross kernel positions"
    beyond = int(_used_weights(mac, ready).max(initial=0)) > 127
    return "weights are used beyond 8 bits" if beyond else None


def native_model(model: Any, network: Network, designs: dict[str, PEDesign]) -> Any:
    """Return the quantised model with `Sums` nodes as standard operators; those that cannot be are
    left.

    Parameters
    ----------
    model : onnx.ModelProto
        From `quantised_model`.
    network : Network
    designs : dict
        Layer name -> design.
    """
    made = type(model)()
    made.CopyFrom(model)
    macs = {node.name: node for node in network.nodes}
    del made.graph.node[:]
    for at, node in enumerate(model.graph.node):
        mac = macs[node.attribute[0].s.decode()] if node.domain == DOMAIN else None
        if mac is None or native_fault(network, mac, designs[mac.name]) is not None:
            made.graph.node.append(node)
            continue
        builder = GraphBuilder(f"sparqsim.native.{at}")
        _sums(builder, network, mac, designs[mac.name], codes=node.input[0], output=node.output[0])
        made.graph.node.extend(builder.nodes)
        made.graph.initializer.extend(builder.initializers)
    return made


def _sums(
    builder: GraphBuilder, network: Network, mac: MacNode, pe: PEDesign, *, codes: str, output: str
) -> None:
    assert mac.weights is not None  # noqa: S101 - native_fault was None
    pe = _ready(pe, network, mac)
    shape, stored = network.shapes[mac.source], network.codes[mac.source]
    zero = 128 if stored.stored_signed else stored.stored_zero_point
    table = PairTable.of(pe, stored.stored_signed)
    assert table is not None  # noqa: S101 - native_fault was None
    geometry = mac.geometry(shape)
    pads = [] if geometry is None else _onnx_pads(geometry.padding, len(shape) - 2)
    if any(pads) and not table.keeps(zero):
        codes = _padded(builder, codes, pads, zero)
        pads = [0] * len(pads)
    axis = 1 if mac.convolution else len(shape) - 1
    codes = _looked_up(
        builder, codes, table, shape, axis=axis, zero=128 if stored.stored_signed else 0
    )
    weights = builder.constant(_weights(mac, pe))
    points = (
        builder.constant(np.uint8(zero)),
        builder.constant(np.uint8(128 + int(mac.weights.zero_points[0]))),
    )
    if not mac.convolution:
        builder.node("MatMulInteger", codes, weights, *points, output=output)
        return
    spatial = {key: mac.spatial[key] for key in ("strides", "dilations") if key in mac.spatial}
    builder.node(
        "ConvInteger",
        codes,
        weights,
        *points,
        output=output,
        pads=pads,
        group=mac.groups,
        kernel_shape=list(mac.spatial["kernel_shape"]),
        **spatial,
    )


def _onnx_pads(padding: tuple[int, int, int, int], axes: int) -> list[int]:
    top, bottom, left, right = padding
    return [top, left, bottom, right] if axes == 2 else [left, right]


def _padded(builder: GraphBuilder, codes: str, pads: list[int], zero: int) -> str:
    half = len(pads) // 2
    begins, ends = [0, 0, *pads[:half]], [0, 0, *pads[half:]]
    amounts = builder.constant(np.array([*begins, *ends], np.int64))
    filler = builder.constant(np.int32(zero))
    wide = builder.cast(codes, np.int32)
    return builder.cast(builder.node("Pad", wide, amounts, filler), np.uint8)


def _looked_up(
    builder: GraphBuilder,
    codes: str,
    table: PairTable,
    shape: tuple[int, ...],
    *,
    axis: int,
    zero: int,
) -> str:
    """Return the codes that the design uses, uint8, in the same axes."""
    if table.identity:
        return codes
    rank, channels = len(shape), shape[axis]
    index = builder.cast(codes, np.int32)
    if table.elementwise is not None:
        return builder.node("Gather", builder.constant(table.elementwise), index)
    if channels % 2:
        pads = np.zeros(2 * rank, np.int64)
        pads[rank + axis] = 1
        index = builder.node("Pad", index, builder.constant(pads), builder.constant(np.int32(zero)))
    first, second = (_every_other(builder, index, axis, start) for start in (0, 1))
    code = builder.node("Add", first, builder.node("Mul", second, builder.constant(np.int32(256))))
    # Beside its pair number every element keeps an axis of its own for the two positions: (...,
    # C/2, 2, ...).
    halves = [
        builder.node(
            "Unsqueeze",
            builder.node("Gather", builder.constant(table.used[:, position]), code),
            builder.constant(np.array([axis + 1], np.int64)),
        )
        for position in (0, 1)
    ]
    joined = builder.node("Concat", *halves, axis=axis + 1)
    return _reshaped(builder, joined, index, axis, channels)


def _every_other(builder: GraphBuilder, tensor: str, axis: int, start: int) -> str:
    limits = [
        builder.constant(np.array([value], np.int64))
        for value in (start, np.iinfo(np.int64).max, axis, 2)
    ]
    return builder.node("Slice", tensor, *limits)


def _reshaped(builder: GraphBuilder, joined: str, like: str, axis: int, channels: int) -> str:
    """Return the joined pairs in the axes of `like`, without the channel that made them even."""
    whole = builder.node("Reshape", joined, builder.node("Shape", like))
    if channels % 2 == 0:
        return whole
    limits = [builder.constant(np.array([value], np.int64)) for value in (0, channels, axis)]
    return builder.node("Slice", whole, *limits)


def _used_weights(mac: MacNode, pe: PEDesign) -> NDArray[np.int16]:
    """Return the weights that `pe` uses, int16 (K, channels); each group of channels by itself."""
    assert mac.weights is not None  # noqa: S101 - asked of products with weights only
    codes = mac.weights.codes
    matrices = codes.reshape(mac.groups, len(codes) // mac.groups, -1).swapaxes(1, 2)
    used = pe.used_weights(np.ascontiguousarray(matrices)).astype(np.int16)
    return used.swapaxes(1, 2).reshape(len(codes), -1).T


def _weights(mac: MacNode, pe: PEDesign) -> NDArray[np.uint8]:
    """Return the weights that `pe` uses, uint8 128 higher, in the axes of the operator."""
    assert mac.weights is not None  # noqa: S101 - native_fault was None
    codes = mac.weights.codes
    shifted = (_used_weights(mac, pe) + 128).astype(np.uint8)
    if not mac.convolution:
        return shifted.reshape(*mac.product.front, *shifted.shape)
    arranged = shifted.T.reshape(codes.shape).transpose(0, 2, 1)
    return arranged.reshape(len(codes), codes.shape[2], *mac.spatial["kernel_shape"])
