"""SWIS: groups of weights share a few shift positions; a step adds masked activations and shifts.

The weights of a filter are cut into groups of M = `group` adjacent elements of K. A group shares N
= `shifts` positions of the 8-bit magnitude; every weight has its sign and a mask of one bit per
position. A weight is then sign * (sum of 2^position over the positions of its mask), and the PE
needs no multiplier: for each position it adds the signed activations whose masks are set, M at
most, shifts the sum, and accumulates it. It treats `per_cycle` positions in a cycle, so a step of M
pairs takes ceil(N / per_cycle) cycles, whatever the values.

Which positions, decided offline:

* Of all C(8, N) sets of positions (`consecutive=on`: of the 9 - N windows) a group takes the one
  with the least squared error + `alpha` * (sum of signed errors)^2, ties to the smallest set as a
  sorted tuple. A signed error is approximated - true magnitude.
* Each weight goes to the nearest subset sum of the set, ties to the smaller magnitude.
* `shifts=target:3.25` gives every filter of a matrix its own N, 1..8, so that their mean is at most
  the target: all start at 1, and one more goes to the filter whose squared error falls most by it,
  until the target is reached or one more helps no filter (`sparqsim.pe.swis_filters`). A step then
  takes a column of the array ceil(N / per_cycle) cycles of its own filter's N, and neighbours wait
  as the array's coupling has it. `schedule=sorted` lays filters of equal N side by side, most
  shifts first; `schedule=given` keeps the layer's order. Without a target it changes nothing.

Elements beyond K are zeros, which cost no error. The result is x @ (sign(w) * decompose(|w|)): not
exact below N = 8. Magnitudes of int8 weights are 0..128, and none is used above 128.

Source: a **reconstruction** of SWIS, shared weight bit sparsity (arXiv 2103.01308). Neither the
full text nor any code of it could be read; what was read is the abstract, and a third party's words
on non-consecutive shift values for small groups of weights. So the rules above are ours as far as
they are exact: the error that is minimised, every tie, the padding, how filters share a target, the
circuit and its cycles. No number of the paper is reproduced here, and none is printed.

Not modelled: memory traffic counts weights at the layer's bits, not in the compressed form, whose
size `sparqsim.pe.swis_filters.storage_bits` gives; the parts of the PE are not counted. A target is
served by every group of a grouped convolution for itself. Zero points are corrected by weights as
they are used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.base.parse import whole_number
from sparqsim.pe.base import Array, Cost, LayerFacts, PEDesign, Step
from sparqsim.pe.kept import KeptMode
from sparqsim.pe.swis_filters import (
    Schedule,
    column_order,
    decompose_filters,
    defined_shifts,
    defined_squared_errors,
    shifts_of_filters,
    squared_errors,
    storage_bits,
)
from sparqsim.pe.swis_groups import POSITIONS, decompose, decomposed_group
from sparqsim.pe.trimming import Trimming

__all__ = ["Swis", "decompose"]

#: Weights of a group: lanes of a PE.
LARGEST_GROUP = 64
#: Far beyond it, costs of sets could not be told apart.
MOST_ALPHA = 1_000_000
TARGET = re.compile(r"target:([0-9]{1,3}(\.[0-9]{1,9})?)")
ACCEPTED_SHIFTS = f"1..{POSITIONS} or target:MEAN (1..{POSITIONS})"


def read_shifts(text: str) -> int | str | None:
    """Return the value of the key `shifts` that a text is, None where it is none."""
    if TARGET.fullmatch(text):
        return text
    return whole_number(text, 1, POSITIONS)


def whole(default: int, most: int) -> int:
    """Return a key that takes 1..most."""
    read = partial(whole_number, low=1, high=most)
    accepted = {"read": read, "accepts": f"1..{most}", "examples": (1, 2)}
    key: int = field(default=default, metadata=accepted)
    return key


@dataclass(frozen=True)
class Swis(PEDesign):
    """`group` lanes of signed masks, one adder tree and shifter per position of a cycle.

    The key `per_cycle` is the number of positions treated in a cycle. The multipliers counted are
    the masks: products of an activation and one bit.
    """

    name: ClassVar[str] = "swis"
    group: int = whole(4, LARGEST_GROUP)
    shifts: int | str = field(
        default=3,
        metadata={"read": read_shifts, "accepts": ACCEPTED_SHIFTS, "examples": (1, 6)},
    )
    per_cycle: int = whole(1, POSITIONS)
    consecutive: Literal["off", "on"] = "off"
    alpha: float = field(default=0.0, metadata={"least": 0, "most": MOST_ALPHA})
    schedule: Schedule = "sorted"

    def __post_init__(self) -> None:
        for name, most in (("group", LARGEST_GROUP), ("per_cycle", POSITIONS)):
            if not 1 <= getattr(self, name) <= most:
                raise InputError(f"{name}={getattr(self, name)}: expected 1..{most}")
        if read_shifts(str(self.shifts)) != self.shifts or not 1 <= self.mean_shifts <= POSITIONS:
            raise InputError(f"shifts={self.shifts}: expected {ACCEPTED_SHIFTS}")
        if not 0 <= self.alpha <= MOST_ALPHA:
            raise InputError(f"alpha={self.alpha}: expected a number from 0 to {MOST_ALPHA}")

    @property
    def circuit(self) -> str:
        """A PE holds `group` lanes, masks and positions of `shifts`, and `per_cycle` trees; which
        positions, and how they were chosen, is data.
        """
        return (
            f"{self.name}:group={self.group},shifts={self.most_shifts},per_cycle={self.per_cycle}"
        )

    @property
    def mean_shifts(self) -> Fraction:
        """The shifts of every filter, or the most that their mean may be."""
        return Fraction(str(self.shifts).removeprefix("target:"))

    @property
    def by_filter(self) -> bool:
        """Whether filters have shifts of their own."""
        return isinstance(self.shifts, str)

    @property
    def most_shifts(self) -> int:
        """The most shifts that a filter can have."""
        return POSITIONS if self.by_filter else int(self.shifts)

    @property
    def lanes(self) -> int:  # type: ignore[override] # a key decides it
        """Pairs of a step: a group."""
        return self.group

    @property
    def multipliers(self) -> int:  # type: ignore[override]
        """Masks at work in a cycle."""
        return self.group * self.per_cycle

    @property
    def most_step_cycles(self) -> int:  # type: ignore[override]
        """Cycles of a step of a filter with the most shifts."""
        return -(-self.most_shifts // self.per_cycle)

    @property
    def trimming(self) -> Trimming:
        """Groups of weights share positions, whose numbers are their metadata; how many a filter
        has of a target depends on the layer.
        """
        which = "consecutive" if self.consecutive == "on" else "any"
        rule = f"groups of {self.group} weights share {self.shifts} shifts, {which} positions"
        own = None if self.by_filter else 1 + int(self.shifts)
        stored = storage_bits(self.most_shifts, self.group, self.consecutive == "on")
        added = None if own is None else float(stored - own)
        return Trimming("nearest subset sum", rule, 0.0, added)

    def kept_8bit(self, facts: LayerFacts) -> KeptMode[PEDesign]:
        """Return all eight positions, of which every magnitude is made."""
        exact = replace(self, shifts=POSITIONS, consecutive="off", alpha=0.0)
        return KeptMode((exact,), f"{POSITIONS} shift positions per weight")

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Add masked activations, shift and accumulate, `per_cycle` positions in a cycle.

        Raises
        ------
        InputError
            With `shifts=target:...`: how many shifts a filter has depends on all filters. What
            steps one is among `of_filters`.
        """
        if self.by_filter:
            raise InputError(
                f"{self.spec}: no step of its own, since the shifts of a filter depend on all "
                "filters; expected one of `of_filters(w)`, or a number of shifts"
            )
        magnitudes = tuple(abs(w) for w in ws)
        shared = decomposed_group(
            magnitudes, self.most_shifts, self.consecutive == "on", self.alpha
        )
        directed = [x if w >= 0 else -x for x, w in zip(xs, ws, strict=True)]
        value, cycles, controls = 0, 0, {}
        for first in range(0, len(shared.positions), self.per_cycle):
            cycles += 1
            controls = dict.fromkeys(self._control_names(), 0)
            for unit, position in enumerate(shared.positions[first : first + self.per_cycle]):
                masks = [magnitude >> position & 1 for magnitude in shared.magnitudes]
                tree = sum(x for x, mask in zip(directed, masks, strict=True) if mask)
                value += tree << position
                controls[f"shift{unit}"] = position
                controls[f"masks{unit}"] = sum(mask << lane for lane, mask in enumerate(masks))
        return Step(value, cycles, {}, controls)

    def _control_names(self) -> list[str]:
        return [f"{what}{unit}" for unit in range(self.per_cycle) for what in ("shift", "masks")]

    def used_weights(self, w: Array) -> NDArray[np.int16]:
        """Return sign(w) * decompose(|w|), int16 (..., K, N), of int8 weights of that shape."""
        filters = w.swapaxes(-1, -2)
        magnitudes = np.abs(filters.astype(np.int16))
        used = np.sign(filters) * self._nearest(magnitudes)
        return np.ascontiguousarray(used.swapaxes(-1, -2))

    def _nearest(self, magnitudes: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return the magnitudes (..., filters, K) as decomposed."""
        rule = self.consecutive == "on", self.alpha
        if not self.by_filter:
            nearest = decompose(magnitudes, self.group, self.most_shifts, *rule)
            return nearest.astype(np.int16)
        matrices = [
            decompose_filters(each, self.group, self._shifts_of(each), *rule)
            for each in magnitudes.reshape(-1, *magnitudes.shape[-2:])
        ]
        return np.array(matrices, np.int16).reshape(magnitudes.shape)

    def _shifts_of(self, magnitudes: NDArray[np.int16]) -> NDArray[np.int64]:
        """Return the shifts of each filter (filters, K) of a matrix, int64 (filters,)."""
        if not self.by_filter:
            return np.full(len(magnitudes), self.most_shifts)
        losses = squared_errors(magnitudes, self.group, self.consecutive == "on", self.alpha)
        return shifts_of_filters(losses, self.mean_shifts)

    def column_shifts(self, w: Array) -> NDArray[np.int64]:
        """Return the shifts of each filter, int64 (..., N), of int8 weights (..., K, N)."""
        magnitudes = np.abs(w.astype(np.int16)).swapaxes(-1, -2)
        matrices = magnitudes.reshape(-1, *magnitudes.shape[-2:])
        shifts = np.array([self._shifts_of(each) for each in matrices], np.int64)
        return shifts.reshape(magnitudes.shape[:-1])

    def of_filters(self, w: Array) -> Sequence[PEDesign]:
        """Return the design of each filter: the same with the filter's own number of shifts.

        By definition: every group of every filter is decomposed in plain Python, for 1 to 8 shifts.
        """
        if not self.by_filter:
            return super().of_filters(w)
        filters = np.abs(w.T.astype(np.int16)).tolist()
        rule = self.group, self.consecutive == "on", self.alpha
        losses = [defined_squared_errors(each, *rule) for each in filters]
        numbers = defined_shifts(losses, self.mean_shifts)
        return [replace(self, shifts=number) for number in numbers]

    def filter_order(self, w: Array) -> NDArray[np.int64]:
        """Return which filter lies in each column: the order of `schedule`, matrix by matrix."""
        if not self.by_filter:
            return super().filter_order(w)
        shifts = self.column_shifts(w)
        by_matrix = shifts.reshape(-1, shifts.shape[-1])
        orders = [column_order(each, self.schedule) for each in by_matrix]
        return np.array(orders, np.int64).reshape(shifts.shape)

    @property
    def cost(self) -> Cost:  # type: ignore[override]
        """The shape alone, or the weights, where filters have shifts of their own."""
        return "weights" if self.by_filter else "shape"

    def fixed_step_cycles(self) -> int:
        """Return ceil(shifts / per_cycle)."""
        return self.most_step_cycles

    def weight_step_cycles(self, w: Array) -> NDArray[np.uint8]:
        """Return ceil(shifts / per_cycle) of each filter, for every step.

        Filters lie in the array's columns as `filter_order` says; sums are put back where they
        belong, which takes no time.
        """
        cycles = -(-self.column_shifts(w) // self.per_cycle)
        steps = self.steps(w.shape[-2])
        return np.repeat(cycles.astype(np.uint8)[..., None, :], steps, axis=-2)
