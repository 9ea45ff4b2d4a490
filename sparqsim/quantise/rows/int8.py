"""`int8`: uniform codes of 8 bits between the least and the largest element of a row.

    bias = min, scale = fp32((max - bias) / 255), 1 where that is 0
    code = round-half-even((x - bias) * fp32(1 / scale)), within 0..255; value = code * scale + bias

All arithmetic in fp32. A row is its codes, then fp32 scale and fp32 bias: width + 8 bytes.

*Source*: the layout is that of PyTorch's and FBGEMM's 8-bit row-wise tables; the order of rounding
is that of the 4-bit form (`int4`), with fp32 in the place of fp16. PyTorch's own 8-bit form has
255 / (max - min + 1e-8) where this has 1 / scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sparqsim.quantise.rows.base import RowFormat, Rows, Stored, check_finite, check_held
from sparqsim.quantise.rows.uniform import codes_of, inverse_of, range_of, values_of

LEVELS = 255
#: Of scale and bias, fp32.
TAIL_BYTES = 8


@dataclass(frozen=True)
class Int8(RowFormat):
    """Row-wise uniform, asymmetric, 8 bits."""

    name: ClassVar[str] = "int8"

    def row_bytes(self, width: int) -> int:
        """Return a byte for each element, and 8 for scale and bias."""
        return width + TAIL_BYTES

    def encode(self, rows: Rows) -> Stored:
        """Return codes, scale and bias."""
        check_finite(rows)
        bias, most = range_of(rows)
        with np.errstate(over="ignore"):
            scale = (most - bias) / np.float32(LEVELS)
        check_held(scale, rows, "range", "fp32")
        scale[~np.isfinite(inverse_of(scale))] = 1
        codes = codes_of(rows, bias, scale, LEVELS)
        tail = np.stack([scale, bias], axis=1).astype("<f4").view(np.uint8)
        return np.concatenate([codes, tail], axis=1)

    def decode(self, stored: Stored, width: int) -> Rows:
        """Return code * scale + bias, fp32."""
        tail = np.ascontiguousarray(stored[:, width:]).view("<f4").astype(np.float32)
        return values_of(stored[:, :width], tail[:, 1], tail[:, 0])
