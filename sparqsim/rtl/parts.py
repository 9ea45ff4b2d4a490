"""An array as a sum of parts, and the synthesis of each part.

    area = R C pe + R row + C column + skew_bits(R, C) skew_bit + array

pe: a PE with its shadow or second register, the registers or FIFOs that pass operands (and sums) to
its neighbours, its part of what drains a column or loads it, and its part of the OR that stalls the
array. row, column: the unit and the register at the edge of one, and the part of its control that
does not grow with its length; less what its last PE would pass on, since the array has nothing
there (so a row without a unit counts negative). skew_bit: one bit of a skew register; row i has i
stages, column j has j, of operands as memory holds them, before they are trimmed. array: what it
has once, the register that tells a stall's second cycle.

Registers that move on with a lockstep array have an enable in every design, also in those whose
steps never stall it: an array waits for its memory, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sparqsim.pe import get_pe
from sparqsim.rtl.accumulator import Accumulator
from sparqsim.rtl.circuits.base import TWO_STAGES, Circuit, StagedCircuit
from sparqsim.rtl.designs import circuit_of
from sparqsim.rtl.structure import Structure
from sparqsim.rtl.synthesis import Library, synthesised

#: Bits of the row numbers that loads carry with elastic links and overlap: as many as the tallest
#: array needs whose area is told.
PLACE_BITS = 8
TALLEST_WITH_ROW_NUMBERS = 1 << PLACE_BITS
#: Two lengths of a column: how its control grows with it.
SHORT, LONG = 8, 16
#: Two numbers of PEs: how the OR over all stalls grows with them.
FEW, MANY = 16, 64
#: Bits and stages of the skew registers of which one bit is measured.
SKEW_BITS, SKEW_STAGES = 16, 4


@dataclass(frozen=True)
class DesignArea:
    """One design's parts in one library and flow, in the row's unit.

    `edge`: what of `row` (`is`: of `column`) is the unit of the activations and the register behind
    it. `skew_row_bits`, `skew_column_bits`: bits of a stage.
    """

    acc_bits: int
    pe: float
    row: float
    column: float
    array: float
    edge: float
    skew_bit: float
    skew_row_bits: int
    skew_column_bits: int

    @classmethod
    def of_row(cls, row: Mapping[str, Any], name: str) -> DesignArea:
        """Return a design's parts from a table's row."""
        return cls(**row["designs"][name])

    @property
    def document(self) -> dict[str, Any]:
        """The parts under their names."""
        return asdict(self)

    def of_array(self, rows: int, cols: int) -> float:
        """Return the area of an array."""
        skew = self.skew_row_bits * _triangle(rows) + self.skew_column_bits * _triangle(cols)
        lines = rows * self.row + cols * self.column
        return rows * cols * self.pe + lines + skew * self.skew_bit + self.array


def _triangle(lines: int) -> int:
    """Return the stages of all lines: 0 + 1 + ... + (lines - 1)."""
    return lines * (lines - 1) // 2


class Bench:
    """A library and a flow of synthesis; a module is synthesised once."""

    def __init__(self, library: Library, flow: str) -> None:
        self.library, self.flow = library, flow
        self._areas: dict[tuple[Any, ...], float] = {}

    def area(self, top: str, parameters: Mapping[str, int], defines: tuple[str, ...] = ()) -> float:
        """Return the area of a module."""
        key = (top, *sorted(parameters.items()), *defines)
        if key not in self._areas:
            self._areas[key] = synthesised(self.library, self.flow, top, dict(parameters), defines)
        return self._areas[key]

    def growth(
        self,
        top: str,
        length: str,
        sizes: tuple[int, int],
        parameters: Mapping[str, int],
        defines: tuple[str, ...] = (),
    ) -> tuple[float, float]:
        """Return how the area of a module grows by one of `length`, and what it has without."""
        short, long = (self.area(top, {length: size, **parameters}, defines) for size in sizes)
        slope = (long - short) / (sizes[1] - sizes[0])
        return slope, short - sizes[0] * slope


@dataclass(frozen=True)
class _Parts:
    """What the synthesis of one design in one structure is asked."""

    bench: Bench
    structure: Structure
    circuit: Circuit
    stalls: bool
    acc_bits: int

    def pe(self) -> float:
        """Return a PE with what it passes on."""
        structure = self.structure
        width = Accumulator(self.acc_bits).defines
        shape = {"OVERLAP": int(structure.overlap), "DEPTH": structure.depth}
        defines = (*self.circuit.defines, *width)
        if structure.flow:
            place = PLACE_BITS if structure.row_numbers else 0
            shape = {**shape, "FLOW": structure.flow, "PLACE": place}
            return self._module("area_stationary", shape, defines)
        plain = not structure.overlap and not structure.depth
        return self._module("area_pe" if plain else "area_os", {} if plain else shape, defines)

    def right_link(self) -> float:
        """Return what a PE passes its right neighbour."""
        shape = {"FLOW": self.structure.flow, "DEPTH": self.structure.depth}
        return self._module("area_link", shape, self._beside_pes)

    def down_link(self) -> float:
        """Return what a PE passes the one below: weights (os), sums where links are elastic."""
        depth = self.structure.depth
        if not self.structure.flow:
            shape = {"FLOW": 0, "RIGHT": 0, "DEPTH": depth}
            return self._module("area_link", shape, self._beside_pes)
        if not depth:
            return 0.0
        sums = self.bench.area("link", {"WIDTH": self.acc_bits, "DEPTH": depth})
        if not isinstance(self.circuit, StagedCircuit):
            return sums
        return sums + self.bench.area("area_promise", {"DEPTH": depth})

    def lane(self, *, activations: bool, flags: int, depth: int) -> float:
        """Return a unit and the register behind it; nothing for a design without a unit."""
        if not self.circuit.has_edge_unit:
            return 0.0
        if (activations, flags, depth) == (True, 2, 0):
            return self._module("area_edge", {}, self._beside_pes)
        shape = {"ACTIVATION": int(activations), "FLAGS": flags, "DEPTH": depth}
        return self._module("area_lane", shape, self._beside_pes)

    def column_control(self) -> tuple[float, float]:
        """Return a PE's part of what drains or loads its column, and the column's."""
        structure, sizes = self.structure, (SHORT, LONG)
        if not structure.flow:
            shape = {"DEPTH": structure.depth}
            return self.bench.growth("area_drain", "ROWS", sizes, shape)
        if not structure.row_numbers:
            return 0.0, 0.0
        shape = {**self.circuit.parameters, "FLOW": structure.flow, "PLACE": PLACE_BITS}
        return self.bench.growth("area_load", "ROWS", sizes, shape, self._beside_pes)

    def stall(self) -> tuple[float, float]:
        """Return a PE's part of the OR that stalls a lockstep array, and what the array has once;
        nothing where steps take one cycle.
        """
        if self.structure.depth or not self.stalls:
            return 0.0, 0.0
        return self.bench.growth("area_stall", "PES", (FEW, MANY), {})

    @property
    def _beside_pes(self) -> tuple[str, ...]:
        """What the preprocessor is told where there are no PEs: there stages make no difference."""
        return tuple(name for name in self.circuit.defines if name != TWO_STAGES)

    def _module(self, top: str, shape: Mapping[str, int], defines: tuple[str, ...]) -> float:
        return self.bench.area(top, {**self.circuit.parameters, **shape}, defines)


def design_area(bench: Bench, structure: Structure, name: str) -> DesignArea:
    """Synthesise the parts of an array of a design; `name`: as the table has it.

    Raises
    ------
    InputError
        When Yosys is missing or fails.
    """
    design = get_pe(name)
    bits = structure.accumulator_bits(design)
    parts = _Parts(bench, structure, circuit_of(design), design.most_step_cycles > 1, bits)
    per_pe, per_column = parts.column_control()
    stall, once = parts.stall()
    west, north = _lanes(parts)
    skew = bench.area("delay", {"WIDTH": SKEW_BITS, "STAGES": SKEW_STAGES})
    row_bits, column_bits = _skewed_bits(parts)
    return DesignArea(
        acc_bits=bits,
        pe=parts.pe() + per_pe + stall,
        row=west - parts.right_link(),
        column=north + per_column - parts.down_link(),
        array=once,
        edge=north if structure.dataflow == "is" else west,
        skew_bit=skew / (SKEW_BITS * SKEW_STAGES),
        skew_row_bits=row_bits,
        skew_column_bits=column_bits,
    )


def _lanes(parts: _Parts) -> tuple[float, float]:
    """Return what a row and what a column has at its edge, beside skew and control."""
    structure = parts.structure
    west = parts.lane(
        activations=structure.dataflow != "is",
        flags=1 if structure.flow else 2,
        depth=structure.depth,
    )
    # Loads that follow a fixed schedule move on by themselves.
    held = structure.depth if structure.row_numbers or not structure.flow else 0
    north = parts.lane(activations=structure.dataflow == "is", flags=0, depth=held)
    return west, north


def _skewed_bits(parts: _Parts) -> tuple[int, int]:
    """Return the bits that a skew stage of a row and of a column holds: an operand and its flags,
    as `sv/array_*.sv` delay them. With elastic links only loads that follow a fixed schedule are.
    """
    structure, circuit = parts.structure, parts.circuit
    activations, weights = circuit.x_width, circuit.w_width
    west = weights if structure.dataflow == "is" else activations
    north = activations if structure.dataflow == "is" else weights
    if not structure.flow:
        flags = 3  # there, first, last; weights are used when an activation is there
        return (0, 0) if structure.depth else (west + flags, north)
    row = 0 if structure.depth else west + 2  # there, first
    return row, 0 if structure.row_numbers else north + 1  # the token
