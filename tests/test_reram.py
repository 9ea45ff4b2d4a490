"""ReRAM crossbars: sums and cycles against an oracle of their own, processes against the fast form,
and what must hold whatever the operands are.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim import ArrayConfig, InputError, Layer
from sparqsim.engine.models import Task, get_model
from sparqsim.engine.models.contract import check_model
from sparqsim.engine.models.crossbar.cells import bits_for, column_sums, planes, slices
from sparqsim.engine.models.crossbar.definition import run_layer
from sparqsim.engine.models.crossbar.plan import Converters
from sparqsim.engine.models.reram import Reram

ARRAY = ArrayConfig(16, 16)


@dataclass(frozen=True)
class Case:
    """A layer and keys of the crossbars that it runs on."""

    layer: Layer
    keys: dict[str, object]

    @property
    def model(self) -> Reram:
        return Reram(**self.keys).bound_to(self.layer)


def drawn(rng: random.Random, **keys: object) -> Case:
    """Draw a small layer: signed or not, in groups or not, of few bits or not, and keys."""
    values = np.random.default_rng(rng.getrandbits(32))
    m, k, n, groups = (
        rng.randint(1, 3),
        rng.randint(1, 14),
        rng.randint(1, 6),
        rng.choice((1, 1, 2)),
    )
    bits, signed = rng.choice((8, 8, 8, 4, 3, 1)), rng.random() < 0.4
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    x = values.integers(low, high, (groups, m, k)) * (values.random((groups, m, k)) < 0.8)
    w = values.integers(-128, 128, (groups * n, 1, k)) * (values.random((groups * n, 1, k)) < 0.8)
    zero_point = rng.choice((0, 0, 1)) if not signed and bits > 1 else 0
    geometry = {"activation_zero_point": zero_point, "zero_point_corrected": zero_point != 0}
    layer = Layer.conv2d(
        "drawn",
        x.transpose(1, 0, 2).reshape(1, m, 1, groups * k).astype(np.int8 if signed else np.uint8),
        w.astype(np.int8),
        kernel=(1, 1),
        groups=groups,
        activation_bits=bits,
        **geometry,
    )
    cell_bits = rng.choice((1, 2, 2, 4, 8))
    listed = [rng.randint(1, 9) for _ in range(8 // cell_bits)]
    asked = {
        "rows": rng.randint(1, 16),
        "cols": rng.randint(1, 7),
        "cell_bits": cell_bits,
        "adc_bits": rng.choice(("auto", rng.randint(1, 9), listed)),
        "adcs": rng.randint(1, 3),
        "dac_bits": rng.choice((1, 1, 2, 3, 8)),
        "crossbars": rng.randint(1, 20),
        "read": rng.randint(1, 9),
        "conv": rng.randint(1, 3),
    }
    if asked["adc_bits"] == "auto":
        asked["sqnr_db"] = rng.choice(("lossless", 10, 25.5))
    return Case(layer, asked | keys)


def digits_of(code: int, bits: int, dac_bits: int, *, signed: bool) -> list[tuple[int, int]]:
    """Return (digit, worth) of a code: written down again, from the value alone."""
    found = []
    if signed:
        found.append((int(code < 0), -(2 ** (bits - 1))))
        code, bits = code % 2 ** (bits - 1), bits - 1
    place = 1
    while bits > 0:
        width = min(dac_bits, bits)
        found.append((code % 2**width, place))
        code, place, bits = code // 2**width, place * 2**width, bits - width
    return found


def oracle(case: Case) -> tuple[np.ndarray, int]:
    """Return the layer's sums before zero points are corrected, and its cycles, one conversion at a
    time, from the keys.
    """
    model, layer = case.model, case.layer
    lowered = layer.lower()
    x, w = lowered.rows().tolist(), lowered.weights.tolist()
    slice_count, adc_bits = 8 // model.cell_bits, model.converter_bits
    bits = layer.record.activation_bits
    digits = {
        code: digits_of(code, bits, model.dac_bits, signed=layer.signed)
        for code in {code for group in x for row in group for code in row}
    }
    phases = len(next(iter(digits.values())))
    sums = np.zeros((lowered.groups, lowered.m, lowered.n), np.int64)
    times = []
    for group in range(lowered.groups):
        for col in range(0, lowered.n, model.cols):
            columns = range(col, min(col + model.cols, lowered.n))
            for row in range(0, lowered.k, model.rows):
                rows = range(row, min(row + model.rows, lowered.k))
                for place in range(slice_count):
                    converter, base = adc_bits[place], 2**model.cell_bits
                    worth = base ** (slice_count - 1 - place)
                    for sign in (1, -1):
                        needed = math.ceil(len(columns) / model.adcs) * model.conv * converter
                        times.append(max(model.read, needed))
                        for m in range(lowered.m):
                            for phase in range(phases):
                                for n in columns:
                                    total = 0
                                    for k in rows:
                                        digit, of_phase = digits[x[group][m][k]][phase]
                                        magnitude = max(0, sign * w[group][k][n])
                                        total += digit * (magnitude // worth % base)
                                    code = min(total, 2**converter - 1)
                                    sums[group, m, n] += sign * worth * of_phase * code
    rounds = [times[at : at + model.crossbars] for at in range(0, len(times), model.crossbars)]
    return sums, lowered.m * phases * sum(max(each) for each in rounds)


def outputs(case: Case) -> np.ndarray:
    lowered = case.layer.lower()
    return case.model.outputs(lowered, lowered.rows())


@pytest.mark.sampled(20)
@pytest.mark.parametrize("seed", range(500))
def test_processes_fast_form_and_oracle_agree(seed):
    case = drawn(random.Random(seed))  # noqa: S311 - nothing secret
    lowered, task = case.layer.lower(), Task(case.layer, ARRAY)
    defined, timing = case.model.define(task), case.model.time(task)
    sums, cycles = oracle(case)
    assert np.array_equal(defined.outputs, lowered.corrected(sums, lowered.rows(), lowered.weights))
    assert np.array_equal(outputs(case), defined.outputs)
    assert timing == defined.timing
    assert timing.total == cycles


@pytest.mark.parametrize(
    "spec",
    [
        "reram",
        "reram:adc_bits=1/3/3/3,rows=4,cols=3,crossbars=3",
        "reram:rows=5,cols=2,adc_bits=2,adcs=2,dac_bits=3,cell_bits=4,crossbars=7",
    ],
)
def test_contract(spec):
    assert [each for each in check_model(get_model(spec)) if each.failure] == []


def exact(layer: Layer) -> np.ndarray:
    lowered = layer.lower()
    x, w = lowered.rows().astype(np.int64), lowered.weights.astype(np.int64)
    return lowered.corrected(x @ w, lowered.rows(), lowered.weights)


@given(st.randoms(use_true_random=False))
def test_converters_that_clip_nothing_make_the_exact_product(rng):
    """R that holds the sum of all cells is lossless whatever is applied; auto, on these operands."""
    case = drawn(rng, adc_bits="auto", sqnr_db="lossless")
    assert np.array_equal(outputs(case), exact(case.layer))
    sure = bits_for(case.model.rows * (2**case.model.cell_bits - 1) * (2**case.model.dac_bits - 1))
    if sure <= 16:
        case = Case(case.layer, case.keys | {"adc_bits": sure})
        assert np.array_equal(outputs(case), exact(case.layer))


def test_nine_bits_suffice_for_128_rows_of_two_bit_cells():
    x = np.full((1, 300), 255, np.uint8)
    layer = Layer.from_gemm("full", x, np.full((300, 2), 127, np.int8))
    report = sparqsim.simulate(sparqsim.Trace([layer]), "reram:adc_bits=9")
    assert report.totals.error.noise == 0
    assert sparqsim.simulate(sparqsim.Trace([layer]), "reram:adc_bits=8").totals.error.noise > 0
    # 0b01_11_11_11: 128 ones in the first slice, 3 x 128 in the others.
    found = sparqsim.simulate(sparqsim.Trace([layer]), "reram")
    assert found.layers[0].found_keys == "adc_bits=8/9/9/9"
    assert found.from_json(found.to_json()) == found


@settings(max_examples=settings.default.max_examples // 3)
@given(st.randoms(use_true_random=False))
def test_auto_finds_the_fewest_bits(rng):
    case = drawn(rng, adc_bits="auto", sqnr_db="lossless")
    found = case.model.converter_bits
    for place, bits in enumerate(found):
        if bits > 1:
            fewer = [*found[:place], bits - 1, *found[place + 1 :]]
            less = Case(case.layer, case.keys | {"adc_bits": fewer})
            run = run_layer(
                case.layer.lower(),
                less.model.layout(case.layer.gemm),
                Converters(1, 1, fewer),
                less.model.cell_bits,
                less.model.phases,
                1,
            )
            assert run.clipped > 0


@given(st.randoms(use_true_random=False), st.sampled_from([5, 15, 30]))
def test_auto_keeps_its_bound_and_no_slice_alone_could_have_less(rng, bound):
    case = drawn(rng, adc_bits="auto", sqnr_db=bound)
    found = case.model.converter_bits
    assert sqnr(case, found) >= bound - 1e-9
    for place, bits in enumerate(found):
        if bits > 1:
            assert sqnr(case, [*found[:place], bits - 1, *found[place + 1 :]]) < bound


def sqnr(case: Case, bits: object) -> float:
    """Return the SQNR of outputs with converters of these bits, dB."""
    of_bits = Case(case.layer, {**case.keys, "adc_bits": bits, "sqnr_db": "lossless"})
    signal, made = exact(case.layer), outputs(of_bits)
    noise = int(((made - signal) ** 2).sum())
    return math.inf if noise == 0 else 10 * math.log10(max(1, int((signal**2).sum())) / noise)


@given(st.randoms(use_true_random=False))
def test_sqnr_never_falls_with_bits_where_errors_have_one_sign(rng):
    """Weights of one sign, unsigned activations: every column's error shrinks or stays."""
    case = drawn(rng)
    weights = np.abs(case.layer.weights.astype(np.int16)).clip(max=127).astype(np.int8)
    values = np.abs(case.layer.activations.astype(np.int16)).astype(np.uint8)
    groups = case.layer.record.groups
    layer = Layer.conv2d("one sign", values, weights, kernel=(1, 1), groups=groups)
    positive = Case(layer, case.keys)
    levels = [sqnr(positive, bits) for bits in range(1, 12)]
    assert all(fewer <= more for fewer, more in pairwise(levels))
    slice_count = positive.model.slices
    place, others = rng.randrange(slice_count), [rng.randint(1, 9) for _ in range(slice_count)]
    levels = [
        sqnr(positive, [*others[:place], bits, *others[place + 1 :]]) for bits in range(1, 12)
    ]
    assert all(fewer <= more for fewer, more in pairwise(levels))


def test_a_bit_more_can_lose_where_errors_of_both_signs_cancelled():
    """Why that order is a theorem for one sign only.

    Cells of the last slice sum to 11 above zero, those of the slice before to 5 below: 11 - 4 x 5.
    Two bits clip 8 x 1 and 2 x 4, which cancel; three clip 4 x 1 alone.
    """
    weights = np.array([[3], [3], [3], [2], [-12], [-8]], np.int8)
    case = Case(Layer.from_gemm("cancels", np.ones((1, 6), np.uint8), weights), {})
    assert exact(case.layer).item() == -9
    assert [sqnr(case, bits) for bits in (2, 4)] == [math.inf, math.inf]
    assert sqnr(case, 3) == pytest.approx(20 * math.log10(9 / 4))


@given(st.randoms(use_true_random=False))
def test_lossless_bits_never_rise_when_weights_are_pruned(rng):
    case = drawn(rng, adc_bits="auto", sqnr_db="lossless")
    weights = case.layer.weights
    kept = np.random.default_rng(rng.getrandbits(32)).random(weights.shape) < rng.random()
    pruned = Layer.conv2d(
        "pruned",
        case.layer.activations,
        weights * kept,
        kernel=(1, 1),
        groups=case.layer.record.groups,
        activation_bits=case.layer.record.activation_bits,
    )
    before = case.model.converter_bits
    after = Case(pruned, case.keys).model.converter_bits
    assert all(fewer <= more for fewer, more in zip(after, before, strict=True))


def test_sums_of_very_long_rows_do_not_wrap():
    """-128 is 2 in the first slice; every phase of every tile has 1 left of its sum."""
    k = 70_000
    x, w = np.full((1, k), 255, np.uint8), np.full((k, 1), -128, np.int8)
    case = Case(Layer.from_gemm("long", x, w), {"adc_bits": 1})
    assert outputs(case).item() == -64 * 255 * math.ceil(k / 128)


def test_slices_are_most_significant_first():
    assert slices(np.array([0b10_01_11_00, 128, 3]), 2).tolist() == [
        [0b10, 0b10, 0],
        [0b01, 0, 0],
        [0b11, 0, 0],
        [0b00, 0, 3],
    ]
    cells = planes(np.array([[-128], [5]], np.int8), 4)
    assert cells[:, :, :, 0].tolist() == [[[0, 0], [8, 0]], [[0, 5], [0, 0]]]


#: reference of ResNet-20's weights: zero cells in percent, largest and 99th percentile of sums.
ZEROS = (91.7, 47.7, 31.6, 27.2)
LARGEST = (35, 135, 163, 161)
MOST = (22, 103, 127, 134)
#: Of the codes that a trace holds, 7 bits of magnitude.
LARGEST_OF_CODES = (8, 95, 147, 154)


def test_column_sums_of_real_weights(shared):
    """Weights flattened channel, row, column; 128-row tiles; both signs; all inputs 1."""
    safetensors = pytest.importorskip("safetensors.numpy")
    tensors = safetensors.load_file(shared / "data/cifar10_resnets/resnet20.safetensors")
    layers = [w for name, w in tensors.items() if name.endswith("weight") and w.ndim in (2, 4)]
    assert len(layers) == 20
    sums, zeros, of_codes = [], [], []
    for w in layers:
        flat = w.reshape(len(w), -1).T.astype(np.float64)
        scale = math.ceil(math.log2(np.abs(flat).max()))
        for bits, kept in ((8, sums), (7, of_codes)):
            most = 2**bits - 1
            magnitudes = np.minimum(most, np.round(np.abs(flat) / 2.0 ** (scale - bits)))
            signed = (magnitudes * np.sign(flat)).astype(np.int16)
            cells = planes(signed, 2)
            kept.append(column_sums(cells, 128).reshape(4, -1))
            if bits == 8:
                zeros.append(slices(magnitudes.astype(np.int16), 2).reshape(4, -1) == 0)
    together = np.concatenate(sums, axis=1)
    assert tuple(together.max(axis=1).tolist()) == LARGEST
    assert tuple(np.concatenate(of_codes, axis=1).max(axis=1).tolist()) == LARGEST_OF_CODES
    assert [bits_for(each) for each in LARGEST] == [6, 8, 8, 8]
    assert np.round(np.percentile(together, 99, axis=1)).tolist() == pytest.approx(MOST, abs=1)
    found = 100 * np.concatenate(zeros, axis=1).mean(axis=1)
    assert found.tolist() == pytest.approx(ZEROS, abs=0.05)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("cell_bits=3", "cell_bits='3', expected 1, 2, 4 or 8"),
        ("cell_bits=0", "cell_bits='0', expected 1, 2, 4 or 8"),
        ("adc_bits=0", "adc_bits='0', expected auto, or bits from 1 to 16"),
        ("adc_bits=17", "adc_bits='17', expected auto, or bits from 1 to 16"),
        ("adc_bits=6/8", "adc_bits='6/8' has 2 numbers, expected one, or 4: one for each slice"),
        ("adc_bits=6/8/8/8,cell_bits=4", "has 4 numbers, expected one, or 2"),
        ("adc_bits=6//8/8", "adc_bits='6//8/8', expected auto"),
        ("adc_bits=autp", "adc_bits='autp', expected auto"),
        ("rows=0", "rows='0', expected an integer from 1 to 4096"),
        ("cols=99999999999999999999", "cols='99999999999999999999', expected an integer from 1"),
        ("crossbars=0", "crossbars='0', expected an integer from 1 to 1000000"),
        ("dac_bits=9", "dac_bits='9', expected an integer from 1 to 8"),
        ("read=0", "read='0', expected an integer from 1"),
        ("sqnr_db=-1", "sqnr_db='-1', expected lossless, or a number of dB from 0 to 200"),
        ("sqnr_db=30,adc_bits=8", "sqnr_db='30' with adc_bits='8', expected it with adc_bits=auto"),
        ("row=1", "key 'row=1' is not known (did you mean rows?); reram accepts rows"),
    ],
)
def test_bad_keys_are_refused_in_a_line(keys, message, refused, digits_path):
    assert message in refused("simulate", digits_path, "--pe", f"reram:{keys}")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"rows": 0}, "rows=0, expected integer 1..4096"),
        ({"rows": 2.5}, "rows=2.5, expected an integer"),
        ({"cell_bits": 3}, "cell_bits=3, expected 1, 2, 4 or 8"),
        ({"adc_bits": (6, 8)}, "adc_bits='6/8' has 2 numbers"),
        ({"adc_bits": None}, "adc_bits=None, expected auto"),
        ({"sqnr_db": math.nan}, "sqnr_db='nan', expected lossless"),
    ],
)
def test_bad_keys_from_python(keys, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        Reram(**keys)


def test_keys_are_written_shortest():
    assert Reram(adc_bits=(8, 8, 8, 8)) == Reram(adc_bits=8) == get_model("reram:adc_bits=8/8/8/8")
    assert Reram(adc_bits=[1, 3, 3, 3]).spec == "reram:adc_bits=1/3/3/3"
    assert Reram(sqnr_db=30.0).spec == "reram:sqnr_db=30"


def test_sums_beyond_every_converter_are_refused():
    layer = Layer.from_gemm("wide", np.full((1, 4096), 255, np.uint8), np.ones((4096, 1), np.int8))
    model = Reram(rows=4096, cell_bits=8, dac_bits=8)
    with pytest.raises(InputError, match=r"layer 'wide': reram.*need converters of 20 bits"):
        model.bound_to(layer)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("rows=1,cols=1", "takes 33,554,432 crossbars, expected at most 10,000,000: more rows"),
        (
            "adc_bits=16,cols=4096,rows=1,crossbars=1,conv=1000000,read=1000000",
            "may take 10,737,418,240,000,000,000 cycles of its crossbars together, expected at most",
        ),
    ],
)
def test_what_int64_or_memory_does_not_hold_is_refused(keys, message, tmp_path, refused):
    """33.6 million crossbars took 1.2 GB; cycles beyond 2^63 wrapped into negative stalls."""
    m = 1 if "cols=1" in keys.split(",") else 2500
    layer = Layer.from_gemm("vast", np.zeros((m, 4096), np.uint8), np.ones((4096, 1024), np.int8))
    sparqsim.Trace([layer]).save(tmp_path / "vast.safetensors")
    line = refused("simulate", tmp_path / "vast.safetensors", "--pe", f"reram:{keys}")
    assert "layer 'vast': reram:" in line
    assert message in line


def test_large_layers_are_refused_by_the_definition(digits):
    with pytest.raises(InputError, match=r"conversions of reram.*engine 'event' takes at most"):
        sparqsim.simulate(digits, "reram:adc_bits=8", engine="event")
