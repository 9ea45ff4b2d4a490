"""Learned rounding: its formulas against torch-free restatements, its result against every other
rounding of small layers, and against rounding to nearest.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqsim.quantise.rounding import (
    Moments,
    Schedule,
    _Descent,
    _Learned,
    learn_rounding,
    nearest_codes,
    rectified_sigmoid,
    start_of,
    start_scales,
)

QUICK = Schedule(steps=300, rate=3e-2)


def correlated(rng, rows, k):
    """Non-negative inputs that share causes, as activations do."""
    causes = np.maximum(rng.normal(size=(rows, 4)), 0)
    return np.maximum(causes @ rng.normal(size=(4, k)) + 0.3 * rng.normal(size=(rows, k)), 0)


def moments_of(taken, meant):
    rows = taken.shape[1]
    columns = taken.swapaxes(1, 2)
    return Moments(columns @ taken / rows, columns @ meant / rows)


def output_errors(weights, quantised, taken, meant):
    """The mean squared error of each output, from the outputs themselves."""
    errors = taken @ quantised.swapaxes(1, 2) - meant @ weights.swapaxes(1, 2)
    return (errors**2).mean(axis=1)


def layer(seed, groups=1, n=4, k=6, rows=50, noise=0.05):
    rng = np.random.default_rng(seed)
    meant = np.stack([correlated(rng, rows, k) for _ in range(groups)])
    taken = meant + noise * rng.normal(size=meant.shape)
    return rng.normal(size=(groups, n, k)), taken, meant


@given(st.integers(0, 99), st.integers(1, 3))
def test_moments_tell_errors_of_outputs_but_for_what_no_rounding_changes(seed, groups):
    weights, taken, meant = layer(seed, groups)
    quantised = np.round(weights)
    told = moments_of(taken, meant).errors(weights, quantised)
    constant = ((meant @ weights.swapaxes(1, 2)) ** 2).mean(axis=1)
    assert np.allclose(told + constant, output_errors(weights, quantised, taken, meant))


@given(st.floats(0, 0.999))
def test_rounding_starts_at_the_fraction(fraction):
    assert rectified_sigmoid(start_of(np.array(fraction))) == pytest.approx(fraction, abs=1e-9)


def test_start_by_the_formula_of_the_source():
    """V0 = -ln((zeta - gamma) / (fraction - gamma) - 1)."""
    assert start_of(np.array(0.25)) == pytest.approx(-np.log(1.2 / 0.35 - 1))


def test_beta_falls_from_20_to_2_after_a_fifth():
    schedule = Schedule(steps=1000)
    assert [schedule.beta(step) for step in (0, 199)] == [None, None]
    assert schedule.beta(200) == 20
    assert schedule.beta(600) == pytest.approx(11)
    assert schedule.beta(999) == pytest.approx(2, abs=0.03)


@given(st.integers(0, 99), st.sampled_from([None, 8.0, 2.5]))
@settings(max_examples=15)
def test_gradient_is_the_slope_of_the_loss(seed, beta):
    weights, taken, meant = layer(seed, n=2, k=3)
    scales = start_scales(weights, 3)
    learned = _Learned(weights, scales.astype(float), 3)
    descent = _Descent(learned, moments_of(taken, meant))
    start = learned.v.astype(np.float64)

    def loss(v):
        h = np.clip(1.2 / (1 + np.exp(-v)) - 0.1, 0, 1)
        steps = np.floor(weights / scales[..., None].astype(float))
        held = scales[..., None] * np.clip(steps + h, -3, 3)
        told = output_errors(weights, held, taken, meant).sum()
        return told if beta is None else told + 0.01 * (1 - np.abs(2 * h - 1) ** beta).sum()

    gradient = descent.gradient(beta, 0.01)
    for place in np.ndindex(start.shape):
        step = np.zeros_like(start)
        step[place] = 1e-4
        h = rectified_sigmoid(start[place])
        steps = weights[place] / scales[place[:-1]]
        if abs(np.floor(steps) + h) > 3 - 1e-3 or not 1e-3 < h < 1 - 1e-3:
            continue  # a kink: there is no slope
        slope = (loss(start + step) - loss(start - step)) / 2e-4
        assert gradient[place] == pytest.approx(slope, rel=2e-2, abs=2e-4)


@given(st.integers(0, 99))
@settings(max_examples=10)
def test_codes_are_neighbours_of_the_weights_and_no_worse_than_nearest(seed):
    weights, taken, meant = layer(seed, groups=2)
    scales = start_scales(weights, 3)
    found = learn_rounding(weights, scales, 3, moments_of(taken, meant), QUICK)
    steps = weights / scales[..., None].astype(float)
    assert found.codes.dtype == np.int8
    lower, upper = np.floor(steps), np.floor(steps) + 1
    assert ((found.codes >= np.clip(lower, -3, 3)) & (found.codes <= np.clip(upper, -3, 3))).all()

    def errors(codes):
        return output_errors(weights, codes * scales[..., None].astype(float), taken, meant)

    nearest = nearest_codes(weights, scales, 3)
    assert (errors(found.codes) <= errors(nearest) * (1 + 1e-9)).all()


def test_near_the_best_of_all_roundings():
    """Four weights have 16 roundings: what is learned has to be among the better ones."""
    excess = []
    for seed in range(20):
        weights, taken, meant = layer(seed, n=1, k=4)
        scales = start_scales(weights, 7)
        moments = moments_of(taken, meant)
        learned = learn_rounding(weights, scales, 7, moments, QUICK).codes
        floor = np.floor(weights / scales[..., None].astype(float))
        every = [np.clip(floor + np.array(ups), -7, 7) for ups in product((0, 1), repeat=4)]
        errors = [
            output_errors(weights, codes * scales[..., None].astype(float), taken, meant).item()
            for codes in (*every, learned)
        ]
        excess.append(errors[-1] / min(errors))
    assert np.median(excess) < 1.2
    assert np.mean(np.array(excess) < 1.001) >= 0.4


def test_held_out_rows_gain_as_well():
    rng = np.random.default_rng(5)
    rows = correlated(rng, 2000, 24)[None]
    seen, unseen = rows[:, :1000], rows[:, 1000:]
    weights = 0.1 * rng.normal(size=(1, 8, 24))  # outputs about 1, as behind a batch norm
    scales = start_scales(weights, 3)
    learned = learn_rounding(weights, scales, 3, moments_of(seen, seen))
    units = scales[..., None].astype(float)
    errors = [
        output_errors(weights, codes * units, unseen, unseen).sum()
        for codes in (learned.codes, nearest_codes(weights, scales, 3))
    ]
    assert errors[0] < 0.7 * errors[1]
    assert learned.undecided < 0.05


def test_inputs_that_earlier_layers_changed_are_made_up_for():
    """Inputs that came out a tenth too small: weights are rounded up."""
    rng = np.random.default_rng(2)
    meant = correlated(rng, 500, 16)[None]
    taken = 0.9 * meant
    weights = rng.uniform(0.2, 1, size=(1, 6, 16))
    scales = start_scales(weights, 7)
    units = scales[..., None].astype(float)

    def error(moments):
        codes = learn_rounding(weights, scales, 7, moments, QUICK).codes
        return output_errors(weights, codes * units, taken, meant).sum()

    assert error(moments_of(taken, meant)) < 0.8 * error(moments_of(meant, meant))


def test_scale_is_the_best_of_eighty():
    rng = np.random.default_rng(3)
    weights = np.concatenate([rng.normal(size=(1, 3, 50)), rng.standard_cauchy((1, 3, 50))], axis=1)
    for row, scale in zip(weights[0], start_scales(weights, 7)[0], strict=True):
        tried = [abs(row).max() / 7 * (100 - each) / 100 for each in range(80)]
        scores = []
        for step in tried:
            held = [step * max(-7, min(7, round(each / step))) for each in row]
            scores.append(np.mean([abs(a - b) ** 2.4 for a, b in zip(row, held, strict=True)]))
        assert scale == pytest.approx(tried[int(np.argmin(scores))], rel=1e-6)


def test_a_channel_of_zeros_stays_one():
    weights, taken, meant = layer(1)
    weights[0, 2] = 0
    scales = start_scales(weights, 3)
    assert scales[0, 2] == 1
    assert not learn_rounding(weights, scales, 3, moments_of(taken, meant), QUICK).codes[0, 2].any()


def test_the_same_again_and_nothing_given_is_written_to():
    weights, taken, meant = layer(4)
    moments = moments_of(taken, meant)
    scales = start_scales(weights, 3)
    given_before = [each.copy() for each in (weights, scales, *moments)]
    codes = [learn_rounding(weights, scales, 3, moments, QUICK).codes for _ in range(2)]
    assert np.array_equal(*codes)
    for before, after in zip(given_before, (weights, scales, *moments), strict=True):
        assert np.array_equal(before, after)


def test_every_step_is_told():
    weights, taken, meant = layer(6)
    told = []
    scales = start_scales(weights, 3)
    learn_rounding(weights, scales, 3, moments_of(taken, meant), Schedule(steps=7), told.append)
    assert told == list(range(1, 8))
