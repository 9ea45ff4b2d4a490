"""SWIS, group by group: which shift positions a group of weights shares, and what weights become.

`sparqsim.pe.swis` tells the rule, and that all of it is a reconstruction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.base.jit import jit, parallel_jit, prange
from sparqsim.pe.base import Array

#: Positions of a bit in a magnitude.
POSITIONS = 8
#: Groups that one thread decomposes before others have started.
FEW_GROUPS = 256

Positions = tuple[int, ...]


class SharedShifts(NamedTuple):
    """A decomposed group: its positions, ascending, and the magnitudes that its weights become."""

    positions: Positions
    magnitudes: tuple[int, ...]


@cache
def shift_sets(shifts: int, consecutive: bool = False) -> list[Positions]:
    """Return every set of `shifts` positions, or every window of adjacent ones, smallest first."""
    if consecutive:
        windows = POSITIONS + 1 - shifts
        return [tuple(range(low, low + shifts)) for low in range(windows)]
    return sorted(combinations(range(POSITIONS), shifts))


@cache
def nearest_sum(magnitude: int, positions: Positions) -> int:
    """Return the sum of 2^position over a subset that is nearest, the smaller of two."""
    subsets = (
        subset for count in range(len(positions) + 1) for subset in combinations(positions, count)
    )
    sums = [sum(1 << position for position in subset) for subset in subsets]
    return min(sums, key=lambda value: (abs(value - magnitude), value))


@lru_cache(maxsize=4096)
def decomposed_group(
    magnitudes: tuple[int, ...], shifts: int, consecutive: bool = False, alpha: float = 0.0
) -> SharedShifts:
    """Return what a group of magnitudes becomes: the definition of the decomposition."""

    def cost(positions: Positions) -> float:
        errors = [nearest_sum(true, positions) - true for true in magnitudes]
        return sum(error * error for error in errors) + alpha * sum(errors) ** 2

    # Sets come smallest first, and `min` keeps the first of equal ones.
    best = min(shift_sets(shifts, consecutive), key=cost)
    return SharedShifts(best, tuple(nearest_sum(true, best) for true in magnitudes))


def defined_decompose(
    magnitudes: Sequence[int],
    group: int,
    shifts: int,
    consecutive: bool = False,
    alpha: float = 0.0,
) -> list[int]:
    """Return the magnitudes that those of one filter, K of them, become: group by group."""
    padded = [*magnitudes, *([0] * (-len(magnitudes) % group))]
    groups = [tuple(padded[start : start + group]) for start in range(0, len(padded), group)]
    decomposed = [decomposed_group(each, shifts, consecutive, alpha).magnitudes for each in groups]
    return [value for each in decomposed for value in each][: len(magnitudes)]


def decompose(
    magnitudes: Array,
    group: int,
    shifts: int,
    consecutive: bool = False,
    alpha: float = 0.0,
) -> NDArray[np.uint8]:
    """Return the magnitudes that weights become where each group shares its shift positions.

    The fast form of `defined_decompose`. `sparqsim.pe.swis` tells the rule and its source.

    Parameters
    ----------
    magnitudes : integers 0..255 (..., K)
    group : int
        Adjacent elements of K that share positions, at least 1; K is padded with zeros.
    shifts : int
        Positions of a group, 1..8.
    consecutive : bool
        Whether positions are adjacent.
    alpha : float
        Weight of the squared sum of signed errors, at least 0.

    Returns
    -------
    uint8 (..., K)

    Raises
    ------
    InputError
        For magnitudes that are no integers 0..255, or parameters out of range.
    """
    _check_magnitudes(magnitudes)
    _check_rule(group, shifts, alpha)
    k = magnitudes.shape[-1]
    # In C order, so that groups are views: what is written to a copy would be lost.
    padded = np.zeros((*magnitudes.shape[:-1], k + -k % group), np.uint8)
    padded[..., :k] = magnitudes
    nearest = np.empty_like(padded, order="C")
    tables = shift_tables(shifts, consecutive)
    groups = padded.reshape(-1, group)
    take = _take_few if len(groups) <= FEW_GROUPS else _take_best_sets
    take(
        groups,
        tables.nearest,
        tables.errors,
        float(alpha),
        nearest.reshape(-1, group),
    )
    return nearest[..., :k]


def _check_magnitudes(magnitudes: Array) -> None:
    if magnitudes.dtype.kind not in "iu" or magnitudes.ndim == 0:
        raise InputError(
            f"magnitudes are {magnitudes.dtype} of shape {magnitudes.shape}, "
            "expected integers 0..255 of shape (..., K)"
        )
    low, high = (int(bound) for bound in (magnitudes.min(initial=0), magnitudes.max(initial=0)))
    if low < 0 or high > 255:
        raise InputError(f"magnitudes are {low}..{high}, expected 0..255")


def _check_rule(group: int, shifts: int, alpha: float) -> None:
    if group < 1:
        raise InputError(f"group={group}, expected at least 1")
    if not 1 <= shifts <= POSITIONS:
        raise InputError(f"shifts={shifts}, expected 1..{POSITIONS}")
    if not (math.isfinite(alpha) and alpha >= 0):
        raise InputError(f"alpha={alpha}, expected a number of at least 0")


class ShiftTables(NamedTuple):
    """`nearest_sum` and its signed error for every set and magnitude.

    nearest: uint8 (sets, 256). errors: int64 (sets, 256). Sets as `shift_sets` has them.
    """

    nearest: NDArray[np.uint8]
    errors: NDArray[np.int64]


@cache
def shift_tables(shifts: int, consecutive: bool) -> ShiftTables:
    """Return the tables of all sets of `shifts` positions."""
    every = np.arange(256)
    nearest = np.empty((len(shift_sets(shifts, consecutive)), 256), np.uint8)
    for at, positions in enumerate(shift_sets(shifts, consecutive)):
        # Subset sums are the numbers that have no bit outside the set; `argmin` keeps the smaller.
        sums = every[every & ~sum(1 << position for position in positions) == 0]
        nearest[at] = sums[np.abs(sums - every[:, None]).argmin(axis=1)]
    nearest.flags.writeable = False
    errors = nearest - every
    errors.flags.writeable = False
    return ShiftTables(nearest, errors)


@parallel_jit
def _take_best_sets(
    groups: NDArray[np.uint8],
    nearest: NDArray[np.uint8],
    errors: NDArray[np.int64],
    alpha: float,
    out: NDArray[np.uint8],
) -> None:
    """Write what each group (groups, M) becomes; tables as in `ShiftTables`, by set."""
    for at in prange(len(groups)):
        _take_best_set(groups[at], nearest, errors, alpha, out[at])


@jit
def _take_few(
    groups: NDArray[np.uint8],
    nearest: NDArray[np.uint8],
    errors: NDArray[np.int64],
    alpha: float,
    out: NDArray[np.uint8],
) -> None:
    """Do the same in one thread."""
    for at in range(len(groups)):
        _take_best_set(groups[at], nearest, errors, alpha, out[at])


@jit
def _take_best_set(
    group: NDArray[np.uint8],
    nearest: NDArray[np.uint8],
    errors: NDArray[np.int64],
    alpha: float,
    out: NDArray[np.uint8],
) -> None:
    """Write what a group (M,) becomes."""
    best, least = 0, np.inf
    for number in range(len(errors)):
        squares, signed = 0, 0
        for member in group:
            error = errors[number, member]
            squares += error * error
            signed += error
        cost = squares + alpha * (signed * signed)
        if cost < least:
            best, least = number, cost
    for place in range(len(group)):
        out[place] = nearest[best, group[place]]
