"""SySMT: the collision table, case by case from the published rule; values, counts and reports."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim.pe import sysmt_sums
from sparqsim.pe.activity import PartCounter
from sparqsim.pe.trials import plain_steps


def value(spec, *pairs):
    xs, ws = zip(*pairs, strict=True)
    return sparqsim.get_pe(spec).step(xs, ws).value


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        # Both products non-zero: an activation above 15 beside a weight outside -8..7 is rounded to
        # a multiple of 16.
        (((100, 50), (3, 4)), 96 * 50 + 3 * 4),
        (((100, 7), (3, 4)), 100 * 7 + 3 * 4),  # a weight that fits 4 bits
        (((100, 8), (3, 4)), 96 * 8 + 3 * 4),
        (((100, -8), (3, 4)), 100 * -8 + 3 * 4),
        (((100, -9), (3, 4)), 96 * -9 + 3 * 4),
        (((15, 50), (3, 4)), 15 * 50 + 3 * 4),  # an activation that fits 4 bits
        (((17, 50), (30, 90)), 16 * 50 + 32 * 90),
        (((255, 50), (3, 4)), 256 * 50 + 3 * 4),  # not saturated
        (((248, 50), (3, 4)), 256 * 50 + 3 * 4),  # 15.5 to even
        (((232, 50), (3, 4)), 224 * 50 + 3 * 4),  # 14.5 to even
        # Zeros of either operand free the multiplier.
        (((100, 50), (0, 90)), 100 * 50),
        (((100, 50), (99, 0)), 100 * 50),
        (((0, 50), (99, 77)), 99 * 77),
    ],
)
def test_two_threads(pairs, expected):
    assert value("sysmt-2t", *pairs) == expected


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (((100, 50), (0, 1), (1, 0), (0, 0)), 100 * 50),
        (((100, 50), (0, 1), (1, 0), (3, 4)), 96 * 50 + 3 * 4),  # two: the rule of two threads
        (((100, 7), (0, 1), (1, 0), (3, 4)), 100 * 7 + 3 * 4),
        (
            ((100, 7), (9, 50), (1, 0), (3, 4)),
            96 * 7 + 9 * 48 + 3 * 4,
        ),  # three: each operand that is wide
        (((100, 7), (9, 50), (250, 127), (15, -8)), 96 * 7 + 9 * 48 + 256 * 128 + 15 * -8),
        (((100, 8), (9, 50), (1, 1), (1, 1)), 96 * 0 + 9 * 48 + 1 + 1),  # 8 / 16 to even is 0
        (((100, -128), (9, -120), (1, 1), (1, 1)), 96 * -128 + 9 * -128 + 2),
    ],
)
def test_four_threads(pairs, expected):
    assert value("sysmt-4t", *pairs) == expected


@pytest.mark.parametrize(
    ("variant", "small_w", "small_a", "both_wide"),
    [
        ("wA", 100 * 7, 9 * 50, 96 * 50),
        ("A", 96 * 7, 9 * 50, 96 * 50),
        ("A0", 96 * 7, 16 * 50, 96 * 50),
        ("aW", 100 * 7, 9 * 50, 100 * 48),
        ("W", 100 * 7, 9 * 48, 100 * 48),
        ("W0", 100 * 0, 9 * 48, 100 * 48),
    ],
)
def test_variants_at_a_collision_of_two(variant, small_w, small_a, both_wide):
    for (a, w), expected in (((100, 7), small_w), ((9, 50), small_a), ((100, 50), both_wide)):
        # The other thread multiplies 16 by -16: multiples of 16, which no variant changes.
        for spec, idle in (("sysmt-2t", ()), ("sysmt-4t", ((0, 5), (5, 0)))):
            assert value(f"{spec}:variant={variant}", (a, w), (16, -16), *idle) == expected - 256


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("wA", 9 * 7),
        ("aW", 9 * 7),
        ("A", 9 * 7),
        ("W", 9 * 7),
        ("A0", 0),
        ("W0", 0),
    ],
)
def test_variants_at_a_collision_of_three(variant, expected):
    assert value(f"sysmt-4t:variant={variant}", (9, 7), (16, 16), (16, -16), (0, 1)) == expected


def test_an_operand_of_sixteen_goes_through_the_rounder_and_one_of_fifteen_does_not():
    pe = sparqsim.get_pe("sysmt-2t")
    assert "activation_rounder_0" in pe.step((16, 3), (50, 4)).active_cycles
    assert "activation_rounder_0" not in pe.step((15, 3), (50, 4)).active_cycles


def test_trimming_floors():
    assert value("sysmt-2t:rounding=trim", (111, 50), (3, 4)) == 96 * 50 + 12
    assert value("sysmt-4t:rounding=trim", (255, -9), (1, 1), (1, 1), (0, 0)) == 240 * -16 + 2


def test_threads_take_contiguous_parts():
    assert sparqsim.get_pe("sysmt-2t").k_order(6).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert sparqsim.get_pe("sysmt-4t").k_order(5).tolist() == [[0, 2, 4, -1], [1, 3, -1, -1]]
    x, w = np.array([[100, 1, 0, 30]], np.uint8), np.array([[50], [1], [1], [90]], np.int8)
    # Elements 0 and 2 share a step (no collision), and so do 1 and 3 (30 is rounded to 32).
    assert sparqsim.get_pe("sysmt-2t").matmul(x, w).tolist() == [[100 * 50 + 1 + 32 * 90]]


@st.composite
def products(draw):
    groups, m, k, n = (draw(st.integers(1, most)) for most in (2, 4, 19, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.integers(0, draw(st.sampled_from((2, 20, 256))), (groups, m, k)).astype(np.uint8)
    low, high = (draw(st.sampled_from((2, 12, 128))) for _ in range(2))
    w = rng.integers(-low, high, (groups, k, n)).astype(np.int8)
    threads, variant = (
        draw(st.sampled_from("24")),
        draw(st.sampled_from(("wA", "A", "A0", "aW", "W", "W0"))),
    )
    rounding = draw(st.sampled_from(("trim", "nearest-even")))
    return sparqsim.get_pe(f"sysmt-{threads}t:variant={variant},rounding={rounding}"), x, w


@settings(max_examples=50, deadline=None)
@given(products())
def test_kernel_and_counts_are_those_of_step(product):
    pe, x, w = product
    fast, counter, active = pe.matmul(x, w), PartCounter(pe, w), {}
    counter.add(pe.activation_states(x))
    for group in range(len(x)):
        steps = list(plain_steps(pe, x[group], w[group]))
        sums = np.array([step.value for step in steps]).reshape(*fast[group].shape, -1).sum(-1)
        assert (fast[group] == sums).all()
        for part in {part for step in steps for part in step.active_cycles}:
            active[part] = active.get(part, 0) + sum(
                step.active_cycles.get(part, 0) for step in steps
            )
    assert {part: cycles for part, cycles in counter.cycles().items() if cycles} == active


def test_sums_leave_32_bits_in_time(monkeypatch):
    x, w = np.full((1, 70_000), 255, np.uint8), np.full((70_000, 1), -128, np.int8)
    pe = sparqsim.get_pe("sysmt-2t")
    assert pe.matmul(x, w).tolist() == [[70_000 * 256 * -128]]
    monkeypatch.setattr(sysmt_sums, "STEPS_IN_32_BITS", 3)
    assert pe.matmul(x[:, :20], w[:20]).tolist() == [[20 * 256 * -128]]


@pytest.mark.parametrize("spec", ["sysmt-2t", "sysmt-4t:variant=W"])
def test_blocks_of_rows_columns_and_steps_add_up(spec, monkeypatch):
    """Sizes that blocks do not divide; ROWS goes into the kernel as an argument."""
    for name, size in {"ROWS": 2, "COLUMNS": 3, "VECTOR_BYTES": 1600}.items():
        monkeypatch.setattr(sysmt_sums, name, size)
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, (5, 26)).astype(np.uint8) * (rng.random((5, 26)) < 0.8)
    w = (rng.integers(-128, 128, (26, 7)) * (rng.random((26, 7)) < 0.8)).astype(np.int8)
    pe = sparqsim.get_pe(spec)
    values = [step.value for step in plain_steps(pe, x, w)]
    assert pe.matmul(x, w).tolist() == np.reshape(values, (5, 7, -1)).sum(-1).tolist()


def test_report_counts_collisions_where_pairs_cannot_be_classed():
    x, w = np.array([[100, 1, 0, 30]], np.uint8), np.array([[50], [1], [1], [90]], np.int8)
    trace = sparqsim.Trace([sparqsim.Layer.from_gemm("g", x, w)])
    report = sparqsim.simulate(trace, "sysmt-2t", sparqsim.ArrayConfig(rows=1, cols=1))
    layer = report.layers[0]
    assert layer.cycles.compute == 2
    assert layer.cycles.pe_stall == 0
    assert (layer.pairs.both_zero, layer.pairs.one_zero) == (0, 1)
    assert (layer.pairs.trimmed, layer.pairs.both_nonzero_exact, layer.pairs.one_zero_changed) == (
        None,
        None,
        None,
    )
    assert layer.activity == {
        "activation_rounder_0": 0,
        "activation_rounder_1": 1,
        "adder": 1,
        "collision": 1,
        "multiplier_0": 2,
        "multiplier_1": 1,
        "pe": 2,
    }
    assert (layer.error.noise, layer.error.max_abs) == ((2 * 90) ** 2, 2 * 90)
    assert sparqsim.Report.from_json(report.to_json()).to_json() == report.to_json()
