"""`signed=magnitude`: the sign-magnitude extension of the SPARQ designs (ours, not the paper's)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqsim import ArrayConfig, InputError, Layer, Trace, get_pe, simulate
from sparqsim.pe.sparq_parts import lone_of

NAMES = ["sparq-5opt", "sparq-3opt", "sparq-2opt", "sparq-6opt", "sparq-7opt"]
KEYS = ["", ",rounding=trim", ",pairing=off", ",rounding=trim,pairing=off"]
PAIRS = np.stack(np.divmod(np.arange(65_536), 256), axis=1).astype(np.uint8).view(np.int8)
WEIGHTS = np.array([[1, 3], [-1, -128], [127, 5]], np.int8)


def signed(name, keys=""):
    return get_pe(f"{name}:signed=magnitude{keys}")


@pytest.mark.sampled(5)
@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("name", NAMES)
def test_fast_form_equals_step_on_all_signed_pairs(name, keys):
    pe = signed(name, keys)
    used = pe.used_activations(PAIRS).astype(np.int64)
    # A second weight far above the first keeps the two products apart in one sum.
    expected = (used[:, 0] + used[:, 1] * 1_000_000).tolist()
    assert [pe.step(pair, (1, 1_000_000), signed=True).value for pair in PAIRS.tolist()] == expected


def test_fast_form_of_the_exact_design_equals_step_on_all_signed_pairs():
    pe = signed("sparq-exact")
    cycles = pe.step_cycles(PAIRS)[:, 0]
    states, (examples, weights) = pe.activation_states(PAIRS)[:, 0], pe.state_examples()
    active = [pe.step(example, weights[3]).active_cycles for example in examples]
    for pair, value, taken, state in zip(
        PAIRS.tolist(),
        pe.matmul(PAIRS, WEIGHTS.T)[:, 1].tolist(),
        cycles.tolist(),
        states.tolist(),
        strict=True,
    ):
        step = pe.step(pair, (-1, -128), signed=True)
        assert (step.value, step.cycles) == (value, taken)
        assert value == pair[0] * -1 + pair[1] * -128
        assert step.active_cycles == active[state]


@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("name", NAMES)
def test_values_are_those_of_the_magnitudes_with_the_sign(name, keys):
    # Written from the rule in words, not from the design: trim |x| as the unsigned design does, put
    # the sign back.
    magnitude = np.abs(PAIRS.astype(np.int16)).astype(np.uint8)
    unsigned = get_pe(name + (":" + keys.lstrip(",") if keys else ""))
    plain = unsigned.used_activations(magnitude)
    used = signed(name, keys).used_activations(PAIRS)
    assert np.array_equal(used, np.sign(PAIRS).astype(np.int64) * plain)


@pytest.mark.parametrize(
    ("name", "pair", "used"),
    [
        ("sparq-5opt", (-128, 0), (-128, 0)),  # a lone value keeps its 8 bits
        ("sparq-5opt", (-128, 1), (-128, 1)),
        (
            "sparq-5opt",
            (-27, 3),
            (-28, 3),
        ),  # 27 -> 28 in the shared table of the method, and the sign
        ("sparq-2opt", (-127, 127), (-128, 128)),  # rounded up to 8 sixteenths: leaves int8
        ("sparq-7opt", (-5, -5), (-4, -4)),
    ],
)
def test_examples(name, pair, used):
    assert signed(name).used_activations(np.array([pair], np.int8)).tolist() == [list(used)]


@pytest.mark.parametrize("name", NAMES)
def test_states_count_the_parts_that_work(name):
    pe = signed(name)
    (examples, weights), states = pe.state_examples(), pe.activation_states(PAIRS)[:, 0]
    for pair, state in zip(PAIRS[::29].tolist(), states[::29].tolist(), strict=True):
        for w in weights:
            assert (
                pe.step(pair, w, signed=True).active_cycles
                == pe.step(examples[state], w).active_cycles
            )


@pytest.mark.parametrize("name", NAMES)
def test_windows_count_magnitudes(name):
    pe, found = signed(name), {}
    for pair in PAIRS.tolist():
        if lone_of(*pair) is None:
            for x in pair:
                if x:
                    shift = pe.windows_of_pair.select(abs(x))
                    found[shift] = found.get(shift, 0) + 1
    assert {shift: count for shift, count in pe.windows(PAIRS).items() if count} == found


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 6),
    st.integers(1, 9),
    st.integers(1, 5),
    st.sampled_from(NAMES),
    st.integers(0, 2**32 - 1),
)
def test_matrix_products_equal_steps(m, k, n, name, seed):
    random = np.random.default_rng(seed)
    x = random.integers(-128, 128, (m, k), np.int8) * random.integers(0, 2, (m, k), np.int8)
    w = random.integers(-128, 128, (k, n), np.int8)
    pe, odd = signed(name), k % 2
    padded_x, padded_w = (
        np.pad(x, ((0, 0), (0, odd))).tolist(),
        np.pad(w, ((0, odd), (0, 0))).T.tolist(),
    )
    slow = [
        [
            sum(
                pe.step(row[at : at + 2], column[at : at + 2], signed=True).value
                for at in range(0, k, 2)
            )
            for column in padded_w
        ]
        for row in padded_x
    ]
    assert pe.matmul(x, w).tolist() == slow


def test_unsigned_layers_are_computed_as_without_the_key():
    x = np.arange(256, dtype=np.uint8).reshape(16, 16)
    w = np.arange(-128, 128, dtype=np.int16).astype(np.int8).reshape(16, 16)
    for name in NAMES:
        assert np.array_equal(signed(name).matmul(x, w), get_pe(name).matmul(x, w))


@pytest.mark.parametrize("name", [*NAMES, "sparq-exact"])
def test_without_the_key_signed_layers_are_refused_and_the_layer_named(name):
    layer = Layer.from_gemm("block.3", PAIRS[:4].copy(), np.ones((2, 2), np.int8))
    with pytest.raises(InputError, match=r"layer 'block\.3'.*unsigned"):
        simulate(Trace([layer]), pe=name, signed="refuse")
    with pytest.raises(InputError, match="unsigned"):
        get_pe(name).step((1, 2), (3, 4), signed=True)
    if name != "sparq-exact":
        with pytest.raises(InputError, match=f"expected {name}:rounding=trim,signed=magnitude "):
            get_pe(f"{name}:rounding=trim").step((1, 2), (3, 4), signed=True)
    assert (get_pe(name).signed_activations, signed(name).signed_activations) == (False, True)
    report = simulate(
        Trace([layer]), pe=f"{name}:signed=magnitude", array=ArrayConfig(rows=4, cols=4)
    )
    assert report.pe.spec == f"{name}:signed=magnitude"
    assert report.layers[0].cycles.total > 0
