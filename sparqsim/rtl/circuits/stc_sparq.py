"""SPARQ's two multipliers behind 4:2 multiplexers that weights steer; every PE trims by itself.

No RTL of this design was at hand: where the parts stand, and how weights are stored, is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sparqsim.pe.base import Array
from sparqsim.pe.stc_sparq import CHOSEN, POSITIONS, StcSparq, chosen_places
from sparqsim.rtl.circuits.base import Circuit, CircuitFamily, CodedCircuit, Kind, Words, packed
from sparqsim.rtl.circuits.sparq import CHOOSING, MULTIPLYING, TRIMMING, refuse_signed, windows_of

PLACE_BITS = (POSITIONS - 1).bit_length()


@dataclass(frozen=True)
class StcSparqCircuit(CodedCircuit):
    """A trim unit and two narrow multipliers in each PE."""

    bits: int = 4
    stride: int = 1
    places: int = 5
    code: int = 3
    lone_places: int = 1
    round: int = 1

    @property
    def w_width(self) -> int:
        """Bits of two weights and their places."""
        return CHOSEN * (self.wbits + PLACE_BITS)


class StcSparqCircuits(CircuitFamily):
    """`stc-sparq-*opt`: weights enter with their places."""

    name: ClassVar[str] = "stc-sparq"
    expected: ClassVar[str] = "stc-sparq-*opt"
    design = StcSparq
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "": ("4:2 multiplexers", *TRIMMING, *CHOOSING, *MULTIPLYING),
    }

    def circuit(self, design: StcSparq, *, signed: bool) -> StcSparqCircuit:
        """Return the circuit. Raises InputError for signed activations."""
        refuse_signed(design, signed)
        pair = design.pair_design
        return StcSparqCircuit(
            Kind.STC_SPARQ,
            design.lanes,
            **windows_of(pair.windows_of_pair),
            lone_places=len(pair.windows_of_lone.shifts),
            round=int(design.rounding != "trim"),
        )

    def words(self, design: StcSparq, circuit: Circuit, x: Array, w: Array) -> tuple[Words, Words]:
        """Return the activations, and of the weights {place 2, place 1, w2, w1}: those that stay,
        the lower place first; 0 at place 0 where none does.
        """
        fours = [stored_weights(four) for four in w.reshape(-1, POSITIONS).tolist()]
        return packed(x, circuit.xbits), np.array(fours, object).reshape(w.shape[:-1])

    def tried(
        self, design: StcSparq, rng: np.random.Generator, x: Array, w: Array
    ) -> tuple[Array, Array]:
        """Return half of the weights as zeros: fours with two weights, with one and with none."""
        return x, np.where(rng.random(w.shape) < 0.5, 0, w).astype(np.int8)


def stored_weights(four: list[int]) -> int:
    """Return four weights along K as memory holds the two that stay."""
    places = chosen_places(four)
    word = 0
    for at, place in enumerate(places):
        word |= (four[place] & 0xFF) << 8 * at
        word |= place << 8 * CHOSEN + PLACE_BITS * at
    return word
