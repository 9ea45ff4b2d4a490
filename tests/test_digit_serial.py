"""Pragmatic and Laconic: digits, values and cycles of steps against rules restated here."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim.base.errors import InputError
from sparqsim.pe.digits import Digits, digit_counts, digit_masks, digits_of
from sparqsim.pe.laconic import Laconic
from sparqsim.pe.pragmatic import Pragmatic, Stage

FORMS = get_args(Digits)
#: Every bit pattern as int8 and as uint8.
EVERY = [np.arange(256, dtype=np.uint8).view(dtype) for dtype in (np.uint8, np.int8)]


def positions(value: int, form: str) -> int:
    """Return the mask of a magnitude's digits; 3m and m differ where its non-adjacent form has
    one.
    """
    magnitude = abs(value)
    return magnitude if form == "binary" else (3 * magnitude ^ magnitude) >> 1


def ones(value: int, form: str) -> int:
    return positions(value, form).bit_count()


def rule_of_pragmatic(xs: list[int], form: str, stage: int) -> int:
    pending, cycles = [positions(x, form) for x in xs], 0
    while union := np.bitwise_or.reduce(pending):
        lowest = (int(union) & -int(union)).bit_length() - 1
        for lane, mask in enumerate(pending):
            if mask and (mask & -mask).bit_length() - 1 <= lowest + 2**stage - 1:
                pending[lane] = mask & mask - 1
        cycles += 1
    return max(1, cycles)


@st.composite
def steps(draw):
    """Draw operands of one step, (lanes,): activations of either type, and weights."""
    lanes = draw(st.integers(1, 64))
    low, high = draw(st.sampled_from([(0, 255), (-128, 127)]))
    most = draw(st.sampled_from([0, 3, 17, 255]))
    x = st.one_of(st.integers(max(low, -most), min(high, most)), st.sampled_from([low, high]))
    w = st.one_of(st.integers(-128, 127), st.sampled_from([-128, 127, 0, 85]))
    xs = draw(st.lists(x, min_size=lanes, max_size=lanes))
    ws = draw(st.lists(w, min_size=lanes, max_size=lanes))
    return xs, ws, low < 0


def as_matrices(xs: list[int], ws: list[int], *, signed: bool):
    x = np.array([xs], np.int8 if signed else np.uint8)
    return x, np.array([ws], np.int8).T


@pytest.mark.parametrize("form", FORMS)
def test_digits_are_those_of_the_magnitude(form):
    for magnitude in range(256):
        digits = digits_of(magnitude, form)
        assert sum(sign << position for position, sign in digits) == magnitude
        assert sum(1 << position for position, _ in digits) == positions(magnitude, form)
        assert [position for position, _ in digits] == sorted(position for position, _ in digits)


def test_no_two_digits_of_the_non_adjacent_form_are_neighbours():
    assert all(positions(m, "naf") & positions(m, "naf") << 1 == 0 for m in range(256))
    assert all(ones(m, "naf") <= ones(m, "binary") for m in range(256))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("values", EVERY, ids=["uint8", "int8"])
def test_tables_of_digits(values, form):
    assert digit_masks(values, form).tolist() == [positions(v, form) for v in values.tolist()]
    assert digit_counts(values, form).tolist() == [ones(v, form) for v in values.tolist()]


@settings(deadline=None, max_examples=80)
@given(steps(), st.sampled_from(FORMS), st.sampled_from(get_args(Stage)))
def test_a_step_of_pragmatic(operands, form, stage):
    xs, ws, signed = operands
    pe = Pragmatic(lanes=len(xs), digits=form, stage=stage)
    step = pe.step(xs, ws, signed)
    assert step.value == sum(x * w for x, w in zip(xs, ws, strict=True))
    assert step.cycles == rule_of_pragmatic(xs, form, int(stage)) <= pe.most_step_cycles
    assert pe.step_cycles(as_matrices(xs, ws, signed=signed)[0]).tolist() == [[step.cycles]]


@settings(deadline=None, max_examples=40)
@given(steps(), st.sampled_from(FORMS))
def test_what_the_first_stage_decides(operands, form):
    """No stage: every position that a lane has takes a cycle. All positions: nobody waits."""
    xs, ws, signed = operands
    x, _ = as_matrices(xs, ws, signed=signed)
    masks = [positions(v, form) for v in xs]
    first, *_, last = [
        int(Pragmatic(lanes=len(xs), digits=form, stage=stage).step_cycles(x)[0, 0])
        for stage in get_args(Stage)
    ]
    assert first == max(1, int(np.bitwise_or.reduce(masks)).bit_count())
    assert last == max(1, *(mask.bit_count() for mask in masks))


@settings(deadline=None, max_examples=200)
@given(steps(), st.sampled_from(FORMS))
def test_a_step_of_laconic(operands, form):
    xs, ws, signed = operands
    pe = Laconic(lanes=len(xs), digits=form)
    step = pe.step(xs, ws, signed)
    assert step.value == sum(x * w for x, w in zip(xs, ws, strict=True))
    pairs = [ones(x, form) * ones(w, form) for x, w in zip(xs, ws, strict=True)]
    assert step.cycles == max(1, *pairs) <= pe.most_step_cycles
    x, w = as_matrices(xs, ws, signed=signed)
    assert pe.pair_step_cycles(x[None], w[None]).tolist() == [[[step.cycles]]]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_all_values_of_a_lane(form, signed):
    """One lane: a step of Pragmatic takes its digits, one of Laconic the product of both."""
    values, weights = EVERY[signed], EVERY[True]
    digits = np.array([ones(v, form) for v in values.tolist()])
    pragmatic = Pragmatic(lanes=1, digits=form).step_cycles(values[:, None])
    assert pragmatic[:, 0].tolist() == np.maximum(digits, 1).tolist()
    laconic = Laconic(lanes=1, digits=form)
    cycles = laconic.pair_step_cycles(values[:, None, None], weights[None, None])[:, 0]
    expected = np.outer(digits, [ones(w, form) for w in weights.tolist()])
    assert cycles.tolist() == np.maximum(expected, 1).tolist()
    if not signed:
        assert cycles.max() == laconic.most_step_cycles


@pytest.mark.parametrize("lanes", [0, 65, -1, "x"])
@pytest.mark.parametrize("name", ["pragmatic", "laconic"])
def test_lanes_out_of_range_are_refused(name, lanes):
    with pytest.raises(InputError, match=rf"lanes='?{lanes}'?, expected an integer from 1 to 64"):
        sparqsim.get_pe(f"{name}:lanes={lanes}")


def test_other_keys_out_of_range_are_refused():
    with pytest.raises(InputError, match="stage='4'; expected one of 0, 1, 2, 3"):
        sparqsim.get_pe("pragmatic:stage=4")
    with pytest.raises(InputError, match="digits='booth'; expected one of binary, naf"):
        sparqsim.get_pe("laconic:digits=booth")
