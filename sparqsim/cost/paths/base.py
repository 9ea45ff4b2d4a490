"""What a file of this folder must give: what a PE of a design holds and multiplies in a cycle.

Energy follows what toggles. What a PE's registers hold, and what its multipliers meet, is that of
the circuit in `rtl/sv/`, and stands here twice: `cycles`, the definition, from the design's own
`step`, and `tables`, the same for all activations at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array, PEDesign

#: Bits of the place that a multiplier's activation has in `PathTables`, and of its weight's lane.
PORT_BITS, LANE_BITS = 8, 2


@dataclass(frozen=True)
class Port:
    """A multiplier in a cycle: the bits of its activation, and the lane its weight is of."""

    activation: int
    lane: int


@dataclass(frozen=True)
class Cycle:
    """What a PE holds of a step's activations, and what its multipliers meet, in one cycle.

    `word`: the activation's register, as an integer of its bits.
    """

    word: int
    ports: tuple[Port, ...]


@dataclass(frozen=True)
class PathTables:
    """`cycles` for every code of a step's activations; code 0 is of zeros.

    `word`: uint32 (codes,). `first`, `last`: activations of all multipliers in the step's first
    and last cycle, uint32 (codes,), `PORT_BITS` bits each, multiplier 0 lowest. `first_lanes`,
    `last_lanes`: the lanes of their weights, uint8 (codes,), `LANE_BITS` bits each. `multipliers`:
    how many. `two`: bool (codes,), whether the step takes a second cycle.
    """

    word: NDArray[np.uint32]
    first: NDArray[np.uint32]
    last: NDArray[np.uint32]
    first_lanes: NDArray[np.uint8]
    last_lanes: NDArray[np.uint8]
    multipliers: int
    two: NDArray[np.bool_]


class DataPath(ABC):
    """The activation's and the weight's way through the PEs of a class of designs.

    `design`: the class, subclasses included unless they have a path of their own. `edge_unit`:
    whether rows have a unit at the edge, into which codes enter.
    """

    name: ClassVar[str]
    design: ClassVar[type[PEDesign]]
    edge_unit: ClassVar[bool] = False

    @abstractmethod
    def cycles(self, design: Any, xs: Sequence[int], *, signed: bool = False) -> list[Cycle]:
        """Return what a PE does in the cycles of a step: the definition.

        `signed`: activations are int8. Bits of a two's complement are then taken as they are.
        """

    @abstractmethod
    def tables(self, design: Any) -> PathTables:
        """Return `cycles` of all activations."""

    @abstractmethod
    def codes(self, design: Any, x: Array) -> NDArray[Any]:
        """Return the codes of uint8 or int8 activations (..., K), uint8 or uint16 (..., steps)."""

    def weight(self, design: Any, w: int) -> int:
        """Return a weight as the PE's register holds it."""
        return w

    def weights(self, design: Any, w: Array) -> NDArray[np.int8]:
        """Return the same of int8 weights, int8 of the same shape."""
        return w

    def weight_bits(self, design: Any) -> int:
        """Return the bits of a lane's weight in the PE's register."""
        return 8

    def raw_word(self, design: Any, xs: Sequence[int]) -> int:
        """Return a step's activations as they enter at the edge: the definition.

        8 bits each, of int8 ones the magnitude.
        """
        return sum(abs(x) << (8 * lane) for lane, x in enumerate(xs))


def static_lanes(multipliers: int) -> int:
    """Return the lanes of multipliers that always meet the weight of their own lane, packed."""
    return sum(lane << (LANE_BITS * lane) for lane in range(multipliers))
