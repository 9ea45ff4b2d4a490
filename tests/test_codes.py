"""The rule by which codes are chosen: symmetric, float32, one for every front end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparqsim import InputError
from sparqsim.quantise.calibrate import calibrator
from sparqsim.quantise.codes import LIMITS, ActivationCodes, WeightCodes, quantise

FLOATS = st.floats(-1e6, 1e6, width=32)
VALUES = arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 9)), elements=FLOATS)
SCALES = st.floats(2**-20, 2**20, width=32)


def code_by_hand(value, scale, signed):
    """One code, without numpy's rounding: Python's round is half to even, of the float32
    quotient.
    """
    quotient = float(np.float32(value) / np.float32(scale))
    lowest, highest = (-127, 127) if signed else (0, 255)
    return min(max(round(quotient), lowest), highest)


@given(values=VALUES, scale=SCALES)
def test_signed_codes_are_symmetric(values, scale):
    codes = quantise(values, scale, signed=True).codes
    assert codes.dtype == np.int8
    assert codes.min() >= -127
    assert np.array_equal(quantise(-values, scale, signed=True).codes, -codes)


@given(values=VALUES, scale=SCALES, signed=st.booleans())
def test_codes_are_those_worked_out_one_by_one(values, scale, signed):
    found = quantise(values, scale, signed)
    expected = [code_by_hand(value, scale, signed) for value in values.ravel()]
    assert found.codes.ravel().tolist() == expected
    lowest, highest = LIMITS[signed]
    steps = [round(float(np.float32(value) / np.float32(scale))) for value in values.ravel()]
    assert found.clipped == sum(not lowest <= step <= highest for step in steps)


@given(values=VALUES, scale=SCALES, signed=st.booleans())
def test_the_type_of_the_values_does_not_matter(values, scale, signed):
    single = quantise(values, scale, signed).codes
    assert np.array_equal(quantise(values.astype(np.float64), scale, signed).codes, single)


@given(steps=st.integers(-300, 300), scale=st.sampled_from([0.1, 0.3, 1 / 3, 0.0123]))
def test_ties_of_a_scale_that_float32_does_not_hold(steps, scale):
    """(n + 1/2) * scale in float64: the code is that of float32, whoever asks."""
    value = (steps + 0.5) * scale
    code = quantise(np.array([value]), scale, signed=True).codes
    assert code.tolist() == [code_by_hand(value, scale, signed=True)]


@given(values=VALUES)
def test_weights_are_symmetric_and_the_largest_saturates(values):
    weights, turned = WeightCodes.of_real(values), WeightCodes.of_real(-values)
    assert np.array_equal(turned.codes, -weights.codes)
    assert np.array_equal(turned.scales, weights.scales)
    largest = np.abs(values).max(axis=1)
    for row, most in zip(np.abs(weights.codes.astype(int)), largest, strict=True):
        assert row.max() == (127 if most > 1e-36 else row.max())
    assert np.abs(weights.codes.astype(int)).max() <= 127


@pytest.mark.parametrize("weights", [1, 7, 1 << 20])
def test_channels_get_codes_block_by_block(weights, monkeypatch):
    monkeypatch.setattr("sparqsim.quantise.codes.BLOCK_WEIGHTS", weights)
    values = np.random.default_rng(weights).normal(size=(7, 3)).astype(np.float32)
    found = WeightCodes.of_real(values)
    by_hand = [
        [code_by_hand(value, scale, True) for value in channel]
        for channel, scale in zip(values, found.scales, strict=True)
    ]
    assert found.codes.tolist() == by_hand
    largest = np.abs(values).max(axis=1).astype(np.float64)
    assert np.array_equal(found.scales, (2 * largest / 255).astype(np.float32))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_tie_at_the_largest_weight(sign):
    """The largest weight stands 127.5 steps from zero: 127 on either side, in every channel."""
    random = np.random.default_rng(0)
    values = random.normal(size=(500, 6)).astype(np.float32)
    values[:, 2] = sign * 2 * np.abs(values).max(axis=1)
    assert (WeightCodes.of_real(values).codes[:, 2] == sign * 127).all()


@settings(deadline=None)
@given(values=VALUES, spec=st.sampled_from(["mean-max", "max", "mse", "percentile:99"]))
def test_scales_are_numbers_of_float32(values, spec):
    observer = calibrator(spec).observer()
    observer.update(values)
    scale = observer.scale()
    assert scale == float(np.float32(scale)) > 0


def network_of_one(codes):
    """An ONNX network of which only the codes of the tensor 'x' are known."""
    from sparqsim.networks.onnx.network import Network

    known = {
        "graph": None,
        "nodes": (),
        "shapes": {},
        "dtypes": {"x": np.dtype(np.float32)},
        "kept": frozenset(),
    }
    return Network(codes={"x": codes}, folded=(), left_out=(), calibrator="", batch=1, **known)


@settings(deadline=None, max_examples=50)
@given(values=VALUES, scale=SCALES, signed=st.booleans())
def test_pytorch_onnx_and_npy_choose_the_same_codes(values, scale, signed):
    torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")
    pytest.importorskip("onnx", reason="extra 'onnx' is not installed")
    from sparqsim.networks.observe import coded
    from sparqsim.networks.torch.sites import arranged, as_float32

    codes = quantise(values, scale, signed).codes
    tensor = torch.from_numpy(values)
    by_torch = coded(as_float32(tensor), ActivationCodes(scale, 0, signed)).codes
    assert np.array_equal(by_torch, codes)
    network = network_of_one(ActivationCodes(scale, 0, signed))
    assert np.array_equal(network.stored("x", values).codes, codes)
    weights = WeightCodes.of_real(arranged(tensor))
    assert np.array_equal(weights.codes[:, 0], WeightCodes.of_real(values).codes)
    assert np.array_equal(weights.scales, WeightCodes.of_real(values).scales)


def test_onnxruntime_chooses_the_codes_of_the_trace():
    """The graph that `accuracy` runs quantises with QuantizeLinear, to -127 and no further."""
    pytest.importorskip("onnx", reason="extra 'onnx' is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="extra 'onnx' is not installed")
    from onnx import TensorProto, helper

    from sparqsim.networks.onnx import quantised

    values = np.concatenate([np.linspace(-1, 1, 9999), np.float32([-2, 2, 0])]).astype(np.float32)
    for signed in (False, True):
        scale = float(np.float32(0.9 / 127))
        network = network_of_one(ActivationCodes(scale, 0, signed))
        builder = quantised.GraphBuilder("t")
        out = quantised._codes(builder, network, "x")
        graph = helper.make_graph(
            builder.nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [len(values)])],
            [helper.make_tensor_value_info(out, TensorProto.UINT8, [len(values)])],
            builder.initializers,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        session = onnxruntime.InferenceSession(model.SerializeToString())
        (found,) = session.run(None, {"x": values})
        expected = quantise(values, scale, signed).codes.astype(int) + 128 * signed
        assert np.array_equal(found, expected)


def test_a_channel_of_scale_0_holds_zeros():
    codes = np.array([[[3, -4]], [[5, 6]], [[7, 8]]], np.int8)
    made = WeightCodes.of_network(codes, np.array([0.5, 0, 0.25]), np.array([0, 2, 0]))
    assert made.scales.tolist() == [0.5, 1.0, 0.25]
    assert made.network_scales.tolist() == [0.5, 0.0, 0.25]
    assert made.codes.tolist() == [[[3, -4]], [[2, 2]], [[7, 8]]]
    own = WeightCodes.of_network(codes.view(np.uint8), np.zeros(3), np.full(3, 130))
    assert own.codes.tolist() == [[[2, 2]]] * 3


@pytest.mark.parametrize("scale", [-1.0, np.inf, np.nan])
def test_scales_that_mean_nothing_are_refused(scale):
    with pytest.raises(InputError, match="weights have the scale"):
        WeightCodes.of_network(np.zeros((1, 1, 1), np.int8), np.array([scale]), np.zeros(1))
    with pytest.raises(InputError, match="activations have the scale"):
        ActivationCodes(scale, 0, signed=True)


def test_an_own_code_of_minus_128_stays():
    codes = np.full((1, 1, 2), -128, np.int8)
    assert (WeightCodes.of_network(codes, np.ones(1), np.zeros(1)).codes == -128).all()
