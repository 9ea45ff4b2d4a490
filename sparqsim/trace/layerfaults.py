"""What is wrong with a layer: types, sizes, geometry and scales that do not belong together."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sparqsim.trace.codebits import ALL_BITS, CodeRange
from sparqsim.trace.schema import LayerRecord
from sparqsim.trace.source import TensorSource

#: Padding may make an image this many times larger, or this many elements: a small file cannot
#: claim all memory.
MOST_PADDING_GROWTH = 64
MOST_PADDED_ELEMENTS = 1 << 26


class Parts(Protocol):
    """What a layer is made of."""

    @property
    def record(self) -> LayerRecord:
        """Name, operation, geometry and scales."""

    @property
    def activations_source(self) -> TensorSource:
        """Where the activations come from."""

    @property
    def weights_source(self) -> TensorSource:
        """Where the weights come from."""

    @property
    def bias_source(self) -> TensorSource | None:
        """Where the bias comes from, None without one."""


def layer_faults(layer: Parts) -> list[str]:
    """Return every way in which a layer's shapes, dtypes and record disagree, one line each."""
    found = _dtype_faults(layer) + _size_faults(layer)
    if not found:
        found = _geometry_faults(layer) if layer.record.op == "conv2d" else _matrix_faults(layer)
    found += _record_faults(layer)
    return [f"layer {layer.record.name!r}: {fault}" for fault in found]


def _dtype_faults(layer: Parts) -> list[str]:
    found = []
    if layer.activations_source.dtype not in (np.uint8, np.int8):
        found.append(f"activations are {layer.activations_source.dtype}, expected uint8 or int8")
    if layer.weights_source.dtype != np.int8:
        found.append(f"weights are {layer.weights_source.dtype}, expected int8")
    if layer.bias_source is not None and layer.bias_source.dtype != np.float32:
        found.append(f"bias is {layer.bias_source.dtype}, expected float32")
    return found


def _size_faults(layer: Parts) -> list[str]:
    found = []
    axes = {"conv2d": "(batch, height, width, channels)"}.get(layer.record.op, "(groups, M, K)")
    shape = layer.activations_source.shape
    if len(shape) != (4 if layer.record.op == "conv2d" else 3) or 0 in shape:
        found.append(f"activations have shape {shape}, expected {axes}, every size at least 1")
    shape = layer.weights_source.shape
    if len(shape) != 3 or 0 in shape:
        found.append(
            f"weights have shape {shape}, expected (output channel, kernel position, input "
            "channel), every size at least 1"
        )
    return found


def _geometry_faults(layer: Parts) -> list[str]:
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
            f"weights hold {positions} kernel positions, expected "
            f"{geometry.kernel[0]}x{geometry.kernel[1]}"
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
            f"padding {geometry.padding} makes {padded} pixels of {height}x{width}: expected at "
            f"most {MOST_PADDING_GROWTH} times as many"
        )
    if min(geometry.output_size(height, width)) < 1:
        found.append(
            f"kernel {geometry.kernel} does not fit the padded input of {height}x{width} pixels"
        )
    return found


def _matrix_faults(layer: Parts) -> list[str]:
    shape, (_, positions, depth) = layer.activations_source.shape, layer.weights_source.shape
    found = []
    if layer.record.geometry is not None:
        found.append(f"geometry is given, expected none for op {layer.record.op!r}")
    if shape[0] != layer.record.groups:
        found.append(
            f"activations have shape {shape}, expected {layer.record.groups} groups on the "
            "first axis"
        )
    if shape[2] != positions * depth:
        found.append(
            f"activations have K={shape[2]}, weights have K={positions * depth}: expected "
            "the same K"
        )
    return found


def _record_faults(layer: Parts) -> list[str]:
    record, channels = layer.record, layer.weights_source.shape[:1]
    found = []
    if channels and channels[0] % record.groups:
        found.append(
            f"{channels[0]} output channels, expected a multiple of groups={record.groups}"
        )
    if record.weight_scales and (len(record.weight_scales),) != channels:
        found.append(
            f"weight_scales has {len(record.weight_scales)} entries, expected {channels[0]}, "
            "one per channel"
        )
    if layer.bias_source is not None and layer.bias_source.shape != channels:
        found.append(f"bias has shape {layer.bias_source.shape}, expected {channels}")
    return found + _zero_point_faults(record, channels) + _range_faults(layer)


def _range_faults(layer: Parts) -> list[str]:
    """Return zero points that are no codes of the layer's bits; of 8 bits the schema tells them."""
    record = layer.record
    found = []
    signed = layer.activations_source.dtype == np.int8
    for name, points, bits, is_signed in (
        ("activation_zero_point", (record.activation_zero_point,), record.activation_bits, signed),
        ("weight_zero_points", record.weight_zero_points, record.weight_bits, True),
    ):
        codes = CodeRange.of(bits, signed=is_signed)
        outside = [point for point in points if not codes.holds(point)]
        if bits < ALL_BITS and outside:
            found.append(f"{name}={outside[0]}, expected {codes}")
    return found


def _zero_point_faults(record: LayerRecord, channels: tuple[int, ...]) -> list[str]:
    found, points = [], record.weight_zero_points
    if points and (len(points),) not in (channels, (1,)):
        found.append(
            f"weight_zero_points has {len(points)} entries, expected {channels[0]} (one per "
            "channel), 1 or none"
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
