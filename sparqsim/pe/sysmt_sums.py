"""Sums of SySMT, the fast form: of a step's threads that have an activation, all that can become of
their products is laid out as vectors over output channels, and added scaled by activations.

A step's *mask* says which threads have an activation other than zero. With count as in
`sysmt.py`, thread t of a mask of several adds, to every column,

    a * (w where count <= 2) + da * (dw where count = 2) + qa * (qw where count >= 3)

with da, dw the change that a collision of two makes to a product, and qa, qw the operands as 4b-4b
multipliers take them. What stands in brackets follows from weights and mask alone: a vector of N
numbers for each of these *terms*. A mask of one thread has one term, one of two threads two each
(no count above two), others three each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import parallel_jit, prange

Array = NDArray[Any]

#: Kinds of terms: rows of the factors of operands.
EXACT, CHANGED, QUARTERED = range(3)
#: Rows of X in work at once, whose sums stay in the nearest cache, and columns of W beside them.
ROWS, COLUMNS = 32, 64
#: Vectors in work at once, bytes.
VECTOR_BYTES = 1 << 22
#: Steps after which 32-bit partial sums move to 64 bits: 2^11 steps of 12 terms of at most 2^15
#: stay below 2^31.
STEPS_IN_32_BITS = 1 << 11


@dataclass(frozen=True)
class Terms:
    """The terms of all masks: those of mask m are `first[m]` to `first[m + 1]`.

    lanes, kinds, masks: of each term.
    """

    first: NDArray[np.int64]
    lanes: NDArray[np.int64]
    kinds: NDArray[np.int64]
    masks: NDArray[np.int64]


@cache
def terms_of(lanes: int) -> Terms:
    """Return the terms of all masks of so many threads."""
    found, first = [], [0]
    for mask in range(1 << lanes):
        kinds = range(min(mask.bit_count(), 3))
        found += [(lane, kind, mask) for lane in range(lanes) if mask >> lane & 1 for kind in kinds]
        first.append(len(found))
    of_lane, of_kind, of_mask = np.array(found).T
    return Terms(np.array(first), of_lane, of_kind, of_mask)


def collided_sums(
    x: NDArray[np.uint8], w: Array, activations: Array, weights: Array, lanes: int
) -> NDArray[np.int64]:
    """Return what the steps of some groups add up to, int64 (groups, M, N).

    Parameters
    ----------
    x : uint8 (groups, M, lanes * steps)
        Thread t takes elements t * steps, t * steps + 1, ...
    w : int8 (groups, lanes * steps, N)
    activations, weights : integers (3, 256)
        Factors of each kind of term, by the operand's byte.
    lanes : int
    """
    groups, m, k = x.shape
    n, steps = w.shape[-1], k // lanes
    out = np.zeros((groups, m, n), np.int64)
    terms = terms_of(lanes)
    factors = weights.astype(np.int32)[:, w.view(np.uint8).reshape(groups, lanes, steps, n)]
    at_once = VECTOR_BYTES // (4 * max(1, groups) * len(terms.lanes) * min(n, COLUMNS) or 1)
    at_once = min(max(at_once, 1), STEPS_IN_32_BITS)
    for column in range(0, n, COLUMNS):
        for start in range(0, steps, at_once):
            part = factors[:, :, :, start : start + at_once, column : column + COLUMNS]
            add_terms(
                x,
                start,
                steps,
                activations.astype(np.int32),
                term_vectors(part, terms),
                (terms.first, terms.lanes, terms.kinds),
                out[:, :, column : column + COLUMNS],
                ROWS,
            )
    return out


def term_vectors(factors: NDArray[np.int32], terms: Terms) -> NDArray[np.int32]:
    """Return the vectors of all terms, int32 (groups, steps, terms, N).

    Parameters
    ----------
    factors : int32 (3, groups, lanes, steps, N)
        What weights give to each kind of term.
    terms : Terms
    """
    _, groups, lanes, steps, n = factors.shape
    vectors = np.zeros((groups, steps, len(terms.lanes), n), np.int32)
    has_weight = (factors[EXACT] != 0).view(np.uint8)
    for mask in range(1, 1 << lanes):
        threads = [lane for lane in range(lanes) if mask >> lane & 1]
        products = sum(has_weight[:, lane] for lane in threads)
        holds = {EXACT: products <= 2, CHANGED: products == 2, QUARTERED: products > 2}
        for term in range(terms.first[mask], terms.first[mask + 1]):
            kind, lane = terms.kinds[term], terms.lanes[term]
            np.multiply(factors[kind, :, lane], holds[kind], out=vectors[:, :, term])
    return vectors


@parallel_jit
def add_terms(
    x: NDArray[np.uint8],
    start: int,
    all_steps: int,
    activations: NDArray[np.int32],
    vectors: NDArray[np.int32],
    terms: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    out: NDArray[np.int64],
    block: int,
) -> None:
    """Add the terms of steps `start` and on to out (groups, M, columns), blocks of rows at once."""
    first, lanes, kinds = terms
    groups, rows, columns = out.shape
    threads = x.shape[2] // all_steps
    blocks = -(-rows // block)
    for number in prange(groups * blocks):
        group, low = number // blocks, number % blocks * block
        high = min(rows, low + block)
        sums = np.zeros((high - low, columns), np.int32)
        for step in range(vectors.shape[1]):
            for row in range(low, high):
                mask = 0
                for lane in range(threads):
                    mask |= (x[group, row, lane * all_steps + start + step] != 0) << lane
                total = sums[row - low]
                for term in range(first[mask], first[mask + 1]):
                    a = x[group, row, lanes[term] * all_steps + start + step]
                    factor, vector = activations[kinds[term], a], vectors[group, step, term]
                    for n in range(columns):
                        total[n] += factor * vector[n]
        for row in range(low, high):
            for n in range(columns):
                out[group, row, n] += sums[row - low, n]
