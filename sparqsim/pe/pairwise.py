"""What a design makes of every pair of adjacent codes: its hooks, asked once.

A step sees `lanes` adjacent elements of K. So a design of one or two lanes, or one that uses
activations one by one, is asked about all 65,536 pairs of codes, and a layer of any size is looked
up after that. Pairs are (k, k + 1), k even, by their number: first + 256 * second, of the codes'
bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.arithmetic import checked_operands
from sparqsim.pe.base import PEDesign
from sparqsim.pe.layout import PAIRS, padded_to

Array = NDArray[Any]


class PairValues:
    """Integers that stand in the place of the activations of every pair of codes.

    Attributes
    ----------
    largest : int
        The largest size among them.
    unit : int
        The largest power of two that divides all of them; 1 where all are zero.
    packed : uint64 (65536,)
        Each pair as two float32.
    digest : bytes
        Equal for equal values.
    """

    def __init__(self, values: NDArray[np.int64]) -> None:
        """Take the values, int64 (65536, 2)."""
        self.largest = int(np.abs(values).max())
        bits = int(np.bitwise_or.reduce(values, axis=None))
        self.unit = bits & -bits or 1
        self.packed = np.ascontiguousarray(values.astype(np.float32)).view(np.uint64)[:, 0]
        self.digest = hashlib.sha256(values.tobytes()).digest()


@dataclass(frozen=True, eq=False)
class OnPairs:
    """A design's hooks on all pairs of codes.

    Parameters
    ----------
    used, change : PairValues
        `used_activations`, and what it adds to the codes.
    classes : uint8 (65536,)
        2 * zeros of the pair + whether one of the two is changed.
    states : tuple of uint8 (65536,)
        `activation_states` of the steps that a pair is: one of two lanes, or two of one. Empty
        where a step is more than a pair, or the design does not count its parts.
    """

    used: PairValues
    change: PairValues
    classes: NDArray[np.uint8]
    states: tuple[NDArray[np.uint8], ...]


def is_pairwise(pe: PEDesign) -> bool:
    """Return whether what the design uses of an activation depends on its pair alone."""
    by_step = pe.lanes in (1, 2) and pe.takes_adjacent
    return (by_step or pe.one_by_one) and not (pe.values_by_pair or pe.encodes or pe.real_valued)


def all_pairs(signed: bool) -> Array:
    """Return every pair of codes by its number, uint8 or int8 (65536, 2)."""
    codes = np.arange(PAIRS, dtype="<u2").view(np.uint8).reshape(-1, 2)
    return codes.view(np.int8) if signed else codes


def pair_numbers(x: Array) -> NDArray[np.uint16]:
    """Return the numbers of the pairs of 8-bit codes (..., K): (..., ceil(K / 2))."""
    return padded_to(x, 2).view("<u2")


@lru_cache(maxsize=2)
def codes_on_pairs(signed: bool) -> PairValues:
    """Return the codes themselves."""
    return PairValues(all_pairs(signed).astype(np.int64))


def on_pairs(pe: PEDesign, signed: bool) -> OnPairs | None:
    """Return the design's hooks on all pairs; None where a zero beside a last element would be
    used as something else.
    """
    return _asked(pe, pe.spec, signed)


@lru_cache(maxsize=16)
def _asked(pe: PEDesign, _spec: str, signed: bool) -> OnPairs | None:
    """Return the same; `_spec` tells designs apart that are equal but for a key."""
    pairs = all_pairs(signed)
    used = checked_operands(pe, "used_activations", pe.used_activations(pairs), pairs)
    used = used.astype(np.int64)
    zero = pairs == 0
    if used[zero[:, 1], 1].any():
        return None
    change = used - pairs
    classes = 2 * zero.sum(axis=1) + change.any(axis=1)
    values = PairValues(used), PairValues(change)
    return OnPairs(*values, classes.astype(np.uint8), _states(pe, pe.spec, signed))


def unchanged_pairs(pe: PEDesign, signed: bool) -> OnPairs:
    """Return the states of a design, with every code used as it is."""
    change, classes = _no_change()
    return OnPairs(codes_on_pairs(signed), change, classes, _states(pe, pe.spec, signed))


@lru_cache(maxsize=1)
def _no_change() -> tuple[PairValues, NDArray[np.uint8]]:
    """Return what is added to codes, and the classes of pairs, where none is changed."""
    zeros = (all_pairs(signed=False) == 0).sum(axis=1)
    return PairValues(np.zeros((PAIRS, 2), np.int64)), (2 * zeros).astype(np.uint8)


@lru_cache(maxsize=64)
def _states(pe: PEDesign, _spec: str, signed: bool) -> tuple[NDArray[np.uint8], ...]:
    """Return `OnPairs.states`; `_spec` as in `_asked`."""
    if pe.lanes > 2 or not pe.takes_adjacent:
        return ()
    states = pe.activation_states(all_pairs(signed))
    return () if states is None else tuple(np.ascontiguousarray(states.T))
