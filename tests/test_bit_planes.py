"""Stripes, serial weights, Loom and Bit Fusion at every number of bits, against rules restated
here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.pe.base import LayerFacts
from sparqsim.pe.bitfusion import BitFusion
from sparqsim.pe.declared import declared_cycles
from sparqsim.pe.stripes import Loom, SerialWeights, Stripes
from sparqsim.trace import Layer, Trace

FIXED = {
    "stripes": lambda facts: facts.activation_bits,
    "serial-w": lambda facts: facts.weight_bits,
    "loom": lambda facts: facts.activation_bits * facts.weight_bits,
    "bitfusion": lambda facts: 1,
}
FACTS = st.builds(LayerFacts, st.just(1), st.booleans(), st.integers(1, 8), st.integers(1, 8))


def codes(rng: np.random.Generator, bits: int, shape, *, signed: bool):
    """Return codes of so many bits, the ends of their range as likely as all others together."""
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    drawn = rng.integers(low, high + 1, shape)
    ends = rng.choice([low, high, 0], shape)
    values = np.where(rng.random(shape) < 0.5, drawn, ends)
    return values.astype(np.int8 if signed else np.uint8)


def one_step(facts: LayerFacts, lanes: int, seed: int):
    """Return activations (1, lanes) and weights (lanes, 1) of a layer."""
    rng = np.random.default_rng(seed)
    x = codes(rng, facts.activation_bits, (1, lanes), signed=facts.signed)
    return x, codes(rng, facts.weight_bits, (lanes, 1), signed=True)


def check_step(pe, x, w, cycles: int) -> None:
    step = pe.step(x[0].tolist(), w[:, 0].tolist(), x.dtype == np.int8)
    assert step.value == int(x[0].astype(int) @ w[:, 0].astype(int))
    assert step.cycles == cycles <= pe.most_step_cycles
    assert declared_cycles(pe, x, w).tolist() == [[[cycles]]]


@settings(deadline=None, max_examples=200)
@given(FACTS, st.sampled_from([Stripes, SerialWeights, Loom]), st.integers(1, 64), st.integers(0))
def test_a_step_goes_through_the_bits_of_the_layer(facts, design, lanes, seed):
    pe = design(lanes=lanes).for_layer(facts)
    check_step(pe, *one_step(facts, lanes, seed), FIXED[pe.name](facts))
    assert pe.cost == "shape"
    assert not pe.cycles_depend_on_values


@settings(deadline=None, max_examples=300)
@given(FACTS, st.integers(1, 64), st.integers(0), st.integers(0, 7))
def test_a_step_of_dynamic_precision(facts, lanes, seed, small):
    pe = Stripes(lanes=lanes, precision="dynamic").for_layer(facts)
    x, w = one_step(facts, lanes, seed)
    x = x >> small  # rounds down: small negative ones become -1
    largest = max(abs(value) for value in x[0].tolist())
    bits = len(f"{largest:b}") + (1 if facts.signed else 0)
    check_step(pe, x, w, min(facts.activation_bits, bits))
    assert pe.cycles_depend_on_values


def test_all_values_of_a_lane_with_dynamic_precision():
    unsigned = Stripes(lanes=1, precision="dynamic").step_cycles(
        np.arange(256, dtype=np.uint8)[:, None]
    )
    assert unsigned[:, 0].tolist() == [max(1, value.bit_length()) for value in range(256)]
    signed = Stripes(lanes=1, precision="dynamic").step_cycles(
        np.arange(-128, 128).astype(np.int8)[:, None]
    )
    expected = [min(8, 1 + max(1, abs(value).bit_length())) for value in range(-128, 128)]
    assert signed[:, 0].tolist() == expected


@settings(deadline=None, max_examples=300)
@given(FACTS, st.integers(0))
def test_bit_fusion_has_as_many_lanes_as_bricks_allow(facts, seed):
    pe = BitFusion().for_layer(facts)
    bricks = [
        {1: 1, 2: 1, 3: 2, 4: 2}.get(bits, 4) for bits in (facts.activation_bits, facts.weight_bits)
    ]
    assert pe.lanes * bricks[0] * bricks[1] == 16
    check_step(pe, *one_step(facts, pe.lanes, seed), 1)


def streamed(pe, facts: LayerFacts) -> int:
    """Return the cycles of a tile's stream where nobody is slower than others."""
    bound = pe.for_layer(facts)
    return bound.steps(facts.k) * (bound.fixed_step_cycles() if bound.cost == "shape" else 1)


@pytest.mark.parametrize("weight_bits", range(1, 9))
@pytest.mark.parametrize("activation_bits", range(1, 9))
@pytest.mark.parametrize("k", [16, 48, 160])
def test_fusing_never_gains_more_than_going_through_bits(k, activation_bits, weight_bits):
    """It pays for 2, 4 or 8 bits.

    Serial weights compare where activations have 8, Loom anywhere.
    """
    whole, few = LayerFacts(k), LayerFacts(k, False, activation_bits, weight_bits)
    serial = SerialWeights() if activation_bits == 8 else Loom()
    fused = streamed(BitFusion(), few) * streamed(serial, whole)
    through_bits = streamed(serial, few) * streamed(BitFusion(), whole)
    assert fused >= through_bits
    assert (fused == through_bits) == ({activation_bits, weight_bits} <= {2, 4, 8})


@pytest.mark.parametrize("signed", [False, True])
def test_all_products_of_a_bit_fusion_lane(signed):
    values = np.arange(256, dtype=np.uint8).view(np.int8 if signed else np.uint8).tolist()
    pe = BitFusion()
    assert all(pe.step([x], [w], signed).value == x * w for x in values for w in range(-128, 128))


def test_keys_and_facts_stay_apart():
    bound = Stripes(lanes=4).for_layer(LayerFacts(9, activation_bits=3))
    assert bound.spec == "stripes:lanes=4"
    assert bound.for_layer(bound.facts) == bound
    assert (
        sparqsim.get_pe("stripes:precision=dynamic,lanes=64").spec
        == "stripes:lanes=64,precision=dynamic"
    )
    with pytest.raises(InputError, match="key 'facts=3' is not known"):
        sparqsim.get_pe("stripes:facts=3")
    with pytest.raises(InputError, match="key 'lanes=4' is not known"):
        sparqsim.get_pe("bitfusion:lanes=4")


def narrow(design, activation_bits: int, weight_bits: int):
    """Return a design that takes every layer for one of so many bits."""

    @dataclass(frozen=True)
    class Narrow(design):
        def for_layer(self, facts):
            few = replace(facts, activation_bits=activation_bits, weight_bits=weight_bits)
            return super().for_layer(few)

    return Narrow


@pytest.mark.sampled(4)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize("coupling", ["lockstep", "elastic:1", "elastic:2", "broadcast"])
@pytest.mark.parametrize("overlap", [False, True])
def test_layers_of_few_bits_in_both_engines(dataflow, coupling, overlap, signed):
    rng = np.random.default_rng(7)
    x, w = codes(rng, 3, (5, 21), signed=signed), codes(rng, 2, (21, 4), signed=True)
    trace = Trace([Layer.from_gemm("few", x, w)])
    array = ArrayConfig(2, 3, dataflow, coupling, overlap)
    for design in (Stripes, SerialWeights, Loom, BitFusion):
        keys = {} if design is BitFusion else {"lanes": 4}
        for pe in (design(**keys), narrow(design, 3, 2)(**keys)):
            fast, event = (
                sparqsim.simulate(trace, pe, array, engine=engine) for engine in ("fast", "event")
            )
            assert fast.layers == event.layers
            assert fast.layers[0].error.noise == 0


@pytest.mark.parametrize("name", FIXED)
def test_steps_of_so_many_cycles(name):
    """Without overlap and in broadcast, steps of c cycles add c - 1 to each streamed step."""
    rng = np.random.default_rng(3)
    layer = Layer.from_gemm(
        "drawn", codes(rng, 8, (9, 40), signed=False), codes(rng, 8, (40, 7), signed=True)
    )
    cycles = sparqsim.simulate(Trace([layer]), name, ArrayConfig(4, 4, "os", "broadcast")).cycles
    c = FIXED[name](LayerFacts(1))
    assert cycles.pe_stall == (c - 1) * cycles.compute
