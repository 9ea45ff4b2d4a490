"""The design `swis`: values by a restated rule, cycles, keys, targets, the simulator and what is
refused.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from every_design import EXHAUSTIVE_CHECKS, QUICK_CHECKS
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import sparqsim
from sparqsim.analysis.heatmap import heatmap
from sparqsim.base.contract import outcomes_of
from sparqsim.base.errors import InputError
from sparqsim.pe.swis import Swis
from sparqsim.pe.swis_groups import defined_decompose

DESIGNS = st.builds(
    Swis,
    group=st.integers(1, 9),
    shifts=st.integers(1, 8),
    per_cycle=st.integers(1, 8),
    consecutive=st.sampled_from(["off", "on"]),
    alpha=st.sampled_from([0.0, 0.5, 2.0]),
)


def weights(k, n):
    element = st.one_of(st.sampled_from([-128, 127, 0, -1]), st.integers(-128, 127))
    return arrays(np.int8, (k, n), elements=element)


@st.composite
def operands(draw):
    m, k, n = (draw(st.integers(1, most)) for most in (3, 13, 3))
    dtype = draw(st.sampled_from([np.uint8, np.int8]))
    return draw(arrays(dtype, (m, k))), draw(weights(k, n))


def signed_decomposition(w, pe, shifts=None):
    """sign(w) * decompose(|w|), filter by filter, by the plain definition."""
    rule = pe.group, pe.shifts, pe.consecutive == "on", pe.alpha
    columns = []
    for number, column in enumerate(w.T.tolist()):
        if shifts is not None:
            rule = pe.group, int(shifts[number]), *rule[2:]
        nearest = defined_decompose([abs(each) for each in column], *rule)
        columns.append(
            [size if each >= 0 else -size for each, size in zip(column, nearest, strict=True)]
        )
    return np.array(columns, np.int64).T


@given(DESIGNS, operands())
def test_values_are_the_product_with_decomposed_weights(pe, xw):
    x, w = xw
    expected = x.astype(np.int64) @ signed_decomposition(w, pe)
    assert pe.matmul(x, w).tolist() == expected.tolist()


@given(DESIGNS, st.data())
def test_a_step_shifts_and_adds_to_the_same_value(pe, data):
    xs = data.draw(st.lists(st.integers(0, 255), min_size=pe.group, max_size=pe.group))
    w = data.draw(weights(pe.group, 1))
    step = pe.step(xs, w[:, 0].tolist())
    assert step.value == (np.array([xs]) @ signed_decomposition(w, pe)).item()
    assert step.cycles == -(-pe.shifts // pe.per_cycle)


def test_a_step_by_hand():
    """Weights 100, -3, 0, 68 share 6, 5, 2: 100 and 68 exactly, 3 as 4; one position a cycle."""
    step = sparqsim.get_pe("swis").step((10, 20, 30, 40), (100, -3, 0, 68))
    assert step.value == 10 * 100 - 20 * 4 + 40 * 68
    assert step.cycles == 3
    # The last cycle shifts by 6 what lanes 0 and 3 add.
    assert step.controls == {"shift0": 6, "masks0": 0b1001}


def test_control_codes_of_a_last_cycle_with_less_to_do():
    step = sparqsim.get_pe("swis:per_cycle=2").step((10, 20, 30, 40), (100, -3, 0, 68))
    assert step.cycles == 2
    assert step.controls == {"shift0": 6, "masks0": 0b1001, "shift1": 0, "masks1": 0}


def test_all_shifts_are_exact():
    rng = np.random.default_rng(2)
    x, w = rng.integers(0, 256, (5, 30)).astype(np.uint8), rng.integers(-128, 128, (30, 6))
    pe = sparqsim.get_pe("swis:shifts=8")
    assert pe.matmul(x, w.astype(np.int8)).tolist() == (x.astype(np.int64) @ w).tolist()


@pytest.mark.parametrize(
    ("shifts", "per_cycle", "cycles"), [(3, 1, 3), (3, 2, 2), (3, 3, 1), (8, 8, 1)]
)
def test_cycles_of_a_step(shifts, per_cycle, cycles):
    pe = Swis(shifts=shifts, per_cycle=per_cycle)
    assert (pe.cost, pe.most_step_cycles, pe.fixed_step_cycles()) == ("shape", cycles, cycles)
    assert not pe.cycles_depend_on_values


@settings(max_examples=10)
@given(weights(11, 5), st.integers(8, 64), st.integers(1, 8))
def test_a_target_is_one_design_a_filter(w, eighths, per_cycle):
    """Each filter is the design with its own number of shifts, whose `step` is its definition."""
    target = Fraction(eighths, 8)
    pe = Swis(shifts=f"target:{eighths / 8}", per_cycle=per_cycle)
    x = np.random.default_rng(1).integers(0, 256, (2, 11)).astype(np.uint8)
    shifts, found = pe.column_shifts(w), pe.matmul(x, w)
    assert Fraction(int(shifts.sum()), len(shifts)) <= target
    assert pe.of_filters(w) == [replace(pe, shifts=number) for number in shifts.tolist()]
    assert pe.weight_step_cycles(w).tolist() == [[-(-n // per_cycle) for n in shifts]] * 3
    in_order = shifts[pe.filter_order(w)].tolist()
    assert in_order == sorted(shifts.tolist(), reverse=True)
    assert replace(pe, schedule="given").filter_order(w).tolist() == [0, 1, 2, 3, 4]
    for column, number in enumerate(shifts.tolist()):
        alone = replace(pe, shifts=number).matmul(x, w[:, column : column + 1])
        assert alone[:, 0].tolist() == found[:, column].tolist()


def test_every_matrix_of_a_stack_meets_the_target():
    w = np.random.default_rng(6).integers(-128, 128, (3, 12, 4)).astype(np.int8)
    pe = sparqsim.get_pe("swis:shifts=target:2.5")
    shifts = pe.column_shifts(w)
    assert shifts.shape == (3, 4)
    assert shifts.sum(axis=1).tolist() == [10, 10, 10]
    for one, own in zip(w, shifts, strict=True):
        assert pe.column_shifts(one).tolist() == own.tolist()
        assert pe.used_weights(one).tolist() == signed_decomposition(one, pe, own).tolist()


def test_a_number_of_shifts_is_that_of_every_filter():
    w = np.zeros((4, 3), np.int8)
    assert sparqsim.get_pe("swis:shifts=5").column_shifts(w).tolist() == [5, 5, 5]


def test_used_weights_leave_operands_alone():
    w = np.array([[127, -128], [-127, 3]], np.int8)
    kept = w.copy()
    used = sparqsim.get_pe("swis:shifts=1").used_weights(w)
    # 127 is nearer to 128 than to 64: beyond int8, so what is used is int16.
    assert (used.dtype, used.tolist()) == (np.int16, [[128, -128], [-128, 0]])
    assert w.tolist() == kept.tolist()


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("swis:shifts=0", "shifts='0', expected 1..8 or target:MEAN"),
        ("swis:shifts=9", "shifts='9', expected 1..8"),
        ("swis:shifts=3.5", "shifts='3.5', expected 1..8 or target:MEAN"),
        ("swis:shifts=target:", "shifts='target:', expected"),
        ("swis:shifts=target:1e9", "shifts='target:1e9', expected"),
        ("swis:shifts=target:0.9", "shifts=target:0.9: expected"),
        ("swis:shifts=target:8.5", "shifts=target:8.5: expected"),
        ("swis:group=0", "group='0', expected 1..64"),
        ("swis:group=65", "group='65', expected 1..64"),
        ("swis:per_cycle=9", "per_cycle='9', expected 1..8"),
        ("swis:alpha=-1", "alpha='-1', expected a number from 0 to 1000000"),
        ("swis:alpha=1e300", "alpha='1e300', expected a number from 0 to 1000000"),
        ("swis:alpha=inf", "alpha='inf', expected a number"),
        ("swis:consecutive=yes", "expected one of off, on"),
        ("swis:shift=3", "accepts group, shifts, per_cycle"),
    ],
)
def test_keys_out_of_range(spec, says):
    with pytest.raises(InputError) as refused:
        sparqsim.get_pe(spec)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "keys", [{"shifts": "3"}, {"shifts": 0}, {"group": 65}, {"per_cycle": 0}, {"alpha": -0.5}]
)
def test_python_is_checked_as_text_is(keys):
    with pytest.raises(InputError, match=next(iter(keys))):
        Swis(**keys)


@pytest.mark.parametrize(
    "spec",
    ["swis", "swis:shifts=target:3.25", "swis:group=8,shifts=2,alpha=0.5", "swis:consecutive=on"],
)
def test_its_spec_makes_it_again(spec):
    pe = sparqsim.get_pe(spec)
    assert pe.spec == spec
    assert sparqsim.get_pe(pe.spec) == pe


def test_a_target_in_a_list_of_designs(run, small_path):
    """The colon within a key starts no other design."""
    listed = "mac-8b8b,swis:group=2,shifts=target:3.25,per_cycle=8,mac-4b8b"
    ended = run("compare", small_path, "--pe", listed, "--format", "csv")
    assert ended.code == 0, ended.err
    assert "swis:group=2,shifts=target:3.25,per_cycle=8" in ended.out


def test_processes_step_a_target(run, small_path):
    ended = run("simulate", small_path, "--pe", "swis:shifts=target:3", "--engine", "event")
    assert ended.code == 0, ended.err


def test_a_target_has_no_step_of_its_own():
    with pytest.raises(InputError, match="shifts of a filter depend on all filters"):
        sparqsim.get_pe("swis:shifts=target:3").step((0,) * 4, (0,) * 4)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("spec", ["swis:shifts=target:3.25", "swis:shifts=target:2,schedule=given"])
def test_a_target_keeps_the_contract(spec):
    outcomes = list(outcomes_of(QUICK_CHECKS, sparqsim.get_pe(spec)))
    assert [outcome for outcome in outcomes if outcome.failure] == []


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["swis:shifts=target:3.25", "swis:shifts=target:2,schedule=given"])
def test_a_target_keeps_the_exhaustive_checks(spec):
    outcomes = list(outcomes_of(EXHAUSTIVE_CHECKS, sparqsim.get_pe(spec)))
    assert [outcome for outcome in outcomes if outcome.failure] == []


ARRAYS = st.builds(
    sparqsim.ArrayConfig,
    rows=st.integers(1, 3),
    cols=st.integers(1, 4),
    dataflow=st.sampled_from(["os", "ws", "is"]),
    coupling=st.sampled_from(["lockstep", "broadcast", "elastic:1", "elastic:3"]),
    overlap=st.booleans(),
)
TARGETS = st.builds(
    Swis,
    group=st.integers(1, 5),
    shifts=st.integers(8, 64).map(lambda eighths: f"target:{eighths / 8}"),
    per_cycle=st.integers(1, 3),
    consecutive=st.sampled_from(["off", "on"]),
    schedule=st.sampled_from(["sorted", "given"]),
)


@settings(max_examples=60)
@given(TARGETS, ARRAYS, st.integers(0, 999), st.booleans(), st.integers(1, 7), st.integers(1, 9))
def test_a_target_takes_what_its_filters_take_step_by_step(pe, array, seed, signed, k, n):
    """Processes in which each filter is its own design: cycles, waits, values, the same integers."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (rng.integers(1, 6), k)).astype(np.uint8)
    # Filters of very different ranges, so that their numbers of shifts differ.
    w = (rng.integers(-128, 128, (k, n)) >> rng.integers(0, 8, n)).astype(np.int8)
    layer = sparqsim.Layer.from_gemm("gemm", x.view(np.int8) if signed else x, w)
    fast, event = (
        sparqsim.simulate(sparqsim.Trace([layer]), pe=pe, array=array, engine=engine)
        for engine in ("fast", "event")
    )
    assert fast.layers == event.layers


@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
def test_groups_of_a_convolution_meet_a_target_each_for_itself(dataflow):
    rng = np.random.default_rng(4)
    x = rng.integers(0, 256, (1, 5, 5, 4)).astype(np.uint8)
    w = (rng.integers(-128, 128, (6, 4, 2)) >> rng.integers(0, 7, (6, 1, 1))).astype(np.int8)
    layer = sparqsim.Layer.conv2d("conv", x, w, kernel=(2, 2), groups=2)
    trace = sparqsim.Trace([layer])
    array = sparqsim.ArrayConfig(rows=3, cols=2, dataflow=dataflow)
    fast, event = (
        sparqsim.simulate(trace, pe="swis:shifts=target:2.5", array=array, engine=engine)
        for engine in ("fast", "event")
    )
    assert fast.layers == event.layers


@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize("spec", ["swis", "swis:per_cycle=3", "swis:group=3,per_cycle=2"])
def test_engines_agree(small_trace, spec, dataflow):
    array = sparqsim.ArrayConfig(rows=3, cols=4, dataflow=dataflow)
    fast, event = (
        sparqsim.simulate(small_trace, pe=spec, array=array, engine=engine)
        for engine in ("fast", "event")
    )
    assert fast.layers == event.layers


def test_error_falls_with_shifts(digits):
    """Noise of a real network falls with the shifts of a group, and is none at eight."""
    reports = [sparqsim.simulate(digits, pe=f"swis:shifts={shifts}") for shifts in (2, 3, 4, 8)]
    noise = [sum(layer.error.noise for layer in report.layers) for report in reports]
    assert noise[0] > noise[1] > noise[2] > noise[3] == 0


def gemm(m, k, n, seed=0):
    """A layer of one product, random operands of 8 bits."""
    rng = np.random.default_rng(seed)
    x, w = rng.integers(0, 256, (m, k)), rng.integers(-128, 128, (k, n)) >> rng.integers(0, 8, n)
    return sparqsim.Layer.from_gemm("gemm", x.astype(np.uint8), w.astype(np.int8))


def cycles_of(layer, pe, array):
    return sparqsim.simulate(sparqsim.Trace([layer]), pe=pe, array=array).cycles


@pytest.mark.parametrize("shifts", [1, 3, 8])
@pytest.mark.parametrize("per_cycle", [1, 2, 8])
def test_equal_filters_take_the_closed_form(shifts, per_cycle):
    """c (X + R + C - 2) + R cycles a tile, X = ceil(K / group), c = ceil(shifts / per_cycle)."""
    pe, array = Swis(shifts=shifts, per_cycle=per_cycle), sparqsim.ArrayConfig(rows=3, cols=4)
    c, x, tiles = -(-shifts // per_cycle), -(-21 // 4), 2 * 3  # ragged along every side
    assert cycles_of(gemm(5, 21, 9), pe, array).total == tiles * (c * (x + 3 + 4 - 2) + 3)


targets = st.integers(8, 64).map(lambda eighths: f"target:{eighths / 8}")


@settings(max_examples=10)
@given(targets, st.integers(0, 999), st.integers(1, 3), st.sampled_from(["os", "ws"]))
def test_sorted_is_the_layer_with_its_filters_sorted(target, seed, per_cycle, dataflow):
    layer, array = gemm(4, 10, 7, seed), sparqsim.ArrayConfig(rows=2, cols=3, dataflow=dataflow)
    by_shifts = Swis(shifts=target, per_cycle=per_cycle)
    as_given = replace(by_shifts, schedule="given")
    w = layer.lower().weights[0]
    order = np.argsort(-by_shifts.column_shifts(w), kind="stable")
    moved = sparqsim.Layer.from_gemm("gemm", layer.lower().rows()[0], w[:, order])
    # Filters that would gain alike get shifts in the order in which they lie.
    in_order = sorted(by_shifts.column_shifts(w).tolist(), reverse=True)
    assume(by_shifts.column_shifts(w[:, order]).tolist() == in_order)
    assert cycles_of(layer, by_shifts, array) == cycles_of(moved, as_given, array)
    by_pe, by_pe_moved = (
        heatmap(sparqsim.simulate(trace, pe=pe, array=array), trace)
        for trace, pe in (
            (sparqsim.Trace([layer]), by_shifts),
            (sparqsim.Trace([moved]), as_given),
        )
    )
    assert by_pe.macs_nonzero.tolist() == by_pe_moved.macs_nonzero.tolist()


@settings(max_examples=15)
@given(targets, st.integers(0, 999), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4))
def test_passes_take_what_their_columns_ask_for(target, seed, per_cycle, rows, cols):
    """Sums that stay, in lockstep, filters sorted: a pass takes sum(c) + (X + R - 2) max(c) + R.

    Column j works in the waves j to j + X + R - 2; with the slowest first, every later column ends
    with one wave of its own. So sorted is never slower: sum(c) is the same, and the maxima of
    passes are least.
    """
    layer, array = gemm(5, 12, 7, seed), sparqsim.ArrayConfig(rows=rows, cols=cols)
    by_shifts = Swis(shifts=target, per_cycle=per_cycle)
    shifts = by_shifts.column_shifts(layer.lower().weights[0]).tolist()
    costs = sorted((-(-each // per_cycle) for each in shifts), reverse=True)
    costs += [1] * (-len(costs) % cols)
    passes = [costs[at : at + cols] for at in range(0, len(costs), cols)]
    steps, row_tiles = 12 // 4, -(-5 // rows)
    expected = sum(sum(c) + (steps + rows - 2) * max(c) + rows for c in passes) * row_tiles
    found = cycles_of(layer, by_shifts, array).total
    assert found == expected
    assert found <= cycles_of(layer, replace(by_shifts, schedule="given"), array).total


def test_equal_filters_of_a_target_run_as_a_number_of_shifts():
    """Where every filter has the target's shifts, full tiles take what the number takes."""
    rng = np.random.default_rng(3)
    one = rng.integers(-128, 128, (20, 1)).astype(np.int8)
    x = rng.integers(0, 256, (6, 20)).astype(np.uint8)
    layer = sparqsim.Layer.from_gemm("gemm", x, np.repeat(one, 8, axis=1))
    array = sparqsim.ArrayConfig(rows=3, cols=4)
    by_target, by_number = (
        cycles_of(layer, f"swis:shifts={shifts}", array) for shifts in ("target:3", "3")
    )
    assert by_target.total == by_number.total


def test_columns_wait_for_the_slowest_of_their_pass():
    """Two passes of two columns on one row of PEs: 5 and 1 shifts each as given, alike when
    sorted.
    """
    rough, even = np.full(8, 127, np.int8), np.full(8, 64, np.int8)
    # Beside 1111111b, used as 128, 1010101b: four positions and one. A sixth gains nothing, a
    # seventh would.
    rough[::2] = 85
    w = np.stack([rough, even, rough, even], axis=1)
    layer = sparqsim.Layer.from_gemm("gemm", np.ones((1, 8), np.uint8), w)
    pe, array = Swis(shifts="target:4"), sparqsim.ArrayConfig(rows=1, cols=2)
    assert pe.column_shifts(w).tolist() == [5, 1, 5, 1]
    # Waves of a tile: step 0 of the left column; step 1 there and step 0 on its right; step 1 on
    # the right. Then a cycle to drain.
    assert cycles_of(layer, replace(pe, schedule="given"), array).total == 2 * (5 + 5 + 1 + 1)
    assert cycles_of(layer, pe, array).total == (5 + 5 + 5 + 1) + (1 + 1 + 1 + 1)
