"""What a file of this folder must give: a design's parameters in `sv/`, and what enters there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array, PEDesign

Words = NDArray[np.object_]

#: What the preprocessor is told for the designs whose modules `sv/parameters.svh` sets apart.
BIT_SCALABLE = "BIT_SCALABLE"
CODED_OPERANDS = "CODED_OPERANDS"
TWO_STAGES = "TWO_STAGES"


class Kind(IntEnum):
    """Kinds of PE, as `sv/parameters.svh` numbers them."""

    MAC = 0
    SPARQ = 1
    EXACT = 2
    SYSMT = 3
    FUSION = 4
    STRIPES = 5
    LOOM = 6
    PRAGMATIC = 7
    SWIS = 8
    OLIVE = 9
    STC_SPARQ = 10


@dataclass(frozen=True)
class Circuit:
    """Parameters of the modules in `sv/`; `sv/parameters.svh` says what they mean."""

    #: What the preprocessor is told.
    defines: ClassVar[tuple[str, ...]] = ()
    kind: Kind
    lanes: int
    xbits: int = 8
    wbits: int = 8
    signed: int = 0

    @property
    def parameters(self) -> dict[str, int]:
        """The parameters under their names in `sv/`."""
        return {name.upper(): int(value) for name, value in asdict(self).items()}

    @property
    def x_width(self) -> int:
        """Bits of the activations of one step, as memory holds them."""
        return self.lanes * self.xbits

    @property
    def w_width(self) -> int:
        """Bits of the weights of one step."""
        return self.lanes * self.wbits

    @property
    def has_edge_unit(self) -> bool:
        """Whether activations pass a unit at the array's edge."""
        return False


@dataclass(frozen=True)
class FixedCircuit(Circuit):
    """Multipliers of fixed widths, whole operands or windows of them; steps of one cycle or two."""

    scale: int = 0
    bits: int = 4
    stride: int = 1
    places: int = 5
    code: int = 3
    lone_places: int = 1
    round: int = 1
    pairing: int = 1

    @property
    def has_edge_unit(self) -> bool:
        """Whether activations are trimmed at the edge."""
        return self.kind in (Kind.SPARQ, Kind.EXACT)


@dataclass(frozen=True)
class StagedCircuit(FixedCircuit):
    """The same with a register behind the multipliers."""

    defines: ClassVar[tuple[str, ...]] = (TWO_STAGES,)


@dataclass(frozen=True)
class ScalableCircuit(Circuit):
    """A PE that goes through bits, digits or shifts, or whose multipliers fuse."""

    defines: ClassVar[tuple[str, ...]] = (BIT_SCALABLE,)
    activation_bits: int = 8
    weight_bits: int = 8
    dynamic: int = 0
    naf: int = 0
    stage: int = 2
    shifts: int = 3
    per_cycle: int = 1

    @property
    def has_edge_unit(self) -> bool:
        """Whether a precision or digits are found at the edge."""
        return bool(self.dynamic or self.naf)


@dataclass(frozen=True)
class CodedCircuit(Circuit):
    """A PE whose weights, or both operands, are stored in a form of their own."""

    defines: ClassVar[tuple[str, ...]] = (CODED_OPERANDS,)


class CircuitFamily(ABC):
    """The circuits of a class of designs.

    `design`: the class, subclasses included unless they have a family of their own. `expected`: how
    messages name its designs. `parts`: what each field of the operands passes on its way to the
    accumulator, in the order of the RTL; "" for fields that are not named; of two stages up to
    "products", which then is a field, too. `edge_parts`: the same
    for activations in the unit at the edge.
    """

    name: ClassVar[str]
    expected: ClassVar[str]
    design: ClassVar[type[PEDesign]]
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    edge_parts: ClassVar[tuple[str, ...]] = ()

    def parts_of(self, circuit: Any) -> Mapping[str, tuple[str, ...]]:
        """Return `parts` of one circuit."""
        return self.parts

    def activation_fields(self, circuit: Any) -> tuple[tuple[str, int], ...]:
        """Return the fields of a step's activations as PEs see them, the lowest first: names and
        bits.
        """
        return (("activations", circuit.x_width),)

    @abstractmethod
    def circuit(self, design: Any, *, signed: bool) -> Circuit | None:
        """Return a design's circuit, bound to its layer; `signed` for int8 activations.

        None for a design of the class that has no RTL.
        """

    def kept_needs(self, design: Any) -> str:
        """Return what the circuit lacks to run layers that stay at 8 bits as the design says
        (`PEDesign.kept_8bit`), uint8 activations; '' where operands laid out for it do.
        """
        return ""

    def words(self, design: Any, circuit: Circuit, x: Array, w: Array) -> tuple[Words, Words]:
        """Return the operands of steps as memory holds them, integers of `x_width` and `w_width`
        bits.

        From the design's definition, not its fast form, which is what the RTL is to check.

        Parameters
        ----------
        x, w : uint8 or int8, and int8 (..., lanes)
        """
        return packed(x, circuit.xbits), packed(w, circuit.wbits)

    def weights_in_pe(self, circuit: Any, words: Words) -> Words:
        """Return the weights of steps as PEs see them, given `words`: of a circuit that has units
        of weights at the edge, what these send.
        """
        return words

    def increments(self, design: Any, x: Array, w: Array) -> Iterator[tuple[Array, Array]]:
        """Yield the operands whose product each cycle of a step adds, of steps of several cycles.

        Parameters
        ----------
        x : uint8 or int8 (..., m, lanes)
        w : int8 (..., lanes, n)
        """
        yield from ()

    def tried(
        self, design: Any, rng: np.random.Generator, x: Array, w: Array
    ) -> tuple[Array, Array]:
        """Return the operands that `rtl check` runs, given random ones (M, K) and (K, N) of all
        values: where a design treats some values in another way, with a share of those.
        """
        return x, w


def packed(operands: NDArray[Any], bits: int) -> Words:
    """Return (..., items) integers of `bits` bits as one integer per list of items, item 0
    lowest.
    """
    integers = operands if operands.dtype == object else operands.astype(np.int64)
    fields = integers & ((1 << bits) - 1)
    places = np.array([1 << (bits * at) for at in range(operands.shape[-1])], object)
    total: Words = (fields.astype(object) * places).sum(-1)
    return total
