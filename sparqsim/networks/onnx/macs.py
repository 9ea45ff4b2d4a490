"""The nodes that the array runs: operands, geometry, 8-bit codes where the network has its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.networks.site import Op, Operands
from sparqsim.networks.stacks import stack_shape, stacked
from sparqsim.quantise.codes import ActivationCodes, Quantised, WeightCodes
from sparqsim.trace.schema import ConvGeometry

Array = NDArray[Any]


@dataclass(frozen=True)
class Product:
    """How a matrix product's tensors become rows and columns of the array.

    source_transposed, other_transposed: rows of the array are columns of that tensor.
    mirrored: weights stand on the left, Y = W @ X; the array runs its transpose, X' @ W', and the
    output is transposed back. alpha: factor of the sums (Gemm). vector: the weights are one vector,
    and the output has no axis for it. front: leading axes of constant weights, all of size 1.
    """

    source_transposed: bool = False
    other_transposed: bool = False
    mirrored: bool = False
    alpha: float = 1.0
    vector: bool = False
    front: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, attributes: dict[str, Any], weights: tuple[int, ...] | None, mirrored: bool
    ) -> Product:
        """Return the product of a node with these attributes.

        Parameters
        ----------
        attributes : dict
            transA, transB, alpha where there are any.
        weights : tuple or None
            Shape of the constant operand; None for two activations.
        mirrored : bool
            Whether that stands on the left.
        """
        turned = [bool(attributes.get(key, 0)) for key in ("transA", "transB")]
        source_turned, other_turned = (not turned[1], not turned[0]) if mirrored else turned
        axes = 2 if weights is None else len(weights)
        stack = weights is not None and cls.is_stack(weights)
        return cls(
            source_transposed=source_turned,
            other_transposed=other_turned,
            mirrored=mirrored,
            alpha=float(attributes.get("alpha", 1.0)),
            vector=axes == 1,
            front=() if stack else (1,) * (axes - 2),
        )

    @staticmethod
    def is_stack(weights: tuple[int, ...]) -> bool:
        """Return whether constant weights of this shape are several matrices."""
        return any(size != 1 for size in weights[:-2])

    @property
    def plain(self) -> bool:
        """Whether rows of the source times columns of the weights are the output as it is."""
        return not (self.source_transposed or self.mirrored or self.vector)

    def rows(self, values: Array) -> Array:
        """Return the source with its rows and K in the last two axes."""
        matrix = values[None, :] if values.ndim == 1 else values
        turned = self.source_transposed and values.ndim > 1
        return matrix.swapaxes(-1, -2) if turned else matrix

    def columns(self, values: Array) -> Array:
        """Return the second of two activations as (..., K, N)."""
        matrix = values[:, None] if values.ndim == 1 else values
        turned = self.other_transposed and values.ndim > 1
        return matrix.swapaxes(-1, -2) if turned else matrix

    def output(self, products: Array, source_axes: int, other_axes: int = 2) -> Array:
        """Return products (..., M, N) in the axes of the node's output."""
        if self.mirrored:
            products = products.swapaxes(-1, -2)
        rows, columns = (-1, -2) if self.mirrored else (-2, -1)
        dropped = [rows] if source_axes == 1 else []
        dropped += [columns] if self.vector or other_axes == 1 else []
        return np.ascontiguousarray(np.squeeze(products, axis=tuple(dropped)))


@dataclass(frozen=True)
class MacNode:
    """One node, read.

    Parameters
    ----------
    name : str
    at : int
        Index of the node in the graph.
    convolution : bool
        Else a product of the input's rows with constant weights, or (weights None) of two tensors.
    source : str
        The tensor whose values the array takes: real values, or the network's own codes.
    codes : ActivationCodes or None
        The network's own 8-bit codes of `source`, which holds the codes or the real values that
        they stand for; None: real values, to be calibrated.
    weights : WeightCodes or None
        (output channel, kernel position, input channel); None for a product of two tensors.
    bias : float32 (output channel,) or None
        In real units.
    spatial : dict
        The convolution's attributes.
    other : str
        The second operand's tensor, for a product of two.
    other_codes : ActivationCodes or None
        As `codes`, of `other`.
    product : Product
    added : str
        A tensor that is added to the output, `beta` times, where that is not a constant per
        channel.
    beta : float
    integer : bool
        The output are the sums themselves, int32 (ConvInteger, MatMulInteger).
    dynamic_scale : str
        For `integer`: the tensor with the scale that the network finds at run time, or ''.
    note : str
        What of the network's own arithmetic is not kept.
    real_weights : float32 (output channel, kernel position, input channel) or None
        What `weights` are codes of; None where those are the network's own.
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
    other_codes: ActivationCodes | None = None
    product: Product = field(default_factory=Product)
    added: str = ""
    beta: float = 1.0
    integer: bool = False
    dynamic_scale: str = ""
    note: str = ""
    real_weights: NDArray[np.float32] | None = None

    @property
    def tensors(self) -> tuple[str, ...]:
        """What the array takes of each batch: the source, and the second of two tensors."""
        return (self.source, self.other) if self.other else (self.source,)

    @property
    def op(self) -> Op:
        """The op of the trace's layer."""
        if self.convolution:
            return "conv2d"
        return "gemm" if self.weights is None else "linear"

    @property
    def groups(self) -> int:
        """Groups of the convolution."""
        return int(self.spatial.get("group", 1))

    def geometry(self, shape: tuple[int, ...]) -> ConvGeometry | None:
        """Return the geometry for an input (batch, channels, [height,] width), None: a product."""
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

    def operands(self, parts: Sequence[Quantised]) -> Operands:
        """Return what the array takes, as in a trace, given stored codes in the graph's axes."""
        first = parts[0].codes
        if self.convolution:
            lifted = first[:, :, None, :] if first.ndim == 3 else first
            return Operands.of(parts, lifted.transpose(0, 2, 3, 1))
        rows = self.product.rows(first)
        if self.weights is None:
            return Operands.of(parts, *stacked(rows, self.product.columns(parts[1].codes)))
        return Operands.of(parts, rows.reshape(1, -1, rows.shape[-1]))

    def in_graph(self, sums: Array, *codes: Array) -> Array:
        """Return a site's sums in the axes of the node's output, given codes in the graph's."""
        axes = codes[0].ndim
        if self.convolution:
            image = sums.transpose(0, 3, 1, 2)
            return np.ascontiguousarray(image if axes == 4 else image[:, :, 0])
        rows = self.product.rows(codes[0])
        if self.weights is not None:
            front = np.broadcast_shapes(rows.shape[:-2], self.product.front)
            products = sums.reshape(*front, rows.shape[-2], -1)
            return self.product.output(products, axes)
        front = stack_shape(rows, self.product.columns(codes[1]))
        products = sums.reshape(*front, *sums.shape[1:])
        return self.product.output(products, axes, codes[1].ndim)


def _pair(values: list[int], axes: int) -> tuple[int, int]:
    """Return (vertical, horizontal) of [1, *values]: one-dimensional ones have vertical 1."""
    first, second = values[-2:] if axes == 2 else (values[0], values[1])
    return int(first), int(second)


def _automatic_pads(
    mode: str, sizes: tuple[int, ...], kernel: list[int], strides: list[int], dilations: list[int]
) -> list[int]:
    """Return ONNX's pads [begin..., end...] of auto_pad VALID, SAME_UPPER or SAME_LOWER."""
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
