"""`olive-4b`, and the quantiser and calibrator `olive:4`: against OliVe's rule, written again in the
reference's own units and in exact fractions.
"""

from __future__ import annotations

import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim import ArrayConfig, InputError, Layer, Trace
from sparqsim.networks.arithmetic import designs_of
from sparqsim.pe.arithmetic import layer_sums
from sparqsim.quantise.calibrate import calibrator
from sparqsim.quantise.olive import SIGNED, UNSIGNED, PairCounts, weight_scales
from sparqsim.quantise.weights.facts import LayerFacts
from sparqsim.quantise.weights.olive import Olive

DESIGN = sparqsim.get_pe("olive-4b")
BYTES = st.integers(0, 255)
ARRAY = ArrayConfig(3, 2)


def reference_codes(*, signed: bool) -> tuple[list[Fraction], list[Fraction]]:
    """Return normal and outlier magnitudes in the reference's units, in which 32 parts them."""
    bits = 3 if signed else 4
    normal = [Fraction(32 * code, 1 << bits) for code in range(1 << bits)]
    mantissas = 1 << (bits - 2)
    outliers = [
        (1 + Fraction(mantissa, mantissas)) * 2 ** (5 + exponent)
        for exponent in range(4)
        for mantissa in range(mantissas)
    ]
    return normal, outliers[1:]


def reference_pair(pair: tuple[Fraction, Fraction], *, signed: bool) -> tuple[Fraction, ...]:
    """Return the codes of a pair of values, all in the reference's units."""
    normal, outliers = reference_codes(signed=signed)

    def nearest(value: Fraction) -> Fraction:
        least = min(abs(abs(value) - code) for code in normal + outliers)
        code = next(code for code in normal + outliers if abs(abs(value) - code) == least)
        return code if value >= 0 else -code

    first, second = map(nearest, pair)
    if abs(first) > 32:
        return first, Fraction(0)
    if abs(second) > 32:
        return Fraction(0), second
    return first, second


def plain_pairs(values: list[Fraction], scale: Fraction, *, signed: bool) -> list[Fraction]:
    """Return values as they are held at a scale, pair by pair; a last one pairs with 0."""
    unit = scale / (4 if signed else 2)
    padded = values + [Fraction(0)] * (len(values) % 2)
    held: list[Fraction] = []
    for at in range(0, len(padded), 2):
        pair = (padded[at] / unit, padded[at + 1] / unit)
        held += [code * unit for code in reference_pair(pair, signed=signed)]
    return held[: len(values)]


def plain_scale(values: list[int], *, signed: bool) -> Fraction:
    """Return the scale of a tensor, or of a filter, whose pairs follow each other."""
    exact = [Fraction(value) for value in values]

    def error(scale: Fraction) -> Fraction:
        held = plain_pairs(exact, scale, signed=signed)
        return sum(((a - b) ** 2 for a, b in zip(held, exact, strict=True)), Fraction(0))

    mean = float(np.mean(values))
    sigma = statistics.stdev(values) if len(values) > 1 else 0.0
    reach = max(abs(mean + 3 * sigma), abs(mean - 3 * sigma))
    if error(Fraction(1)) == 0 or reach == 0:
        return Fraction(1)
    highest = 7 if signed else 15
    tried = [Fraction(reach * (0.75 + 0.02 * step) / highest) for step in range(38)]
    return min(tried, key=error)  # the first of equal ones


def test_codes_are_the_references():
    for signed, codes, unit in ((True, SIGNED, 4), (False, UNSIGNED, 2)):
        normal, outliers = reference_codes(signed=signed)
        assert [unit * code for code in codes.magnitudes] == normal + outliers
    assert SIGNED.outliers == (12, 16, 24, 32, 48, 64, 96)
    assert UNSIGNED.outliers[:4] == (20, 24, 28, 32)
    assert UNSIGNED.outliers[-1] == 224


@settings(max_examples=200)
@given(pair=st.tuples(BYTES, BYTES), weights=st.tuples(BYTES, BYTES), signed=st.booleans())
def test_a_step_is_the_references_rule_on_both_operands(pair, weights, signed):
    dtype = np.int8 if signed else np.uint8
    x = np.array(pair, np.uint8).view(dtype).tolist()
    w = np.array(weights, np.uint8).view(np.int8).tolist()
    used_x = plain_pairs([Fraction(value) for value in x], Fraction(1), signed=signed)
    used_w = plain_pairs([Fraction(value) for value in w], Fraction(1), signed=True)
    expected = sum(a * b for a, b in zip(used_x, used_w, strict=True))
    for xs, ws in (((*x, 0, 0), (*w, 0, 0)), ((0, 0, *x), (0, 0, *w))):
        assert DESIGN.step(xs, ws, signed).value == expected
    fast = DESIGN.matmul(np.array([x], dtype), np.array([w], np.int8).T)
    assert fast[0, 0] == expected


@pytest.mark.parametrize(
    ("values", "used"),
    [
        ((7, 9), (7, 7)),  # 9 is nearer 7 than 12
        ((10, 3), (12, 0)),
        ((3, 10), (0, 12)),
        ((-100, 100), (-96, 0)),
        ((0, -127), (0, -96)),
        ((80, 0), (64, 0)),  # half way: the smaller
    ],
)
def test_an_outlier_takes_its_neighbours_code(values, used):
    assert tuple(DESIGN.used_activations(np.array([values], np.int8))[0]) == used


def drawn(
    rng: np.random.Generator, k: int, *, signed: bool, zero_points: bool, name: str = "a"
) -> Layer:
    """Return a product with a few outliers."""
    x = np.rint(rng.standard_t(2, (4, k)) * 12)
    low, high = (-128, 127) if signed else (0, 255)
    x = np.clip(x + (100 if zero_points and not signed else 0), low, high)
    w = np.clip(np.rint(rng.standard_t(2, (k, 3)) * 20), -128, 127).astype(np.int8)
    fields = {}
    if zero_points:
        fields = {"activation_zero_point": 5, "weight_zero_points": (3, -2, 0)}
        fields["zero_point_corrected"] = True
    return Layer.from_gemm(name, x.astype(np.int8 if signed else np.uint8), w, **fields)


def plain_outputs(layer: Layer) -> np.ndarray:
    """Return real outputs in units of one product's least bit, in fractions."""
    x = layer.activations[0].astype(int) - layer.record.activation_zero_point
    w = layer.lower().weights[0].astype(int) - np.array(layer.record.weight_zero_points or [0])
    signed = bool((x < 0).any())
    stored = [*map(list, x)]
    padded = [value for row in stored for value in row + [0] * (len(row) % 2)]
    scale = _counted_scale(stored, padded, signed=signed)
    used_x = [plain_pairs([Fraction(int(v)) for v in row], scale, signed=signed) for row in stored]
    outputs = np.zeros((len(stored), w.shape[1]))
    for n in range(w.shape[1]):
        column = [int(value) for value in w[:, n]]
        of_filter = plain_scale(column, signed=True)
        used_w = plain_pairs([Fraction(v) for v in column], of_filter, signed=True)
        for m, row in enumerate(used_x):
            outputs[m, n] = float(sum(a * b for a, b in zip(row, used_w, strict=True)))
    return outputs


def _counted_scale(stored: list, padded: list, *, signed: bool) -> Fraction:
    """Return the scale of activations: pairs of each row, padded ones counted as zeros."""
    return plain_scale([int(value) for value in padded], signed=signed)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("zero_points", [False, True])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("k", [1, 6, 9])
def test_a_layer_is_quantised_by_the_rule_and_compared_in_real_values(k, signed, zero_points):
    layer = drawn(np.random.default_rng(k), k, signed=signed, zero_points=zero_points)
    found = layer_sums(layer, DESIGN)
    assert np.abs(found - plain_outputs(layer)).max() <= 0.5 + 1e-6
    for engine in ("fast", "event"):
        report = sparqsim.simulate(Trace([layer]), "olive-4b", ARRAY, engine=engine)
        exact = layer_sums(layer, sparqsim.get_pe("mac-8b8b"))
        error = report.layers[0].error
        assert error.noise == ((found - exact) ** 2).sum()
        assert report.pe.real_valued


@settings(max_examples=15)
@given(
    seed=st.integers(0, 1 << 30), k=st.integers(1, 14), signed=st.booleans(), moved=st.booleans()
)
def test_event_equals_fast(seed, k, signed, moved):
    layer = drawn(np.random.default_rng(seed), k, signed=signed, zero_points=moved)
    reports = [
        sparqsim.simulate(Trace([layer]), "olive-4b", ARRAY, engine=engine).layers
        for engine in ("fast", "event")
    ]
    assert reports[0] == reports[1]


def test_convolutions_pair_adjacent_channels_and_pad_with_zero():
    rng = np.random.default_rng(3)
    x = np.maximum(np.rint(rng.standard_t(2, (2, 4, 4, 5)) * 20), 0).clip(0, 255).astype(np.uint8)
    w = rng.integers(-90, 90, (3, 9, 5)).astype(np.int8)
    layer = Layer.conv2d("c", x, w, kernel=(3, 3), padding=(1, 1, 1, 1))
    fast, event = (
        sparqsim.simulate(Trace([layer]), "olive-4b", ARRAY, engine=engine).layers
        for engine in ("fast", "event")
    )
    assert fast == event
    assert 10 < fast[0].error.sqnr_db < 40


def test_what_consists_of_codes_stays_as_it_is():
    x = np.array([[7, -3, 96, 0, 0, -12], [1, 2, 3, 4, 5, 6]], np.int8)
    w = np.array([[0, 7, 1, 1, 24, 0], [1, 1, -1, -7, 0, -64]], np.int8).T.copy()
    report = sparqsim.simulate(Trace([Layer.from_gemm("a", x, w)]), "olive-4b", ARRAY)
    assert report.layers[0].error.noise == 0
    assert list(weight_scales(w.T)) == [1, 1]


def test_of_equally_good_scales_the_first_is_taken():
    """By hand: the three-sigma point is 28, a normal step 4 p; p = 0.99 and 1.01 are off by 0.2,
    0.16 and 0.12 alike. As a tensor of pairs: it is 63, a step 9 p, off by 0.18 each.
    """
    (found,) = weight_scales(np.array([[-20.0, -16.0, -12.0]]))
    assert found == pytest.approx(0.99 * 4)
    pairs = PairCounts(np.array([-18.0, 18.0]), np.array([[1, 1], [0, 0]]))
    assert pairs.scale() == pytest.approx(0.99 * 9)


def test_two_pairs_a_cycle_and_bytes_for_pairs():
    assert DESIGN.steps(64) == 16
    assert (DESIGN.activation_pair_bits("raw"), DESIGN.weight_bits) == (8, 4)  # of signed ones


def test_networks_that_answer_pictures_refuse_it():
    activation = type("Codes", (), {"stored_signed": True})
    site = type("Site", (), {"name": "fc", "keep_8bit": False, "activation": activation})()
    with pytest.raises(InputError, match=r"'fc'.*olive-4b finds the scale"):
        designs_of([site], DESIGN)


# The quantiser and the calibrator
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1.0, 1e-30, 1e30])
def test_weights_are_those_of_the_rule_in_any_unit(factor):
    rng = np.random.default_rng(6)
    weights = (rng.standard_t(3, (5, 3, 3)) * factor).astype(np.float32)
    chosen = Olive().quantise(LayerFacts("a", weights, 1))
    for filter_, codes, scale in zip(weights, chosen.codes, chosen.scales, strict=True):
        values = (filter_.astype(np.float64) / factor).ravel()
        reach = max(abs(values.mean() + side * 3 * values.std(ddof=1)) for side in (1, -1))
        part = float(scale) / factor * 7 / reach
        tried = 0.75 + 0.02 * np.arange(38)
        assert np.abs(tried - part).min() < 1e-5
        exact = [Fraction(float(value)) for value in filter_.ravel()]
        held = plain_pairs(exact, Fraction(float(scale)), signed=True)
        assert [float(each) for each in held] == pytest.approx(
            (codes.ravel() * float(scale)).tolist(), rel=1e-6
        )


def test_its_weights_run_as_they_are():
    rng = np.random.default_rng(7)
    chosen = Olive().quantise(LayerFacts("a", rng.standard_t(3, (4, 1, 12)).astype(np.float32), 1))
    w = chosen.codes.reshape(4, 12).T.copy()
    x = np.eye(12, dtype=np.uint8)
    found = layer_sums(Layer.from_gemm("a", x, w), DESIGN)
    assert np.array_equal(found, w)


def test_the_calibrator_makes_a_step_of_the_code_a_normal_step():
    rng = np.random.default_rng(8)
    for values, highest in ((rng.normal(size=(4, 500)), 7), (rng.random((4, 500)), 15)):
        batch = values.astype(np.float32)
        observer = calibrator("olive:4").observer()
        observer.update(batch)
        reach = abs(batch.mean()) + 3 * batch.std(ddof=1)
        parts = observer.scale() * highest / reach
        assert np.abs(0.75 + 0.02 * np.arange(38) - parts).min() < 1e-3
        by_picture = calibrator("olive:4").observer()
        for picture in batch:
            by_picture.update(picture[None])
        assert by_picture.scale() == observer.scale()
