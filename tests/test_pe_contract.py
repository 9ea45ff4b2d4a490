"""The contract suite on every design and key, and on designs that break one clause each."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from every_design import EXHAUSTIVE_CHECKS, QUICK_CHECKS
from own_designs import FixedSerial, Fused, WeightSerial, WindowedSerial

from sparqsim.base.contract import failure_of, outcomes_of, variants
from sparqsim.base.errors import InputError
from sparqsim.pe.base import PEDesign, Step
from sparqsim.pe.contract import CHECKS
from sparqsim.pe.mac import Mac2x8b8b, Mac4b8b, Mac8b8b
from sparqsim.pe.registry import designs, get_pe
from sparqsim.pe.sparq import Sparq5opt
from sparqsim.pe.sparq_exact import SparqExact
from sparqsim.pe.sysmt import SySmt2t

BIT_SERIAL = get_pe(f"{Path(__file__).parent / 'bit_serial.py'}:BitSerial")
EVERY = [*(pe for design in designs().values() for pe in variants(design)), BIT_SERIAL]
DEFAULTS = [*(design() for design in designs().values()), BIT_SERIAL]
#: The default run has the exhaustive checks of these alone: a multiplier, trimmed pairs, threads that
#: collide. Cycles of all pairs of `sparq-exact`: `test_pe_values.py`.
EXHAUSTIVE_BY_DEFAULT = [get_pe(spec) for spec in ("mac-8b8b", "sparq-5opt", "sysmt-2t")]
#: Every design; and of those with a key changed, one in six.
KEPT_BY_DEFAULT = [*DEFAULTS, *[pe for pe in EVERY if pe not in DEFAULTS][::6]]


@pytest.mark.parametrize(
    "pe",
    [pytest.param(pe, marks=[] if pe in KEPT_BY_DEFAULT else pytest.mark.slow) for pe in EVERY],
    ids=lambda pe: pe.spec,
)
def test_design_keeps_its_contract(pe):
    assert [outcome for outcome in outcomes_of(QUICK_CHECKS, pe) if outcome.failure] == []


@pytest.mark.parametrize(
    "pe",
    [
        pytest.param(pe, marks=[] if pe in EXHAUSTIVE_BY_DEFAULT else pytest.mark.slow)
        for pe in EVERY
    ],
    ids=lambda pe: pe.spec,
)
def test_every_pair_and_product_equals_step(pe):
    assert [outcome for outcome in outcomes_of(EXHAUSTIVE_CHECKS, pe) if outcome.failure] == []


def test_every_key_and_design_is_among_the_variants():
    specs = {pe.spec for pe in EVERY}
    assert {"sysmt-4t:variant=W0", "smt-sa-2t:queue_depth=1", "sparq-7opt:pairing=off"} <= specs
    assert {design.name for design in designs().values()} <= specs


class WrongForOnePair(Sparq5opt):
    def step(self, xs, ws, signed=False):
        return Step(1 if tuple(xs) == (255, 254) else super().step(xs, ws, signed).value)


class WrongForOneProduct(Mac8b8b):
    def step(self, xs, ws, signed=False):
        return Step(0 if (xs[0], ws[0]) == (200, -128) else super().step(xs, ws, signed).value)


class WrongWhenSigned(Mac4b8b):
    def step(self, xs, ws, signed=False):
        return super().step(xs, ws, signed=False)


class WrongForOddK(Mac2x8b8b):
    def used_activations(self, x):
        return x * (np.arange(x.shape[-1]) < x.shape[-1] // 2 * 2)


class SlowWithoutSaying(Mac8b8b):
    def step(self, xs, ws, signed=False):
        return Step(super().step(xs, ws).value, cycles=2)


class QuickerThanItSays(SparqExact):
    def step_cycles(self, x):
        return np.maximum(super().step_cycles(x), 2)


class CyclesOfTheWrongShape(SparqExact):
    def step_cycles(self, x):
        return super().step_cycles(x)[:, :1]


class QuickerPairsThanItSays(type(BIT_SERIAL)):
    def pair_step_cycles(self, x, w):
        return np.maximum(super().pair_step_cycles(x, w), 2)


class NotExact(Mac4b8b):
    exact = True


class LosesAnElement(Mac2x8b8b):
    def k_order(self, k):
        return np.maximum(super().k_order(k) - 1, -1)


class CountsActivityWrongly(Mac2x8b8b):
    def activation_states(self, x):
        return super().activation_states(x) | 1


class CountsZerosAsWindows(Mac8b8b):
    def windows(self, x):
        return {0: x.size}


class TakesSigned(Sparq5opt):
    def check_signedness(self, signed):
        pass

    def used_activations(self, x):
        return x


class SpoilsItsOperands(Mac8b8b):
    def used_activations(self, x):
        x[...] = x[..., ::-1].copy()
        return x[..., ::-1].copy()


class NoLanes(Mac8b8b):
    lanes = 0


class UnknownCost(Mac8b8b):
    cost = "operands"


class CostWithoutItsHook(Mac8b8b):
    cost = "weights"
    most_step_cycles = 8


class UnitThatMayTakeLonger(Mac8b8b):
    most_step_cycles = 2


class TakesTooLong(Mac8b8b):
    cost = "shape"
    most_step_cycles = 256

    def fixed_step_cycles(self):
        return 256


class WeightsOnlyItSays(WeightSerial):
    """Large activations take a cycle more."""

    most_step_cycles = 8

    def step(self, xs, ws, signed=False):
        done = super().step(xs, ws, signed)
        return replace(done, cycles=done.cycles + (max(xs) > 100))


class ActivationsOnlyItSays(WindowedSerial):
    """Negative weights take a cycle more."""

    most_step_cycles = 10

    def step(self, xs, ws, signed=False):
        done = super().step(xs, ws, signed)
        return replace(done, cycles=done.cycles + (min(ws) < 0))


class ShapeOnlyItSays(FixedSerial):
    """Zeros are quick."""

    def step(self, xs, ws, signed=False):
        done = super().step(xs, ws, signed)
        return done if any(xs) else replace(done, cycles=1)


class SlowerPerWeightThanItSays(WeightSerial):
    def weight_step_cycles(self, w):
        return np.maximum(super().weight_step_cycles(w), 2)


class WeightCyclesTurned(WeightSerial):
    def weight_step_cycles(self, w):
        return super().weight_step_cycles(w).swapaxes(-1, -2)


class WideWeightCycles(WeightSerial):
    def weight_step_cycles(self, w):
        return super().weight_step_cycles(w).astype(np.int64)


class OneFilterShort(WeightSerial):
    def of_filters(self, w):
        return super().of_filters(w)[1:]


class FilterOfOtherLanes(WeightSerial):
    def of_filters(self, w):
        return [*super().of_filters(w)[1:], Mac8b8b()]


class FilterInTwoColumns(WeightSerial):
    def filter_order(self, w):
        return np.maximum(super().filter_order(w), 1)


class OtherFixedCycles(FixedSerial):
    def fixed_step_cycles(self):
        return self.bits + 1


class RoundsInMatmulOnly(Mac8b8b):
    def matmul(self, x, w):
        return super().matmul(x & 254 if x.dtype == np.uint8 else x, w)

    def step(self, xs, ws, signed=False):
        return Step((xs[0] if signed else xs[0] & 254) * ws[0])


class BecomesAnother(Fused):
    def for_layer(self, facts):
        return Mac8b8b()


class BecomesNothing(Fused):
    def for_layer(self, facts):
        return None


class NeverSettles(FixedSerial):
    def for_layer(self, facts):
        return replace(self, bits=self.bits % 7 + 1)


class RefusesEightBits(Fused):
    def for_layer(self, facts):
        raise InputError("no")


class LosesWhereItIsNarrow(Fused):
    """Of weights of 4 bits it drops the lowest one, but not in its step."""

    def used_weights(self, w):
        return w & -2 if self.lanes == 2 else w


class NoLanesWhereItIsNarrow(Fused):
    def for_layer(self, facts):
        return replace(self, lanes=facts.weight_bits // 4)


@dataclass(frozen=True)
class ForgetsItsKey(Mac8b8b):
    depth: int = 1

    @property
    def spec(self):
        return "mac-8b8b"


@dataclass(frozen=True, eq=False)
class NeverEqual(Mac8b8b):
    def __eq__(self, other):
        return self is other

    def __hash__(self):
        return id(self)


class InPairsAfterAll(Sparq5opt):
    one_by_one = True


class Crashes(Mac8b8b):
    def matmul(self, x, w):
        raise ZeroDivisionError


def check_called(part):
    return next(check for name, check in CHECKS.items() if part in name)


@pytest.mark.parametrize(
    ("design", "check", "message"),
    [
        (WrongForOnePair, "all pairs", r"x=\(255, 254\) w=.*: step gives 1, matmul gives -?\d+"),
        (
            WrongForOneProduct,
            "activations x weights",
            r"x=\(200,\) w=\(-128,\): step gives 0, matmul gives -25600",
        ),
        (WrongWhenSigned, "activations x weights", "step gives .*, matmul gives"),
        (WrongForOddK, "ragged products", "step gives .*, matmul gives"),
        (
            SlowWithoutSaying,
            "ragged products",
            r"takes 2 cycles, expected 1\.\.1 \(most_step_cycles\)",
        ),
        (QuickerThanItSays, "ragged products", "takes 1 cycles, but the fast form says 2"),
        (QuickerPairsThanItSays, "ragged products", "takes 1 cycles, but the fast form says 2"),
        (UnknownCost, "declares", "cost='operands', expected one of unit, shape, activations"),
        (
            CostWithoutItsHook,
            "declares",
            "cost='weights' without a `weight_step_cycles` of its own",
        ),
        (UnitThatMayTakeLonger, "declares", "cost='unit' with most_step_cycles=2, expected 1"),
        (TakesTooLong, "declares", "most_step_cycles=256, expected at most 255"),
        (
            WeightsOnlyItSays,
            "decides cycles",
            (
                r"cost='weights' \(the same weights\), but the step of x=\(\d.* w=(.*) takes \d cycles "
                r"and that of x=\(.* w=\1 takes \d"
            ),
        ),
        (
            ActivationsOnlyItSays,
            "decides cycles",
            (
                r"cost='activations' \(the same activations\), but the step of x=(.*) w=.* takes \d+ "
                r"cycles and that of x=\1 w=.* takes \d"
            ),
        ),
        (ShapeOnlyItSays, "decides cycles", r"cost='shape' \(every step alike\), but the step of"),
        (SlowWithoutSaying, "ragged products", r"expected 1\.\.1"),
        (
            SlowerPerWeightThanItSays,
            "ragged products",
            r"takes 1 cycles.* says 2 \(cost='weights'\)",
        ),
        (
            WeightCyclesTurned,
            "ragged products",
            (
                r"weight_step_cycles of 3 rows and 2 columns makes cycles of shape \(1, 2, 1\), "
                r"expected \(rows or 1, steps, columns or 1\) = \(1, 1, 2\)"
            ),
        ),
        (WideWeightCycles, "ragged products", "weight_step_cycles gives int64, expected uint8"),
        (
            OneFilterShort,
            "column per filter",
            r"of_filters of 1 filters gives \[\], expected 1 designs",
        ),
        (
            FilterOfOtherLanes,
            "column per filter",
            r"of_filters of 1 .* expected 1 designs of 2 lanes",
        ),
        (
            FilterInTwoColumns,
            "column per filter",
            r"of 1 filters gives \[1\], expected 0\.\.0",
        ),
        (OtherFixedCycles, "ragged products", r"takes 8 cycles, but the fast form says 9"),
        (RoundsInMatmulOnly, "used operands", r"used_activations\(x\) @ used_weights\(w\) gives"),
        (InPairsAfterAll, "one by one", "one_by_one=True, but .* of each code alone"),
        (BecomesAnother, "ready for a layer", "design of spec 'mac-8b8b', expected 'fused'"),
        (BecomesNothing, "ready for a layer", "gives None, expected a PEDesign"),
        (NeverSettles, "ready for a layer", "when asked again, expected NeverSettles"),
        (RefusesEightBits, "ready for a layer", "is refused, expected a design"),
        (LosesWhereItIsNarrow, "ready for a layer", "step gives .*, matmul gives"),
        (NoLanesWhereItIsNarrow, "ready for a layer", "lanes=0, expected an integer"),
        (
            CyclesOfTheWrongShape,
            "ragged products",
            r"of shape \(4, 1, 1\), expected \(rows or 1, steps, columns or 1\) = \(4, 2, 1\)",
        ),
        (NotExact, "exact", "x @ w gives .*, matmul gives"),
        (LosesAnElement, "element of K", r"k_order\(1\) takes \[0\]|k_order\(\d+\) takes"),
        (CountsActivityWrongly, "activity", "by states are .*, expected those of step"),
        (CountsZerosAsWindows, "windows", "expected at most"),
        (TakesSigned, "int8", "expected InputError since signed_activations is False"),
        (SpoilsItsOperands, "stacks", "matmul changes its operands|differs from product"),
        (NoLanes, "declares", "lanes=0, expected an integer of at least 1"),
        (NeverEqual, "twin", "are not equal, or hash differently"),
        (Crashes, "ragged products", r"raised ZeroDivisionError\(\)"),
    ],
)
def test_a_broken_design_fails_its_check(design, check, message):
    assert re.search(message, failure_of(check_called(check), design()))


def test_a_forgotten_key_does_not_make_the_design_again():
    assert "expected ForgetsItsKey(stages='1', depth=2)" in failure_of(
        check_called("makes it again"), ForgetsItsKey(depth=2)
    )


def test_a_design_that_can_be_changed_is_found():
    thawed = type("Thawed", (Mac8b8b,), {"__setattr__": object.__setattr__})
    assert "attributes can be set" in failure_of(check_called("frozen"), thawed())


@dataclass(frozen=True)
class NeedsDepth(PEDesign):
    name: ClassVar[str] = "needs-depth"
    lanes: ClassVar[int] = 1
    depth: int = field(default=4, metadata={"least": 2})

    def step(self, xs, ws, signed=False):
        return Step(0)


def test_integer_keys_vary_from_their_least_value():
    assert [pe.depth for pe in variants(NeedsDepth)] == [4, 2, 3]


class MissesItsMatmul(Mac8b8b):
    values_by_pair = True


def test_values_by_pair_without_a_matmul_are_told():
    assert "declares values_by_pair, but has no `matmul` of its own" in failure_of(
        check_called("ragged"), MissesItsMatmul()
    )


def test_sysmt_refuses_signed_activations():
    with pytest.raises(InputError, match="takes unsigned activations"):
        SySmt2t().matmul(np.zeros((1, 2), np.int8), np.zeros((2, 1), np.int8))
