"""Designs whose operands are stored as codes: `olive-4b`, and `stc-sparq-*opt`, whose weights say
which activations they meet.

Decoders on every word, products on every pair of codes of both operands, trim units behind the
multiplexers on every pair of activations; arrays in every cycle.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from sparqsim import Layer
from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.pe import get_pe
from sparqsim.rtl import trials
from sparqsim.rtl.check import check_gemm
from sparqsim.rtl.circuits.olive import stored
from sparqsim.rtl.designs import circuit_of, family_of
from sparqsim.rtl.runner import simulate
from sparqsim.rtl.stimulus import pair_lines
from sparqsim.rtl.tiles import cut
from sparqsim.rtl.trials import run_tile

OLIVE = get_pe("olive-4b")
#: Magnitudes of normal codes and of outliers, by whether codes have a sign.
NORMAL = {True: range(8), False: range(16)}
OUTLIERS = {
    True: (12, 16, 24, 32, 48, 64, 96),
    False: (20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224),
}
STC = [
    f"stc-sparq-{windows}:rounding={rounding}"
    for windows in ("5opt", "3opt", "2opt")
    for rounding in ("nearest-even", "trim")
]
SPECS = ["olive-4b", "stc-sparq-5opt", "stc-sparq-3opt", "stc-sparq-2opt:rounding=trim"]
SIGNED = pytest.mark.parametrize("signed", [False, True])
#: One in so many of what a test goes through (trim units: four times as many); all is `slow`.
ONE_IN = pytest.mark.parametrize("one_in", [pytest.param(1, marks=pytest.mark.slow), 8])
ALL_PAIRS = np.stack(np.divmod(np.arange(65_536), 256)[::-1], axis=1).astype(np.uint8)


def with_signs(magnitudes, signed):
    return sorted({*magnitudes, *(-each for each in magnitudes)} if signed else magnitudes)


def code_pairs(signed):
    """Every pair of codes: two normal ones, or an outlier and its victim."""
    normal, outliers = (with_signs(each[signed], signed) for each in (NORMAL, OUTLIERS))
    pairs = [*product(normal, repeat=2)]
    pairs += [pair for each in outliers for pair in ((each, 0), (0, each))]
    return np.array(pairs)


def nearest_code(value, signed):
    """The code of one byte, of two that are as near the smaller."""
    codes = [*NORMAL[signed], *OUTLIERS[signed]]
    code = min(codes, key=lambda each: (abs(each - abs(value)), each))
    return -code if value < 0 else code


def beside_outliers(first, second, signed):
    """The rule: an outlier's neighbour is 0; of two the first stays."""
    if abs(first) in OUTLIERS[signed]:
        return first, 0
    return (0, second) if abs(second) in OUTLIERS[signed] else (first, second)


def meaning(word, signed):
    """A stored pair as values, None where no pair is stored so."""
    codes = word & 15, word >> 4 & 15
    exponents, mantissa_bits = (2, 1) if signed else (2, 2)

    def outlier(code):
        below = code & (1 << exponents + mantissa_bits) - 1
        if below == 0:
            return None
        size = (1 << mantissa_bits) + (below & (1 << mantissa_bits) - 1)
        value = size << (below >> mantissa_bits) + 2
        return -value if signed and code & 8 else value

    if signed and 8 in codes:
        place = codes.index(8)
        value = outlier(codes[1 - place])
        pair = (0, value) if place == 0 else (value, 0)
        return None if value is None or codes == (8, 8) else pair
    if not signed and word >> 8:
        places = [at for at, code in enumerate(codes) if code]
        if len(places) != 1:
            return None
        return tuple(outlier(code) if code else 0 for code in codes)
    return tuple(code - 16 if signed and code & 8 else code for code in codes)


def pair_bench(circuit, lines):
    """What `testbench_pair` records: PEs' activations, two cycles or not, the values of both."""
    return simulate("testbench_pair", circuit.parameters, lines, 4, defines=circuit.defines)


def as_values(words, pair, signed):
    """Decoded pair number `pair` of words, as values."""
    fields = words >> 11 * pair
    integers = np.stack([fields & 15, fields >> 4 & 15], axis=1)
    if signed:
        integers = np.where(integers > 7, integers - 16, integers)
    return integers << (fields >> 8 & 7)[:, None]


@SIGNED
def test_decoders_on_every_word(signed, compared):
    circuit = circuit_of(OLIVE, signed=signed)
    bits = 8 if signed else 9
    words = [word for word in range(1 << bits) if meaning(word, signed)]
    expected = [meaning(word, signed) for word in words]
    assert sorted(expected) == sorted(map(tuple, code_pairs(signed).tolist()))
    lines = "".join(f"{word | words[-1 - at] << bits:x}\n" for at, word in enumerate(words))
    shown = pair_bench(circuit, lines)[:, 0]
    assert as_values(shown, 0, signed).tolist() == [list(pair) for pair in expected]
    assert as_values(shown, 1, signed).tolist() == [list(pair) for pair in expected[::-1]]
    compared(2 * len(words), "pairs")


@pytest.mark.no_simulator
@SIGNED
def test_every_pair_of_bytes_is_stored_as_its_nearest_codes(signed):
    pairs = ALL_PAIRS.view(np.int8) if signed else ALL_PAIRS
    codes = {value: nearest_code(value, signed) for value in set(pairs[:, 0].tolist())}
    expected = [
        beside_outliers(codes[first], codes[second], signed) for first, second in pairs.tolist()
    ]
    meanings = {word: meaning(word, signed) for word in range(512)}
    assert [meanings[word] for word in stored(pairs, signed=signed).tolist()] == expected


@ONE_IN
@SIGNED
def test_products_of_every_pair_of_codes_of_both_operands(signed, one_in, rng, compared):
    """In both places, each beside another pair drawn at random."""
    x_pairs, w_pairs = code_pairs(signed), code_pairs(True)
    at = np.stack(np.divmod(np.arange(len(x_pairs) * len(w_pairs)), len(w_pairs)), axis=1)
    at = rng.permutation(at)[::one_in]
    beside = rng.permutation(at)
    dtype = np.int8 if signed else np.uint8
    x = np.concatenate([x_pairs[at[:, 0]], x_pairs[beside[:, 0]]], axis=1).astype(dtype)
    w = np.concatenate([w_pairs[at[:, 1]], w_pairs[beside[:, 1]]], axis=1).astype(np.int8)
    circuit = circuit_of(OLIVE, signed=signed)
    shown = pair_bench(circuit, pair_lines(OLIVE, circuit, x, w))
    assert np.array_equal(as_values(shown[:, 0], 0, signed), x[:, :2])
    assert np.array_equal(as_values(shown[:, 0], 1, signed), x[:, 2:])
    assert np.array_equal(shown[:, 2], (x.astype(int) * w).sum(1))
    assert not shown[:, 1].any()
    compared(2 * len(x), "pairs")


@ONE_IN
@pytest.mark.parametrize("spec", STC)
def test_trim_unit_behind_the_multiplexers_on_every_pair(spec, one_in, rng, compared):
    """Chosen from random places; the two other activations are random."""
    design, pairs = get_pe(spec), rng.permutation(ALL_PAIRS)[:: 4 * one_in if one_in > 1 else 1]
    places = np.sort(rng.permuted(np.tile(np.arange(4), (len(pairs), 1)), axis=1)[:, :2])
    x = rng.integers(0, 256, (len(pairs), 4)).astype(np.uint8)
    w = np.zeros(x.shape, np.int8)
    drawn = rng.integers(-128, 128, pairs.shape)
    np.put_along_axis(x, places, pairs, axis=1)
    np.put_along_axis(w, places, np.where(drawn == 0, 1, drawn).astype(np.int8), axis=1)
    _steps_agree(design, x, w)
    compared(len(x), "pairs")


@ONE_IN
def test_a_weight_alone_multiplies_all_bits_at_every_place(one_in, rng, compared):
    """Its activation meets every weight, exactly; without a weight nothing is added."""
    design, pairs = get_pe("stc-sparq-5opt"), rng.permutation(ALL_PAIRS)[::one_in]
    at = np.arange(len(pairs)) % 4
    x = np.repeat(pairs[:, :1], 4, axis=1) ^ np.arange(4, dtype=np.uint8)
    w = np.where(np.arange(4) == at[:, None], pairs[:, 1:].view(np.int8), 0).astype(np.int8)
    shown = _shown(design, x, w)
    assert np.array_equal(shown[:, 2], (x.astype(int) * w).sum(1))
    compared(len(x), "pairs")


def test_steps_of_four_weights_are_pruned_before_they_enter(rng, compared):
    """Equal sizes, -128, zeros: random words meet the step's definition."""
    x = rng.integers(0, 256, (1_000, 4)).astype(np.uint8)
    w = rng.choice(np.array([-128, 127, -7, 7, 1, 0, 0], np.int8), (1_000, 4))
    _steps_agree(get_pe("stc-sparq-5opt"), x, w)
    compared(len(x), "pairs")


def _shown(design, x, w):
    circuit = circuit_of(design)
    return pair_bench(circuit, pair_lines(design, circuit, x, w))


def _steps_agree(design, x, w):
    steps = [design.step(a, b) for a, b in zip(x.tolist(), w.tolist(), strict=True)]
    assert _shown(design, x, w)[:, 2].tolist() == [step.value for step in steps]


def operands(design, rng, shape, signed):
    """Return X (M, K) and W (K, N) with what the design treats in another way among them."""
    m, k, n = shape
    x = rng.integers(0, 256, (m, k)).astype(np.uint8).view(np.int8 if signed else np.uint8)
    x[rng.random(x.shape) < 0.3] = 0
    w = rng.integers(-128, 128, (k, n)).astype(np.int8)
    return family_of(design).tried(design, rng, x, w)


@pytest.fixture
def agrees(rng, compared):
    """Run random operands in RTL and in the simulator, and count what was compared."""

    def check(spec, array, signed=False):
        design = get_pe(spec)
        shape = (array.rows + 1, (array.rows + 1) * design.lanes - 1, array.cols + 1)
        x, w = operands(design, rng, shape, signed)
        compared(check_gemm(design, array, x, w).comparisons)

    return check


@pytest.mark.sampled(2)
@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(
    ("dataflow", "coupling", "overlap"),
    [
        ("os", "lockstep", True),
        ("os", "elastic:1", False),
        ("ws", "elastic:2", True),
        ("ws", "lockstep", False),
        ("is", "lockstep", True),
        ("is", "elastic:2", False),
    ],
    ids=str,
)
def test_ragged_arrays(spec, dataflow, coupling, overlap, agrees):
    agrees(spec, ArrayConfig(2, 3, dataflow, coupling=coupling, overlap=overlap))


@pytest.mark.slow
@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(
    ("dataflow", "coupling", "overlap"),
    [*product(("os", "ws", "is"), ("lockstep", "elastic:1", "elastic:3"), (False, True))],
    ids=str,
)
def test_every_array(spec, dataflow, coupling, overlap, agrees):
    agrees(spec, ArrayConfig(4, 3, dataflow, coupling=coupling, overlap=overlap))


@pytest.mark.parametrize(
    ("dataflow", "coupling"), [("os", "lockstep"), ("ws", "elastic:2"), ("is", "lockstep")]
)
def test_arrays_of_signed_codes(dataflow, coupling, agrees):
    agrees("olive-4b", ArrayConfig(3, 2, dataflow, coupling=coupling), signed=True)


def test_a_tile_of_a_layer_is_that_of_its_codes(rng, tmp_path, monkeypatch):
    """At the layer's own scales, and not of its integers as they are."""
    x = rng.integers(0, 40, (3, 9)).astype(np.uint8)
    w = np.rint(rng.standard_t(2, (9, 4)) * 9).clip(-127, 127).astype(np.int8)
    layer = Layer.from_gemm("layer", x, w)
    cuts = []
    monkeypatch.setattr(trials, "cut", lambda *given: cuts.append(given) or cut(*given))
    run = run_tile(layer, OLIVE, ArrayConfig(4, 4), tmp_path / "wave.vcd")
    entering = OLIVE.encoded(layer.lower())
    ((_, _, told_x, told_w),) = cuts
    assert np.array_equal(told_x, entering.rows()[0])
    assert np.array_equal(told_w, entering.weights[0])
    assert not np.array_equal(told_w, w)
    assert (run.tiles, run.compared > 0) == (1, True)


@pytest.mark.no_simulator
def test_signed_activations_of_the_sparse_pe_have_no_rtl():
    with pytest.raises(InputError, match="unsigned activations only"):
        circuit_of(get_pe("stc-sparq-5opt:signed=magnitude"), signed=True)


@pytest.mark.no_simulator
def test_what_memory_holds_of_a_step():
    """Signed pairs have 8 bits; unsigned codes leave none to mark a victim, so a ninth."""
    widths = {
        spec: (circuit.x_width, circuit.w_width)
        for spec in ("olive-4b", "stc-sparq-5opt")
        for circuit in [circuit_of(get_pe(spec))]
    }
    assert widths == {"olive-4b": (18, 16), "stc-sparq-5opt": (32, 20)}
    assert circuit_of(OLIVE, signed=True).x_width == 16
    assert len(code_pairs(False)) == 286 > 1 << 8
