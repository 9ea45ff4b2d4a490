"""Designs of one's own that contradict themselves are refused in one line, never wrong in silence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest

import sparqsim
from sparqsim.pe import Step

RANDOM = np.random.default_rng(0)
X = RANDOM.integers(0, 256, (6, 8)).astype(np.uint8)
W = RANDOM.integers(-128, 128, (8, 5)).astype(np.int8)
TRACE = sparqsim.Trace([sparqsim.Layer.from_gemm("a", X, W)])
ARRAY = sparqsim.ArrayConfig(2, 2)


@dataclass(frozen=True)
class Slow(sparqsim.PEDesign):
    name: ClassVar[str] = "slow"
    lanes: ClassVar[int] = 1
    most_step_cycles: ClassVar[int] = 4

    def step(self, xs, ws, signed=False):
        return Step(xs[0] * ws[0], 4)


class Shaped(Slow):
    cost = "shape"

    def fixed_step_cycles(self):
        return 5


class ByActivations(Slow):
    cost = "activations"

    def step_cycles(self, x):
        return np.zeros(x.shape, np.uint8)


class TooFewSteps(ByActivations):
    def step_cycles(self, x):
        return np.ones((*x.shape[:-1], 1), np.uint8)


class ByWeights(Slow):
    cost = "weights"

    def weight_step_cycles(self, w):
        return np.ones((*w.shape[:-2], 1, w.shape[-1]), np.uint8)


class ByPair(Slow):
    cost = "pair"

    def pair_step_cycles(self, x, w):
        return np.ones((len(x), x.shape[1], w.shape[2]), np.int64)


class Misspelt(Slow):
    cost = "activation"


class WithoutHook(Slow):
    cost = "weights"


class NewerHook(ByWeights):
    def step_cycles(self, x):
        return np.ones(x.shape, np.uint8)


class HalfALane(Slow):
    lanes = 1.5


class Numbered(Slow):
    name = 7


class Arrays(Slow):
    cost = np.zeros(3)


class Unsure(Slow):
    signed_activations = "no"


class OneName(Slow):
    stationary = "outputs"


class Rounded(Slow):
    most_step_cycles = 1

    def used_activations(self, x):
        return x / 2


class Cut(Rounded):
    def used_activations(self, x):
        return x[..., 1:]


class Forgotten(Rounded):
    def used_activations(self, x):
        return None


class NoCycles(ByActivations):
    def step_cycles(self, x):
        return None


@pytest.mark.parametrize(
    ("design", "said"),
    [
        (HalfALane, "lanes=1.5, expected a whole number from 1 to 4096"),
        (Numbered, "name=7, expected text"),
        (Arrays, r"cost=array\(\[0., 0., 0.\]\), expected text"),
        (Unsure, "signed_activations='no', expected True or False"),
        (OneName, "stationary='outputs', expected a tuple of names, or None"),
        (Rounded, r"`used_activations` gives float64 \(1, 6, 8\), expected integers \(1, 6, 8\)"),
        (Cut, r"`used_activations` gives uint8 \(1, 6, 7\), expected integers \(1, 6, 8\)"),
        (Forgotten, "`used_activations` gives <class 'NoneType'>"),
        (NoCycles, "`step_cycles` gives <class 'NoneType'>"),
        (Slow, "most_step_cycles=4, but its cost is 'unit'"),
        (Shaped, "`fixed_step_cycles` gives 5 cycles, expected 1 to 4"),
        (ByActivations, "`step_cycles` gives 0 cycles, expected 1 to 4"),
        (TooFewSteps, r"`step_cycles` gives uint8 \(1, 6, 1\), expected uint8 \(1, 6, 8\)"),
        (ByWeights, r"gives uint8 \(1, 1, 5\), expected uint8 \(1, 8, 5\)"),
        (ByPair, r"`pair_step_cycles` gives int64 \(2, 8, 2\), expected uint8"),
        (Misspelt, "cost='activation', expected one of unit, shape"),
        (WithoutHook, "declares cost='weights', but has no `weight_step_cycles` of its own"),
        (NewerHook, "has `step_cycles` but declares cost='weights', so it would never be asked"),
    ],
)
def test_contradictions_are_refused(design, said):
    with pytest.raises(sparqsim.InputError, match=said):
        sparqsim.simulate(TRACE, design(), ARRAY)


class Losing:
    def matmul(self, x, w):
        return np.zeros((*x.shape[:-1], w.shape[-1]), np.int64)


@dataclass(frozen=True)
class LosesAll(Losing, sparqsim.PEDesign):
    """Its `matmul` stands in a class that is no design."""

    name: ClassVar[str] = "loses-all"
    lanes: ClassVar[int] = 1

    def step(self, xs, ws, signed=False):
        return Step(0)


def test_a_matmul_from_another_class_is_used():
    fast, event = (
        sparqsim.simulate(TRACE, LosesAll(), ARRAY, engine=name) for name in ("fast", "event")
    )
    exact = X.astype(np.int64) @ W.astype(np.int64)
    assert fast.totals.error.max_abs == event.totals.error.max_abs == np.abs(exact).max()


@dataclass(frozen=True)
class Level(sparqsim.PEDesign):
    """Equal to every other of its kind: its key is left out of comparisons."""

    name: ClassVar[str] = "level"
    lanes: ClassVar[int] = 1
    cost: ClassVar[str] = "shape"
    most_step_cycles: ClassVar[int] = 5
    level: int = field(default=1, compare=False)

    def step(self, xs, ws, signed=False):
        return Step(xs[0] * ws[0], self.level)

    def fixed_step_cycles(self):
        return self.level


def test_equal_designs_of_other_keys_do_not_share_a_result():
    assert Level(1) == Level(5)
    both = sparqsim.compare(TRACE, [Level(1), Level(5)], ARRAY, baseline="mac-8b8b")
    alone = sparqsim.simulate(TRACE, Level(5), ARRAY).cycles.total
    assert both.reports["level:level=5"].cycles.total == alone
    assert both.reports["level"].cycles.total < alone


@pytest.mark.parametrize(
    ("name", "keys", "said"),
    [
        ("stripes", {"precision": "foo"}, "precision='foo', expected one of 'layer', 'dynamic'"),
        ("swis", {"consecutive": True}, "consecutive=True, expected one of"),
        ("pragmatic", {"lanes": 2.0}, "lanes=2.0, expected an integer"),
        ("laconic", {"digits": "foo"}, "digits='foo', expected one of"),
    ],
)
def test_keys_set_in_python_are_checked(name, keys, said):
    kind = type(sparqsim.get_pe(name))
    with pytest.raises(sparqsim.InputError, match=said):
        sparqsim.simulate(TRACE, kind(**keys), ARRAY)


def test_a_key_given_twice_is_refused():
    with pytest.raises(sparqsim.InputError, match="key 'lanes' is given twice, expected once"):
        sparqsim.get_pe("pragmatic:lanes=16,lanes=4")
