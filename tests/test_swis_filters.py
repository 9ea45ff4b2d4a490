"""Numbers of shifts by filter, columns that pass together, storage: against definitions and every
possibility.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparqsim.base.errors import InputError
from sparqsim.pe.swis_filters import (
    column_order,
    decompose_filters,
    defined_shifts,
    shifts_of_filters,
    squared_errors,
    storage_bits,
)
from sparqsim.pe.swis_groups import decompose

targets = st.fractions(1, 8, max_denominator=16)
#: Errors as they come, equal gains and errors that rise among them.
losses = st.lists(st.lists(st.integers(0, 6), min_size=8, max_size=8), min_size=1, max_size=12)
numbers = st.lists(st.integers(1, 8), min_size=1, max_size=20).map(np.array)


@given(losses, targets)
def test_fast_form_is_the_definition(losses, target):
    fast = shifts_of_filters(np.array(losses), target)
    assert fast.dtype == np.int64
    assert fast.tolist() == defined_shifts(losses, target)


@given(losses, targets)
def test_the_mean_is_at_most_the_target(losses, target):
    shifts = shifts_of_filters(np.array(losses), target)
    assert shifts.min() >= 1
    assert shifts.max() <= 8
    assert Fraction(int(shifts.sum()), len(shifts)) <= target


def test_a_text_is_taken_exactly():
    """A binary 2.2 is below the decimal one: ten filters would get 21 shifts."""
    falling = np.tile(np.arange(80, 0, -10), (10, 1))
    assert shifts_of_filters(falling, "2.2").sum() == 22


def test_a_shift_goes_where_error_falls_most():
    steep, flat, done = (
        [90, 40, 20, 9, 0, 0, 0, 0],
        [60, 50, 40, 30, 20, 10, 5, 0],
        [0] * 8,
    )
    # By hand: 50 (steep), 20 (steep), 11 (steep), then 10 (flat) before 9 (steep).
    expected = [(3, 1, 1), (4, 1, 1), (4, 2, 1)]
    for spent, shifts in zip((5, 6, 7), expected, strict=True):
        found = shifts_of_filters(np.array([steep, flat, done]), Fraction(spent, 3))
        assert tuple(found.tolist()) == shifts


def test_nothing_is_spent_on_what_is_exact():
    assert shifts_of_filters(np.zeros((3, 8), np.int64), 8).tolist() == [1, 1, 1]
    # A power of two in every group needs one position; 255 needs all.
    magnitudes = np.array([[64, 64, 64, 64], [255, 0, 0, 0]])
    assert shifts_of_filters(squared_errors(magnitudes, 4), 8).tolist() == [1, 8]


def convex_losses():
    """Errors whose falls only shrink, filter by filter."""
    falls = st.lists(st.integers(0, 9), min_size=7, max_size=7).map(
        lambda each: sorted(each, reverse=True)
    )
    return st.lists(falls, min_size=1, max_size=3).map(
        lambda all_: [[sum(each[at:]) for at in range(8)] for each in all_]
    )


@given(convex_losses(), targets)
def test_greedy_is_least_where_gains_shrink(losses, target):
    """Against every possible choice of shifts."""
    found = shifts_of_filters(np.array(losses), target)
    least = min(
        sum(loss[n - 1] for loss, n in zip(losses, choice, strict=True))
        for choice in itertools.product(range(1, 9), repeat=len(losses))
        if sum(choice) <= target * len(losses)
    )
    assert sum(loss[n - 1] for loss, n in zip(losses, found.tolist(), strict=True)) == least


@pytest.mark.parametrize("target", ["0.5", "8.01", 9, 0])
def test_targets_out_of_range_are_refused(target):
    with pytest.raises(InputError, match=rf"target={target}, expected a mean of 1\.\.8"):
        shifts_of_filters(np.zeros((1, 8), np.int64), target)


def test_errors_are_those_of_each_number_of_shifts():
    magnitudes = np.random.default_rng(5).integers(0, 256, (3, 10))
    for consecutive in (False, True):
        found = squared_errors(magnitudes, 4, consecutive)
        for shifts in range(1, 9):
            off = decompose(magnitudes, 4, shifts, consecutive).astype(int) - magnitudes
            assert found[:, shifts - 1].tolist() == (off**2).sum(axis=1).tolist()


@given(st.lists(st.integers(1, 8), min_size=1, max_size=6), st.integers(0, 99))
def test_filters_are_decomposed_one_by_one(shifts, seed):
    magnitudes = np.random.default_rng(seed).integers(0, 256, (len(shifts), 9))
    found = decompose_filters(magnitudes, 4, np.array(shifts))
    for row, number, filter_ in zip(found, shifts, magnitudes, strict=True):
        assert row.tolist() == decompose(filter_, 4, number).tolist()


def waited(shifts, columns, per_cycle):
    """Cycles of a step in each pass, filters in the order given."""
    passes = [shifts[at : at + columns] for at in range(0, len(shifts), columns)]
    return [max(-(-each // per_cycle) for each in one) for one in passes]


def in_order(shifts, schedule):
    return shifts[column_order(shifts, schedule)].tolist()


@given(numbers)
def test_filters_of_most_shifts_come_first_or_stay(shifts):
    assert in_order(shifts, "sorted") == sorted(shifts.tolist(), reverse=True)
    assert in_order(shifts, "given") == shifts.tolist()


@given(numbers, st.integers(1, 6), st.integers(1, 8))
def test_sorted_is_never_slower(shifts, columns, per_cycle):
    """A directional claim of the method, asserted."""
    by_shifts, given_order = (
        sum(waited(in_order(shifts, schedule), columns, per_cycle))
        for schedule in ("sorted", "given")
    )
    assert by_shifts <= given_order


@given(st.lists(st.integers(1, 8), min_size=1, max_size=6).map(np.array), st.integers(1, 3))
def test_no_order_is_faster_than_sorted(shifts, columns):
    """Against every order of the filters."""
    least = min(sum(waited(order, columns, 1)) for order in itertools.permutations(shifts.tolist()))
    assert sum(waited(in_order(shifts, "sorted"), columns, 1)) == least


def test_equal_filters_keep_their_order():
    assert column_order(np.array([2, 5, 2, 5, 8]), "sorted").tolist() == [4, 1, 3, 0, 2]
    assert column_order(np.array([2, 5, 2]), "given").tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("group", "shifts", "bits", "consecutive_bits"),
    [
        (4, 2, "4.50", "3.75"),
        (4, 3, "6.25", "4.75"),
        (4, 4, "8.00", "5.75"),
        (8, 3, "5.125", "4.375"),
        (16, 3, "4.5625", "4.1875"),
        (16, 1, "2.1875", "2.1875"),
    ],
)
def test_storage(group, shifts, bits, consecutive_bits):
    assert storage_bits(shifts, group) == Fraction(bits)
    assert storage_bits(shifts, group, consecutive=True) == Fraction(consecutive_bits)
