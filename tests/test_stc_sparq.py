"""`stc-sparq-*`: weights choose two of four activations, then the SPARQ pair rule; against the rule
written again in plain Python.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim import ArrayConfig, InputError, Layer, Trace
from sparqsim.networks.sums import layer_sums as sums_of_batches
from sparqsim.pe.arithmetic import layer_sums
from sparqsim.pe.stc_sparq import pruned
from sparqsim.trace.transforms import prune_2of4
from sparqsim.trace.transforms.applying import transform

SHIFTS = {"5opt": range(5), "3opt": (0, 2, 4), "2opt": (0, 4)}
ARRAY = ArrayConfig(3, 2)


def windowed(x: int, shifts, *, rounding: bool) -> int:
    """Return a magnitude through a 4-bit window at its leading one."""
    shift = next(each for each in shifts if x >> (each + 4) == 0)
    quotient = x >> shift
    rest = x - (quotient << shift)
    half = (1 << shift) // 2
    if rounding and (rest > half or (rest == half and half and quotient % 2)):
        quotient += 1
    return min(quotient, 15) << shift


def used_pair(pair, shifts, *, rounding: bool) -> list[int]:
    """Return what SPARQ makes of two activations."""
    if 0 in pair:
        return list(pair)
    return [(1 if x > 0 else -1) * windowed(abs(x), shifts, rounding=rounding) for x in pair]


def plain_sum(xs, ws, shifts, *, rounding: bool) -> int:
    """Return a dot product, four positions after another."""
    total = 0
    for at in range(0, len(xs), 4):
        left = sorted(range(at, min(at + 4, len(xs))), key=lambda k: -abs(ws[k]))[:2]
        places = sorted(k for k in left if ws[k])
        pair = ([xs[k] for k in places] + [0, 0])[:2]
        weights = ([ws[k] for k in places] + [0, 0])[:2]
        used = used_pair(pair, shifts, rounding=rounding)
        total += sum(x * w for x, w in zip(used, weights, strict=True))
    return total


@st.composite
def products(draw):
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    m, k, n = draw(st.integers(1, 3)), draw(st.integers(1, 13)), draw(st.integers(1, 3))
    zeros, extreme = draw(st.sampled_from([0, 0.4, 0.8])), draw(st.booleans())
    x, w = rng.integers(-128, 128, (m, k)), rng.integers(-128, 128, (k, n))
    if extreme:
        x, w = (rng.choice([-128, 127, 1], each.shape) for each in (x, w))
    x, w = (np.where(rng.random(each.shape) < zeros, 0, each).astype(np.int8) for each in (x, w))
    return x, w


@settings(max_examples=100)
@given(
    operands=products(),
    mode=st.sampled_from(sorted(SHIFTS)),
    rounding=st.booleans(),
    signed=st.booleans(),
)
def test_sums_are_the_rules(operands, mode, rounding, signed):
    x, w = operands
    x = x if signed else x.view(np.uint8)
    keys = f"rounding={'nearest-even' if rounding else 'trim'},signed=magnitude"
    design = sparqsim.get_pe(f"stc-sparq-{mode}:{keys}")
    found = design.matmul(x, w)
    for m, n in np.ndindex(found.shape):
        row, column = x[m].tolist(), w[:, n].tolist()
        expected = plain_sum(row, column, SHIFTS[mode], rounding=rounding)
        missing = [0] * (-len(row) % 4)
        fours = [
            ((row + missing)[at : at + 4], (column + missing)[at : at + 4])
            for at in range(0, len(row), 4)
        ]
        stepped = sum(design.step(xs, ws, signed).value for xs, ws in fours)
        assert found[m, n] == stepped == expected


@settings(max_examples=20)
@given(operands=products(), zero_point=st.integers(0, 3))
def test_event_equals_fast_and_zero_points_are_corrected_by_what_is_left(operands, zero_point):
    x, w = operands
    moved = {"activation_zero_point": zero_point, "zero_point_corrected": True}
    layer = Layer.from_gemm("a", x.view(np.uint8), w, **moved)
    reports = [
        sparqsim.simulate(Trace([layer]), "stc-sparq-5opt", ARRAY, engine=engine).layers
        for engine in ("fast", "event")
    ]
    assert reports[0] == reports[1]
    design = sparqsim.get_pe("stc-sparq-5opt")
    expected = design.matmul(x.view(np.uint8), w) - zero_point * pruned(w).sum(0, dtype=np.int64)
    assert np.array_equal(layer_sums(layer, design), expected)
    assert np.array_equal(sums_of_batches(layer, design)[0], expected)


@given(operands=products())
def test_it_prunes_as_the_transform_does(operands):
    _, w = operands
    assert np.array_equal(pruned(w).T, prune_2of4.pruned(np.ascontiguousarray(w.T)))


def test_error_of_a_pruned_trace_is_that_of_sparq_alone():
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, (6, 32)).astype(np.uint8)
    w = rng.integers(-128, 128, (32, 5)).astype(np.int8)
    trace = Trace([Layer.from_gemm("a", x, w)])
    of_both = sparqsim.simulate(trace, "stc-sparq-5opt", ARRAY)
    alone = sparqsim.simulate(transform(trace, ["prune-2of4"]), "stc-sparq-5opt", ARRAY)
    assert of_both.cycles == alone.cycles
    assert of_both.totals.error.sqnr_db < 15 < alone.totals.error.sqnr_db


def test_four_positions_a_cycle_and_half_the_weights_with_their_places():
    design = sparqsim.get_pe("stc-sparq-5opt")
    assert (design.steps(64), design.weight_bits) == (16, 5)


def test_weight_zero_points_are_refused_by_name():
    fields = {"weight_zero_points": (1,), "zero_point_corrected": True}
    layer = Layer.from_gemm("odd", np.ones((2, 4), np.uint8), np.ones((4, 1), np.int8), **fields)
    with pytest.raises(InputError, match=r"layer 'odd': weight_zero_points"):
        sparqsim.simulate(Trace([layer]), "stc-sparq-5opt", ARRAY)
