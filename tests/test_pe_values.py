"""Values and step cycles of every PE design: the fast form against `step`, and both against rules
restated here.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from every_design import ARRAY_TIMED, SIGNED, TRANSFORMATIONS, UNSIGNED
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import sparqsim
from sparqsim.pe.declared import declared_cycles
from sparqsim.pe.mac import Mac
from sparqsim.pe.registry import designs
from sparqsim.pe.sparq import Sparq
from sparqsim.pe.trials import plain_steps

ALL_PAIRS = np.stack(np.divmod(np.arange(65_536), 256)[::-1], axis=1).astype(np.uint8)
#: Examples of tests that every design and key takes: there are enough of these.
FEW = settings(max_examples=settings.default.max_examples // 3)
EXACT = ("mac-8b8b", "mac-2x8b8b", "sparq-exact")
# bits of a window, its left shifts; the same for a lone value
RULES = {
    "sparq-5opt": (4, (4, 3, 2, 1, 0), 8, (0,)),
    "sparq-3opt": (4, (4, 2, 0), 8, (0,)),
    "sparq-2opt": (4, (4, 0), 8, (0,)),
    "sparq-6opt": (3, (5, 4, 3, 2, 1, 0), 6, (2, 1, 0)),
    "sparq-7opt": (2, (6, 5, 4, 3, 2, 1, 0), 4, (4, 3, 2, 1, 0)),
}


def plain_matmul(pe, x, w):
    """X @ W by `step`, one output at a time; lists of Python integers in, one out."""
    signed = x.dtype == np.int8
    order = pe.k_order(x.shape[1]).tolist()
    rows, cols = (
        [[*row, 0] for row in x.tolist()],
        [[*col, 0] for col in w.T.tolist()],
    )  # -1 is the padded zero
    return [
        [
            sum(
                pe.step([row[k] for k in lanes], [col[k] for k in lanes], signed).value
                for lanes in order
            )
            for col in cols
        ]
        for row in rows
    ]


def operands(dtype):
    """Small X and W: any shape with M, N and K from 1, values at the ends of their range as likely
    as others.
    """
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    activation = st.one_of(
        st.sampled_from([0, low, high, high - 1, 16, 15]), st.integers(low, high)
    )
    weight = st.one_of(st.sampled_from([-128, 127, 0, -1]), st.integers(-128, 127))
    sizes = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 3))
    return sizes.flatmap(
        lambda mkn: st.tuples(
            arrays(dtype, mkn[:2], elements=activation), arrays(np.int8, mkn[1:], elements=weight)
        )
    )


@FEW
@given(operands(np.uint8))
def test_matmul_equals_step(pe, xw):
    y = pe.matmul(*xw)
    assert y.dtype == np.int64
    assert y.tolist() == plain_matmul(pe, *xw)


@pytest.mark.parametrize("spec", SIGNED)
@FEW
@given(xw=operands(np.int8))
def test_matmul_equals_step_with_signed_activations(spec, xw):
    pe = sparqsim.get_pe(spec)
    assert pe.matmul(*xw).tolist() == plain_matmul(pe, *xw)


@pytest.mark.parametrize("spec", UNSIGNED)
def test_signed_activations_are_refused(spec):
    with pytest.raises(sparqsim.InputError, match="int8"):
        sparqsim.get_pe(spec).matmul(np.ones((1, 2), np.int8), np.ones((2, 1), np.int8))


@pytest.mark.sampled(4)
@pytest.mark.parametrize("x_value", [0, 255])
@pytest.mark.parametrize("w_value", [-128, 127])
def test_constant_tiles(pe, x_value, w_value):
    x, w = np.full((3, 1153), x_value, np.uint8), np.full((1153, 2), w_value, np.int8)
    assert pe.matmul(x, w).tolist() == plain_matmul(pe, x, w)


@pytest.mark.slow
def test_all_activation_pairs_equal_step(pe):
    """All 65,536 pairs, each with weights of its own, for every combination of keys.

    The contract suite does the same with one key changed at a time, in the default run.
    """
    weights = np.random.default_rng(0).integers(-128, 128, (65_536, 2))
    fast = pe.matmul(ALL_PAIRS[:, None, :], weights.astype(np.int8)[:, :, None]).ravel().tolist()
    for pair, pair_weights, value in zip(ALL_PAIRS.tolist(), weights.tolist(), fast, strict=True):
        if pe.lanes == 1:
            plain = sum(pe.step([a], [b]).value for a, b in zip(pair, pair_weights, strict=True))
        else:
            pad = [0] * (pe.lanes - 2)
            plain = pe.step(pair + pad, pair_weights + pad).value
        assert plain == value, (pair, pair_weights)


@pytest.mark.parametrize("spec", TRANSFORMATIONS)
def test_matmul_is_the_product_of_used_operands(spec):
    pe = sparqsim.get_pe(spec)
    w = np.array([[1, 0, -128, 127], [0, 1, 113, -57]], np.int8)
    used, used_w = pe.used_activations(ALL_PAIRS), pe.used_weights(w)
    product = used.astype(np.int64) @ used_w.astype(np.int64)
    assert (pe.matmul(ALL_PAIRS, w) == product).all()


@pytest.mark.parametrize("name", EXACT)
@given(xw=operands(np.uint8))
def test_exact_designs_equal_the_integer_product(name, xw):
    x, w = xw
    assert (
        sparqsim.get_pe(name).matmul(x, w).tolist()
        == (x.astype(np.int64) @ w.astype(np.int64)).tolist()
    )


@pytest.mark.parametrize("name", EXACT)
def test_exact_where_float32_is_not(name):
    """4608 products of the largest size need 29 bits; float32 has 24."""
    x, w = np.full((1, 4609), 255, np.uint8), np.full((4609, 1), -128, np.int8)
    x[0, 0], w[0, 0] = 1, 1
    assert sparqsim.get_pe(name).matmul(x, w).tolist() == [[1 - 4608 * 255 * 128]]


@cache
def windowed(bits, shifts, x, rounding):
    """What a window of `bits` bits makes of x: the published rule, restated."""
    shift = min(s for s in shifts if x >> (s + bits) == 0)
    quotient, rest, half = x >> shift, x & ((1 << shift) - 1), (1 << shift) / 2
    if rounding == "nearest-even" and shift and (rest > half or (rest == half and quotient % 2)):
        quotient += 1
    return min(quotient, (1 << bits) - 1) << shift


def sparq_designs():
    return [
        sparqsim.get_pe(f"{name}:rounding={rounding},pairing={pairing}")
        for name in RULES
        for rounding in ("trim", "nearest-even")
        for pairing in ("on", "off")
    ]


@pytest.mark.sampled(5)
@pytest.mark.parametrize("design", sparq_designs(), ids=lambda design: design.spec)
def test_sparq_uses_what_the_published_rule_says(design):
    bits, shifts, lone_bits, lone_shifts = RULES[design.name]
    expected = []
    for x1, x2 in ALL_PAIRS.tolist():
        lone = design.pairing == "on" and (x1 == 0) != (x2 == 0)
        rule = (lone_bits, lone_shifts) if lone else (bits, shifts)
        expected.append([windowed(*rule, x, design.rounding) for x in (x1, x2)])
    assert design.used_activations(ALL_PAIRS).tolist() == expected


@pytest.mark.sampled(5)
@pytest.mark.parametrize("design", sparq_designs(), ids=lambda design: design.spec)
def test_pair_identity(design):
    """Every pair is two n-bit products at the mode's own shifts: y = (q1 * wA << s1) + (q2 * wB <<
    s2).
    """
    bits, shifts, *_ = RULES[design.name]
    w1, w2 = 127, -128
    used = design.used_activations(ALL_PAIRS)
    for (x1, x2), (u1, u2) in zip(ALL_PAIRS.tolist(), used.tolist(), strict=True):
        control = design.trim_unit(x1, x2)
        assert max(control.q1, control.q2) < 1 << bits
        assert {control.shift1, control.shift2} <= set(shifts)
        lone = design.pairing == "on" and (x1 == 0) != (x2 == 0)
        assert control.lone == lone
        wa, wb = ((w1, w1) if x2 == 0 else (w2, w2)) if lone else (w1, w2)
        assert (control.q1 * wa << control.shift1) + (
            control.q2 * wb << control.shift2
        ) == u1 * w1 + u2 * w2


def test_step_shows_its_control_codes():
    step = sparqsim.get_pe("sparq-5opt").step((0, 0xA5), (3, -7))
    assert (step.value, step.cycles) == (0xA5 * -7, 1)
    assert step.controls == {"q0": 5, "shift0": 0, "q1": 10, "shift1": 4, "mux": 1}


def test_sparq_exact_cycles_of_all_pairs():
    design = sparqsim.get_pe("sparq-exact")
    cycles = design.step_cycles(ALL_PAIRS)
    assert (cycles.shape, cycles.dtype) == ((65_536, 1), np.uint8)

    def fits(x):
        return any(x >> shift << shift == x and x >> shift < 16 for shift in range(5))

    for (x1, x2), fast in zip(ALL_PAIRS.tolist(), cycles[:, 0].tolist(), strict=True):
        assert fast == (1 if x1 == 0 or x2 == 0 or (fits(x1) and fits(x2)) else 2), (x1, x2)
        assert fast == design.step((x1, x2), (-128, 127)).cycles, (x1, x2)


def plain_cycles(pe, x) -> list[list[int]]:
    padded = [[*row, 0] for row in x.tolist()]
    return [
        [
            pe.step([row[k] for k in lanes], [1] * pe.lanes).cycles
            for lanes in pe.k_order(x.shape[1]).tolist()
        ]
        for row in padded
    ]


@FEW
@given(operands(np.uint8))
def test_no_step_takes_more_than_declared(pe, xw):
    assert max(map(max, plain_cycles(pe, xw[0]))) <= pe.most_step_cycles


@pytest.mark.sampled(2)
@pytest.mark.parametrize("spec", ARRAY_TIMED)
@FEW
@given(xw=operands(np.uint8))
def test_step_cycles_equal_step(spec, xw):
    pe, (x, w) = sparqsim.get_pe(spec), xw
    shape = len(x), w.shape[1], pe.steps(len(w))
    plain = np.reshape([step.cycles for step in plain_steps(pe, x, w)], shape)
    declared = declared_cycles(pe, x, w).transpose(0, 2, 1)
    assert np.array_equal(np.broadcast_to(declared, shape), plain)


def test_weights_never_change_cycles():
    """Cycles come from activations alone, so `step_cycles` needs no weights."""
    design = sparqsim.get_pe("sparq-exact")
    for pair in ((255, 255), (255, 0), (3, 200)):
        assert (
            len({design.step(pair, weights).cycles for weights in ((0, 0), (1, 0), (-128, 127))})
            == 1
        )


@pytest.mark.parametrize("name", sorted(designs()))
def test_values_of_batches_of_matrices(name):
    """Groups: leading axes are matrices of their own."""
    design, rng = sparqsim.get_pe(name), np.random.default_rng(1)
    x, w = (
        rng.integers(0, 256, (3, 4, 7)).astype(np.uint8),
        rng.integers(-128, 128, (3, 7, 2)).astype(np.int8),
    )
    assert design.matmul(x, w).tolist() == [
        plain_matmul(design, *each) for each in zip(x, w, strict=True)
    ]


@pytest.mark.parametrize(
    ("x", "w", "says"),
    [
        (np.zeros((2, 3), np.int16), np.zeros((3, 2), np.int8), "int16"),
        (np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), "weights are uint8"),
        (np.zeros((2, 3), np.uint8), np.zeros((4, 2), np.int8), r"\(2, 3\)"),
        (np.zeros(3, np.uint8), np.zeros((3, 2), np.int8), r"\(3,\)"),
    ],
)
def test_operands_are_checked(pe, x, w, says):
    with pytest.raises(sparqsim.InputError, match=says):
        pe.matmul(x, w)


def test_designs_say_whether_values_change_cycles():
    assert sparqsim.get_pe("sparq-exact").cycles_depend_on_values
    fixed = [name for name, design in designs().items() if issubclass(design, (Sparq, Mac))]
    assert {*RULES, "mac-8b8b", "mac-4b8b", "mac-4b4b"} <= set(fixed)
    assert not any(sparqsim.get_pe(name).cycles_depend_on_values for name in fixed)
