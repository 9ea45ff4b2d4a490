"""LAPQ's phases on losses that are known: parabolas, valleys, and answers by hand."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparqsim import InputError
from sparqsim.quantise.clips import (
    LEAST_FACTOR,
    MOST_FACTOR,
    POWERS,
    cross_entropy,
    divergence,
    fitted_power,
    joint_powell,
)


def test_powers_are_ten_from_two_to_four():
    assert len(POWERS) == 10
    assert (POWERS[0], POWERS[-1]) == (2, 4)


@given(st.floats(1, 5), st.floats(0.1, 10), st.floats(-3, 3))
def test_a_parabola_is_found_again_and_kept_in_range(vertex, curvature, least):
    losses = [curvature * (power - vertex) ** 2 + least for power in POWERS]
    found = fitted_power(POWERS, losses)
    assert found.vertex == pytest.approx(vertex, abs=1e-6)
    assert found.power == pytest.approx(min(4, max(2, vertex)), abs=1e-6)


@pytest.mark.parametrize(("losses", "power"), [([3, 2, 1], 4), ([1, 2, 1.5], 2), ([1, 1, 1], 2)])
def test_without_a_least_value_the_best_power_is_taken(losses, power):
    found = fitted_power([2, 3, 4], losses)
    assert found.vertex is None
    assert found.power == power


def test_powell_finds_the_bottom_of_a_tilted_valley():
    """Two clips that depend on each other: a round of one after the other stops far from it."""
    pytest.importorskip("scipy", reason="extra 'torch' (SciPy) is not installed")

    def loss(factors):
        one, two = factors
        return 4 * (one + two - 1.1) ** 2 + (one - two - 0.5) ** 2

    found = joint_powell(loss, 2, iterations=20, evaluations=2000)
    assert found.factors == pytest.approx([0.8, 0.3], abs=0.03)
    assert found.start_loss == pytest.approx(loss(np.ones(2)))
    tried = np.linspace(LEAST_FACTOR, MOST_FACTOR, 1000)
    one = min(tried, key=lambda each: loss((each, 1)))
    two = min(tried, key=lambda each: loss((one, each)))
    assert found.loss < 0.01 * loss((one, two))


@pytest.mark.parametrize("evaluations", [1, 2, 30])
def test_powell_stops_in_time_and_keeps_the_best(evaluations):
    pytest.importorskip("scipy", reason="extra 'torch' (SciPy) is not installed")
    taken, told = [], []

    def loss(factors):
        taken.append((math.fsum((factors - 0.5) ** 2), tuple(factors)))
        return taken[-1][0]

    found = joint_powell(loss, 4, iterations=5, evaluations=evaluations, each=told.append)
    assert len(taken) == found.evaluations == evaluations
    assert told == list(range(2, evaluations + 1))
    assert (found.loss, tuple(found.factors)) == min(taken)
    assert found.loss <= found.start_loss
    each = np.array([factors for _, factors in taken])
    assert each.min() >= LEAST_FACTOR * (1 - 1e-9)
    assert each.max() <= MOST_FACTOR * (1 + 1e-9)


def test_rough_losses_fall_in_every_round():
    """A loss of steps, as that of a quantised network: each clip is to come nearer to 0.8."""
    pytest.importorskip("scipy", reason="extra 'torch' (SciPy) is not installed")

    def loss(factors):
        return ((factors - 0.8) ** 2).sum() + 0.002 * np.sin(300 * factors).sum()

    found = joint_powell(loss, 20, iterations=1, evaluations=5000)
    assert (np.abs(found.factors - 0.8) < 0.1).all()
    assert found.evaluations < 20 * 25


def test_without_scipy_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(InputError, match="lapq needs SciPy"):
        joint_powell(lambda _: 0.0, 1, iterations=1, evaluations=1)


def test_cross_entropy_by_hand():
    logits = np.array([[0.0, 0.0], [math.log(3), 0.0]])
    assert cross_entropy(logits, np.array([0, 0])) == pytest.approx(
        (math.log(2) + math.log(4 / 3)) / 2
    )
    assert cross_entropy(logits + 1e5, np.array([0, 0])) == pytest.approx(
        cross_entropy(logits, np.array([0, 0]))
    )


def test_divergence_by_hand():
    """Of (1/2, 1/2) meant and (1/4, 3/4) answered."""
    meant, answered = np.array([[0.0, 0.0]]), np.array([[0.0, math.log(3)]])
    by_hand = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert divergence(answered, meant) == pytest.approx(by_hand)
    assert divergence(meant, meant) == 0


@given(st.integers(0, 99))
def test_divergence_is_never_below_zero(seed):
    rng = np.random.default_rng(seed)
    logits, reference = rng.normal(size=(2, 5, 4))
    assert divergence(logits, reference) >= 0
