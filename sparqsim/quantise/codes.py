"""Integers of quantised networks, as a trace stores them: activations uint8 (or int8 around 0),
weights int8.

| network's own | stored | zero point stored |
|---|---|---|
| activations int8, zero point 0 | the same | 0 |
| activations int8, other zero point z | code + 128, uint8 | z + 128 (0 for -128, as after ReLU) |
| activations uint8, zero point z | the same | z |
| weights int8, zero point z | the same | z |
| weights uint8, zero point z | code - 128, int8 | z - 128 |
| weights int4, zero point z | the same, int8 of 4 bits | z |
| weights uint4, zero point z | code - 8, int8 of 4 bits | z - 8 |

Every line is exact. Zero points other than 0 are corrected outside of the array
(`LoweredLayer.corrected`).

Where a network has no codes of its own, they are chosen here, by one rule for every front end,
activations and weights alike:

    code = round-half-even(float32(value) / float32(scale)), saturated to LIMITS

Signed codes are symmetric, -127..127: the code of -x is the negative of the code of x, and -128 is
never chosen. The division is IEEE float32, as in ONNX's QuantizeLinear.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError

Array = NDArray[Any]

#: What a network with codes of its own has in the place of a calibrator.
OWN_SCALES = "the network's own scales"
#: Lowest and highest code of 8 bits that is chosen here, by signedness.
LIMITS = {False: (0, 255), True: (-127, 127)}
#: Bits that weights may be given: below 2 there is no code but 0, above 8 none that a byte holds.
LEAST_WEIGHT_BITS, MOST_WEIGHT_BITS = 2, 8
#: Weights that are given codes at a time: their steps in float32 take 4 bytes each.
BLOCK_WEIGHTS = 1 << 20
#: Bits of the types that a network's own codes may have, by NumPy's name or that of its extension.
CODE_BITS = {"int8": 8, "uint8": 8, "int4": 4, "uint4": 4}


@dataclass(frozen=True)
class ActivationCodes:
    """How a network stores activations: real = (code - zero_point) * scale.

    Codes are int8 (`signed`) or uint8, of `bits` bits: below 8 they are int8 around 0, symmetric.

    Raises
    ------
    InputError
        For a scale that is not a finite number above 0.
    """

    scale: float
    zero_point: int
    signed: bool
    bits: int = 8

    def __post_init__(self) -> None:
        if not 0 < self.scale < float("inf"):
            raise InputError(
                f"activations have the scale {self.scale}, expected a finite number above 0"
            )

    def narrowed(self, bits: int) -> ActivationCodes:
        """Return int8 codes around 0 by fewer bits, the largest half a step beyond the highest
        (`spanning_scales`) where it stood at the highest code before.
        """
        if bits == self.bits:
            return self
        largest = self.scale * LIMITS[True][1]
        return replace(self, scale=2 * largest / ((1 << bits) - 1), bits=bits)

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
        own = (
            f"the network's own {'int8' if self.signed else 'uint8'} codes, zero point "
            f"{self.zero_point}"
        )
        if self.stored_signed:
            return f"signed: {own}"
        stored = ", stored 128 higher" if self.shifted else ""
        if self.stored_zero_point == 0:
            return f"unsigned: {own}{stored}"
        return (
            f"unsigned, corrected: {own}{stored}; the array multiplies the stored integers, the "
            f"zero point {self.stored_zero_point} is corrected exactly outside of it, and a real "
            "zero is not a zero to the array"
        )


@dataclass(frozen=True)
class WeightCodes:
    """Weights as a trace stores them: int8 (output channel, kernel position, input channel), scales
    and zero points.

    `network_scales`: float64 (output channel,), the unit of integer biases; 0 for a channel that
    the network calls empty. `zero_points`: int64 (output channel,). `bits`: of the codes.
    """

    codes: NDArray[np.int8]
    network_scales: NDArray[np.float64]
    zero_points: NDArray[np.int64]
    bits: int = 8

    @property
    def scales(self) -> NDArray[np.float64]:
        """Scales as a trace stores them, above 0: 1 for an empty channel, of zero weights."""
        return np.where(self.network_scales > 0, self.network_scales, 1.0)

    @classmethod
    def of_network(cls, codes: Array, scales: Array, zero_points: Array) -> WeightCodes:
        """Return a network's own codes of 8 or 4 bits; scales and zero points per channel or
        one.

        A channel of scale 0 holds real zeros whatever its codes are, and is stored as that: codes
        at the zero point, scale 1. An integer bias of such a channel is zero, too.

        Raises
        ------
        InputError
            For codes of another type (16-bit, float8), and for scales that are negative, infinite
            or NaN.
        """
        bits = CODE_BITS.get(codes.dtype.name)
        if bits is None:
            raise InputError(
                f"weights are {codes.dtype}, expected codes of 8 or 4 bits ({', '.join(CODE_BITS)})"
            )
        channels = len(codes)
        points = np.broadcast_to(np.asarray(zero_points, np.int64).ravel(), channels)
        each = np.broadcast_to(np.asarray(scales, np.float64).ravel(), channels)
        half = 1 << (bits - 1) if codes.dtype.name.startswith("u") else 0
        codes, points = (codes.astype(np.int16) - half).astype(np.int8), points - half
        if bad := [scale for scale in each.tolist() if not 0 <= scale < float("inf")]:
            raise InputError(f"weights have the scale {bad[0]}, expected a finite number from 0")
        empty = each == 0
        if empty.any():
            zeros = points.astype(np.int8).reshape(-1, *[1] * (codes.ndim - 1))
            codes = np.where(empty.reshape(zeros.shape), zeros, codes)
        return cls(codes, each, points, bits)

    @classmethod
    def of_real(cls, weights: Array) -> WeightCodes:
        """Return real weights (output channel, ...) quantised as SPARQ does.

        Symmetric, scale 2 max|w| / 255 per output channel: the largest weight stands 127.5 steps
        from zero and saturates to 127 or -127. Source: SPARQ (the authors' code); the symmetric
        limit is ours.

        Raises
        ------
        InputError
            For NaN or infinite weights.
        """
        scales = spanning_scales(weights, MOST_WEIGHT_BITS)
        codes = symmetric_codes(weights, scales, MOST_WEIGHT_BITS)
        return cls(codes, scales.astype(np.float64), np.zeros(len(weights), np.int64))

    @property
    def fields(self) -> dict[str, Any]:
        """Return the fields of `LayerRecord` that describe these weights."""
        points = tuple(int(point) for point in self.zero_points) if self.zero_points.any() else ()
        return {
            "weight_scales": tuple(float(scale) for scale in self.scales),
            "weight_zero_points": points,
            "weight_bits": self.bits,
        }


def shifted_to_unsigned(codes: Array) -> NDArray[np.uint8]:
    """Return int8 codes + 128 as uint8."""
    shifted: NDArray[np.uint8] = np.ascontiguousarray(codes).view(np.uint8) ^ np.uint8(128)
    return shifted


def spanning_scales(weights: Array, bits: int) -> NDArray[np.float32]:
    """Return scales of real weights (output channel, ...) whose codes just reach the largest.

    Per output channel 2 max|w| / (2^bits - 1): the largest weight stands half a step beyond the
    highest code. 1 for a channel of zeros, which any positive scale represents exactly.

    Raises
    ------
    InputError
        For NaN or infinite weights.
    """
    per_channel = weights.reshape(len(weights), -1)
    largest = np.maximum(per_channel.max(axis=1), -per_channel.min(axis=1)).astype(np.float64)
    if not np.isfinite(float32(largest)).all():
        raise InputError("weights hold NaN or infinite values, expected finite ones")
    scales = float32(2 * largest / ((1 << bits) - 1))
    return np.where(scales > 0, scales, np.float32(1))


def symmetric_codes(weights: Array, scales: Array, bits: int) -> NDArray[np.int8]:
    """Return codes of finite real weights, saturated to +-(2^(bits - 1) - 1).

    Parameters
    ----------
    weights : real (output channel, ...)
    scales : (output channel,)
        Above 0.
    bits : int
    """
    along_channels = np.reshape(scales, (-1, *[1] * (weights.ndim - 1)))
    highest = highest_symmetric(bits)
    saturated = np.empty(weights.shape, np.int8)
    channels = max(1, BLOCK_WEIGHTS * len(weights) // max(1, weights.size))
    for start in range(0, len(weights), channels):
        block = slice(start, start + channels)
        codes = quantise(weights[block], along_channels[block], signed=True).codes
        np.clip(codes, -highest, highest, out=saturated[block])
    return saturated


def highest_symmetric(bits: int) -> int:
    """Return the highest code of symmetric codes of `bits` bits."""
    return (1 << (bits - 1)) - 1


@dataclass(frozen=True)
class Quantised:
    """Codes, uint8 or int8 in the shape of the values, and how many values saturated.

    A value saturates if rounding alone would give it a code outside the limits. `chosen` is False
    where the codes are the network's own, and what they saturated is not known.
    """

    codes: Array
    clipped: int = 0
    chosen: bool = True


def top_bits(codes: Array, bits: int) -> Array:
    """Return 8-bit codes (uint8 or int8) by their top `bits`: code / 2^(8 - bits), rounded half to
    even, saturated to 0..2^bits - 1, or to -2^(bits - 1)..2^(bits - 1) - 1 where they are int8.
    """
    signed = codes.dtype == np.int8
    highest = (1 << (bits - signed)) - 1
    lowest = -highest - 1 if signed else 0
    rounded = np.rint(codes.astype(np.float32) / np.float32(1 << (8 - bits)))
    return np.asarray(np.clip(rounded, lowest, highest), codes.dtype)


def quantise(values: Array, scale: float | Array, signed: bool, bits: int = 8) -> Quantised:
    """Return the codes of finite real values: the rule of this module's docstring.

    Parameters
    ----------
    values : real (...)
    scale : float, or an array that broadcasts against `values`
        The real value of one step, above 0.
    signed : bool
        int8 codes -127..127, else uint8 codes 0..255.
    bits : int
        Below 8: signed codes -(2^(bits - 1) - 1)..2^(bits - 1) - 1.
    """
    lowest, highest = LIMITS[signed]
    if bits < MOST_WEIGHT_BITS:
        lowest, highest = -highest_symmetric(bits), highest_symmetric(bits)
    with np.errstate(over="ignore"):  # an infinite number of steps saturates like any other
        steps = float32(values) / float32(scale)
    np.rint(steps, out=steps)
    clipped = 0
    if steps.size and (steps.min() < lowest or steps.max() > highest):
        clipped = int(np.count_nonzero((steps < lowest) | (steps > highest)))
    np.clip(steps, lowest, highest, out=steps)
    return Quantised(steps.astype(np.int8 if signed else np.uint8), clipped)


def float32(values: float | Array) -> NDArray[np.float32]:
    """Return values as float32; what is too large for it becomes infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float32)
