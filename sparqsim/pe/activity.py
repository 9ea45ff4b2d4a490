"""How often each part of a PE works, counted exactly without stepping every PE.

Which parts work in a step is decided by a small state of the step's activations and a small state
of its weights. PE (m, n) pairs row m of X with column n of W, so counting rows per activation state
and columns per weight state, step by step, is enough:

    cycles of a part = sum over steps, states a, states b of
                       rows[step, a] * cols[step, b] * table[a, b, part]

and `table` is `PEDesign.step` itself, on one example of each state.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import SMALL, jit
from sparqsim.pe.base import Array, PEDesign

#: Masks of more lanes are too many to be counted one by one.
MOST_MASK_LANES = 4
#: A bit for each of 64 columns.
EVERY_COLUMN = ~np.uint64(0)


class PartCounter:
    """Counts part cycles of one design over the row blocks of one layer.

    Parameters
    ----------
    pe : PEDesign
    weights : int8 (groups, K, N)
    small : int
        Steps of a block up to which they are counted without a kernel.
    """

    def __init__(self, pe: PEDesign, weights: NDArray[np.int8], small: int = SMALL) -> None:
        self._pe, self._small = pe, small
        xs = len(pe.state_examples()[0])
        self._cols = weight_counts(pe, weights)
        self._rows = np.zeros((*self._cols.shape[:2], xs), np.int64)

    def add(self, states: NDArray[np.uint8]) -> None:
        """Count a block of rows: activation states, uint8 (groups, rows, steps)."""
        self._rows += state_counts(states, self._rows.shape[-1], self._small)

    def cycles(self) -> dict[str, int]:
        """Return the cycles in which each part worked, over all PEs; 0 for one that never did."""
        return activity_of(self._pe, np.einsum("gsa,gsb->ab", self._rows, self._cols))


def activity_of(pe: PEDesign, joint: NDArray[np.int64]) -> dict[str, int]:
    """Return the cycles in which each part worked, 0 for one that never did.

    `joint` (activation states, weight states): how often a state met another in a step.
    """
    return {part: int((joint * cycles).sum()) for part, cycles in sorted(part_table(pe).items())}


def weight_counts(pe: PEDesign, weights: Array) -> NDArray[np.int64]:
    """Return how many columns have each weight state, int64 (groups, steps, weight states).

    Parameters
    ----------
    pe : PEDesign
    weights : int8 (groups, K, N)
    """
    states = len(pe.state_examples()[1])
    if has_mask_states(pe):
        return mask_counts(pe.state_weights(weights), pe.lanes)
    return state_counts(np.ascontiguousarray(pe.weight_states(weights).swapaxes(1, 2)), states)


def has_mask_states(pe: PEDesign) -> bool:
    """Return whether the design's weight states are masks of the lanes of adjacent weights."""
    own = type(pe).weight_states is not PEDesign.weight_states
    return pe.takes_adjacent and pe.lanes <= MOST_MASK_LANES and not own


def mask_counts(weights: Array, lanes: int) -> NDArray[np.int64]:
    """Return how many columns have a non-zero weight in just the lanes of each bit mask.

    Parameters
    ----------
    weights : integers (groups, K, N)
        Step s takes rows s * lanes to s * lanes + lanes - 1.
    lanes : int

    Returns
    -------
    int64 (groups, steps, 2^lanes)
    """
    nonzero = _bits_by_lane(weights, lanes)
    groups, steps, _, words = nonzero.shape
    counts = np.full((groups, steps, 1 << lanes), weights.shape[2], np.int64)
    in_all = {0: np.full((groups, steps, words), EVERY_COLUMN)}
    for mask in range(1, 1 << lanes):
        lane = mask.bit_length() - 1
        in_all[mask] = in_all[mask ^ 1 << lane] & nonzero[:, :, lane]
        counts[:, :, mask] = np.bitwise_count(in_all[mask]).sum(axis=-1)
    # Up to here a mask's columns may be non-zero in other lanes, too.
    for lane in range(lanes):
        by_lane = counts.reshape(groups, steps, -1, 2, 1 << lane)
        by_lane[:, :, :, 0] -= by_lane[:, :, :, 1]
    return counts


def _bits_by_lane(weights: Array, lanes: int) -> NDArray[np.uint64]:
    """Return a bit for each non-zero weight (groups, K, N): (groups, steps, lanes, words)."""
    groups, k, columns = weights.shape
    steps = -(-k // lanes)
    bits = np.zeros((groups, steps * lanes, -(-columns // 64) * 8), np.uint8)
    packed = np.packbits(weights != 0, axis=-1)
    bits[:, :k, : packed.shape[2]] = packed
    return bits.view(np.uint64).reshape(groups, steps, lanes, -1)


def part_table(pe: PEDesign) -> dict[str, NDArray[np.int64]]:
    """Return the cycles that each part works, int64 (activation states, weight states)."""
    return _part_table(pe, pe.spec)


@lru_cache(maxsize=64)
def _part_table(pe: PEDesign, _spec: str) -> dict[str, NDArray[np.int64]]:
    """Return the same; `_spec` tells designs apart that are equal but for a key."""
    xs, ws = pe.state_examples()
    table: dict[str, NDArray[np.int64]] = {}
    for row, x in enumerate(xs):
        for col, w in enumerate(ws):
            for part, cycles in pe.step(x, w).active_cycles.items():
                table.setdefault(part, np.zeros((len(xs), len(ws)), np.int64))[row, col] = cycles
    return table


def state_counts(states: NDArray[np.uint8], number: int, small: int = SMALL) -> NDArray[np.int64]:
    """Return how often states occur by step: (groups, rows, steps) -> (groups, steps, number).

    `small`: states up to which no kernel is used.
    """
    if states.size <= small:
        return small_state_counts(states, number)
    counts = np.zeros((states.shape[0], states.shape[2], number), np.int64)
    count_states(states, counts)
    return counts


def small_state_counts(states: NDArray[np.uint8], number: int) -> NDArray[np.int64]:
    """Return the same without a kernel."""
    groups, _, steps = states.shape
    if number == 2:
        ones = states.sum(axis=1, dtype=np.int32).astype(np.int64)
        return np.stack((states.shape[1] - ones, ones), axis=-1)
    places = np.arange(groups * steps).reshape(groups, 1, steps) * number
    counts = np.bincount((places + states).ravel(), minlength=groups * steps * number)
    return counts.reshape(groups, steps, number).astype(np.int64, copy=False)


@jit
def count_states(states: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
    """Add the states (groups, rows, steps) to counts (groups, steps, number)."""
    groups, rows, steps = states.shape
    for group in range(groups):
        for row in range(rows):
            for step in range(steps):
                counts[group, step, states[group, row, step]] += 1
