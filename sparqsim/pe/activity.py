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
from sparqsim.pe.base import PEDesign


class PartCounter:
    """Counts part cycles of one design over the row blocks of one layer."""

    def __init__(self, pe: PEDesign, weights: NDArray[np.int8]) -> None:
        """Start with no rows; `weights` int8 (groups, K, N)."""
        self._table = part_table(pe)
        xs, ws = (len(examples) for examples in pe.state_examples())
        self._cols = state_counts(
            np.ascontiguousarray(pe.weight_states(weights).swapaxes(1, 2)), ws
        )
        self._rows = np.zeros((*self._cols.shape[:2], xs), np.int64)

    def add(self, states: NDArray[np.uint8]) -> None:
        """Count a block of rows: activation states, uint8 (groups, rows, steps)."""
        self._rows += state_counts(states, self._rows.shape[-1])

    def cycles(self) -> dict[str, int]:
        """Return the cycles in which each part worked, over all PEs; 0 for one that never did."""
        joint = np.einsum("gsa,gsb->ab", self._rows, self._cols)
        return {part: int((joint * cycles).sum()) for part, cycles in sorted(self._table.items())}


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


def state_counts(states: NDArray[np.uint8], number: int) -> NDArray[np.int64]:
    """Return how often states occur by step: (groups, rows, steps) -> (groups, steps, number)."""
    if states.size <= SMALL:
        return small_state_counts(states, number)
    counts = np.zeros((states.shape[0], states.shape[2], number), np.int64)
    count_states(states, counts)
    return counts


def small_state_counts(states: NDArray[np.uint8], number: int) -> NDArray[np.int64]:
    """Return the same without a kernel."""
    groups, _, steps = states.shape
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
