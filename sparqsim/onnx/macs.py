"""What the nodes that multiply and accumulate say: operands, geometry, 8-bit codes where the network has its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.errors import InputError
from sparqsim.onnx.graph import Graph, attributes
from sparqsim.trace.codes import ActivationCodes, WeightCodes
from sparqsim.trace.schema import ConvGeometry

Array = NDArray[Any]


@dataclass(frozen=True)
class MacNode:
    """One node, read.

    Parameters
    ----------
    name : str
    at : int
        Index of the node in the graph.
    convolution : bool
        Else a product of the input's rows with constant weights, or (weights None) of two activations.
    source : str
        The tensor whose values the array takes: real values, or the network's own codes.
    codes : ActivationCodes or None
        How `source` holds 8-bit codes; None: real values, to be calibrated.
    weights : WeightCodes or None
        (output channel, kernel position, input channel); None for a product of two activations.
    bias : float32 (output channel,) or None
        In real units.
    spatial : dict
        The convolution's attributes.
    other : str
        The second operand's tensor, for a product of two activations.
    """

    name: str
    at: int
    convolution: bool
    source: str
    codes: ActivationCodes | None
    weights: WeightCodes | None
    bias: NDArray[np.float32] | None
    spatial: dict[str, Any]
    other: str = ""

    @property
    def op(self) -> str:
        """The op of the trace's layer."""
        if self.convolution:
            return "conv2d"
        return "gemm" if self.weights is None else "linear"

    @property
    def groups(self) -> int:
        """Groups of the convolution."""
        return int(self.spatial.get("group", 1))

    def geometry(self, shape: tuple[int, ...]) -> ConvGeometry | None:
        """Return the convolution's geometry for an input (batch, channels, [height,] width); None for products."""
        if not self.convolution:
            return None
        spatial, axes = self.spatial, len(shape) - 2
        kernel, sizes = spatial["kernel_shape"], shape[2:]
        strides, dilations = (
            spatial.get("strides", [1] * axes),
            spatial.get("dilations", [1] * axes),
        )
        pads = spatial.get("pads", [0] * 2 * axes)
        mode = spatial.get("auto_pad", b"NOTSET").decode()
        if mode != "NOTSET":
            pads = _automatic_pads(mode, sizes, kernel, strides, dilations)
        lift = [0] * (2 - axes)
        return ConvGeometry(
            kernel=_pair([1, *kernel], axes),
            stride=_pair([1, *strides], axes),
            dilation=_pair([1, *dilations], axes),
            padding=tuple(  # type: ignore[arg-type]  # four numbers, by construction
                int(pad)
                for begin, end in zip([*lift, *pads[:axes]], [*lift, *pads[axes:]], strict=True)
                for pad in (begin, end)
            ),
        )

    def channels_last(self, values: Array) -> Array:
        """Return what the array takes, as a layer stores it: (batch, height, width, channels) or (1, M, K)."""
        if not self.convolution:
            return values.reshape(1, -1, values.shape[-1])
        lifted = values[:, :, None, :] if values.ndim == 3 else values
        return np.ascontiguousarray(lifted.transpose(0, 2, 3, 1))


def _pair(values: list[int], axes: int) -> tuple[int, int]:
    """Return (vertical, horizontal) of [1, *values]: a one-dimensional convolution has vertical 1."""
    first, second = values[-2:] if axes == 2 else (values[0], values[1])
    return int(first), int(second)


def _automatic_pads(
    mode: str, sizes: tuple[int, ...], kernel: list[int], strides: list[int], dilations: list[int]
) -> list[int]:
    """Return ONNX's pads [begin..., end...] of auto_pad VALID, SAME_UPPER (odd pixel at the end) or SAME_LOWER."""
    begins, ends = [], []
    for size, taps, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = (
            max(0, (-(-size // stride) - 1) * stride + dilation * (taps - 1) + 1 - size)
            if mode != "VALID"
            else 0
        )
        begins.append(total // 2 if mode != "SAME_LOWER" else total - total // 2)
        ends.append(total - begins[-1])
    return begins + ends


def read_nodes(graph: Graph, skip: frozenset[str] = frozenset()) -> list[MacNode]:
    """Return the nodes that the array runs.

    Raises
    ------
    InputError
        Naming the node that cannot be read, or the graph without any.
    """
    found = [_Reader(graph, at).read() for at in graph.mac_nodes(skip)]
    if not found:
        raise InputError(
            f"{graph.path}: no node multiplies and accumulates, expected Conv, Gemm, MatMul or their "
            "quantised forms"
        )
    return found


class _Reader:
    """Reads one node of a graph."""

    def __init__(self, graph: Graph, at: int) -> None:
        self._graph, self._at, self._node = graph, at, graph.nodes[at]
        self._attributes = attributes(self._node)
        self._inputs = [*self._node.input, *[""] * 9]

    def fault(self, text: str) -> InputError:
        return InputError(
            f"{self._graph.path}: node {self._graph.names[self._at]!r} ({self._node.op_type}): {text}"
        )

    def read(self) -> MacNode:
        """Return the node as the layers need it: operands, scales, zero points. Raises InputError, naming the node."""
        node, kind = self._node, self._node.op_type
        codes: ActivationCodes | None
        weights: WeightCodes | None
        if kind in ("QLinearConv", "QLinearMatMul", "QGemm"):
            source, codes = self._inputs[0], self._codes(*self._inputs[:3])
            weights = self._integer_weights(*self._inputs[3:6])
        else:
            source, codes = self._activations()
            weights = self._weights()
        convolution = kind.endswith("Conv")
        other = node.input[1] if weights is None else ""
        return MacNode(
            self._graph.names[self._at],
            self._at,
            convolution,
            source,
            codes,
            weights,
            self._bias(codes, weights),
            self._spatial(weights) if convolution else {},
            other,
        )

    def _activations(self) -> tuple[str, ActivationCodes | None]:
        if self._attributes.get("transA", 0):
            raise self.fault("transA=1 is not supported, expected rows of activations")
        maker = self._graph.producer(self._inputs[0])
        if maker is None or maker.op_type != "DequantizeLinear":
            return self._inputs[0], None
        return maker.input[0], self._codes(*[*maker.input, ""][:3])

    def _codes(self, source: str, scale: str, zero_point: str) -> ActivationCodes:
        value = self._constant(scale, "the activations' scale")
        point = self._zero_point(source, zero_point)
        if value.size != 1 or point.size != 1:
            raise self.fault(
                f"activations have {max(value.size, point.size)} scales, expected one per tensor"
            )
        if point.dtype not in (np.uint8, np.int8):
            raise self.fault(f"activations are {point.dtype} codes, expected 8-bit ones")
        return ActivationCodes(float(value.item()), int(point.item()), point.dtype == np.int8)

    def _zero_point(self, source: str, name: str) -> Array:
        """Return a zero point; a missing one is 0, of the codes' type (uint8 where they are computed)."""
        if name:
            return self._constant(name, "a zero point")
        codes = self._graph.constant(source)
        return np.zeros((), np.uint8 if codes is None else codes.dtype)

    def _constant(self, name: str, what: str) -> Array:
        value = self._graph.constant(name)
        if value is None:
            raise self.fault(f"{what} {name!r} is computed at run time, expected a constant")
        return value

    def _weights(self) -> WeightCodes | None:
        maker = self._graph.producer(self._inputs[1])
        dequantised = maker is not None and maker.op_type == "DequantizeLinear"
        if maker is not None and dequantised and self._graph.constant(maker.input[0]) is not None:
            return self._integer_weights(*[*maker.input, ""][:3])
        value = self._graph.constant(self._inputs[1])
        if value is None:
            if self._node.op_type == "MatMul":
                return None
            raise self.fault(
                f"weights {self._inputs[1]!r} are computed at run time, expected constants"
            )
        if not np.isfinite(value).all():
            raise self.fault("weights hold NaN or infinite values, expected finite ones")
        return WeightCodes.of_real(
            self._arranged(np.asarray(value, np.float32)) * self._attributes.get("alpha", 1.0)
        )

    def _integer_weights(self, codes: str, scale: str, zero_point: str) -> WeightCodes:
        values = self._constant(codes, "weights")
        scales = self._constant(scale, "the weights' scale") * self._attributes.get("alpha", 1.0)
        points = self._zero_point(codes, zero_point)
        arranged = self._arranged(values)
        if max(scales.size, points.size) not in (1, len(arranged)):
            raise self.fault(
                f"weights have {scales.size} scales, expected 1 or {len(arranged)} (output channels)"
            )
        try:
            return WeightCodes.of_network(arranged, scales, points)
        except InputError as error:
            raise self.fault(str(error)) from None

    def _arranged(self, weights: Array) -> Array:
        """Return weights as (output channel, kernel position, input channel)."""
        if self._node.op_type.endswith("Conv"):
            if weights.ndim not in (3, 4):
                raise self.fault(
                    f"weights are {weights.shape}: {weights.ndim - 2}-dimensional convolutions are not "
                    "supported, expected 1 or 2 dimensions"
                )
            flat = weights.reshape(*weights.shape[:2], -1)
            return np.ascontiguousarray(flat.transpose(0, 2, 1))
        if weights.ndim != 2:
            raise self.fault(f"weights are {weights.shape}, expected a matrix")
        rows = weights if self._attributes.get("transB", 0) else weights.T
        return np.ascontiguousarray(rows)[:, None, :]

    def _spatial(self, weights: WeightCodes | None) -> dict[str, Any]:
        kernel = self._graph.constant(
            self._inputs[3] if self._node.op_type == "QLinearConv" else self._inputs[1]
        )
        shape = [] if kernel is None or weights is None else list(kernel.shape[2:])
        return {"kernel_shape": shape} | self._attributes

    def _bias(
        self, codes: ActivationCodes | None, weights: WeightCodes | None
    ) -> NDArray[np.float32] | None:
        at = {"Conv": 2, "Gemm": 2, "QLinearConv": 8, "QGemm": 6}.get(self._node.op_type)
        if at is None or weights is None or not self._inputs[at]:
            return None
        value = self._constant(self._inputs[at], "the bias").astype(np.float64)
        if self._node.op_type.startswith("Q") and codes is not None:
            value = value * codes.scale * weights.scales
        value = value * self._attributes.get("beta", 1.0)
        if value.size not in (1, len(weights.codes)):
            raise self.fault(f"bias has shape {value.shape}, expected one value per output channel")
        return np.broadcast_to(value.ravel(), len(weights.codes)).astype(np.float32)
