"""A register behind the multipliers (`stages=2`): the same values, every sum a cycle later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim.base.contract import Violation
from sparqsim.base.errors import InputError
from sparqsim.pe import PEDesign, get_pe
from sparqsim.pe.base import LayerFacts
from sparqsim.pe.contract_declared import check_declaration
from sparqsim.trace import Layer

ONE_STAGE = ["mac-8b8b", "mac-2x8b8b", "mac-4b8b", "mac-4b4b", "sparq-5opt", "sparq-6opt"]


def trace_of(seed: int, m: int, k: int, n: int, *, keep_8bit: bool) -> sparqsim.Trace:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (m, k)) * (rng.random((m, k)) < 0.6)
    w = rng.integers(-128, 128, (k, n)).astype(np.int8)
    layer = Layer.from_gemm("drawn", x.astype(np.uint8), w, keep_8bit=keep_8bit)
    return sparqsim.Trace([layer])


@settings(max_examples=40)
@given(
    spec=st.sampled_from(ONE_STAGE),
    sides=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 14), st.integers(1, 9)),
    flow=st.sampled_from(["os", "ws", "is"]),
    coupling=st.sampled_from(["lockstep", "elastic:1", "elastic:2", "elastic:4", "broadcast"]),
    overlap=st.booleans(),
    keep_8bit=st.booleans(),
    seed=st.integers(0, 999),
)
@example("mac-4b8b", (2, 3), (5, 7, 4), "os", "lockstep", False, True, 0)
@example("mac-4b4b", (2, 3), (5, 7, 4), "ws", "elastic:2", True, True, 0)
def test_only_the_fill_grows_by_the_stage(
    spec, sides, sizes, flow, coupling, overlap, keep_8bit, seed
):
    trace = trace_of(seed, *sizes, keep_8bit=keep_8bit)
    array = sparqsim.ArrayConfig(*sides, flow, coupling, overlap)
    one, two, defined = (
        sparqsim.simulate(trace, name, array, engine=engine).layers[0]
        for name, engine in (
            (spec, "fast"),
            (f"{spec}:stages=2", "fast"),
            (f"{spec}:stages=2", "event"),
        )
    )
    assert two == defined
    # Of a layer that is gone over several times, each pass is a sequence of tiles of its own.
    facts = LayerFacts(sizes[1])
    passes = len(get_pe(spec).kept_8bit(facts).passes) if keep_8bit else 1
    later = passes if overlap else two.tiles
    expected = one.cycles.model_dump() | {
        "fill": one.cycles.fill + later,
        "total": one.cycles.total + later,
    }
    assert two.cycles.model_dump() == expected
    for same in ("error", "pairs", "windows", "macs", "tiles"):
        assert getattr(two, same, None) == getattr(one, same, None), same


@pytest.mark.parametrize("spec", ONE_STAGE)
def test_values_are_those_of_one_stage(spec):
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, (6, 22)).astype(np.uint8)
    w = rng.integers(-128, 128, (22, 5)).astype(np.int8)
    one, two = get_pe(spec), get_pe(f"{spec}:stages=2")
    assert np.array_equal(one.matmul(x, w), two.matmul(x, w))
    assert two.spec == f"{spec}:stages=2"
    assert two.circuit != one.circuit
    assert (one.stage_cycles, two.stage_cycles) == (0, 1)


def test_other_numbers_of_stages_and_designs_without_them_are_refused():
    with pytest.raises(InputError, match="stages='3'; expected one of 1, 2"):
        get_pe("mac-8b8b:stages=3")
    with pytest.raises(InputError, match="key 'stages=2' is not known"):
        get_pe("sparq-exact:stages=2")


@dataclass(frozen=True)
class SlowStages(PEDesign):
    """Steps of two cycles with a register behind the multipliers: not defined."""

    name: ClassVar[str] = "slow-stages"
    lanes: ClassVar[int] = 1
    cost: ClassVar[str] = "shape"
    most_step_cycles: ClassVar[int] = 2
    stage_cycles: ClassVar[int] = 1

    def step(self, xs, ws, signed=False):
        """Multiply."""
        return sparqsim.pe.base.Step(xs[0] * ws[0], 2)

    def fixed_step_cycles(self):
        """Always two cycles."""
        return 2


def test_steps_of_several_cycles_have_no_stages():
    with pytest.raises(Violation, match="stage_cycles=1 with cost='shape', expected 0"):
        check_declaration(SlowStages())
