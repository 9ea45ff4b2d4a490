"""Drawn values: the stated distribution, seeded, labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqsim import InputError, load_trace, simulate
from sparqsim.trace.schema import ConvGeometry
from sparqsim.trace.synthetic import Distribution, LayerShape, save_synthetic

SHAPE = (1, 40, 40, 64)


@settings(deadline=None, max_examples=15)
@given(zeros=st.floats(0, 0.99), correlation=st.floats(-0.9, 0.9), seed=st.integers(0, 2**40))
def test_share_of_zeros_is_the_wanted_one(zeros: float, correlation: float, seed: int) -> None:
    """Within five standard deviations of the share; channels being correlated widens it."""
    found = (Distribution(zeros, correlation, seed).activations(SHAPE, 0) == 0).mean()
    independent = 40 * 40 * 64 * (1 - abs(correlation)) / 4
    assert abs(found - zeros) < 5 * np.sqrt(zeros * (1 - zeros) / independent) + 1e-9


def test_no_zeros_when_none_are_wanted() -> None:
    assert Distribution(zeros=0).activations(SHAPE, 0).min() > 0


@pytest.mark.parametrize("correlation", [-0.8, 0.0, 0.5, 0.9])
def test_neighbouring_zeros_are_correlated_as_stated(correlation: float) -> None:
    """Half zeros: two Gaussians with correlation r have the same sign with probability 1/2 + asin(r)/pi."""
    zero = Distribution(0.5, correlation, 1).activations(SHAPE, 0) == 0
    together = (zero[..., 1:] == zero[..., :-1]).mean()
    assert abs(together - (0.5 + np.arcsin(correlation) / np.pi)) < 0.01


def test_values_follow_the_stated_curve() -> None:
    """Non-zero activations are those of a Gaussian above its median, 255 at four deviations: mean 255/4 * 0.798."""
    x = Distribution(0.5).activations(SHAPE, 0)
    assert abs(x[x > 0].mean() - (255 / 4 * np.sqrt(2 / np.pi) + 0.5)) < 0.5
    w = Distribution().weights((64, 9, 64), 0)
    assert w.dtype == np.int8
    assert abs(w.std() - 32) < 0.5
    assert w.min() >= -127


def test_seed_and_layer_decide_everything() -> None:
    once, again = Distribution(seed=5), Distribution(seed=5)
    assert np.array_equal(once.activations(SHAPE, 2), again.activations(SHAPE, 2))
    assert not np.array_equal(once.activations(SHAPE, 2), once.activations(SHAPE, 3))
    assert not np.array_equal(
        once.activations(SHAPE, 2), Distribution(seed=6).activations(SHAPE, 2)
    )


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"zeros": 1.0}, "zeros=1.0"),
        ({"zeros": -0.1}, "zeros=-0.1"),
        ({"zeros": float("nan")}, "zeros=nan"),
        ({"correlation": 1.0}, "correlation=1.0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_parameters_out_of_range_are_bad_input(fields: dict[str, float], word: str) -> None:
    with pytest.raises(InputError, match=word):
        Distribution(**fields)


def test_reports_carry_the_label(tmp_path: Path) -> None:
    shapes = [
        LayerShape.conv2d("c", (6, 6), 4, 5, ConvGeometry(kernel=(3, 3))),
        LayerShape.gemm("g", 5, 6, 7, groups=3),
    ]
    save_synthetic(tmp_path / "t.safetensors", shapes, Distribution(0.25, 0.5, 9), network="shapes")
    trace = load_trace(tmp_path / "t.safetensors")
    report = simulate(trace)
    assert report.provenance.synthetic == str(Distribution(0.25, 0.5, 9))
    assert all(
        word in report.provenance.synthetic for word in ("zeros=0.25", "correlation=0.5", "seed=9")
    )
    assert (trace.layers[1].gemm.groups, trace.layers[1].gemm.n) == (3, 7)
