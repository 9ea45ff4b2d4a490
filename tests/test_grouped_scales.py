"""`mac-mxint8`, `mac-mxfp4`, `mac-w4a8`: against their formats written again in exact fractions."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim import ArrayConfig, InputError, Layer, Trace
from sparqsim.analysis.wave import write_wave
from sparqsim.networks.sums import layer_sums as sums_of_batches
from sparqsim.pe.arithmetic import layer_sums
from sparqsim.quantise.mx import MXFP4, MXINT8
from sparqsim.quantise.q4_1 import grouped

ARRAY = ArrayConfig(3, 2)
#: Magnitudes of elements, and their largest exponent.
ELEMENTS = {
    "mac-mxint8": ([Fraction(step, 64) for step in range(128)], 0),
    "mac-mxfp4": ([Fraction(step, 2) for step in (0, 1, 2, 3, 4, 6, 8, 12)], 2),
}
NAMES = [*ELEMENTS, "mac-w4a8"]


def plain_block(values: list[Fraction], name: str) -> list[Fraction]:
    """Return at most 32 values as an MX block holds them."""
    magnitudes, largest_exponent = ELEMENTS[name]
    largest = max(map(abs, values))
    if largest == 0:
        return [Fraction(0)] * len(values)
    exponent = 0
    while largest >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while largest < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (exponent - largest_exponent)

    def held(value: Fraction) -> Fraction:
        scaled = abs(value) / unit
        nearest = min(magnitudes, key=lambda each: (abs(each - scaled), -each))
        return nearest * unit if value >= 0 else -nearest * unit

    return [held(value) for value in values]


def plain_mx(values: list[Fraction], name: str) -> list[Fraction]:
    """Return values along K as blocks of 32."""
    held: list[Fraction] = []
    for at in range(0, len(values), 32):
        held += plain_block(values[at : at + 32], name)
    return held


def plain_q4_1(values: list[float]) -> list[Fraction]:
    """Return weights along K as groups of 32 in Q4_1, in float32 as the reference has it."""
    held: list[Fraction] = []
    for at in range(0, len(values), 32):
        group = [np.float32(value) for value in values[at : at + 32]]
        step = (max(group) - min(group)) / np.float32(15)
        inverse = np.float32(1) / step if step else np.float32(0)
        for value in group:
            code = min(15, int((value - min(group)) * inverse + np.float32(0.5)))
            scale, least = (
                Fraction(float(np.float16(step))),
                Fraction(float(np.float16(min(group)))),
            )
            held.append(code * scale + least)
    return held


def drawn(seed: int, k: int, *, signed: bool, zero_points: bool) -> Layer:
    """Return a product of a few rows and filters, with scales."""
    rng = np.random.default_rng(seed)
    x = np.rint(rng.standard_t(2, (2, k)) * rng.choice([1, 30])).clip(-128, 127).astype(np.int8)
    x[rng.random(x.shape) < 0.3] = 0
    w = np.rint(rng.standard_t(2, (k, 3)) * 20).clip(-128, 127).astype(np.int8)
    fields = {}
    if zero_points:
        fields = {"activation_zero_point": 3, "weight_zero_points": (3, -2, 0)}
        fields["zero_point_corrected"] = True
    scales = {"activation_scale": float(np.float32(0.037)), "weight_scales": (0.011, 0.5, 3e-4)}
    return Layer.from_gemm("a", x if signed else x.view(np.uint8), w, **scales, **fields)


def plain_outputs(layer: Layer, name: str) -> np.ndarray:
    """Return outputs in units of one product's least bit."""
    record = layer.record
    scale = Fraction(record.activation_scale)
    zero, zeros = record.activation_zero_point, record.weight_zero_points or (0, 0, 0)
    x = [[(int(each) - zero) * scale for each in row] for row in layer.activations[0]]
    columns = layer.lower().weights[0].T.astype(int)
    outputs = np.zeros((len(x), len(columns)))
    for n, (column, moved) in enumerate(zip(columns, zeros, strict=True)):
        of_filter = Fraction(record.weight_scales[n])
        w = [(int(each) - moved) * of_filter for each in column]
        used_w = plain_q4_1([float(v) for v in w]) if name == "mac-w4a8" else plain_mx(w, name)
        for m, row in enumerate(x):
            used_x = row if name == "mac-w4a8" else plain_mx(row, name)
            total = sum((a * b for a, b in zip(used_x, used_w, strict=True)), Fraction(0))
            outputs[m, n] = float(total / (scale * of_filter))
    return outputs


@settings(max_examples=12)
@given(
    seed=st.integers(0, 1 << 30),
    k=st.sampled_from([1, 31, 32, 33, 70]),
    signed=st.booleans(),
    moved=st.booleans(),
)
@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_those_of_the_format_in_real_values(name, seed, k, signed, moved):
    layer = drawn(seed, k, signed=signed, zero_points=moved)
    found = layer_sums(layer, sparqsim.get_pe(name))
    expected = plain_outputs(layer, name)
    assert np.abs(found - expected).max() <= 0.5 + 1e-9 * np.abs(expected).max()
    for bits in (32, 64):
        of_batch = sums_of_batches(layer, sparqsim.get_pe(name), accumulator_bits=bits)
        assert np.array_equal(of_batch[0], found)


@settings(max_examples=8)
@given(seed=st.integers(0, 1 << 30), k=st.sampled_from([3, 40]), moved=st.booleans())
@pytest.mark.parametrize("name", NAMES)
def test_event_equals_fast(name, seed, k, moved):
    layer = drawn(seed, k, signed=True, zero_points=moved)
    reports = [
        sparqsim.simulate(Trace([layer]), name, ARRAY, engine=engine).layers
        for engine in ("fast", "event")
    ]
    assert reports[0] == reports[1]


@pytest.mark.parametrize(
    ("format_", "values", "held"),
    [
        (MXFP4, [6, 5, 0.25, 0.2, -7.9, 2.5], [6, 6, 0.5, 0, -6, 3]),
        (MXFP4, [1, 0.3, 0], [1, 0.25, 0]),
        (MXINT8, [1, 127.5 / 64, -1 / 128], [1, 127 / 64, -1 / 64]),
        (MXINT8, [0, 0, 0], [0, 0, 0]),
    ],
)
def test_elements_round_half_away_from_zero_and_clamp(format_, values, held):
    elements, exponents = format_.quantised(np.array(values, np.float64))
    assert np.ldexp(elements.astype(float), exponents - format_.unit_bits).tolist() == held


def test_a_group_of_one_value_is_its_minimum():
    found = grouped(np.full((1, 40), 0.3))
    assert np.array_equal(found.real, np.full((1, 40), float(np.float16(0.3))))


def test_lanes_bits_and_the_cycle_that_scaling_takes():
    facts = {
        name: (each.lanes, each.weight_bits, each.stage_cycles, each.activation_pair_bits("raw"))
        for name in NAMES
        if (each := sparqsim.get_pe(name))
    }
    assert facts == {
        "mac-mxint8": (1, 8, 1, 16),
        "mac-mxfp4": (4, 4, 1, 8),
        "mac-w4a8": (2, 5, 1, 16),
    }


def test_what_no_mx_multiplier_can_do_runs_on_a_mac():
    layer = Layer.from_gemm(
        "fc", np.full((2, 5), 200, np.uint8), np.full((5, 2), -3, np.int8), keep_8bit=True
    )
    for name in NAMES:
        report = sparqsim.simulate(Trace([layer]), name, ARRAY).layers[0]
        assert report.error.noise == 0
        assert (report.run_as == "mac-8b8b") == (name == "mac-mxfp4")


@pytest.mark.parametrize("name", NAMES)
def test_waveforms_have_signals_as_wide_as_the_codes(name, tmp_path):
    path = tmp_path / "tile.vcd"
    write_wave(path, Trace([drawn(3, 9, signed=True, zero_points=False)]), name, ARRAY)
    widths = {
        words[4]: int(words[2])
        for line in path.read_text().splitlines()
        if (words := line.split())[:1] == ["$var"]
    }
    assert widths["x0"] == widths["w0"] > 8


def test_narrow_accumulators_of_a_recipe_are_refused():
    layer = drawn(3, 9, signed=True, zero_points=False)
    with pytest.raises(InputError, match=r"accumulators of 16 bits.*mac-mxint8 has operands"):
        sums_of_batches(layer, sparqsim.get_pe("mac-mxint8"), accumulator_bits=16)


def test_shared_exponents_go_no_lower_than_their_bits():
    values = np.ldexp([1.0, 3.0, -1.0], -130)
    elements, exponents = MXINT8.quantised(values)
    assert exponents.tolist() == [-127] * 3
    assert elements.tolist() == [8, 24, -8]  # of 64 steps to 2^-127


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (600.0, "layer 'a': a group of 32 weights has the scale or minimum -72000"),
        (1e6, "has the scale or minimum -1.2e+08, expected at most 65504, which float16 holds"),
        (3e38, "has the scale or minimum"),
    ],
)
def test_weights_that_float16_does_not_hold_are_refused(scale, message):
    """They were infinite, and the layer's outputs what a cast of infinity gives."""
    w = np.array([[-120, 3]] * 33 + [[120, -7]], np.int8)
    layer = Layer.from_gemm("a", np.ones((2, 34), np.int8), w, weight_scales=(scale, 1.0))
    with pytest.raises(InputError, match=re.escape(message)):
        sparqsim.simulate(Trace([layer]), "mac-w4a8", ARRAY, keep_8bit=False)


@pytest.mark.filterwarnings("error")
def test_weights_below_float32s_normal_numbers_are_zeros():
    held = grouped(np.arange(-8, 24)[None] * 1e-42)
    assert not held.real.any()
    assert not held.codes.any()


@pytest.mark.parametrize(
    ("channels", "kernel", "bits"), [(32, 3, 8), (16, 3, 16), (16, 1, 8), (33, 3, 16)]
)
def test_blocks_that_straddle_kernel_positions_are_not_stored(channels, kernel, bits):
    """A pixel would have another exponent in every window that reads it."""
    x = np.ones((1, 4, 4, channels), np.uint8)
    w = np.ones((1, kernel**2, channels), np.int8)
    layer = Layer.conv2d("a", x, w, kernel=(kernel, kernel))
    memory = sparqsim.MemoryConfig()
    report = sparqsim.simulate(Trace([layer]), "mac-mxfp4", ARRAY, keep_8bit=False, memory=memory)
    assert report.layers[0].traffic.activation_pair_bits == bits
