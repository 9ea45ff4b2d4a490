"""Least squares with coefficients that are not negative: an energy cannot be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Rounds of the method; it ends long before.
MOST_ROUNDS = 1000
#: Gradients smaller than this, of columns of norm 1, count as zero.
SMALLEST = 1e-10


def nonnegative_least_squares(a: Floats, b: Floats) -> Floats:
    """Return x >= 0 that minimises |a x - b|, by the active sets of Lawson and Hanson (1974).

    The products are summed in one order, so equal operands give equal bytes.

    Parameters
    ----------
    a : float64 (rows, columns)
    b : float64 (rows,)
    """
    norms = np.sqrt(np.einsum("ij,ij->j", a, a))
    used = norms > 0
    scaled = a[:, used] / norms[used]
    gram, target = np.einsum("ij,ik->jk", scaled, scaled), np.einsum("ij,i->j", scaled, b)
    x = np.zeros(a.shape[1])
    x[used] = _solved(gram, target) / norms[used]
    return x


def _solved(gram: Floats, target: Floats) -> Floats:
    x, free = np.zeros(len(target)), np.zeros(len(target), bool)
    for _ in range(MOST_ROUNDS):
        gradient = np.where(free, -np.inf, target - gram @ x)
        if free.all() or gradient.max() <= SMALLEST:
            return x
        free[np.argmax(gradient)] = True
        x = _with_free(gram, target, x, free)
    raise ArithmeticError(f"no least squares after {MOST_ROUNDS} rounds")


def _with_free(gram: Floats, target: Floats, x: Floats, free: NDArray[np.bool_]) -> Floats:
    """Return the best x whose entries are zero where not `free`; entries that would be negative
    stop at zero and leave `free`.
    """
    while True:
        best = np.zeros_like(x)
        best[free] = np.linalg.solve(gram[np.ix_(free, free)], target[free])
        falling = free & (best <= 0)
        if not falling.any():
            return best
        step = (x[falling] / (x[falling] - best[falling])).min()
        x = x + step * (best - x)
        free &= x > SMALLEST
        x[~free] = 0
