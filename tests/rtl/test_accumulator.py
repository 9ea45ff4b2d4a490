"""Accumulators: the range of sums by a formula, the RTL at any width, wrapping or refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.pe import get_pe
from sparqsim.rtl import check
from sparqsim.rtl.accumulator import Accumulator, SumRange, least_bits, sum_range, unit_of
from sparqsim.rtl.check import check_gemm
from sparqsim.rtl.designs import DESIGNS, circuit_of
from sparqsim.rtl.trials import largest_sums

EXACT_8_BIT = ("mac-8b8b", "mac-2x8b8b", "sparq-exact", "bitfusion", "stripes", "loom", "pragmatic")
LEAST_AT_4608 = {
    **dict.fromkeys(EXACT_8_BIT, 29),
    "mac-4b8b": 25,
    "mac-4b4b": 21,
    **dict.fromkeys(("sparq-5opt", "sparq-3opt", "sparq-2opt", "sysmt-2t", "swis"), 29),
    **dict.fromkeys(("sparq-6opt", "sparq-7opt"), 28),
    "olive-4b": 27,  # 224 x -96 in each of two pairs: an outlier's neighbour adds nothing
    "stc-sparq-5opt": 29,
}


@pytest.mark.no_simulator
def test_least_widths_at_k_4608():
    assert {name: least_bits(get_pe(name)) for name in DESIGNS} == LEAST_AT_4608


@pytest.mark.no_simulator
def test_the_range_of_exact_products_is_that_of_their_operands():
    k = 4608
    assert sum_range(get_pe("mac-8b8b"), k) == SumRange(-255 * 128 * k, 255 * 127 * k, 1)
    signed = sum_range(get_pe("mac-8b8b"), k, signed=True)
    assert signed == SumRange(-128 * 127 * k, 128 * 128 * k, 1)
    assert sum_range(get_pe("mac-4b4b"), k) == SumRange(-15 * 8 * k, 15 * 7 * k, 256)
    assert sum_range(get_pe("mac-2x8b8b"), 5) == SumRange(-255 * 128 * 5, 255 * 127 * 5, 1)


@pytest.mark.no_simulator
def test_passes_over_low_nibbles_count_among_the_least_bits():
    """15 x 15 of two low nibbles is more than 15 x -8 of the high ones; at 4608 as many bits."""
    assert sum_range(get_pe("mac-4b4b"), 3000).bits == 20
    assert least_bits(get_pe("mac-4b4b"), 3000) == 21


@pytest.mark.no_simulator
@given(st.integers(-(1 << 40), 0), st.integers(0, 1 << 40))
def test_bits_are_the_fewest_that_hold_both_ends(lowest, highest):
    bits = SumRange(lowest, highest, 1).bits
    assert -(1 << bits - 1) <= lowest <= highest < 1 << bits - 1
    if bits > 1:
        assert lowest < -(1 << bits - 2) or highest >= 1 << bits - 2


@pytest.mark.no_simulator
@pytest.mark.parametrize("name", DESIGNS)
def test_no_sum_leaves_the_range_and_every_sum_is_whole_units(name, rng):
    """Operands of few values, ends among them, meet more of what steps can do than random ones."""
    design = get_pe(name)
    for _ in range(20):
        k = int(rng.integers(1, 3 * design.lanes + 1))
        ends_x, ends_w = rng.choice([0, 1, 15, 127, 248, 255], 3), rng.choice([-128, -1, 0, 127], 2)
        x = rng.choice([*ends_x, *rng.integers(0, 256, 2)], (8, k)).astype(np.uint8)
        w = rng.choice([*ends_w, *rng.integers(-128, 128, 2)], (k, 8)).astype(np.int8)
        values = design.matmul(x, w)
        found = sum_range(design, k)
        assert found.lowest * found.unit <= values.min()
        assert values.max() <= found.highest * found.unit
        assert not (values % found.unit).any()


@pytest.mark.no_simulator
@pytest.mark.parametrize("name", DESIGNS)
def test_units_are_what_the_circuit_scales_by(name):
    assert unit_of(get_pe(name)) == 1 << getattr(circuit_of(get_pe(name)), "scale", 0)


@pytest.mark.no_simulator
@given(st.integers(-(1 << 50), 1 << 50), st.integers(8, 32), st.sampled_from([1, 16, 256]))
def test_accumulators_hold_sums_modulo_their_width(count, bits, unit):
    held = int(Accumulator(bits, "wrap").held(np.array(count * unit), unit))
    assert held % unit == 0
    assert -(1 << bits - 1) <= held // unit < 1 << bits - 1
    assert (held // unit - count) % (1 << bits) == 0


@pytest.mark.no_simulator
@pytest.mark.parametrize(
    ("arguments", "told"),
    [((7,), "acc_bits=7: expected an integer from 8"), ((33,), "to 32"), ((24, "grow"), "wrap")],
)
def test_other_accumulators_are_refused(arguments, told):
    with pytest.raises(InputError, match=told):
        Accumulator(*arguments)


@pytest.mark.parametrize("name", ["mac-8b8b", "mac-4b4b", "mac-4b8b", "sparq-5opt", "swis"])
def test_the_accumulator_counts_beyond_2_to_the_23_either_way(name, compared):
    """With the least width for that K, and none too narrow by a bit: both signs, every cycle."""
    design = get_pe(name)
    trial = largest_sums(design)
    assert trial.largest_sum // unit_of(design) > 1 << 23
    compared(trial.checked.comparisons)
    k = trial.size[1]
    x = np.full((1, k), 255, np.uint8)
    w = np.stack([np.full(k, 127), np.full(k, -128)], axis=1).astype(np.int8)
    bits = sum_range(design, k).bits
    compared(check_gemm(design, ArrayConfig(1, 2), x, w, accumulator=Accumulator(bits)).comparisons)
    with pytest.raises(InputError, match=f"can take {bits} bits .* acc_bits={bits - 1}"):
        check_gemm(design, ArrayConfig(1, 2), x, w, accumulator=Accumulator(bits - 1))


@pytest.mark.sampled(8)
@pytest.mark.parametrize("array", ["os", "ws", "is"])
@pytest.mark.parametrize("name", ["mac-8b8b", "mac-4b4b", "sparq-exact", "stripes"])
@pytest.mark.parametrize(("coupling", "overlap"), [("lockstep", True), ("elastic:2", False)])
def test_narrow_accumulators_wrap_in_every_cycle(name, array, coupling, overlap, rng, compared):
    design, narrow = get_pe(name), Accumulator(8, "wrap")
    where = ArrayConfig(3, 2, array, coupling, overlap)
    x = rng.integers(0, 256, (5, 9 * design.lanes)).astype(np.uint8)
    w = rng.integers(-128, 128, (9 * design.lanes, 3)).astype(np.int8)
    compared(check_gemm(design, where, x, w, accumulator=narrow).comparisons)
    unit = unit_of(design)
    assert (np.abs(design.matmul(x, w)) >= unit << 7).any()


def test_sums_that_do_not_wrap_where_the_rtl_wraps_are_a_mismatch(rng, monkeypatch):
    monkeypatch.setattr(check, "_wrapped", lambda simulated, *_: simulated)
    x = np.full((1, 8), 255, np.uint8)
    w = np.full((8, 1), 127, np.int8)
    with pytest.raises(check.MismatchError, match="psums differ first"):
        check_gemm(get_pe("mac-8b8b"), ArrayConfig(1, 1), x, w, accumulator=Accumulator(16, "wrap"))


@settings(deadline=None, max_examples=10)
@pytest.mark.no_simulator
@given(st.sampled_from(["os", "ws", "is"]), st.integers(1, 9), st.integers(1, 900))
def test_stationary_arrays_sum_up_one_fold(dataflow, rows, k):
    design = get_pe("mac-4b4b")
    array = ArrayConfig(rows, 2, dataflow)
    x, w = np.zeros((1, k), np.uint8), np.zeros((k, 1), np.int8)
    summed = k if dataflow == "os" else min(k, 4 * rows)
    bits = max(sum_range(design, summed).bits, 8)
    if bits > 8:
        with pytest.raises(InputError, match=f"sums over {summed} elements of K"):
            check_gemm(design, array, x, w, accumulator=Accumulator(bits - 1))
