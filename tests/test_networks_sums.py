"""Exact sums for many batches are those of the lowered layer, and of whole numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqsim import Layer, get_pe
from sparqsim.networks import sums
from sparqsim.networks.sums import Factor, Signs, Weights, exact_product, layer_sums
from sparqsim.pe.arithmetic import layer_sums as plain_sums

DESIGNS = ["mac-8b8b", "mac-4b8b", "mac-4b4b", "sparq-5opt:signed=magnitude", "smt-sa-2t"]


def convolution(seed: int, depth: int, groups: int, signed: bool, points: tuple[int, int]) -> Layer:
    random = np.random.default_rng(seed)
    kind = np.int8 if signed else np.uint8
    limits = np.iinfo(kind)
    x = random.integers(limits.min, limits.max + 1, (3, 5, 6, depth * groups)).astype(kind)
    x[random.random(x.shape) < 0.4] = 0
    return Layer.conv2d(
        "c",
        x,
        random.integers(-128, 128, (4 * groups, 6, depth)).astype(np.int8),
        kernel=(2, 3),
        stride=(1, 2),
        padding=(1, 0, 2, 1),
        groups=groups,
        activation_zero_point=points[0],
        weight_zero_points=(points[1],) * (4 * groups) if points[1] else (),
        zero_point_corrected=True,
    )


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**16),
    depth=st.integers(1, 4),
    groups=st.sampled_from([1, 3]),
    signed=st.booleans(),
    points=st.sampled_from([(0, 0), (7, 0), (0, -3), (77, 5)]),
    design=st.sampled_from(DESIGNS),
    block=st.sampled_from([1, 1 << 24]),
)
def test_sums_are_those_of_the_lowered_layer(seed, depth, groups, signed, points, design, block):
    if signed and points[0]:
        points = (0, points[1])
    layer, pe = convolution(seed, depth, groups, signed, points), get_pe(design)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sums, "BLOCK_ELEMENTS", block)
        found = layer_sums(layer, pe)
    assert found.shape == layer.output_shape
    assert np.array_equal(found.reshape(-1, 4 * groups), plain_sums(layer, pe))


def test_products_have_an_axis_of_groups():
    random = np.random.default_rng(2)
    x = random.integers(0, 256, (7, 9)).astype(np.uint8)
    w = random.integers(-128, 128, (9, 4)).astype(np.int8)
    layer = Layer.from_gemm("g", x, w)
    prepared = Weights(layer.weights, 1)
    for _ in range(2):
        found = layer_sums(layer, get_pe("mac-8b8b"), prepared)
        assert np.array_equal(found, (x.astype(int) @ w.astype(int))[None])


@pytest.mark.parametrize("k", [1, 3, 520, 4608])
def test_integer_products_are_exact_where_float32_would_not_be(k):
    x, w = np.full((1, 3, k), 255, np.uint8), np.full((1, k, 2), -128, np.int8)
    x[0, 0, ::2] = 1
    w[0, ::3, 1] = 127
    product = exact_product(x, Factor(w))
    assert np.array_equal(product, x.astype(np.int64) @ w.astype(np.int64))


@pytest.mark.parametrize("elements", [1, 1300, 2000, 1 << 22])
def test_columns_of_weights_are_multiplied_block_by_block(elements, monkeypatch):
    monkeypatch.setattr(sums, "BLOCK_WEIGHTS", elements)
    rng = np.random.default_rng(elements)
    x = rng.integers(0, 256, (2, 3, 600)).astype(np.uint8)
    w = rng.integers(-128, 128, (2, 600, 5)).astype(np.int8)
    one_by_one = [[[int(a @ b) for b in v.T] for a in u] for u, v in zip(*_wide(x, w), strict=True)]
    assert exact_product(x, Factor(w)).tolist() == one_by_one


def _wide(*operands):
    return [each.astype(np.int64) for each in operands]


def test_float32_takes_no_more_of_k_than_it_can_sum_exactly():
    assert Factor(np.ones((1, 4096, 1), np.int8)).pieces(0, 1) == 4096
    assert Factor(np.full((1, 4096, 1), -128, np.int8)).pieces(0, 255) == 512
    assert Factor(np.full((1, 4096, 1), 1 << 20)).pieces(0, 255) is None


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**16),
    k=st.integers(1, 40),
    limits=st.sampled_from([(0, 255), (-128, 127), (-255, 255), (0, 1)]),
    piece=st.integers(1, 40),
)
def test_no_sum_of_a_piece_is_larger_than_its_bound_and_one_is_as_large(seed, k, limits, piece):
    w = np.random.default_rng(seed).integers(-128, 128, (2, k, 3)).astype(np.int8)
    whole = w.astype(int)
    lowest, highest = limits
    reached = 0
    for start in range(0, k, piece):
        part = whole[:, start : start + piece]
        up = np.where(part > 0, highest, lowest) * part  # every product as large as it can be
        down = np.where(part > 0, lowest, highest) * part
        reached = max(reached, up.sum(axis=1).max(), -down.sum(axis=1).min())
    assert Signs.of(w).largest_sum(lowest, highest, piece) == reached


def test_unsigned_activations_meet_weights_of_both_signs_in_longer_pieces():
    w = np.tile(np.array([100, -100], np.int8), 600)[None, :, None]
    assert Factor(w).pieces(0, 255) == 1200
    assert Factor(w).pieces(-255, 255) == 600
    assert Factor(np.full((1, 2, 1), 1 << 20)).pieces(0, 255) is None
    x = np.where(w[:, :, 0] > 0, 255, 0).astype(np.uint8)[None]
    assert exact_product(x[0][None], Factor(w)).item() == 600 * 100 * 255
