"""`fp16`: elements rounded to half precision, to nearest, ties to even; 2 bytes each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sparqsim.quantise.rows.base import RowFormat, Rows, Stored, check_finite, check_held


@dataclass(frozen=True)
class Fp16(RowFormat):
    """Half precision; elements of 65,520 and more are refused."""

    name: ClassVar[str] = "fp16"

    def row_bytes(self, width: int) -> int:
        """Return 2 bytes for each element."""
        return 2 * width

    def encode(self, rows: Rows) -> Stored:
        """Return the rounded elements' bytes."""
        check_finite(rows)
        with np.errstate(over="ignore"):
            halves = np.ascontiguousarray(rows).astype("<f2")
        check_held(halves, rows, "largest magnitude", "fp16")
        return halves.view(np.uint8)

    def decode(self, stored: Stored, width: int) -> Rows:
        """Return the elements."""
        return np.ascontiguousarray(stored).view("<f2").astype(np.float32)
