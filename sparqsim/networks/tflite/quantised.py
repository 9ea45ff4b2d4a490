"""The integers of a TFLite operator's input and weights, and what of them is not read here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sparqsim.base.errors import InputError
from sparqsim.networks.tflite.flatfile import PACKED
from sparqsim.networks.tflite.model import Array, Tensor
from sparqsim.quantise.codes import ActivationCodes, WeightCodes
from sparqsim.trace.codebits import ALL_BITS, CodeRange

#: The axis of a weight tensor along which output channels lie.
CHANNEL_AXIS: Mapping[str, int] = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
#: Axes of a weight tensor.
WEIGHT_AXES: Mapping[str, int] = {"CONV_2D": 4, "DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 2}
EIGHT_BITS = (np.uint8, np.int8)
PACKED_BITS = 4


def is_quantised(tensor: Tensor) -> bool:
    """Return whether a tensor holds 8-bit codes with one scale above 0, zero point in range."""
    if tensor.dtype not in EIGHT_BITS or tensor.scales.size != 1 or not tensor.scale:
        return False
    return _has_zero_points_in_range(tensor)


def activation_codes(source: Tensor) -> ActivationCodes:
    """Return how an operator's input is stored. Raises InputError where it is not 8-bit codes."""
    check_activation(source)
    return ActivationCodes(source.scale, source.zero_point, source.dtype == np.int8)


def check_activation(tensor: Tensor) -> None:
    """Raise InputError for an activation tensor that is not 8-bit codes with one scale."""
    if is_quantised(tensor):
        return
    scales = tensor.scales.tolist()[:3]
    points = tensor.zero_points.tolist()[:3]
    raise InputError(
        f"activations {tensor.name!r} are {tensor.kind} with {tensor.scales.size} scales {scales} "
        f"and zero points {points}, expected an 8-bit network: UINT8 or INT8, one scale above 0, "
        "a zero point in the type's range"
    )


def weight_codes(kind: str, filters: Tensor) -> WeightCodes:
    """Return the weights of an operator, per output channel.

    Parameters
    ----------
    kind : str
        'CONV_2D', 'DEPTHWISE_CONV_2D' or 'FULLY_CONNECTED'.
    filters : Tensor

    Raises
    ------
    InputError
        Where they are not constants of 8 or 4 bits with one scale, or one per output channel.
    """
    value = _constant(filters)
    if value.ndim != WEIGHT_AXES[kind]:
        raise InputError(
            f"weights {filters.name!r} have shape {value.shape}, expected {WEIGHT_AXES[kind]} axes"
        )
    _check_scales(kind, filters)
    codes = WeightCodes.of_network(
        np.ascontiguousarray(_by_channel(kind, value)), filters.scales, filters.zero_points
    )
    return replace(codes, bits=PACKED_BITS) if filters.kind == PACKED else codes


def _constant(filters: Tensor) -> Array:
    if filters.value is not None and filters.kind == PACKED and filters.scales.size:
        return _unpacked(filters.value, filters.shape)
    if filters.value is not None and filters.dtype in EIGHT_BITS and filters.scales.size:
        return filters.value
    if filters.sparse:
        reason = "stored sparse"
    elif not filters.constant:
        reason = "computed at run time"
    else:
        reason = "not quantised" if not filters.scales.size else "not of 8 or 4 bits"
    raise InputError(
        f"weights {filters.name!r} are {filters.kind} and {reason}, expected constants of 8 or 4 "
        "bits, dense"
    )


def _unpacked(packed: Array, shape: tuple[int, ...]) -> Array:
    """Return the int8 codes of bytes that hold two each, the first in the low nibble."""
    nibbles = np.stack([packed << 4, packed], axis=-1).view(np.int8) >> 4
    return nibbles.ravel()[: math.prod(shape)].reshape(shape)


def _check_scales(kind: str, filters: Tensor) -> None:
    if not _has_zero_points_in_range(filters):
        raise InputError(
            f"weights {filters.name!r} are {filters.kind} with zero point "
            f"{filters.zero_points.tolist()[0]}, expected one in the type's range"
        )
    count = filters.scales.size
    if count == 1:
        return
    axis, channels = CHANNEL_AXIS[kind], filters.shape[CHANNEL_AXIS[kind]]
    if filters.axis != axis or count != channels:
        raise InputError(
            f"weights {filters.name!r} {filters.shape} have {count} scales along axis "
            f"{filters.axis} (quantized_dimension), expected one scale, or one per output channel: "
            f"{channels} along axis {axis}"
        )
    if filters.zero_points.any():
        raise InputError(
            f"weights {filters.name!r} have a scale per channel and zero points other than 0, "
            "which the TFLite format does not allow; expected zero points of 0"
        )


def _has_zero_points_in_range(tensor: Tensor) -> bool:
    bits = PACKED_BITS if tensor.kind == PACKED else ALL_BITS
    codes = CodeRange.of(bits, signed=tensor.kind in (PACKED, "INT8"))
    points = tensor.zero_points
    return bool(((points >= codes.lowest) & (points <= codes.highest)).all())


def _by_channel(kind: str, value: Array) -> Array:
    """Return weights as (output channel, kernel position, input channel of a group)."""
    if kind == "DEPTHWISE_CONV_2D":
        return value.reshape(-1, value.shape[3]).T[:, :, None]
    if kind == "CONV_2D":
        return value.reshape(value.shape[0], -1, value.shape[3])
    return value[:, None, :]
