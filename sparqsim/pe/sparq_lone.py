"""SPARQ circuits on layers that stay at 8 bits: one activation per cycle, through the lone path.

Control makes every activation lone: both multipliers get its weight, one the high half of a 2n-bit
window, the other the low half. A window of 8 bits (`sparq-5opt`, `-3opt`, `-2opt`) takes an
activation at once. A smaller one goes over the layer in passes, from the highest bits down:
`sparq-6opt` 6 and 2 bits, `sparq-7opt` 4 and 4. Every shift is one that the design's windows have.
`pairing` changes nothing here. Activations lie in memory as whole bytes, which every pass fetches.

Not in the papers, which leave such layers to some 8-bit circuit: this is what theirs can do. int8
activations go in by sign and magnitude, an extension of ours, as with `signed=magnitude`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array, LayerFacts, PEDesign, Step
from sparqsim.pe.kept import KeptMode
from sparqsim.pe.sparq_parts import SIGNED_WORDS, magnitudes, multiply_shift_add, split


def lone_mode(design: PEDesign, bits: int, facts: LayerFacts) -> KeptMode[PEDesign]:
    """Return how a design with multipliers of `bits` bits runs a layer that stays at 8 bits."""
    width = 2 * bits
    ends = range(facts.activation_bits, 0, -width)
    passes = tuple(LonePass(design, bits, max(0, end - width), end) for end in ends)
    widths = " + ".join(str(each.end - each.shift) for each in passes)
    words = "one MAC per PE and cycle through the lone path"
    words += f", in {len(passes)} passes over the bits of activations ({widths})" * (len(ends) > 1)
    return KeptMode(passes, words + f", {SIGNED_WORDS}" * facts.signed)


@dataclass(frozen=True)
class LonePass(PEDesign):
    """A pass over bits `shift` .. `end` - 1 of every magnitude, one activation per cycle."""

    design: PEDesign = field(metadata={"key": False})
    bits: int = field(metadata={"key": False})
    shift: int = field(metadata={"key": False})
    end: int = field(metadata={"key": False})

    def __post_init__(self) -> None:
        object.__setattr__(self, "lanes", 1)
        shared = ("name", "multipliers", "edge_cycles", "stage_cycles", "stationary", "dataflows")
        for name in shared:
            object.__setattr__(self, name, getattr(self.design, name))

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Send the halves of the window to both multipliers."""
        (x,), (w,) = xs, ws
        window = (abs(x) & (1 << self.end) - 1) >> self.shift
        control = split(window, self.shift, 0, self.bits)
        done = multiply_shift_add(replace(control, negative=(x < 0, x < 0)), w, w)
        # The detector finds nothing: control made the value lone.
        active = {part: n for part, n in done.active_cycles.items() if part != "pair_zero_detector"}
        return replace(done, active_cycles=active)

    def used_activations(self, x: Array) -> Array:
        """Return the bits of the pass, with the sign of the activation."""
        used = magnitudes(x) & self._mask
        return np.where(x < 0, -used.astype(np.int16), used) if x.dtype == np.int8 else used

    @property
    def _mask(self) -> np.uint8:
        return np.uint8((1 << self.end) - (1 << self.shift))

    def activation_states(self, x: Array) -> NDArray[np.uint8]:
        """Return which halves of the window hold a one."""
        return np.take(self._states()[0], magnitudes(x))

    def state_examples(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Return an activation of each state, and weights of both masks."""
        return self._states()[1], [(0,), (1,)]

    def _states(self) -> tuple[NDArray[np.uint8], list[tuple[int, ...]]]:
        """Return the state of every magnitude, uint8 (256,), and an activation of each."""
        window = (np.arange(256, dtype=np.uint8) & self._mask) >> self.shift
        has_high = (window >> self.bits) > 0
        has_low = (window & (1 << self.bits) - 1) > 0
        halves = has_high + 2 * has_low
        _, first, states = np.unique(halves, return_index=True, return_inverse=True)
        return states.astype(np.uint8), [(magnitude,) for magnitude in first.tolist()]
