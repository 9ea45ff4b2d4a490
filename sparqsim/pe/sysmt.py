"""SySMT: non-blocking multithreading; threads that collide on the multiplier lose precision instead
of waiting.

K is cut into T contiguous parts, one per thread, and a step takes one pair of operands from each.
Let *count* be the threads of a step whose product a * w is not zero: zeros of **both** operands
count. A small a is at most 15, a small w is in -8..7: such a value fits a 4-bit multiplier port as
it is; a wider one can be brought to 16 * round(value / 16). The multiplier is four 4b-4b ones that
work alone, or as two 4b-8b ones, or as one 8b-8b one (`sysmt-2t`: two 4b-8b ones).

| count | what each thread multiplies, variant `wA` |
|---|---|
| 0, 1 | a and w exactly: the whole multiplier is free |
| 2 | a is trimmed if it is wide **and** w is wide: a 4b-8b multiplier takes it if either is small |
| 3, 4 | a is trimmed if it is wide, and w is trimmed if it is wide: 4b-4b multipliers |

`variant` names what is tested and trimmed at count 2: `wA` both tested, a trimmed; `A` only a
tested; `A0` a always trimmed; `aW`, `W`, `W0` the same with the roles of a and w exchanged. At
counts 3 and 4, `A0` and `W0` trim both operands always; the others follow the table. Rounding is
half to even, or floor (`rounding=trim`); it does **not** saturate: 248..255 becomes 256, and
120..127 becomes 128. Steps always take one cycle.

Source: NB-SMT / SySMT, Shomron and Weiser, MICRO 2020 (arXiv 2004.09309); the value rules as in the
public simulator of the authors' group (nadavzach/BRP_SA_SIM), restated in our words. Unsigned
activations, as the source's quantiser gives them: int8 is refused.

Our assumptions:

* Part t, step i holds element t * ceil(K / T) + i, zeros behind the end. The source refuses a K
  that T does not divide.
* K is in the order of our traces, input channel innermost; in the source it is outermost (channel,
  kernel row, kernel column), and may be reordered by calibration statistics, which we leave out. So
  the same layer can meet other collisions there.
* One T for all layers; the source picks T layer by layer.
* Layers that stay at 8 bits run one thread at a time, exactly, int8 activations by sign and
  magnitude: the source leaves such layers out.
* Of the multipliers, one works per thread whose product, as trimmed, is not zero. The help that
  free multipliers give to an untrimmed pair is not counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array, LayerFacts, PEDesign, Step
from sparqsim.pe.kept import KeptMode
from sparqsim.pe.layout import arranged
from sparqsim.pe.mac import MacPass
from sparqsim.pe.sysmt_sums import collided_sums
from sparqsim.pe.trimming import Trimming

Variant = Literal["wA", "A", "A0", "aW", "W", "W0"]
Rounding = Literal["nearest-even", "trim"]


def wide_activation(a: int) -> bool:
    """Return whether an unsigned operand needs more than a 4-bit port."""
    return a > 15


def wide_weight(w: int) -> bool:
    """Return whether a signed operand needs more than a 4-bit port."""
    return not -8 <= w <= 7


def trimmed(value: int, rounding: Rounding) -> int:
    """Return 16 * round(value / 16), half to even or floored, not saturated."""
    return 16 * (value // 16 if rounding == "trim" else round(value / 16))


@dataclass(frozen=True)
class SySmt(PEDesign):
    """`lanes` threads on one multiplier that splits; a named design fixes their number."""

    signed_activations: ClassVar[bool] = False
    values_by_pair: ClassVar[bool] = True
    variant: Variant = "wA"
    rounding: Rounding = "nearest-even"

    def steps(self, k: int) -> int:
        """Return the length of a thread's part: ceil(K / lanes)."""
        return -(-k // self.lanes)

    def k_order(self, k: int) -> NDArray[np.int64]:
        """Return the elements each thread takes: part t holds t * steps .. (t + 1) * steps - 1."""
        order = np.arange(self.steps(k) * self.lanes).reshape(self.lanes, -1).T
        return np.where(order < k, order, -1)

    def kept_8bit(self, facts: LayerFacts) -> KeptMode[PEDesign]:
        """Return one thread at a time, which has the whole multiplier."""
        words = "one thread at a time" + ", int8 by sign and magnitude" * facts.signed
        return KeptMode((MacPass(self, pairs=1),), words)

    @property
    def trimming(self) -> Trimming:
        """Threads that collide trim; what the source keeps beside the values is not known."""
        rule = f"{self.lanes} threads: those that collide are trimmed, variant {self.variant}"
        return Trimming(self.rounding, rule)

    @property
    def trims_always(self) -> bool:
        """Whether a collision trims small operands too."""
        return self.variant.endswith("0")

    def halves(self, a: int, w: int) -> tuple[bool, bool]:
        """Return whether (a, w) is trimmed on a 4b-8b multiplier: at count 2."""
        wide_a, wide_w = wide_activation(a), wide_weight(w)
        collide = {"wA": wide_a and wide_w, "aW": wide_a and wide_w, "A": wide_a, "W": wide_w}.get(
            self.variant, True
        )
        return collide and "A" in self.variant, collide and "W" in self.variant

    def quarters(self, a: int, w: int) -> tuple[bool, bool]:
        """Return whether (a, w) is trimmed on a 4b-4b multiplier: at counts 3 and 4."""
        return self.trims_always or wide_activation(a), self.trims_always or wide_weight(w)

    def trims(self, xs: Sequence[int], ws: Sequence[int]) -> list[tuple[bool, bool]]:
        """Return for each thread whether activation and weight are trimmed: the collision rule."""
        products = [a * w != 0 for a, w in zip(xs, ws, strict=True)]
        rule: Callable[[int, int], tuple[bool, bool]] = (
            self.halves if sum(products) == 2 else self.quarters
        )
        if sum(products) < 2:
            return [(False, False)] * self.lanes
        return [
            rule(a, w) if product else (False, False)
            for a, w, product in zip(xs, ws, products, strict=True)
        ]

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Detect the collision, trim, multiply and add."""
        trims = self.trims(xs, ws)
        count = sum(a * w != 0 for a, w in zip(xs, ws, strict=True))
        products = [
            self._port(a, trim_a) * self._port(w, trim_w)
            for a, w, (trim_a, trim_w) in zip(xs, ws, trims, strict=True)
        ]
        working = {
            "collision": count > 1,
            "pe": any(products),
            "adder": sum(product != 0 for product in products) > 1,
        }
        controls = {"count": count}
        for thread, (trim_a, trim_w) in enumerate(trims):
            working[f"multiplier_{thread}"] = products[thread] != 0
            working[f"activation_rounder_{thread}"] = trim_a
            working[f"weight_rounder_{thread}"] = trim_w
            controls[f"trim{thread}"] = trim_a + 2 * trim_w
        active = {part: 1 for part, works in working.items() if works}
        return Step(sum(products), 1, active, controls)

    def _port(self, value: int, trim: bool) -> int:
        """Return an operand as its multiplier port takes it."""
        return trimmed(value, self.rounding) if trim else value

    def matmul(self, x: Array, w: Array) -> NDArray[np.int64]:
        """Return the design's exact arithmetic for X @ W; see `PEDesign.matmul`."""
        self.check_operands(x, w)
        lead = np.broadcast_shapes(x.shape[:-2], w.shape[:-2])
        tables = collision_tables(self)
        sums = collided_sums(
            self._whole_steps(x, lead, axis=-1),
            self._whole_steps(w, lead, axis=-2),
            tables.activations,
            tables.weights,
            self.lanes,
        )
        return sums.reshape(*lead, *sums.shape[1:])

    def _whole_steps(self, operand: Array, lead: tuple[int, ...], axis: int) -> Array:
        """Return matrices (groups, ...) of all `lead` places, zeros behind K on `axis` to the end
        of its last step.
        """
        matrix = operand.shape[-2:]
        groups = np.broadcast_to(operand, (*lead, *matrix)).reshape(-1, *matrix)
        k = matrix[axis]
        behind = [(0, 0)] * 3
        behind[axis] = (0, self.lanes * self.steps(k) - k)
        return np.ascontiguousarray(np.pad(groups, behind))

    def activation_states(self, x: Array) -> NDArray[np.uint8]:
        """Return a number for what every thread's activation can do in a collision."""
        tables = collision_tables(self)
        by_row = arranged(x, self.k_order(x.shape[-1]))
        return _joint_states(np.take(tables.activation_state, by_row), len(tables.examples[0]))

    def weight_states(self, w: Array) -> NDArray[np.uint8]:
        """Return a number for what every thread's weight can do in a collision."""
        tables = collision_tables(self)
        by_col = arranged(w.swapaxes(-1, -2), self.k_order(w.shape[-2]))
        states = np.take(tables.weight_state, by_col.view(np.uint8))
        return _joint_states(states, len(tables.examples[1])).swapaxes(-1, -2)

    def state_examples(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Return operands of every joint state, thread 0's state changing fastest."""
        first, second = (
            [combination[::-1] for combination in itertools.product(lane, repeat=self.lanes)]
            for lane in collision_tables(self).examples
        )
        return first, second


@dataclass(frozen=True)
class SySmt2t(SySmt):
    """Two threads on two 4b-8b multipliers."""

    name: ClassVar[str] = "sysmt-2t"
    lanes: ClassVar[int] = 2
    multipliers: ClassVar[int] = 2


@dataclass(frozen=True)
class SySmt4t(SySmt):
    """Four threads on four 4b-4b multipliers."""

    name: ClassVar[str] = "sysmt-4t"
    lanes: ClassVar[int] = 4
    multipliers: ClassVar[int] = 4


@dataclass(frozen=True)
class CollisionTables:
    """The rule for single operands, indexed by the operand's byte.

    Rows of `activations`, int32 (3, 256): the value; the factor of the change that a collision of
    two makes to a product; the value used at counts 3 and 4. Rows of `weights`, int16 (3, 256): the
    same. A collision of two trims one side, of pairs whose operands both meet the variant's test:
    its change is that side's times the other operand. `activation_state`, `weight_state`: number of
    what the operand can do; `examples`: an operand of each number.
    """

    activations: NDArray[np.int32]
    weights: NDArray[np.int16]
    activation_state: NDArray[np.uint8]
    weight_state: NDArray[np.uint8]
    examples: tuple[list[int], list[int]]


@lru_cache(maxsize=32)
def collision_tables(pe: SySmt) -> CollisionTables:
    """Return the fast form of `SySmt.trims`."""
    a, w = np.arange(256), np.arange(256).astype(np.uint8).view(np.int8).astype(np.int64)
    trimmed_a, trimmed_w = (
        16 * (values >> 4 if pe.rounding == "trim" else np.rint(values / 16).astype(np.int64))
        for values in (a, w)
    )
    wide_a, wide_w = a > 15, (w < -8) | (w > 7)
    meets_a = wide_a if pe.variant in ("wA", "aW", "A") else np.ones(256, bool)
    meets_w = wide_w if pe.variant in ("wA", "aW", "W") else np.ones(256, bool)
    changed_a, changed_w = (trimmed_a - a, w) if "A" in pe.variant else (a, trimmed_w - w)
    all_a, all_w = wide_a | pe.trims_always, wide_w | pe.trims_always
    quarter_a, quarter_w = np.where(all_a, trimmed_a, a), np.where(all_w, trimmed_w, w)
    states = [
        _numbered(values, np.stack([values != 0, wide & (not pe.trims_always), quarter != 0]))
        for values, wide, quarter in ((a, wide_a, quarter_a), (w, wide_w, quarter_w))
    ]
    return CollisionTables(
        activations=np.stack([a, meets_a * changed_a, quarter_a]).astype(np.int32),
        weights=np.stack([w, meets_w * changed_w, quarter_w]).astype(np.int16),
        activation_state=states[0][0],
        weight_state=states[1][0],
        examples=(states[0][1], states[1][1]),
    )


def _numbered(values: Array, features: Array) -> tuple[NDArray[np.uint8], list[int]]:
    """Return a number for each distinct column of `features`, and one value of each number."""
    _, first, number = np.unique(features, axis=1, return_index=True, return_inverse=True)
    return number.astype(np.uint8), values[first].tolist()


def _joint_states(states: NDArray[np.uint8], kinds: int) -> NDArray[np.uint8]:
    """Return (..., steps, lanes) numbers below `kinds` as one per step, lane 0 changing fastest."""
    weights = (kinds ** np.arange(states.shape[-1])).astype(np.uint8)
    joint: NDArray[np.uint8] = (states * weights).sum(-1, dtype=np.uint8)
    return joint
