"""Stacks of matrices, brought to one shape as products of two activations take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def stacked(left: Array, right: Array) -> tuple[Array, Array]:
    """Return a product of activations as groups.

    left (..., M, K), right (..., K, N) -> (G, M, K), (G * N, 1, K)
    """
    front = stack_shape(left, right)
    xs = _one_stack(left, front)
    columns = np.ascontiguousarray(_one_stack(right, front).swapaxes(1, 2))
    depth = right.shape[-2]
    return np.ascontiguousarray(xs), columns.reshape(-1, 1, depth)


def stack_shape(left: Array, right: Array) -> tuple[int, ...]:
    """Return the shape of a stack of matrix products, without the matrices' own axes."""
    return np.broadcast_shapes(left.shape[:-2], right.shape[:-2])


def _one_stack(matrices: Array, front: tuple[int, ...]) -> Array:
    """Return matrices (..., rows, columns), repeated over `front`, as (G, rows, columns)."""
    size = matrices.shape[-2:]
    return np.broadcast_to(matrices, (*front, *size)).reshape(-1, *size)
