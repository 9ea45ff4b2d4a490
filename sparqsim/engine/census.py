"""Pairs of activations counted once for all designs: classes, windows, zeros, parts' activity.

All of them are functions of a pair of codes. So it is enough to know how often each of the 65,536
pairs occurs, and, for what meets weights step by step, how often each *kind* of pair occurs at each
step: a kind is what all designs' states and the zeros are alike in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.exact import integer_product
from sparqsim.base.jit import jit
from sparqsim.base.threads import shares, side_by_side
from sparqsim.pe.activity import activity_of, has_mask_states, mask_counts, weight_counts
from sparqsim.pe.base import Array, PEDesign
from sparqsim.pe.layout import PAIRS
from sparqsim.pe.pairwise import all_pairs, pair_numbers
from sparqsim.results.layer_report import Pairs

#: More kinds of pairs would be counted slower than design by design.
MOST_KINDS = 1024
#: Steps whose counts are in work at once: they stay in the processor's nearest memory.
STEPS_AT_ONCE = 64


#: Integers up to here are exact in float64.
FLOAT64_EXACT = 1 << 53


@dataclass(frozen=True, eq=False)
class Kinds:
    """Pairs put together: `kind` uint16 (65536,) of each, and the number of one of each kind."""

    kind: NDArray[np.uint16]
    examples: NDArray[np.int64]


@lru_cache(maxsize=16)
def kinds_of(states: tuple[bytes, ...]) -> Kinds:
    """Return the kinds of pairs that differ in zeros or in a state; each uint8 (65536,), as
    bytes.
    """
    pairs = all_pairs(signed=False)
    key = (pairs[:, 0] != 0) + 2 * (pairs[:, 1] != 0).astype(np.int64)
    kind = key
    for each in states:
        _, kind = np.unique(kind * 256 + np.frombuffer(each, np.uint8), return_inverse=True)
    _, examples, kind = np.unique(kind, return_index=True, return_inverse=True)
    return Kinds(kind.astype(np.uint16), examples)


class StepWeights:
    """Columns of a layer's weights counted by step and state, once for designs that ask alike.

    Parameters
    ----------
    weights : int8 (groups, K, N)
    """

    def __init__(self, weights: Array) -> None:
        self._weights = weights
        self._known: dict[tuple[int, int], tuple[Array, NDArray[np.int64]]] = {}

    def counts(self, pe: PEDesign) -> NDArray[np.int64]:
        """Return `weight_counts`: int64 (groups, steps, weight states)."""
        if not has_mask_states(pe):
            return weight_counts(pe, self._weights)
        return self._masks(pe.state_weights(self._weights), pe.lanes)

    def nonzero(self) -> NDArray[np.int64]:
        """Return how many columns have a non-zero weight, int64 (groups, K)."""
        return self._masks(self._weights, 1)[:, :, 1]

    def _masks(self, weights: Array, lanes: int) -> NDArray[np.int64]:
        key = (lanes, id(weights))
        if key not in self._known:
            counts = mask_counts(weights, lanes) if lanes > 1 else self._alone(weights)
            # Kept beside the counts: no other array takes its id meanwhile.
            self._known[key] = (weights, counts)
        return self._known[key][1]

    def _alone(self, weights: Array) -> NDArray[np.int64]:
        """Return the masks of one lane, from those of two, which most designs ask for, too."""
        neither, first, second, both = np.moveaxis(self._masks(weights, 2), -1, 0)
        zero = np.stack([neither + second, neither + first], axis=-1)
        nonzero = np.stack([first + both, second + both], axis=-1)
        by_lane = np.stack([zero, nonzero], axis=-1)
        by_element = by_lane.reshape(len(weights), -1, 2)
        return by_element[:, : weights.shape[1]]


class Census:
    """Counts the pairs of a layer's rows.

    Parameters
    ----------
    groups, k : int
        Of X (groups, rows, K).
    states : sequence of uint8 (65536,)
        What is told apart at each step, beside zeros.
    classes : sequence of uint8 (65536,)
        What is told apart in all steps together.
    """

    def __init__(
        self,
        groups: int,
        k: int,
        states: Sequence[NDArray[np.uint8]],
        classes: Sequence[NDArray[np.uint8]],
    ) -> None:
        self.kinds = kinds_of(tuple(each.tobytes() for each in states))
        self._class_kinds = kinds_of(tuple(each.tobytes() for each in classes))
        self._k = k
        self._seen = np.zeros(PAIRS, np.int64)
        self._by_step = np.zeros((groups, -(-k // 2), len(self.kinds.examples)), np.int64)

    def add(self, x: Array) -> None:
        """Count a block of rows, uint8 or int8 (groups, rows, K)."""
        numbers = pair_numbers(x)
        parts = shares(numbers.shape[2], STEPS_AT_ONCE)
        seen = np.zeros((len(parts), PAIRS), np.int64)
        side_by_side(
            _count_pairs,
            [
                (numbers, *part, STEPS_AT_ONCE, self.kinds.kind, of_part, self._by_step)
                for part, of_part in zip(parts, seen, strict=True)
            ],
        )
        self._seen += seen.sum(axis=0)

    def nonzero(self) -> NDArray[np.int64]:
        """Return how many rows have a non-zero activation, int64 (groups, K)."""
        there = all_pairs(signed=False)[self.kinds.examples] != 0
        by_element = _exact_product(self._by_step, there.astype(np.int64))
        return by_element.reshape(len(by_element), -1)[:, : self._k]

    def windows(self, pe: PEDesign, *, signed: bool) -> dict[int, int]:
        """Return `PEDesign.windows` of all rows; `signed`: whether codes are int8."""
        seen = self._seen.reshape(256, 256)
        if signed:
            magnitude = np.abs(np.arange(256, dtype=np.uint8).view(np.int8)).view(np.uint8)
            folded = np.zeros((256, 256), np.int64)
            np.add.at(folded, (magnitude[:, None], magnitude), seen)
            seen = folded
        return pe.pair_windows(seen)

    @cached_property
    def _by_class_kind(self) -> NDArray[np.int64]:
        """How often each kind of pair that classes tell apart occurs, in all rows."""
        counts = np.zeros(len(self._class_kinds.examples), np.int64)
        np.add.at(counts, self._class_kinds.kind, self._seen)
        return counts

    def classes(self, classes: NDArray[np.uint8]) -> Pairs:
        """Return the classes of all pairs, given `OnPairs.classes` that was among `classes`."""
        of_class = np.zeros(6, np.int64)
        np.add.at(of_class, classes[self._class_kinds.examples], self._by_class_kind)
        exact, trimmed, one_kept, one_changed, *both_zero = of_class.tolist()
        return Pairs(
            both_zero=sum(both_zero),
            one_zero=one_kept + one_changed,
            both_nonzero_exact=exact,
            trimmed=trimmed,
            one_zero_changed=one_changed,
        )

    def activity(
        self, pe: PEDesign, states: Sequence[NDArray[np.uint8]], weights: StepWeights
    ) -> dict[str, int]:
        """Return the cycles in which each part worked, given the states of the steps of a pair."""
        columns = weights.counts(pe)
        steps, each = self._by_step.shape[1], len(states)
        short = steps * each - columns.shape[1]
        columns = np.pad(columns, ((0, 0), (0, short), (0, 0)))
        joint = np.zeros(tuple(map(len, pe.state_examples())), np.int64)
        for at, state in enumerate(states):
            by_kind = self._meeting(columns[:, at::each])
            np.add.at(joint, state[self.kinds.examples], by_kind)
        return activity_of(pe, joint)

    def _meeting(self, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how often each kind meets each state of columns (groups, steps, states)."""
        by_kind = self._by_step.reshape(-1, self._by_step.shape[2]).T
        return _exact_product(by_kind, columns.reshape(-1, columns.shape[2]))


def _exact_product(x: NDArray[np.int64], w: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return x @ w of counts, through float64 where that is exact."""
    most = int(x.max(initial=0)) * int(w.max(initial=0)) * w.shape[-2]
    if most > FLOAT64_EXACT:
        return x @ w
    return integer_product(x.astype(np.float64), w.astype(np.float64))


@jit
def _count_pairs(
    numbers: NDArray[np.uint16],
    first: int,
    end: int,
    at_once: int,
    kind: NDArray[np.uint16],
    seen: NDArray[np.int64],
    by_step: NDArray[np.int64],
) -> None:
    """Add pairs (groups, rows, steps) of steps first..end to `seen` by number, to (groups, steps,
    kinds) by kind.
    """
    groups, rows, _ = numbers.shape
    for group in range(groups):
        for start in range(first, end, at_once):
            stop = min(start + at_once, end)
            for row in range(rows):
                for step in range(start, stop):
                    number = numbers[group, row, step]
                    seen[number] += 1
                    by_step[group, step, kind[number]] += 1
