"""A layer of a trace: its geometry in hand, its operands loaded when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sparqsim.errors import InputError
from sparqsim.record import faults_of
from sparqsim.trace.lowering import LoweredLayer
from sparqsim.trace.schema import ConvGeometry, LayerRecord
from sparqsim.trace.source import TensorSource

Array = NDArray[Any]
#: Padding may make an image this many times larger, or this many elements: a small file cannot claim all memory.
MOST_PADDING_GROWTH, MOST_PADDED_ELEMENTS = 64, 1 << 26


@dataclass(frozen=True)
class GemmShape:
    """The matrix product a layer becomes: per group, Y[m, n] = X[m, k] @ W[k, n]."""

    m: int
    k: int
    n: int
    groups: int = 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole layer, all groups."""
        return self.m * self.k * self.n * self.groups


class LayerFault(InputError):
    """A layer whose parts disagree; `faults` holds every disagreement, the message the first."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(faults[0])
        self.faults = faults


@dataclass(frozen=True)
class Layer:
    """One layer: a record, and its activation, weight and bias tensors.

    Activations are uint8 or int8: (batch, height, width, channels) for 'conv2d', (groups, M, K) for 'linear' and
    'gemm'. Weights are int8: (output channel, kernel position, input channel of the group). Bias is float32
    (output channel,) or absent; it never reaches the array.

    Raises
    ------
    InputError
        When shapes, dtypes and geometry disagree, naming the layer and the field.
    """

    record: LayerRecord
    activations_source: TensorSource
    weights_source: TensorSource
    bias_source: TensorSource | None = None

    def __post_init__(self) -> None:
        faults = layer_faults(self)
        if faults:
            raise LayerFault(faults)

    @classmethod
    def conv2d(
        cls,
        name: str,
        activations: Array,
        weights: Array,
        *,
        kernel: Sequence[int],
        stride: Sequence[int] = (1, 1),
        padding: Sequence[int] = (0, 0, 0, 0),
        dilation: Sequence[int] = (1, 1),
        groups: int = 1,
        bias: Array | None = None,
        **fields: Any,
    ) -> Layer:
        """Return a convolution layer.

        Parameters
        ----------
        name : str
        activations : uint8 or int8 (batch, height, width, channels)
            Not padded.
        weights : int8 (output channels, kernel height * kernel width, channels / groups)
        kernel, stride, dilation : (vertical, horizontal), pixels
        padding : (top, bottom, left, right), pixels
        groups : int
        bias : float32 (output channels,), optional
        **fields
            Other fields of `LayerRecord`: activation_scale, weight_scales, keep_8bit, ...
        """
        geometry = _checked(
            ConvGeometry,
            name,
            kernel=tuple(kernel),
            stride=tuple(stride),
            padding=tuple(padding),
            dilation=tuple(dilation),
        )
        return cls._made(
            name,
            activations,
            weights,
            bias,
            op="conv2d",
            geometry=geometry,
            groups=groups,
            **fields,
        )

    @classmethod
    def linear(
        cls,
        name: str,
        activations: Array,
        weights: Array,
        *,
        bias: Array | None = None,
        **fields: Any,
    ) -> Layer:
        """Return a fully connected layer: activations (M, K), weights int8 (N, K)."""
        _expect_matrix(name, "activations", activations)
        _expect_matrix(name, "weights", weights)
        return cls._made(name, activations[None], weights[:, None, :], bias, op="linear", **fields)

    @classmethod
    def from_gemm(cls, name: str, x: Array, w: Array, **fields: Any) -> Layer:
        """Return the layer Y = x @ w: x uint8 or int8 (M, K), w int8 (K, N)."""
        _expect_matrix(name, "x", x)
        _expect_matrix(name, "w", w)
        return cls._made(
            name, x[None], np.ascontiguousarray(w.T)[:, None, :], None, op="gemm", **fields
        )

    @classmethod
    def _made(
        cls, name: str, activations: Array, weights: Array, bias: Array | None, **fields: Any
    ) -> Layer:
        if "weight_scales" in fields:
            fields["weight_scales"] = tuple(float(scale) for scale in fields["weight_scales"])
        record = _checked(LayerRecord, name, name=name, **fields)
        return cls(
            record,
            TensorSource.of(activations),
            TensorSource.of(weights),
            None if bias is None else TensorSource.of(bias),
        )

    @property
    def name(self) -> str:
        """The layer's name, unique in its trace."""
        return self.record.name

    @property
    def op(self) -> str:
        """'conv2d', 'linear' or 'gemm'."""
        return self.record.op

    @property
    def keep_8bit(self) -> bool:
        """Whether the method leaves this layer at 8 bits (first convolution, classifier)."""
        return self.record.keep_8bit

    @property
    def signed(self) -> bool:
        """Whether activations are int8."""
        return self.activations_source.dtype == np.int8

    @property
    def activations(self) -> Array:
        """The activation tensor, loaded anew at each use."""
        return self.activations_source.load()

    @property
    def weights(self) -> Array:
        """The weight tensor, loaded anew at each use."""
        return self.weights_source.load()

    @property
    def bias(self) -> Array | None:
        """The bias in real units, float32 (output channel,), or None."""
        return None if self.bias_source is None else self.bias_source.load()

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(batch, height, width, channels) of a convolution's output; (M, groups * N) otherwise."""
        shape = self.activations_source.shape
        channels = self.weights_source.shape[0]
        if self.record.geometry is None:
            return (shape[1], channels)
        return (shape[0], *self.record.geometry.output_size(shape[1], shape[2]), channels)

    @property
    def gemm(self) -> GemmShape:
        """The matrix product this layer becomes, from shapes alone."""
        channels, positions, depth = self.weights_source.shape
        m = int(np.prod(self.output_shape[:-1]))
        return GemmShape(m, positions * depth, channels // self.record.groups, self.record.groups)

    def lower(self) -> LoweredLayer:
        """Return the matrix products of the array; activations are read block by block."""
        return LoweredLayer(self.activations_source, self.weights, self.record, self.output_shape)


def _checked(model: Any, layer: str, **fields: Any) -> Any:
    try:
        return model(**fields)
    except ValidationError as error:
        raise InputError(f"layer {layer!r}: {faults_of(error)[0]}") from None


def _expect_matrix(layer: str, field: str, array: Array) -> None:
    if not isinstance(array, np.ndarray) or array.ndim != 2:
        shape = getattr(array, "shape", type(array).__name__)
        raise InputError(f"layer {layer!r}: {field} is {shape}, expected a matrix (two axes)")


def layer_faults(layer: Layer) -> list[str]:
    """Return every way in which a layer's shapes, dtypes and record disagree, one line each."""
    found = _dtype_faults(layer) + _size_faults(layer)
    if not found:
        found = _geometry_faults(layer) if layer.record.op == "conv2d" else _matrix_faults(layer)
    found += _record_faults(layer)
    return [f"layer {layer.name!r}: {fault}" for fault in found]


def _dtype_faults(layer: Layer) -> list[str]:
    found = []
    if layer.activations_source.dtype not in (np.uint8, np.int8):
        found.append(f"activations are {layer.activations_source.dtype}, expected uint8 or int8")
    if layer.weights_source.dtype != np.int8:
        found.append(f"weights are {layer.weights_source.dtype}, expected int8")
    if layer.bias_source is not None and layer.bias_source.dtype != np.float32:
        found.append(f"bias is {layer.bias_source.dtype}, expected float32")
    return found


def _size_faults(layer: Layer) -> list[str]:
    found = []
    axes = {"conv2d": "(batch, height, width, channels)"}.get(layer.op, "(groups, M, K)")
    shape = layer.activations_source.shape
    if len(shape) != (4 if layer.op == "conv2d" else 3) or 0 in shape:
        found.append(f"activations have shape {shape}, expected {axes}, every size at least 1")
    shape = layer.weights_source.shape
    if len(shape) != 3 or 0 in shape:
        found.append(
            f"weights have shape {shape}, expected (output channel, kernel position, input channel), "
            "every size at least 1"
        )
    return found


def _geometry_faults(layer: Layer) -> list[str]:
    geometry, groups = layer.record.geometry, layer.record.groups
    if geometry is None:
        return [
            "geometry is missing, expected kernel, stride, padding and dilation of the convolution"
        ]
    (_, height, width, channels), (_, positions, depth) = (
        layer.activations_source.shape,
        layer.weights_source.shape,
    )
    found = []
    if positions != geometry.kernel[0] * geometry.kernel[1]:
        found.append(
            f"weights hold {positions} kernel positions, expected {geometry.kernel[0]}x{geometry.kernel[1]}"
        )
    if channels != depth * groups:
        found.append(
            f"activations have {channels} channels, expected {depth} per group x {groups} groups"
        )
    top, bottom, left, right = geometry.padding
    padded = (height + top + bottom) * (width + left + right)
    if padded * channels > max(
        MOST_PADDED_ELEMENTS, MOST_PADDING_GROWTH * height * width * channels
    ):
        found.append(
            f"padding {geometry.padding} makes {padded} pixels of {height}x{width}: expected at most "
            f"{MOST_PADDING_GROWTH} times as many"
        )
    if min(geometry.output_size(height, width)) < 1:
        found.append(
            f"kernel {geometry.kernel} does not fit the padded input of {height}x{width} pixels"
        )
    return found


def _matrix_faults(layer: Layer) -> list[str]:
    shape, (_, positions, depth) = layer.activations_source.shape, layer.weights_source.shape
    found = []
    if layer.record.geometry is not None:
        found.append(f"geometry is given, expected none for op {layer.op!r}")
    if shape[0] != layer.record.groups:
        found.append(
            f"activations have shape {shape}, expected {layer.record.groups} groups on the first axis"
        )
    if shape[2] != positions * depth:
        found.append(
            f"activations have K={shape[2]}, weights have K={positions * depth}: expected the same K"
        )
    return found


def _record_faults(layer: Layer) -> list[str]:
    record, channels = layer.record, layer.weights_source.shape[:1]
    found = []
    if channels and channels[0] % record.groups:
        found.append(
            f"{channels[0]} output channels, expected a multiple of groups={record.groups}"
        )
    if record.weight_scales and (len(record.weight_scales),) != channels:
        found.append(
            f"weight_scales has {len(record.weight_scales)} entries, expected {channels[0]}, one per channel"
        )
    if layer.bias_source is not None and layer.bias_source.shape != channels:
        found.append(f"bias has shape {layer.bias_source.shape}, expected {channels}")
    return found + _zero_point_faults(record, channels)


def _zero_point_faults(record: LayerRecord, channels: tuple[int, ...]) -> list[str]:
    found, points = [], record.weight_zero_points
    if points and (len(points),) not in (channels, (1,)):
        found.append(
            f"weight_zero_points has {len(points)} entries, expected {channels[0]} (one per channel), 1 or none"
        )
    if record.zero_point_corrected:
        return found
    if record.activation_zero_point:
        found.append(
            f"activation_zero_point={record.activation_zero_point}, expected 0 "
            "(or zero_point_corrected: true)"
        )
    if any(points):
        found.append(
            f"weight_zero_points={points[:3]}..., expected 0 (or zero_point_corrected: true)"
        )
    return found
