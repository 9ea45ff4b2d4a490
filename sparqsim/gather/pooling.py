"""Bags of rows as one vector each: their mean, summed in the order of the look-ups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import jit

Rows = NDArray[np.float32]
Indices = NDArray[np.int64]


@jit
def pooled(read: Rows, rows: Indices, starts: Indices) -> Rows:
    """Return the mean of each bag, float32 (bags, width); sums are fp32, as the lanes add.

    Parameters
    ----------
    read : float32 (rows of the table, width)
    rows : int64 (look-ups,)
    starts : int64 (bags,)
    """
    bags, width = len(starts), read.shape[1]
    vectors = np.zeros((bags, width), np.float32)
    for bag in range(bags):
        end = starts[bag + 1] if bag + 1 < bags else len(rows)
        for at in range(starts[bag], end):
            for column in range(width):
                vectors[bag, column] += read[rows[at], column]
        for column in range(width):
            vectors[bag, column] /= np.float32(end - starts[bag])
    return vectors
