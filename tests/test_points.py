"""Greedy points against a plain restatement, budgets against every other choice, and weights of a
real network against values found beforehand.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparqsim.quantise.points import (
    Combination,
    Points,
    adaptive_counts,
    combination,
    errors_by_count,
    extra_points,
    greedy_points,
    nearest_point,
)

VALUES = arrays(
    np.float64,
    st.tuples(st.integers(1, 3), st.integers(1, 6)),
    elements=st.floats(-4, 4).filter(lambda value: value == 0 or abs(value) > 1e-3),
)


def plain_point(left, limit):
    """The error of the nearest of eighty points, of one channel, in Python's numbers."""
    largest = max(map(abs, left))
    steps = ((0.2 + index * 1.0 / 79) * largest / limit for index in range(80))
    tried = (codes for step in steps for codes in rounded(left, step, limit) if any(codes))
    return min(error_of(left, codes) for codes in tried)


def rounded(left, step, limit):
    """Values in steps; one half way between two codes, as near as floats tell, takes either."""
    either = [{round(each / step - 1e-9), round(each / step + 1e-9)} for each in left]
    for codes in product(*either):
        yield [max(-limit, min(limit, code)) for code in codes]


def error_of(left, codes):
    """The squared error that the best factor leaves."""
    factor = sum(a * b for a, b in zip(left, codes, strict=True)) / sum(b * b for b in codes)
    return sum((a - factor * b) ** 2 for a, b in zip(left, codes, strict=True))


@given(VALUES, st.sampled_from([1, 3, 7]))
@example(np.array([[2.0, 3.875]]), 3)
def test_a_point_is_the_nearest_of_eighty(left, limit):
    codes, factors = nearest_point(left, limit)
    assert (np.abs(codes.astype(int)) <= limit).all()
    assert (factors > 0).all()
    for row, code, factor in zip(left, codes, factors, strict=True):
        if not row.any():
            assert not code.any()
            assert factor == 1
            continue
        error = ((row - float(factor) * code) ** 2).sum()
        best = plain_point(row.tolist(), limit)
        assert error == pytest.approx(best, rel=1e-5, abs=1e-10 * (row**2).sum())


def test_a_channel_has_the_same_points_among_many_and_alone(monkeypatch):
    weights = np.random.default_rng(0).standard_normal((7, 30)) * 10.0 ** np.arange(7)[:, None]
    alone = [greedy_points(row[None], 7, 2) for row in weights]
    for block in (1, 60, 90, 1 << 15):
        monkeypatch.setattr("sparqsim.quantise.points.BLOCK", block)
        codes, factors = greedy_points(weights, 7, 2)
        assert (codes == np.concatenate([each.codes for each in alone], axis=1)).all()
        assert (factors == np.concatenate([each.factors for each in alone], axis=1)).all()


@given(VALUES, st.integers(1, 4))
def test_points_are_found_one_after_the_other(weights, count):
    all_points = greedy_points(weights, 3, count)
    left = weights.copy()
    for codes, factors in zip(*all_points, strict=True):
        again, again_factors = nearest_point(left, 3)
        assert np.array_equal(codes, again)
        assert np.array_equal(factors, again_factors)
        left -= codes * factors[:, None].astype(float)
    assert np.allclose(all_points.sums()[-1], weights - left)


@given(VALUES)
def test_no_point_makes_it_worse(weights):
    sums = greedy_points(weights, 3, 4).sums()
    errors = ((sums - weights) ** 2).sum(axis=-1)
    assert (np.diff(errors, axis=0) <= 1e-9 * (weights**2).sum()).all()


def test_size_of_weights_does_not_matter():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(4, 9))
    for size in (2.0**-100, 2.0**100):
        assert np.array_equal(
            greedy_points(weights * size, 7, 3).codes, greedy_points(weights, 7, 3).codes
        )


@given(
    arrays(np.float64, (3, 4), elements=st.integers(0, 50).map(float)),
    st.integers(0, 9),
)
@settings(max_examples=60)
def test_no_other_counts_are_better_where_each_point_gains_less_than_the_one_before(falls, extra):
    """Then taking the largest fall first is best: 4 channels, 1 to 4 points."""
    falls = -np.sort(-falls, axis=0)
    errors = 1000 - np.concatenate([np.zeros((1, 4)), np.cumsum(falls, axis=0)])
    counts = adaptive_counts(errors, extra)
    assert counts.min() >= 1
    assert counts.max() <= 4
    assert (counts - 1).sum() <= extra

    def total(of_channels):
        return sum(errors[count - 1, channel] for channel, count in enumerate(of_channels))

    others = [each for each in product(range(1, 5), repeat=4) if sum(each) - 4 <= extra]
    assert total(counts) == min(map(total, others))


def test_channels_without_gain_get_no_points():
    errors = np.array([[5.0, 3.0], [5.0, 1.0], [5.0, 1.0]])
    assert adaptive_counts(errors, 4).tolist() == [1, 2]
    assert adaptive_counts(errors, 0).tolist() == [1, 1]
    assert adaptive_counts(errors[:1], 4).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("share", "channels", "most", "extra"),
    [(0.5, 5, 4, 2), (2, 5, 2, 5), (0, 5, 4, 0), (0.29, 100, 2, 29)],
)
def test_budget(share, channels, most, extra):
    assert extra_points(share, channels, most) == extra


def test_errors_by_count_are_those_of_sums():
    weights = np.random.default_rng(1).normal(size=(3, 8))
    points = greedy_points(weights, 3, 3)
    found = errors_by_count(points, lambda real: ((real - weights) ** 2).sum(axis=1))
    by_hand = weights - points.codes[0] * points.factors[0][:, None].astype(float)
    assert np.allclose(found[0], (by_hand**2).sum(axis=1))
    assert found.shape == (3, 3)
    assert (np.diff(found, axis=0) < 0).all()


def test_choosing_by_error_beats_choosing_at_random():
    """As many points, on inputs that were not looked at."""
    rng = np.random.default_rng(2)
    weights = rng.normal(size=(32, 24)) * rng.gamma(1, size=(32, 1))
    seen, unseen = (np.maximum(rng.normal(size=(500, 24)), 0) for _ in range(2))
    points = greedy_points(weights, 3, 3)

    def errors(inputs):
        return errors_by_count(points, lambda real: ((inputs @ (real - weights).T) ** 2).mean(0))

    channels, held_out = np.arange(32), errors(unseen)
    counts = adaptive_counts(errors(seen), 16)
    assert counts.sum() == 48
    adaptive = held_out[counts - 1, channels].sum()
    for _ in range(100):
        drawn = np.ones(32, int)
        drawn[rng.choice(32, 16, replace=False)] += 1
        assert adaptive < held_out[drawn - 1, channels].sum()


def test_cycles_of_combining():
    """40 columns for 32 channels, 100 outputs each: 800 multiply-adds."""
    assert combination(100, 40, 32, 3) == Combination(800, 3)
    assert combination(100, 40, 32, 3).cycles == 267
    assert combination(100, 40, 32, 3).total_cycles(200) == 267
    assert combination(100, 40, 32, 3).total_cycles(300) == 300
    assert combination(100, 32, 32, 3).cycles == 0


REFERENCE_DB = {
    7: (18.3, 31.5, 40.0, 46.7),
    3: (12.7, 22.1, 27.8, 34.4),
    1: (6.8, 12.8, 16.5, 21.5),
}


@pytest.mark.parametrize("limit", REFERENCE_DB)
def test_ratio_of_weights_of_a_real_network(limit, shared):
    """ResNet-20, all 20 layers, batch norms not folded: found beforehand by other code."""
    from safetensors.numpy import load_file

    stored = load_file(shared / "data" / "cifar10_resnets" / "resnet20.safetensors")
    layers = [each.reshape(len(each), -1) for each in stored.values() if each.ndim in {2, 4}]
    assert sum(each.size for each in layers) == 268_336
    power = sum((each.astype(float) ** 2).sum() for each in layers)
    noise = np.zeros(4)
    for weights in layers:
        sums = greedy_points(weights, limit, 4).sums()[1:]
        noise += ((sums - weights) ** 2).sum(axis=(1, 2))
    levels = 10 * np.log10(power / noise)
    assert levels == pytest.approx(REFERENCE_DB[limit], abs=0.2)
    assert (np.diff(levels) >= 3).all()


def test_points_hold_what_they_say():
    codes = np.array([[[1, -1]], [[0, 2]]], np.int8)
    points = Points(codes, np.array([[0.5], [0.25]], np.float32))
    assert points.sums().tolist() == [[[0, 0]], [[0.5, -0.5]], [[0.5, 0]]]
