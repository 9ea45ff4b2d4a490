"""The pass that designs share over a large layer: what it finds is what steps in plain Python
make.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from every_design import COMBINED, SIGNED, SPECS
from hypothesis import example, given
from hypothesis import strategies as st

import sparqsim
from sparqsim.base.errors import InputError
from sparqsim.engine import measure as measure_module
from sparqsim.engine import squares as squares_module
from sparqsim.engine import together as together_module
from sparqsim.engine.census import StepWeights, _exact_product
from sparqsim.engine.measure import Meter, measure
from sparqsim.engine.products import FloatWeights
from sparqsim.engine.simulation import DEFAULT_PES
from sparqsim.engine.squares import Squares
from sparqsim.pe.binding import bound_to
from sparqsim.pe.pairwise import codes_on_pairs, is_pairwise
from sparqsim.pe.pairwise import on_pairs as pairs_of
from sparqsim.pe.sparq import Sparq5opt

DEFAULT = (*DEFAULT_PES, "sparq-5opt:rounding=trim", "mac-4b8b")
BY_SIGN = {np.uint8: DEFAULT, np.int8: ("mac-8b8b", "mac-4b8b", "mac-4b4b", *SIGNED[-3:])}


@pytest.fixture
def shared(monkeypatch):
    """Layers of any size share a pass."""
    monkeypatch.setattr(measure_module, "SHARED_FROM", 0)


def layer_of(m=5, k=7, n=3, dtype=np.uint8, seed=0, **points):
    """A product of values with many zeros, and many that every design trims."""
    rng = np.random.default_rng(seed)
    low = -128 if dtype == np.int8 else 0
    x = rng.integers(low, low + 256, (m, k)) * (rng.random((m, k)) < 0.6)
    w = rng.integers(-128, 128, (k, n)) * (rng.random((k, n)) < 0.8)
    return sparqsim.Layer.from_gemm("one", x.astype(dtype), w.astype(np.int8), **points)


def bound_designs(layer, specs):
    return [bound_to(layer, sparqsim.get_pe(spec)) for spec in specs]


def by_steps(pe, layer):
    """Error, part cycles and step cycles, by the design's `step` alone; zero points corrected by
    the operands as they are stored where the design is exact on them.
    """
    x, w = layer.lower().rows()[0].tolist(), layer.lower().weights[0].tolist()
    active, outputs = Counter(), []
    for row in x:
        for col in zip(*w, strict=True):
            total = 0
            for lanes in pe.k_order(len(row)).tolist():
                step = pe.step(
                    [[*row, 0][k] for k in lanes],
                    [[*col, 0][k] for k in lanes],
                    layer.signed,
                )
                active.update(step.active_cycles)
                total += step.value
            exact = sum(a * b for a, b in zip(row, col, strict=True))
            outputs.append((total, exact))
    return outputs, active


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("shape", [(5, 7, 3), (4, 8, 2), (1, 1, 1), (3, 2, 5)])
def test_a_shared_pass_finds_what_steps_make(shape, dtype):
    layer = layer_of(*shape, dtype=dtype, seed=sum(shape))
    designs = bound_designs(layer, BY_SIGN[dtype])
    for pe, found in zip(designs, measure(layer.lower(), designs), strict=True):
        outputs, active = by_steps(pe, layer)
        noise = [used - exact for used, exact in outputs]
        assert found.error.outputs == len(outputs)
        assert found.error.signal == sum(exact * exact for _, exact in outputs)
        assert found.error.noise == sum(each * each for each in noise)
        assert found.error.max_abs == max(map(abs, noise))
        assert +Counter(found.activity) == active, pe.spec


def classes_and_windows(pe, layer):
    """Classes of pairs and windows, pair by pair."""
    classes, rows = Counter(), layer.lower().rows()[0]
    used_rows = pe.used_activations(rows)
    for row, used in zip(rows.tolist(), used_rows.tolist(), strict=True):
        for k in range(0, len(row), 2):
            pair, became = [*row[k : k + 2], 0][:2], [*used[k : k + 2], 0][:2]
            zeros, changed = pair.count(0), pair != became
            names = {2: "both_zero", 1: "one_zero"}
            classes[names.get(zeros, "trimmed" if changed else "both_nonzero_exact")] += 1
            classes["one_zero_changed"] += zeros == 1 and changed
    return classes


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_a_shared_pass_counts_pairs_and_zeros(dtype):
    layer = layer_of(6, 9, 2, dtype=dtype, seed=3)
    designs = bound_designs(layer, BY_SIGN[dtype])
    rows, weights = layer.lower().rows()[0], layer.lower().weights[0]
    macs = int(((rows != 0).sum(0) * (weights != 0).sum(1)).sum())
    for pe, found in zip(designs, measure(layer.lower(), designs), strict=True):
        assert +Counter(found.pairs.model_dump()) == +classes_and_windows(pe, layer)
        windows = {str(shift): count for shift, count in sorted(pe.windows(rows[None]).items())}
        assert found.windows == windows
        assert found.macs_nonzero == macs


#: Designs of every family that looks at pairs, with each key off its default once.
IN_PAIRS = [spec for spec in SPECS if spec not in COMBINED and is_pairwise(sparqsim.get_pe(spec))]
POINTS = {
    "activation_zero_point": 7,
    "weight_zero_points": (3, 0, -5),
    "zero_point_corrected": True,
}


def grouped():
    """Two groups, zero points, an odd K."""
    rng = np.random.default_rng(8)
    return sparqsim.Layer.conv2d(
        "grouped",
        rng.integers(0, 256, (1, 3, 4, 6)).astype(np.uint8),
        rng.integers(-128, 128, (4, 3, 3)).astype(np.int8),
        kernel=(1, 3),
        groups=2,
        activation_zero_point=9,
        zero_point_corrected=True,
    )


def both_ways(layer, designs, monkeypatch):
    """Return what designs make of a layer, one by one and in a shared pass."""
    monkeypatch.setattr(together_module, "BLOCK_ELEMENTS", 40)
    for threshold in (1 << 60, 0):
        monkeypatch.setattr(measure_module, "SHARED_FROM", threshold)
        yield measure(layer.lower(), designs)


@pytest.mark.parametrize("kind", ["int8", "zero points", "groups"])
def test_designs_are_measured_alike_alone_and_together(kind, monkeypatch):
    """In blocks of few rows."""
    layer = {
        "int8": layer_of(dtype=np.int8, seed=4),
        "zero points": layer_of(seed=2, **POINTS),
        "groups": grouped(),
    }[kind]
    specs = [spec for spec in IN_PAIRS if kind != "int8" or spec in SIGNED]
    designs = bound_designs(layer, specs[:: 1 if kind == "groups" else 3])
    alone, together = both_ways(layer, designs, monkeypatch)
    for pe, one, other in zip(designs, alone, together, strict=True):
        for name in ("error", "pairs", "windows", "activity", "macs_nonzero"):
            assert getattr(one, name) == getattr(other, name), (pe.spec, name)
        assert np.array_equal(one.step_cycles, other.step_cycles)


@pytest.mark.usefixtures("shared")
def test_designs_of_pairs_are_not_measured_alone(monkeypatch):
    """Else the tests above would compare a pass with itself."""

    def alone(*_):
        raise AssertionError

    monkeypatch.setattr(Meter, "_add_error", alone)
    layer = layer_of()
    measure(layer.lower(), bound_designs(layer, DEFAULT))


def test_small_layers_are_measured_alone(monkeypatch):
    """They need no kernel."""
    monkeypatch.setattr(together_module, "Together", None)
    layer = layer_of()
    measure(layer.lower(), bound_designs(layer, DEFAULT))


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("k", [600, 1101])
def test_sums_beyond_float32_are_exact(k):
    """The largest operands there are, and odd sums: float32 would lose the last bits."""
    x = np.full((3, k), 255, np.uint8)
    x[1, ::2] = 17
    w = np.full((k, 2), 127, np.int8)
    w[::3, 1] = -128
    layer = sparqsim.Layer.from_gemm("large", x, w)
    assert len(FloatWeights(layer.lower()).cuts(codes_on_pairs(signed=False))) > 1
    for pe, found in zip(
        bound_designs(layer, DEFAULT),
        measure(layer.lower(), bound_designs(layer, DEFAULT)),
        strict=True,
    ):
        used = pe.used_activations(x).astype(object) @ pe.used_weights(w).astype(object)
        exact = x.astype(object) @ w.astype(object)
        assert found.error.signal == (exact**2).sum()
        assert found.error.noise == ((used - exact) ** 2).sum()
        assert found.error.max_abs == abs(used - exact).max()


@given(st.lists(st.integers(-(2**7), 2**7 - 1), min_size=1, max_size=5), st.integers(0, 3))
@example([127, -127, 127, -127, 64], 0)
def test_cuts_keep_every_sum_within_float32(weights, bits):
    """Each part of K, by its own largest column; multiples of a power of two reach further."""
    column = np.repeat(np.array(weights) >> bits << bits, 150)
    w = np.stack([column, np.zeros_like(column)], axis=1).astype(np.int8)
    layer = sparqsim.Layer.from_gemm("cut", np.zeros((1, len(w)), np.uint8), w)
    cuts = FloatWeights(layer.lower()).cuts(codes_on_pairs(signed=False))
    rows = np.arange(len(w))
    assert np.concatenate([rows[cut] for cut in cuts]).tolist() == rows.tolist()
    unit = next(1 << bit for bit in range(8) if bit == 7 or (column >> bit & 1).any())
    for cut in cuts:
        assert 255 * int(np.abs(column[cut]).sum()) <= (1 << 24) * unit


def test_products_that_float32_cannot_hold_are_refused():
    lowered = layer_of(k=200).lower()
    values = codes_on_pairs(signed=False)
    values = type(values)(np.full((65_536, 2), 2**15 - 1))
    assert FloatWeights(lowered).cuts(values) is None


EDGES = [0, 1, -1, 2**16, 2**24, -(2**24), 2**24 - 1]


@given(
    st.lists(st.sampled_from(EDGES) | st.integers(-(2**24), 2**24), min_size=1, max_size=6),
    st.integers(-(2**30), 2**30),
    st.integers(-(2**31) + 2**25, 2**31 - 2**25) | st.none(),
)
@example([-(2**24)] * 6, 2**30, 2**31 - 2**25)
@example([1], -(2**27), None)
def test_squares_of_floats_are_exact(values, offset, exact):
    """Up to sizes whose squares need 64 bits, two rows at a time."""
    squares = Squares()
    floats = np.array(values, np.float32).reshape(1, -1, 1)
    others = [(exact or 0) + (exact is not None) * row for row in range(len(values))]
    against = None if exact is None else np.array(others).reshape(floats.shape)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(squares_module, "AT_ONCE", 2)
        for _ in range(2):
            squares.add_differences(floats, np.full((1, 1, 1), offset), against)
    differences = [value - offset - other for value, other in zip(values, others, strict=True)]
    assert squares.total == 2 * sum(each * each for each in differences)
    assert squares.largest == max(map(abs, differences))


@pytest.mark.parametrize("spec", ["mac-8b8b", "mac-4b4b", "sparq-5opt", "mac-2x8b8b"])
@pytest.mark.parametrize("k", [1, 6, 9])
def test_columns_are_counted_by_the_lanes_that_have_a_weight(spec, k):
    """More columns than bits of a word, and than a byte counts."""
    pe = sparqsim.get_pe(spec)
    w = np.random.default_rng(k).integers(-9, 10, (2, k, 300)).astype(np.int8)
    used = pe.used_weights(w).tolist()
    steps = -(-k // pe.lanes)
    expected = np.zeros((2, steps, 1 << pe.lanes), int)
    for group in range(2):
        for step in range(steps):
            for column in range(300):
                rows = used[group][step * pe.lanes : (step + 1) * pe.lanes]
                mask = sum((row[column] != 0) << lane for lane, row in enumerate(rows))
                expected[group, step, mask] += 1
    weights = StepWeights(w)
    assert weights.counts(pe).tolist() == expected.tolist()
    assert weights.counts(pe).tolist() == expected.tolist()  # as it is kept
    assert weights.nonzero().tolist() == (w != 0).sum(axis=2).tolist()


class WithoutNeighbours(Sparq5opt):
    """A design that takes a zero beside a last element for something else."""

    name = "sparq-5opt"

    def used_activations(self, x):
        return np.maximum(super().used_activations(x), 1)


class OfAnotherShape(Sparq5opt):
    name = "sparq-5opt"

    def used_activations(self, x):
        return super().used_activations(x)[..., :1]


class Larger(Sparq5opt):
    """Sums of what it adds to codes leave float32 where those of codes do not."""

    name = "sparq-5opt"

    def used_activations(self, x):
        return x.astype(np.int16) * 100


@pytest.mark.usefixtures("shared")
def test_each_design_has_the_parts_of_k_that_it_needs():
    """An odd sum beyond 2^24: a product of all of K would lose it."""
    x, w = np.full((1, 601), 255, np.uint8), np.full((601, 1), 3, np.int8)
    layer = sparqsim.Layer.from_gemm("large", x, w)
    assert FloatWeights(layer.lower()).cuts(codes_on_pairs(signed=False)) == [slice(None)]
    *_, found = measure(layer.lower(), [*bound_designs(layer, DEFAULT), Larger()])
    assert found.error.max_abs == 99 * 255 * 3 * 601


class Halved(Sparq5opt):
    """Codes as they are, weights without their last bit."""

    name = "sparq-5opt"

    def used_activations(self, x):
        return x

    def used_weights(self, w):
        return w & -2


class Quartered(Halved):
    def used_weights(self, w):
        return w & -4


@pytest.mark.usefixtures("shared")
def test_designs_of_the_same_values_have_weights_of_their_own():
    layer = layer_of()
    x, w = layer.lower().rows()[0].astype(object), layer.lower().weights[0].astype(object)
    for lost, found in zip((1, 3), measure(layer.lower(), [Halved(), Quartered()]), strict=True):
        assert found.error.noise == ((x @ (w & lost)) ** 2).sum()


def test_counts_beyond_float64_are_multiplied_as_integers():
    many = np.array([[2**31 + 1]])
    assert _exact_product(many, many).tolist() == [[(2**31 + 1) ** 2]]


def test_a_design_that_changes_what_pads_is_measured_alone():
    assert is_pairwise(WithoutNeighbours())
    assert pairs_of(WithoutNeighbours(), signed=False) is None


@pytest.mark.usefixtures("shared")
def test_hooks_of_another_shape_are_refused():
    layer = layer_of()
    with pytest.raises(InputError, match=r"`used_activations` gives uint8 .* expected integers"):
        measure(layer.lower(), [OfAnotherShape()])
