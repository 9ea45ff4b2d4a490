"""What the columns of W tell, step by step, summed over columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import jit
from sparqsim.cost.facts import BIT_COUNT, BIT_LENGTH, COLUMN_FACTS, LanePairs, Sums
from sparqsim.cost.paths.base import DataPath
from sparqsim.pe.base import Array, PEDesign


@dataclass(frozen=True)
class ColumnSums:
    """What all columns tell.

    `count`: how many. `live`: int64 (groups,), those with a weight other than zero. `words`: int64
    (groups, steps + 1), toggled bits of weight registers. `between`: int64 (groups, steps + 1,
    pairs, facts), from a step to the next. `within`: int64 (groups, steps, pairs, facts), from the
    first to the second cycle of a step; None where steps take one.
    """

    count: int
    live: Sums
    words: Sums
    between: Sums
    within: Sums | None

    @classmethod
    def of(cls, path: DataPath, design: PEDesign, weights: Array, pairs: LanePairs) -> ColumnSums:
        """Return those of the weights of a layer, int8 (groups, K, N)."""
        order = design.k_order(weights.shape[1])
        stored = np.pad(path.weights(design, weights), ((0, 0), (0, 1), (0, 0)))
        in_steps = stored[:, order]  # (groups, steps, lanes, N)
        resting = np.zeros_like(in_steps[:, :1])
        sequence = np.concatenate([resting, in_steps, resting], axis=1)
        mask = (1 << path.weight_bits(design)) - 1
        between = _columns(sequence[:, :-1], sequence[:, 1:], mask, pairs)
        within = _columns(in_steps, in_steps, mask, pairs)[1] if pairs.within else None
        live = in_steps.any(axis=(1, 2)).sum(axis=1)
        return cls(weights.shape[2], live, *between, within)


def _columns(before: Array, now: Array, mask: int, pairs: LanePairs) -> tuple[Sums, Sums]:
    """Return what columns tell from weights (groups, steps, lanes, N) before to those now."""
    groups, steps = before.shape[:2]
    words = np.zeros((groups, steps), np.int64)
    told = np.zeros((groups, steps, pairs.count, COLUMN_FACTS), np.int64)
    _tell_columns(before, now, mask, pairs.number, BIT_COUNT, BIT_LENGTH, words, told)
    return words, told


@jit
def _tell_columns(
    before: Any,
    now: Any,
    mask: int,
    number: Sums,
    count: Any,
    length: Any,
    words: Sums,
    told: Sums,
) -> None:
    """Add what columns tell; weights (groups, steps, lanes, N)."""
    groups, steps, lanes, _ = before.shape
    for group in range(groups):
        for step in range(steps):
            for a in range(lanes):
                for b in range(lanes):
                    if number[a, b] >= 0:
                        facts = told[group, step, number[a, b]]
                        old, new = before[group, step, a], now[group, step, b]
                        _tell_lanes(old, new, mask, count, length, facts)
                words[group, step] += told[group, step, number[a, a], 1]
                words[group, step] += told[group, step, number[a, a], 2]


@jit
def _tell_lanes(
    before: Any, now: Any, mask: int, count: Any, length: Any, facts: NDArray[np.int64]
) -> None:
    """Set what weights (N,) of a lane before, and of a lane now, tell."""
    stay = rise = fall = was = nonzero = both = bits = np.int64(0)
    negative_was = negative = negative_both = np.int64(0)
    for col in range(len(now)):
        old, new = np.int64(before[col]), np.int64(now[col])
        x, y = old & mask, new & mask
        stay += count[x & y]
        rise += count[y & ~x]
        fall += count[x & ~y]
        was += old != 0
        nonzero += new != 0
        both += (old != 0) & (new != 0)
        bits += length[abs(new)]
        negative_was += old < 0
        negative += new < 0
        negative_both += (old < 0) & (new < 0)
    told = (stay, rise, fall, was, nonzero, both, bits, negative_was, negative, negative_both)
    for at in range(len(told)):
        facts[at] = told[at]
