"""What the uniform formats share: codes of a range, and the packing of codes of 4 bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqsim.quantise.rows.base import Rows, Stored

Singles = NDArray[np.float32]
#: Largest code of 4 bits.
LEVELS4 = 15


def range_of(rows: Rows) -> tuple[Singles, Singles]:
    """Return the least and the largest element of each row, of equal ones (-0 and 0) the first."""
    low = np.take_along_axis(rows, rows.argmin(axis=1)[:, None], axis=1)
    high = np.take_along_axis(rows, rows.argmax(axis=1)[:, None], axis=1)
    return low[:, 0], high[:, 0]


def inverse_of(scale: Singles) -> Singles:
    """Return fp32(1 / scale), infinite where it is beyond fp32 and where the scale is 0."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.float32(1) / scale


def codes_of(rows: Rows, bias: Singles, scale: Singles, levels: int) -> Stored:
    """Return round-half-even((x - bias) * (1 / scale)) within 0..levels; all in fp32.

    Parameters
    ----------
    rows : float32 (rows, width)
    bias, scale : float32 (rows,)
    levels : int
    """
    steps = np.rint((rows - bias[:, None]) * inverse_of(scale)[:, None])
    codes: Stored = np.clip(steps, 0, levels).astype(np.uint8)
    return codes


def values_of(codes: Stored, bias: Singles, scale: Singles) -> Rows:
    """Return code * scale + bias, rounded to fp32 after the product and after the sum."""
    return codes.astype(np.float32) * scale[:, None] + bias[:, None]


def half_parameters(low: Singles, high: Singles) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Return (scale, bias) of ranges, fp16 (rows,), for codes of 4 bits.

    The bias is rounded first and the range counts from there; a scale of 0 becomes 1. The scale is
    below 0 where rounding put the bias above a row's largest element.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        bias = low.astype(np.float16)
        scale = ((high - bias.astype(np.float32)) / np.float32(LEVELS4)).astype(np.float16)
    scale[scale == 0] = 1
    return scale, bias


def packed(codes: Stored) -> Stored:
    """Return codes of 4 bits two to a byte, the earlier one in the low half."""
    if codes.shape[1] % 2:
        codes = np.pad(codes, ((0, 0), (0, 1)))
    high: Stored = codes[:, 1::2] << np.uint8(4)
    return codes[:, 0::2] | high


def unpacked(stored: Stored, width: int) -> Stored:
    """Return the `width` codes of 4 bits that `packed` packed."""
    codes = np.stack([stored & np.uint8(15), stored >> np.uint8(4)], axis=2)
    return codes.reshape(len(stored), -1)[:, :width]
