"""`fp32`: elements as they are, 4 bytes each, little endian; what others are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sparqsim.quantise.rows.base import RowFormat, Rows, Stored, check_finite


@dataclass(frozen=True)
class Fp32(RowFormat):
    """Single precision."""

    name: ClassVar[str] = "fp32"

    def row_bytes(self, width: int) -> int:
        """Return 4 bytes for each element."""
        return 4 * width

    def encode(self, rows: Rows) -> Stored:
        """Return the elements' bytes."""
        check_finite(rows)
        return np.ascontiguousarray(rows, dtype="<f4").view(np.uint8)

    def decode(self, stored: Stored, width: int) -> Rows:
        """Return the elements."""
        return np.ascontiguousarray(stored).view("<f4").astype(np.float32)
