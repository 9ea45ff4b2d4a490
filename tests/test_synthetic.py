"""Drawn values: the stated distribution, seeded, labelled."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqsim import InputError, load_trace, simulate
from sparqsim.trace import source, synthetic
from sparqsim.trace.drawn import save_synthetic, synthetic_trace
from sparqsim.trace.schema import ConvGeometry
from sparqsim.trace.synthetic import Distribution, LayerShape

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
    """Half zeros: two Gaussians with correlation r have the same sign with probability 1/2 +
    asin(r)/pi.
    """
    zero = Distribution(0.5, correlation, 1).activations(SHAPE, 0) == 0
    together = (zero[..., 1:] == zero[..., :-1]).mean()
    assert abs(together - (0.5 + np.arcsin(correlation) / np.pi)) < 0.01


def test_values_follow_the_stated_curve() -> None:
    """Non-zero activations are those of a Gaussian above its median, 255 at four deviations: mean
    255/4 * 0.798.
    """
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


def drawn_at_once(distribution: Distribution, shape: tuple[int, ...], layer: int) -> np.ndarray:
    """Activations as the module's docstring defines them, in one piece: an oracle of its own."""
    g = np.random.default_rng([distribution.seed, layer, 0]).standard_normal(shape, np.float32)
    rho = np.float32(distribution.correlation)
    noise = np.float32(np.sqrt(1 - distribution.correlation**2))
    for channel in range(1, shape[-1] if distribution.correlation else 0):
        g[..., channel] = rho * g[..., channel - 1] + noise * g[..., channel]
    t = NormalDist().inv_cdf(distribution.zeros)
    x = np.clip(np.ceil((g - np.float32(t)) * np.float32(255 / (4.0 - t))), 1, 255)
    return np.where(g > t, x, 0).astype(np.uint8)


@settings(deadline=None, max_examples=60)
@given(
    block=st.integers(1, 200),
    shape=st.tuples(*[st.integers(1, 6)] * 3, st.integers(1, 9)),
    correlation=st.sampled_from([0.0, 0.5, -0.3]),
    order=st.permutations(range(4)),
)
def test_values_depend_on_the_seed_and_not_on_blocks(block, shape, correlation, order) -> None:
    """Whatever the size of a block, and whatever is read first."""
    distribution = Distribution(0.4, correlation, 11)
    whole = drawn_at_once(distribution, shape, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "BLOCK_ELEMENTS", block)
        tensor = distribution.activation_source(shape, 3)
        for at in order:
            part = (slice(at % shape[0], at % shape[0] + 1), slice(at, 5))
            assert np.array_equal(tensor.read(part), whole[part])
        assert np.array_equal(tensor.load(), whole)


def test_weights_are_those_of_one_draw() -> None:
    drawn = np.random.default_rng([7, 2, 1]).standard_normal((5, 9, 8), np.float32)
    whole = np.clip(np.rint(drawn * np.float32(32)), -127, 127)
    assert np.array_equal(Distribution(seed=7).weights((5, 9, 8), 2), whole)


def test_saved_values_are_the_ones_that_are_drawn(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(source, "BLOCK_ELEMENTS", 7)
    monkeypatch.setattr(synthetic, "BLOCK_ELEMENTS", 10)
    shapes = [
        LayerShape.conv2d("c", (6, 5), 4, 5, ConvGeometry(kernel=(3, 3)), batch=2),
        LayerShape.gemm("g", 5, 6, 7, groups=3),
    ]
    distribution = Distribution(0.4, 0.5, 9)
    save_synthetic(tmp_path / "t.safetensors", shapes, distribution)
    for at, layer in enumerate(load_trace(tmp_path / "t.safetensors").layers):
        expected = drawn_at_once(distribution, shapes[at].activations, at)
        assert np.array_equal(layer.activations, expected)


def test_a_product_of_millions_of_rows_is_drawn_where_it_is_read() -> None:
    """M = 10^6, K = N = 4096: 4 GB of activations, of which a block is in memory."""
    trace = synthetic_trace([LayerShape.gemm("g", 10**6, 4096, 4096)], Distribution())
    assert trace.layers[0].gemm.macs == 10**6 * 4096**2
    tracemalloc.start()
    rows = trace.layers[0].activations_source.read((slice(None), slice(1000, 1064)))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows.shape == (1, 64, 4096)
    assert peak_bytes < 200 << 20
