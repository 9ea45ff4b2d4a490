"""SWIS, filter by filter: numbers of shifts that meet a target, columns that pass together,
storage.

`sparqsim.pe.swis` tells the design, and that all of it is a reconstruction.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.pe.base import Array
from sparqsim.pe.swis_groups import POSITIONS, decompose, defined_decompose

Schedule = Literal["sorted", "given"]


def defined_squared_errors(
    magnitudes: Sequence[int], group: int, consecutive: bool = False, alpha: float = 0.0
) -> list[int]:
    """Return the squared error of one filter for 1, 2, ... 8 shifts: the definition."""
    losses = []
    for shifts in range(1, POSITIONS + 1):
        nearest = defined_decompose(magnitudes, group, shifts, consecutive, alpha)
        pairs = zip(nearest, magnitudes, strict=True)
        losses.append(sum((approximated - true) ** 2 for approximated, true in pairs))
    return losses


def squared_errors(
    magnitudes: Array, group: int, consecutive: bool = False, alpha: float = 0.0
) -> NDArray[np.int64]:
    """Return the squared error of each filter for 1, 2, ... 8 shifts: the fast form of
    `defined_squared_errors`.

    Parameters
    ----------
    magnitudes : integers 0..255 (filters, K)
    group, consecutive, alpha
        As `decompose` takes them.

    Returns
    -------
    int64 (filters, 8)
    """
    losses = np.empty((len(magnitudes), POSITIONS), np.int64)
    true = magnitudes.astype(np.int64)
    for shifts in range(1, POSITIONS + 1):
        errors = decompose(magnitudes, group, shifts, consecutive, alpha) - true
        losses[:, shifts - 1] = (errors * errors).sum(axis=1)
    return losses


def shifts_to_give(filters: int, target: Fraction | str | float) -> int:
    """Return how many shifts all filters may have together: floor(target * filters).

    Raises
    ------
    InputError
        For a target out of 1..8: every filter has at least one shift, and at most 8.
    """
    exact = Fraction(target)
    if not 1 <= exact <= POSITIONS:
        raise InputError(f"target={target}, expected a mean of 1..{POSITIONS} shifts per filter")
    return int(exact * filters)


def defined_shifts(losses: Sequence[Sequence[int]], target: Fraction | str | float) -> list[int]:
    """Return the shifts of each filter: the definition of `shifts=target:T`.

    All filters start with one shift. One more goes to the filter whose squared error falls most by
    it, the first of equal ones, as long as the mean stays at most the target and any error falls.

    Parameters
    ----------
    losses : sequences of int
        Each filter's squared error for 1, 2, ... 8 shifts.
    target : Fraction, str or float
        1..8; a text as '3.25' is taken exactly.
    """
    shifts = [1] * len(losses)
    for _ in range(shifts_to_give(len(losses), target) - len(losses)):
        gains = [
            loss[given - 1] - loss[given] if given < POSITIONS else 0
            for loss, given in zip(losses, shifts, strict=True)
        ]
        if max(gains) <= 0:
            break
        shifts[gains.index(max(gains))] += 1
    return shifts


def shifts_of_filters(
    losses: NDArray[np.int64], target: Fraction | str | float
) -> NDArray[np.int64]:
    """Return the shifts of each filter, int64 (filters,): the fast form of `defined_shifts`.

    Greedy, so not always the least error that a target allows: a filter whose second shift gains
    little and whose third gains much may be passed over.

    Parameters
    ----------
    losses : int64 (filters, 8)
        What `squared_errors` gives.
    target : Fraction, str or float

    Raises
    ------
    InputError
        For a target out of 1..8.
    """
    shifts = np.ones(len(losses), np.int64)
    # Gains of the ninth shift are 0; a heap of (-gain, filter) has the first of equal ones on top.
    gains = np.pad(losses[:, :-1] - losses[:, 1:], ((0, 0), (0, 1))).tolist()
    waiting = [(-gain[0], number) for number, gain in enumerate(gains)]
    heapq.heapify(waiting)
    for _ in range(shifts_to_give(len(losses), target) - len(losses)):
        gain, number = waiting[0]
        if gain >= 0:
            break
        shifts[number] += 1
        heapq.heapreplace(waiting, (-gains[number][shifts[number] - 1], number))
    return shifts


def decompose_filters(
    magnitudes: Array,
    group: int,
    shifts: NDArray[np.int64],
    consecutive: bool = False,
    alpha: float = 0.0,
) -> NDArray[np.uint8]:
    """Return `decompose` of each filter with its own number of shifts.

    Parameters
    ----------
    magnitudes : integers 0..255 (filters, K)
    shifts : int64 (filters,)
        1..8.
    group, consecutive, alpha
        As `decompose` takes them.

    Returns
    -------
    uint8 (filters, K)
    """
    nearest = np.empty(magnitudes.shape, np.uint8)
    for number in np.unique(shifts).tolist():
        alike = shifts == number
        nearest[alike] = decompose(magnitudes[alike], group, number, consecutive, alpha)
    return nearest


def column_order(shifts: NDArray[np.int64], schedule: Schedule) -> NDArray[np.int64]:
    """Return which filter each column of the array takes, pass after pass: int64 (filters,).

    `given` keeps the layer's order. `sorted` puts filters of equal shifts together, most shifts
    first, equal ones in the layer's order. No order has a smaller sum of cycles of passes, which
    wait for their slowest column: j passes hold at most j * columns filters, so the slowest of the
    next is at least the slowest left.
    """
    if schedule == "given":
        return np.arange(len(shifts))
    return np.argsort(-shifts, kind="stable")


def storage_bits(shifts: int, group: int, consecutive: bool = False) -> Fraction:
    """Return the bits of a weight as it is stored: its sign, N mask bits, its share of positions.

    1 + N + 3 N / M, since a position takes 3 bits and M weights share N of them; consecutive
    positions need the lowest only: 1 + N + 3 / M. By our reading of the method, not checked against
    the paper. What a layer stores once (a filter's N, scales) is left out.
    """
    return 1 + shifts + Fraction(3 if consecutive else 3 * shifts, group)
