"""`codebook4`: codes of 4 bits into 16 centroids of the row's own, found by k-means.

Lloyd's iterations begin at the 16 values of `int4`'s greedy range. Each element takes the nearest
centroid (of equally near ones the lower), each centroid goes to the mean of its elements or stays
where it has none, until no element changes its centroid, or after `iterations`. Centroids are then
rounded to fp16, those beyond it to its largest, and elements take the nearest once more; rows that
fp16 cannot hold are refused. A row is its codes, two to a byte, then 16 fp16 centroids: width/2 +
32 bytes.

*Source*: "4-bit embedding tables" name a row-wise k-means codebook (KMEANS); its text was not read.
The greedy start, the fp16 centroids and the limit of iterations are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from sparqsim.base.jit import only_read
from sparqsim.quantise.rows.base import RowFormat, Rows, Stored, check_finite, check_held
from sparqsim.quantise.rows.int4 import ranges_of
from sparqsim.quantise.rows.uniform import LEVELS4, half_parameters, packed, unpacked, values_of

CENTROIDS = LEVELS4 + 1
LARGEST_HALF = float(np.finfo(np.float16).max)
#: Of the centroids, fp16.
BOOK_BYTES = 2 * CENTROIDS


@dataclass(frozen=True)
class Codebook4(RowFormat):
    """16 fp16 centroids a row, 4-bit codes."""

    name: ClassVar[str] = "codebook4"

    iterations: int = field(default=100, metadata={"least": 1, "most": 10_000})

    def row_bytes(self, width: int) -> int:
        """Return half a byte for each element, and 32 bytes of centroids."""
        return -(-width // 2) + BOOK_BYTES

    def encode(self, rows: Rows) -> Stored:
        """Return codes and centroids."""
        from sparqsim.quantise.rows.kernels import k_means, nearest_codes

        check_finite(rows)
        with np.errstate(over="ignore"):
            check_held(rows.astype(np.float16), rows, "largest magnitude", "fp16")
        scale, bias = half_parameters(*ranges_of(rows, "greedy"))
        grid = np.tile(np.arange(CENTROIDS, dtype=np.uint8), (len(rows), 1))
        start = values_of(grid, bias.astype(np.float32), scale.astype(np.float32))
        held, start = only_read(rows), np.sort(start, axis=1)
        # Means are within fp16 as the elements are; a centroid without elements may be beyond.
        settled = k_means(held, start.astype(np.float64), self.iterations)
        book = settled.clip(-LARGEST_HALF, LARGEST_HALF).astype("<f2")
        codes = nearest_codes(held, book.astype(np.float64))
        return np.concatenate([packed(codes), book.view(np.uint8)], axis=1)

    def decode(self, stored: Stored, width: int) -> Rows:
        """Return the centroids that the codes name."""
        book = np.ascontiguousarray(stored[:, -BOOK_BYTES:]).view("<f2").astype(np.float32)
        codes = unpacked(stored[:, :-BOOK_BYTES], width)
        return np.take_along_axis(book, codes.astype(np.int64), axis=1)
