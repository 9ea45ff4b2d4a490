"""Weights as signs, masks and the shift positions that a group shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np

from sparqsim.base.errors import InputError
from sparqsim.pe.base import Array
from sparqsim.pe.swis import Swis
from sparqsim.pe.swis_groups import POSITIONS, SharedShifts, decomposed_group
from sparqsim.rtl.circuits.base import Circuit, CircuitFamily, Kind, ScalableCircuit, Words, packed

POSITION_BITS = (POSITIONS - 1).bit_length()


class SwisCircuit(ScalableCircuit):
    """A PE to which weights come as signs, masks and positions."""

    @property
    def w_width(self) -> int:
        """Bits of the signs, masks and positions of one step."""
        return self.lanes * (1 + self.shifts) + POSITION_BITS * self.shifts


class SwisCircuits(CircuitFamily):
    """`swis`: weights are decomposed before they enter."""

    name: ClassVar[str] = "swis"
    expected: ClassVar[str] = "swis with a number of shifts"
    design = Swis
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "": ("signs and masks", "adders of the lanes", "shifter of the sum"),
        "state of the step": (
            "choice of the position and of the masks",
            "adders of the lanes",
            "shifter of the sum",
        ),
    }

    def circuit(self, design: Swis, *, signed: bool) -> SwisCircuit:
        """Return the circuit. Raises InputError where filters have shifts of their own."""
        if design.by_filter:
            raise InputError(
                f"{design.spec}: has no RTL (the circuit has one number of shifts); expected "
                f"shifts=1..{POSITIONS}"
            )
        return SwisCircuit(
            Kind.SWIS,
            design.group,
            signed=int(signed),
            shifts=design.most_shifts,
            per_cycle=design.per_cycle,
        )

    def kept_needs(self, design: Swis) -> str:
        """Return what a step with more shifts needs."""
        return f"steps of {POSITIONS} shift positions: wider words of weights and a longer count"

    def words(self, design: Swis, circuit: Circuit, x: Array, w: Array) -> tuple[Words, Words]:
        """Return the activations, and of the weights {positions, of each lane {sign, masks}}."""
        groups = [_word(design, group) for group in w.reshape(-1, w.shape[-1]).tolist()]
        return packed(x, 8), np.array(groups, object).reshape(w.shape[:-1])

    def increments(self, design: Swis, x: Array, w: Array) -> Iterator[tuple[Array, Array]]:
        """Yield the weights at the positions of each cycle."""
        groups = w.swapaxes(-1, -2)  # (..., n, lanes)
        flat = groups.reshape(-1, groups.shape[-1]).tolist()
        shared = [_shared(design, group) for group in flat]
        signs = np.where(groups < 0, -1, 1)
        for first in range(0, design.most_shifts, design.per_cycle):
            last = first + design.per_cycle
            masked = [_at_positions(each.magnitudes, each.positions[first:last]) for each in shared]
            part = np.array(masked, np.int64).reshape(groups.shape) * signs
            yield x, part.swapaxes(-1, -2)


def _shared(design: Swis, group: list[int]) -> SharedShifts:
    magnitudes = tuple(abs(weight) for weight in group)
    return decomposed_group(
        magnitudes, design.most_shifts, design.consecutive == "on", design.alpha
    )


def _at_positions(magnitudes: Sequence[int], positions: Sequence[int]) -> list[int]:
    """Return the parts of magnitudes that stand at some positions."""
    mask = sum(1 << position for position in positions)
    return [magnitude & mask for magnitude in magnitudes]


def _word(design: Swis, group: list[int]) -> int:
    """Return a group of weights as it is stored."""
    positions, magnitudes = _shared(design, group)
    word, width = 0, 0
    for weight, magnitude in zip(group, magnitudes, strict=True):
        bits = [magnitude >> position & 1 for position in positions] + [int(weight < 0)]
        word += sum(bit << at for at, bit in enumerate(bits, width))
        width += len(bits)
    for position in positions:
        word += position << width
        width += POSITION_BITS
    return word
