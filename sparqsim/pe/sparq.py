"""SPARQ: two narrow multipliers, a window on each activation, and the pair rule.

What the circuit does with a pair (x1, w1), (x2, w2) in one cycle (its parts: `sparq_parts.py`):

* **Pair-zero detector.** If exactly one of x1, x2 is zero, the other is *lone* and may use both
  multipliers.
* **Window muxes with leading-one select.** Otherwise each activation goes through an n-bit window
  placed at its leading one (`windows.py`), and keeps q and a shift code. A lone value goes through
  a 2n-bit window, whose high half feeds one multiplier and low half the other.
* **Weight muxes.** A lone value meets its own weight on both multipliers; otherwise each activation
  meets its own.
* **Two narrow multipliers**, n-bit unsigned by 8-bit signed; **shift units** (every shift a lone
  value needs is one the windows need too); **adder**.

y = (q1 * wA << s1) + (q2 * wB << s2)

Steps always take one cycle: values change error, window use and switching, never cycles. With
`stages=2`, an extension of ours, a register stands behind the multipliers: the clock can be faster,
every sum comes a cycle later.

Source: SPARQ, Shomron et al., NeurIPS 2021 (arXiv 2105.11010). The zero test looks at activations
only, before trimming. Our assumptions: one mux bit per pair (for a lone value the order of the two
shifts tells which weight to use), a registered trim unit at the row edge (`edge_cycles` = 1),
`pairing=off` (bSPARQ alone), which the authors' kernel cannot do.

**Not in the paper: `signed=magnitude`, an extension of ours.** The published design takes unsigned
activations only and refuses int8 (`signed=refuse`, the default). With `signed=magnitude` the trim
unit splits an int8 activation into its sign and its magnitude (0..128, which fits 8 bits), the
rules above apply to magnitudes, and each multiplier negates its product where the activation it
holds is negative. Unsigned layers are computed as before. Layers that stay at 8 bits always run,
int8 ones in this way (`sparq_lone.py`): `signed=refuse` is of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.pe.base import Array, LayerFacts, PEDesign, Step
from sparqsim.pe.kept import KeptMode
from sparqsim.pe.layout import padded_to
from sparqsim.pe.sparq_lone import lone_mode
from sparqsim.pe.sparq_parts import PairControl, lone_of, magnitudes, multiply_shift_add, split
from sparqsim.pe.trimming import Trimming
from sparqsim.pe.windows import WHOLE, Rounding, WindowSet, window_tables


@dataclass(frozen=True)
class Sparq(PEDesign):
    """The circuit for any windows; a design fixes `windows_of_pair` and `windows_of_lone`."""

    lanes: ClassVar[int] = 2
    multipliers: ClassVar[int] = 2
    signed_activations: ClassVar[bool] = False
    edge_cycles: ClassVar[int] = 1
    windows_of_pair: ClassVar[WindowSet]
    windows_of_lone: ClassVar[WindowSet] = WHOLE
    rounding: Rounding = "nearest-even"
    pairing: Literal["on", "off"] = "on"
    signed: Literal["refuse", "magnitude"] = "refuse"
    stages: Literal["1", "2"] = "1"

    def __post_init__(self) -> None:
        # Of this design with these keys; the class says what the name alone takes.
        object.__setattr__(self, "signed_activations", self.signed == "magnitude")
        object.__setattr__(self, "stage_cycles", int(self.stages) - 1)

    def check_signedness(self, signed: bool) -> None:
        """Raise InputError for int8 activations, unless `signed=magnitude` was asked for by
        name.
        """
        if signed and not self.signed_activations:
            raise InputError(
                f"{self.name} takes unsigned activations (uint8 after ReLU), got int8; expected "
                f"{replace(self, signed='magnitude').spec} (not in the paper), or a design that "
                "takes them: `sparqsim pe list`"
            )

    def signed_trim_unit(self, x1: int, x2: int) -> PairControl:
        """Trim the magnitudes of int8 activations; both halves of a lone value carry its sign.

        Not in the paper.
        """
        control = self.trim_unit(abs(x1), abs(x2))
        negative = (x1 < 0 or x2 < 0,) * 2 if control.lone else (x1 < 0, x2 < 0)
        return replace(control, negative=negative)

    @property
    def trimming(self) -> Trimming:
        """Windows and the pair rule; a shift code for each activation, a mux bit for each pair."""
        windows = self.windows_of_pair
        where = f"windows of {windows.bits} bits at {len(windows.shifts)} positions"
        on = self.pairing == "on"
        pairs = "pairs (k, k + 1): beside a zero the other is lone" if on else "no pair rule"
        mux_bits = 0.5 if on else 0.0
        return Trimming(self.rounding, f"{where}; {pairs}", windows.code_bits + mux_bits, 0.0)

    def activation_pair_bits(self, storage: str) -> int:
        """Return 16 for raw activations; else two windows, two codes and one or two mux bits."""
        if storage == "raw":
            return 16
        windows = self.windows_of_pair
        sign_bits = 1 if self.signed == "magnitude" else 0
        return 2 * (windows.bits + windows.code_bits + sign_bits) + (
            1 if storage == "windowed-pair" else 2
        )

    def trim_unit(self, x1: int, x2: int) -> PairControl:
        """Return what the PEs of a row receive for one pair of unsigned activations."""
        lone = lone_of(x1, x2) if self.pairing == "on" else None
        if lone is not None:
            q, shift = self.windows_of_lone.quantise((x1, x2)[lone], self.rounding)
            return split(q, shift, lone, self.windows_of_pair.bits)
        (q1, shift1), (q2, shift2) = (
            self.windows_of_pair.quantise(x, self.rounding) for x in (x1, x2)
        )
        return PairControl(q1, shift1, q2, shift2, lone=False)

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Trim the pair, then multiply, shift and add."""
        self.check_signedness(signed)
        return multiply_shift_add((self.signed_trim_unit if signed else self.trim_unit)(*xs), *ws)

    def kept_8bit(self, facts: LayerFacts) -> KeptMode[PEDesign]:
        """Return one MAC per cycle through the lone path, in as many passes as its window asks
        for.
        """
        return lone_mode(self, self.windows_of_pair.bits, facts)

    def used_activations(self, x: Array) -> Array:
        """Trim every pair of activations; a last element without partner pairs with zero."""
        used = self._looked_up(pair_tables(self).used, magnitudes(x))[..., : x.shape[-1]]
        # A magnitude of 127 may be used as 128, so signed values need more than int8.
        return np.where(x < 0, -used.astype(np.int16), used) if x.dtype == np.int8 else used

    def activation_states(self, x: Array) -> NDArray[np.uint8]:
        """Return the circuit state of every pair."""
        tables = pair_tables(self)
        return np.take(tables.state, pair_codes(magnitudes(x)))

    def state_examples(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Return one pair of each circuit state, and weights for every zero mask."""
        return pair_tables(self).examples, [(0, 0), (1, 0), (0, 1), (1, 1)]

    def pair_windows(self, pairs: NDArray[np.int64]) -> dict[int, int]:
        """Count the left shift of every non-zero activation that goes through an n-bit window."""
        by_value = pairs.copy()
        if self.pairing == "on":
            by_value[0] = by_value[:, 0] = 0  # a lone value goes through no window of a pair
        counts = by_value.sum(axis=0) + by_value.sum(axis=1)
        counts[0] = 0
        shift = window_tables(self.windows_of_pair, self.rounding)[1]
        return {each: int(counts[shift == each].sum()) for each in self.windows_of_pair.shifts}

    @staticmethod
    def _looked_up(table: NDArray[np.uint16], x: Array) -> NDArray[np.uint8]:
        return np.take(table, pair_codes(x)).view("<u2").view(np.uint8)


def pair_codes(x: Array) -> NDArray[np.uint16]:
    """Return each pair of uint8 activations (..., K) as x1 + 256 * x2, (..., ceil(K / 2))."""
    return padded_to(x, 2).view("<u2")


@dataclass(frozen=True)
class PairTables:
    """The trim unit for all 65,536 pairs, indexed by x1 + 256 * x2.

    `used`: the two values used, packed like the index. `state`: which parts can work. `examples`: a
    pair of each state.
    """

    used: NDArray[np.uint16]
    state: NDArray[np.uint8]
    examples: list[tuple[int, ...]]


@lru_cache(maxsize=32)
def pair_tables(design: Sparq) -> PairTables:
    """Return the fast form of `Sparq.trim_unit`."""
    x1 = np.arange(256, dtype=np.uint8)[None, :]
    x2 = x1.T
    lone = ((x1 == 0) != (x2 == 0)) & (design.pairing == "on")
    q1, shift1 = _multiplier_inputs(design, lone, x1, x2)
    q2, shift2 = _multiplier_inputs(design, lone, x2, x1)
    features = [
        lone,
        lone & (x2 == 0),
        q1 > 0,
        q2 > 0,
        (q1 > 0) & (shift1 > 0),
        (q2 > 0) & (shift2 > 0),
    ]
    signature = sum(feature.astype(np.uint8) << bit for bit, feature in enumerate(features))
    state, examples = numbered_states(signature.ravel())
    used = _used_values(design, lone, x1) | _used_values(design, lone, x2) << 8
    return PairTables(used.astype(np.uint16).ravel(), state, examples)


def _windows(
    windows: WindowSet, rounding: Rounding, x: NDArray[np.uint8]
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Return q and the left shift of every activation."""
    q, shift = window_tables(windows, rounding)
    return q[x].astype(np.uint16), shift[x].astype(np.uint16)


def _used_values(
    design: Sparq, lone: NDArray[np.bool_], x: NDArray[np.uint8]
) -> NDArray[np.uint16]:
    """Return the value used for every activation, `lone` ones through the wide window."""
    q, shift = _windows(design.windows_of_pair, design.rounding, x)
    lone_q, lone_shift = _windows(design.windows_of_lone, design.rounding, x)
    return np.where(lone, lone_q << lone_shift, q << shift)


def _multiplier_inputs(
    design: Sparq, lone: NDArray[np.bool_], x: NDArray[np.uint8], partner: NDArray[np.uint8]
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Return q and shift at the multiplier of `x`: half of a lone value, else of `x`."""
    q, shift = _windows(design.windows_of_pair, design.rounding, x)
    wide, at = _windows(design.windows_of_lone, design.rounding, x | partner)
    bits = design.windows_of_pair.bits
    own = partner == 0  # the lone value's own multiplier gets the high half
    half = np.where(own, wide >> bits, wide & ((1 << bits) - 1))
    half_shift = np.where(own, at + bits, at)
    return np.where(lone, half, q), np.where(lone, half_shift, shift)


def numbered_states(
    signature: Array,
) -> tuple[NDArray[np.uint8], list[tuple[int, ...]]]:
    """Return the distinct signatures of all pairs numbered from 0, and the first pair of each."""
    distinct = np.flatnonzero(np.bincount(signature))
    number = np.zeros(distinct[-1] + 1, np.uint8)
    number[distinct] = np.arange(len(distinct))
    first = [int(np.argmax(signature == each)) for each in distinct]
    return number[signature], [(code % 256, code // 256) for code in first]


@dataclass(frozen=True)
class Sparq5opt(Sparq):
    """4-bit windows at shifts 4..0; a lone value keeps its 8 bits."""

    name: ClassVar[str] = "sparq-5opt"
    windows_of_pair: ClassVar[WindowSet] = WindowSet(4, (0, 1, 2, 3, 4))


@dataclass(frozen=True)
class Sparq3opt(Sparq):
    """4-bit windows at shifts 4, 2, 0; a lone value keeps its 8 bits."""

    name: ClassVar[str] = "sparq-3opt"
    windows_of_pair: ClassVar[WindowSet] = WindowSet(4, (0, 2, 4))


@dataclass(frozen=True)
class Sparq2opt(Sparq):
    """4-bit windows at shifts 4, 0; a lone value keeps its 8 bits."""

    name: ClassVar[str] = "sparq-2opt"
    windows_of_pair: ClassVar[WindowSet] = WindowSet(4, (0, 4))


@dataclass(frozen=True)
class Sparq6opt(Sparq):
    """3-bit windows at shifts 5..0; a lone value goes through a 6-bit window at shifts 2..0."""

    name: ClassVar[str] = "sparq-6opt"
    windows_of_pair: ClassVar[WindowSet] = WindowSet(3, (0, 1, 2, 3, 4, 5))
    windows_of_lone: ClassVar[WindowSet] = WindowSet(6, (0, 1, 2))


@dataclass(frozen=True)
class Sparq7opt(Sparq):
    """2-bit windows at shifts 6..0; a lone value goes through a 4-bit window at shifts 4..0."""

    name: ClassVar[str] = "sparq-7opt"
    windows_of_pair: ClassVar[WindowSet] = WindowSet(2, (0, 1, 2, 3, 4, 5, 6))
    windows_of_lone: ClassVar[WindowSet] = WindowSet(4, (0, 1, 2, 3, 4))
