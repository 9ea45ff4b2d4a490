"""Integers of quantised networks, as a trace stores them: activations uint8 (or int8 around 0), weights int8.

| network's own | stored | zero point stored |
|---|---|---|
| activations int8, zero point 0 | the same | 0 |
| activations int8, other zero point z | code + 128, uint8 | z + 128 (0 for z = -128, as after ReLU) |
| activations uint8, zero point z | the same | z |
| weights int8, zero point z | the same | z |
| weights uint8, zero point z | code - 128, int8 | z - 128 |

Every line is exact. Zero points other than 0 are corrected outside of the array (`LoweredLayer.corrected`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.errors import InputError

Array = NDArray[Any]


@dataclass(frozen=True)
class ActivationCodes:
    """How a network stores activations: real = (code - zero_point) * scale, codes int8 (`signed`) or uint8."""

    scale: float
    zero_point: int
    signed: bool

    @property
    def shifted(self) -> bool:
        """Whether codes are stored 128 higher, as uint8."""
        return self.signed and self.zero_point != 0

    @property
    def stored_zero_point(self) -> int:
        """The zero point of the stored integers."""
        return self.zero_point + 128 if self.shifted else self.zero_point

    @property
    def stored_signed(self) -> bool:
        """Whether the stored integers are int8."""
        return self.signed and not self.shifted

    def stored(self, codes: Array) -> Array:
        """Return codes (uint8 or int8, any shape) as they are stored."""
        return shifted_to_unsigned(codes) if self.shifted else codes

    @property
    def reason(self) -> str:
        """Why the layer is unsigned, signed or corrected, in words."""
        own = f"the network's own {'int8' if self.signed else 'uint8'} codes, zero point {self.zero_point}"
        if self.stored_signed:
            return f"signed: {own}"
        stored = ", stored 128 higher" if self.shifted else ""
        if self.stored_zero_point == 0:
            return f"unsigned: {own}{stored}"
        return (
            f"unsigned, corrected: {own}{stored}; the array multiplies the stored integers, the zero point "
            f"{self.stored_zero_point} is corrected exactly outside of it, and a real zero is not a zero to the array"
        )


@dataclass(frozen=True)
class WeightCodes:
    """Weights as a trace stores them: int8 (output channel, kernel position, input channel), scales and zero points.

    `scales`: float64 (output channel,), 0 for a channel whose real weights are all zero: exporters
    write it. `zero_points`: int64 (output channel,).
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.float64]
    zero_points: NDArray[np.int64]

    @classmethod
    def of_network(cls, codes: Array, scales: Array, zero_points: Array) -> WeightCodes:
        """Return a network's own int8 or uint8 codes; scales and zero points one per channel or one for all.

        Raises
        ------
        InputError
            For codes of another type (16-bit, 4-bit, float8).
        """
        channels = len(codes)
        points = np.broadcast_to(np.asarray(zero_points, np.int64).ravel(), channels)
        each = np.broadcast_to(np.asarray(scales, np.float64).ravel(), channels)
        if codes.dtype == np.uint8:
            codes, points = (codes ^ 128).view(np.int8), points - 128
        if codes.dtype != np.int8:
            raise InputError(f"weights are {codes.dtype}, expected 8-bit codes (int8 or uint8)")
        is_zero = (each == 0).reshape(-1, *[1] * (codes.ndim - 1))
        real_zero = points.reshape(is_zero.shape)
        return cls(np.where(is_zero, real_zero, codes).astype(np.int8), each, points)

    @classmethod
    def of_real(cls, weights: Array) -> WeightCodes:
        """Return real weights (output channel, ...) quantised as SPARQ does: symmetric, scale 2 max|w| / 255."""
        largest = np.abs(weights).reshape(len(weights), -1).max(axis=1).astype(np.float64)
        scales = np.where(largest > 0, 2 * largest / 255, 1.0)
        steps = weights / scales.reshape(-1, *[1] * (weights.ndim - 1))
        codes = np.clip(np.rint(steps), -128, 127).astype(np.int8)
        return cls(codes, scales, np.zeros(len(weights), np.int64))

    @property
    def fields(self) -> dict[str, Any]:
        """Return the fields of `LayerRecord` that describe these weights."""
        points = tuple(int(point) for point in self.zero_points) if self.zero_points.any() else ()
        return {
            # All codes of a channel with scale 0 stand for zero, and do so at any other scale.
            "weight_scales": tuple(float(scale) or 1.0 for scale in self.scales),
            "weight_zero_points": points,
        }


def shifted_to_unsigned(codes: Array) -> NDArray[np.uint8]:
    """Return int8 codes + 128 as uint8."""
    shifted: NDArray[np.uint8] = np.ascontiguousarray(codes).view(np.uint8) ^ np.uint8(128)
    return shifted


def quantised(values: Array, scale: float, signed: bool) -> Array:
    """Return round-half-even(values / scale), saturated to int8 or uint8; float32 division, as onnxruntime's."""
    lowest, highest = (-128, 127) if signed else (0, 255)
    steps = np.rint(np.asarray(values, np.float32) / np.float32(scale))
    codes: Array = np.clip(steps, lowest, highest).astype(np.int8 if signed else np.uint8)
    return codes
