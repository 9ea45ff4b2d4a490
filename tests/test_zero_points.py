"""Zero points that are not zero: corrected exactly, refused where nobody says that they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqsim import InputError, Layer, Trace, get_pe, load_trace, simulate
from sparqsim.pe.arithmetic import layer_sums
from sparqsim.quantise.codes import ActivationCodes, WeightCodes, quantise


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    zx=st.integers(0, 255),
    per_channel=st.booleans(),
    groups=st.sampled_from([1, 2, 4]),
    design=st.sampled_from(["mac-8b8b", "mac-4b4b", "sparq-3opt"]),
)
def test_sums_are_those_of_the_shifted_operands(
    seed: int, zx: int, per_channel: bool, groups: int, design: str
) -> None:
    """Plain loops: (x' - zx) * (w' - zw) over a padded convolution, with the operands that the
    design uses.
    """
    random = np.random.default_rng(seed)
    x = random.integers(0, 256, (2, 4, 3, 4)).astype(np.uint8)
    w = random.integers(-128, 128, (4, 6, 4 // groups)).astype(np.int8)
    zw = random.integers(-128, 128, 4 if per_channel else 1)
    layer = Layer.conv2d(
        "c",
        x,
        w,
        kernel=(3, 2),
        padding=(1, 1, 1, 0),
        groups=groups,
        activation_zero_point=zx,
        zero_point_corrected=True,
        weight_zero_points=tuple(zw.tolist()),
    )
    pe, lowered = get_pe(design), layer.lower()
    used_x, used_w = pe.used_activations(lowered.rows()), pe.used_weights(lowered.weights)
    points = np.broadcast_to(zw, 4).reshape(groups, 1, -1)
    wanted = np.einsum(
        "gmk,gkn->gmn", used_x.astype(np.int64) - zx, used_w.astype(np.int64) - points
    )
    assert np.array_equal(layer_sums(layer, pe), wanted.transpose(1, 0, 2).reshape(lowered.m, -1))


def test_reports_measure_error_of_corrected_sums() -> None:
    """The signal is that of the real outputs, not of the offset that zero points add."""
    random = np.random.default_rng(0)
    x, w = (
        random.integers(100, 140, (30, 20)).astype(np.uint8),
        random.integers(-100, 100, (20, 5)).astype(np.int8),
    )
    layer = Layer.from_gemm(
        "g", x, w, activation_zero_point=120, zero_point_corrected=True, weight_zero_points=(7,)
    )
    error = simulate(Trace([layer]), "mac-4b8b").layers[0].error
    exact = (x.astype(np.int64) - 120) @ (w.astype(np.int64) - 7)
    used = get_pe("mac-4b8b").used_activations(x)
    assert error.signal == int((exact**2).sum())
    assert error.noise == int(
        (((used.astype(np.int64) - 120) @ (w.astype(np.int64) - 7) - exact) ** 2).sum()
    )


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"weight_zero_points": (1, 2)}, "weight_zero_points has 2 entries, expected 5"),
        ({"weight_zero_points": (3,)}, "expected 0 (or zero_point_corrected: true)"),
        ({"activation_zero_point": 3}, "activation_zero_point=3, expected 0"),
        ({"weight_zero_points": (200,), "zero_point_corrected": True}, "weight_zero_points"),
    ],
)
def test_zero_points_that_disagree_are_bad_input(fields: dict[str, object], word: str) -> None:
    with pytest.raises(InputError) as caught:
        Layer.from_gemm("g", np.ones((2, 3), np.uint8), np.ones((3, 5), np.int8), **fields)
    assert word in str(caught.value)


def test_weight_zero_points_survive_the_file(tmp_path) -> None:
    layer = Layer.from_gemm(
        "g",
        np.ones((2, 3), np.uint8),
        np.ones((3, 5), np.int8),
        zero_point_corrected=True,
        weight_zero_points=(1, 2, 3, 4, -5),
    )
    Trace([layer]).save(tmp_path / "t.safetensors")
    assert load_trace(tmp_path / "t.safetensors").layers[0].record == layer.record


@given(code=st.integers(-128, 127), point=st.integers(-128, 127))
def test_activation_codes_keep_their_value(code: int, point: int) -> None:
    codes = ActivationCodes(1.0, point, signed=True)
    stored = codes.stored(np.array([code], np.int8))
    assert int(stored[0]) - codes.stored_zero_point == code - point
    assert (stored.dtype == np.int8) == codes.stored_signed == (point == 0)


@given(code=st.integers(0, 255), point=st.integers(0, 255))
def test_weight_codes_keep_their_value(code: int, point: int) -> None:
    codes = WeightCodes.of_network(
        np.full((1, 1, 1), code, np.uint8), np.ones(1), np.array([point])
    )
    assert int(codes.codes[0, 0, 0]) - int(codes.zero_points[0]) == code - point


def test_real_weights_are_quantised_per_channel() -> None:
    w = np.random.default_rng(0).normal(size=(3, 4, 5)) * np.array([1, 10, 0])[:, None, None]
    codes = WeightCodes.of_real(w)
    assert np.allclose(codes.scales[:2], 2 * np.abs(w).reshape(3, -1).max(axis=1)[:2] / 255)
    assert (
        np.abs(codes.codes * codes.scales[:, None, None] - w).max(axis=(1, 2))[1] <= codes.scales[1]
    )
    assert not codes.codes[2].any()


def test_rounding_is_half_to_even_and_saturates() -> None:
    values = np.array([0.5, 1.5, 2.5, -0.5, -3, 300, 127.5, -127.5, -128])
    unsigned, signed = (quantise(values, 1.0, signed) for signed in (False, True))
    assert unsigned.codes.tolist() == [0, 2, 2, 0, 0, 255, 128, 0, 0]
    assert signed.codes.tolist() == [0, 2, 2, 0, -3, 127, 127, -127, -127]
    assert (unsigned.codes.dtype, signed.codes.dtype) == (np.uint8, np.int8)
    assert (unsigned.clipped, signed.clipped) == (4, 4)


def test_other_weight_types_are_refused() -> None:
    with pytest.raises(InputError, match="int16"):
        WeightCodes.of_network(np.zeros((1, 1, 1), np.int16), np.ones(1), np.zeros(1))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), zx=st.integers(1, 255), zw=st.integers(1, 127))
def test_both_zero_points_meet_a_design_with_its_own_product(seed: int, zx: int, zw: int) -> None:
    """Each term of the correction in plain integers: p - zx * sum(w) - zw * sum(x) + K * zx *
    zw.
    """
    random = np.random.default_rng(seed)
    m, k, n = (int(size) for size in random.integers(1, 7, 3))
    x = random.integers(0, 256, (m, k)).astype(np.uint8)
    w = random.integers(-128, 128, (k, n)).astype(np.int8)
    points = {"activation_zero_point": zx, "weight_zero_points": (zw,)}
    layer = Layer.from_gemm("g", x, w, zero_point_corrected=True, **points)
    pe = get_pe("sysmt-2t")
    assert pe.values_by_pair
    own = pe.matmul(x, w).tolist()
    rows, columns = x.tolist(), w.T.tolist()
    expected = [
        [own[i][j] - zx * sum(columns[j]) - zw * sum(rows[i]) + k * zx * zw for j in range(n)]
        for i in range(m)
    ]
    assert layer_sums(layer, pe).tolist() == expected
