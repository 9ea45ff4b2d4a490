"""Counting without stepping every PE: part activity, windows, pair classes, squares; against brute
force.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import pytest
from every_design import COUNTED, TRANSFORMATIONS
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import sparqsim
from sparqsim.engine.measure import measure, pair_classes
from sparqsim.engine.squares import sum_of_squares
from sparqsim.pe.activity import PartCounter
from sparqsim.pe.layout import PAIRS, looked_up, nonzero_masks
from sparqsim.pe.sparq import Sparq

#: Examples of tests that every design takes: there are enough of these.
FEW = settings(max_examples=settings.default.max_examples // 3)
VALUES = st.one_of(st.sampled_from([0, 0, 1, 8, 9, 16, 17, 127, 248, 255]), st.integers(0, 255))
WEIGHTS = st.one_of(st.sampled_from([0, 0, 1, 7, 8, -8, -9, 127, -128]), st.integers(-128, 127))


def layers_of(dtype=np.uint8):
    """X (groups, M, K) and W (groups, K, N), small, with many zeros."""
    values = VALUES.map(lambda x: x - 128) if dtype == np.int8 else VALUES
    sizes = st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 7), st.integers(1, 3))
    return sizes.flatmap(
        lambda s: st.tuples(
            arrays(dtype, s[:3], elements=values),
            arrays(np.int8, (s[0], s[2], s[3]), elements=WEIGHTS),
        )
    )


def all_steps(pe, x, w):
    """Every step of every PE, by the definition."""
    signed = x.dtype == np.int8
    for x_group, w_group in zip(x.tolist(), w.swapaxes(1, 2).tolist(), strict=True):
        for row in x_group:
            for col in w_group:
                for lanes in pe.k_order(len(row)).tolist():
                    yield pe.step(
                        [[*row, 0][k] for k in lanes], [[*col, 0][k] for k in lanes], signed
                    )


def counted(pe, x, w, blocks):
    counter = PartCounter(pe, w)
    for block in np.array_split(x, blocks, axis=1):
        counter.add(pe.activation_states(block))
    return {part: cycles for part, cycles in counter.cycles().items() if cycles}


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("spec", "dtype"), COUNTED)
@FEW
@given(data=st.data(), blocks=st.integers(1, 3))
def test_part_activity_equals_brute_force(spec, dtype, data, blocks):
    pe = sparqsim.get_pe(spec)
    x, w = data.draw(layers_of(dtype))
    totals = Counter()
    for step in all_steps(pe, x, w):
        totals.update(step.active_cycles)
    assert counted(pe, x, w, min(blocks, x.shape[1])) == dict(totals)


@given(data=st.data())
def test_windows_equal_brute_force(data):
    """A window counts where a non-zero value goes through it; a lone value, on both multipliers,
    goes through none.
    """
    name = data.draw(
        st.sampled_from(["sparq-5opt", "sparq-3opt", "sparq-2opt", "sparq-6opt", "sparq-7opt"])
    )
    rounding, pairing = (
        data.draw(st.sampled_from(["trim", "nearest-even"])),
        data.draw(st.sampled_from(["on", "off"])),
    )
    pe = sparqsim.get_pe(f"{name}:rounding={rounding},pairing={pairing}")
    x, _ = data.draw(layers_of())
    found = dict.fromkeys(pe.windows_of_pair.shifts, 0)
    for row in x.reshape(-1, x.shape[2]).tolist():
        for x1, x2 in zip(row[::2], [*row[1::2], 0], strict=False):
            control = pe.trim_unit(x1, x2)
            for value, shift in ((x1, control.shift1), (x2, control.shift2)):
                found[shift] += value > 0 and not control.lone
    assert pe.windows(x) == found


@given(layers_of())
def test_windows_of_sparq_exact_are_those_of_its_fast_steps(xw):
    pe, x = sparqsim.get_pe("sparq-exact"), xw[0]
    found = dict.fromkeys(pe.windows_of_pair.shifts, 0)
    for row in x.reshape(-1, x.shape[2]).tolist():
        for x1, x2 in zip(row[::2], [*row[1::2], 0], strict=False):
            if x1 and x2 and pe.step((x1, x2), (1, 1)).cycles == 1:
                for value in (x1, x2):
                    found[pe.windows_of_pair.select(value)] += 1
    assert pe.windows(x) == found


@given(layers_of())
def test_windows_of_macs(xw):
    nonzero = int((xw[0] > 0).sum())
    assert sparqsim.get_pe("mac-8b8b").windows(xw[0]) == {0: nonzero}
    assert sparqsim.get_pe("mac-4b8b").windows(xw[0]) == {4: nonzero}
    assert sparqsim.get_pe("mac-4b4b").windows(xw[0]) == {4: nonzero}


def classes_by_hand(x, used):
    found = Counter(both_zero=0, one_zero=0, both_nonzero_exact=0, trimmed=0, one_zero_changed=0)
    for row, used_row in zip(
        x.reshape(-1, x.shape[-1]).tolist(), used.reshape(-1, x.shape[-1]).tolist(), strict=True
    ):
        for k in range(0, len(row), 2):
            pair, changed = row[k : k + 2], row[k : k + 2] != used_row[k : k + 2]
            zeros = pair.count(0) + (len(pair) == 1)
            name = {2: "both_zero", 1: "one_zero"}.get(
                zeros, "trimmed" if changed else "both_nonzero_exact"
            )
            found[name] += 1
            found["one_zero_changed"] += zeros == 1 and changed
    return found


@pytest.mark.sampled(3)
@pytest.mark.parametrize("spec", TRANSFORMATIONS)
@FEW
@given(xw=layers_of())
def test_pair_classes_equal_brute_force(spec, xw):
    x, _ = xw
    used = sparqsim.get_pe(spec).used_activations(x)
    assert pair_classes(x, used).model_dump() == classes_by_hand(x, used)


@given(layers_of())
def test_lone_values_of_four_bit_modes_are_never_changed(xw):
    for name in ("sparq-5opt", "sparq-3opt", "sparq-2opt"):
        used = sparqsim.get_pe(name).used_activations(xw[0])
        assert pair_classes(xw[0], used).one_zero_changed == 0


@given(
    st.lists(
        st.one_of(
            st.integers(-(2**39), 2**39),
            st.sampled_from([2**40 - 1, 1 - 2**40, 2**20, -(2**20), -1]),
        )
    )
)
def test_sum_of_squares_is_exact(values):
    assert sum_of_squares(np.array(values, np.int64)) == sum(value * value for value in values)


@pytest.mark.parametrize("value", [2**40 - 1, -(2**40 - 1), 2**20 - 1, -1])
def test_sum_of_many_large_squares_is_exact(value):
    """Three million of the largest: far beyond 64 bits, and beyond one part of the sum."""
    assert sum_of_squares(np.full(3_000_001, value)) == 3_000_001 * value * value


@pytest.mark.parametrize("value", [94_906_265, 94_906_267, 2**27 + 1])
def test_squares_around_the_largest_in_float64_are_exact(value):
    assert sum_of_squares(np.array([value, -value, 1])) == 2 * value * value + 1


@given(layers_of())
def test_measured_error_equals_brute_force(xw):
    """Squared and largest error, signal and non-zero MACs of a whole layer, from the definition."""
    x, w = xw
    layer = sparqsim.Layer.from_gemm("one", x[0], w[0])
    pe = sparqsim.get_pe("sparq-3opt:rounding=trim")
    found = measure(layer.lower(), [pe])[0]
    exact = (x[0].astype(object) @ w[0].astype(object)).ravel().tolist()
    width = x.shape[2]
    values = [step.value for step in all_steps(pe, x[:1], w[:1])]
    per_output = [
        sum(values[at : at + pe.steps(width)]) for at in range(0, len(values), pe.steps(width))
    ]
    difference = [one - other for one, other in zip(per_output, exact, strict=True)]
    assert found.error.signal == sum(y * y for y in exact)
    assert found.error.noise == sum(d * d for d in difference)
    assert found.error.max_abs == max(map(abs, difference))
    assert found.macs_nonzero == sum(
        int(a != 0) * int(b != 0)
        for row in x[0].tolist()
        for col in w[0].T.tolist()
        for a, b in zip(row, col, strict=True)
    )


def test_blocks_of_rows_change_nothing(monkeypatch, small_trace):
    """The block size is a matter of memory, never of results."""
    designs = [sparqsim.get_pe(name) for name in ("mac-4b4b", "sparq-5opt", "sparq-exact")]
    whole = [measure(layer.lower(), designs) for layer in small_trace.layers]
    monkeypatch.setattr("sparqsim.pe.arithmetic.BLOCK_ELEMENTS", 40)
    split = [measure(layer.lower(), designs) for layer in small_trace.layers]
    for one, other in zip(chain(*whole), chain(*split), strict=True):
        assert (one.error, one.pairs, one.windows, one.activity, one.macs_nonzero) == (
            other.error,
            other.pairs,
            other.windows,
            other.activity,
            other.macs_nonzero,
        )
        assert np.array_equal(one.step_cycles, other.step_cycles)


def test_every_part_of_sparq_is_counted():
    """The parts the method names: detector, multipliers, weight muxes, shift units, adder, and the
    PE as a whole.
    """
    pe = sparqsim.get_pe("sparq-5opt")
    assert isinstance(pe, Sparq)
    pairs = [(0, 0), (0, 200), (200, 0), (200, 200), (3, 5)]
    parts = set().union(*(pe.step(pair, (1, 1)).active_cycles for pair in pairs))
    assert parts == {
        "pair_zero_detector",
        "multiplier_0",
        "multiplier_1",
        "weight_mux",
        "shifter_0",
        "shifter_1",
        "adder",
        "pe",
    }


@pytest.mark.parametrize("lanes", range(1, 9))
def test_masks_say_which_lanes_are_not_zero(lanes):
    rng = np.random.default_rng(lanes)
    values = rng.integers(-2, 3, (2, 5, 19)) * (rng.random((2, 5, 19)) < 0.5)
    masks = nonzero_masks(values.astype(np.int8), lanes)
    for row, found in zip(values.reshape(-1, 19).tolist(), masks.reshape(10, -1), strict=True):
        steps = [row[start : start + lanes] for start in range(0, 19, lanes)]
        assert found.tolist() == [
            sum(1 << lane for lane, value in enumerate(step) if value) for step in steps
        ]


@pytest.mark.parametrize("size", [5, PAIRS - 1, PAIRS, PAIRS + 2])
def test_codes_are_looked_up_one_by_one(size):
    """Whether two at a time or not; also those that do not lie side by side."""
    rng = np.random.default_rng(size)
    table = rng.integers(-128, 128, 256).astype(np.int8)
    codes = rng.integers(-128, 128, 2 * size).astype(np.int8)
    for few in (codes[:size], codes[::2]):
        expected = [int(table[code % 256]) for code in few.tolist()]
        assert looked_up(table, few).tolist() == expected
