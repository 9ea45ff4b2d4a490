"""What gate-level runs measured, as a JSON record that tells how to repeat and to model it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from statistics import fmean, stdev
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from sparqsim.base.record import Name, Record, Text
from sparqsim.rtl.gates.costs import Energies

SCHEMA: Final = "sparqsim.energy_reference/1"
#: A group, a row or a column.
Place = Annotated[int, Field(ge=0)]
#: A list of numbers in JSON.
NUMBERS = re.compile(r"\[[-+.,\de\s]*\]")
#: Digits of a stored energy.
DIGITS = 7
NOTES = (
    "Gate level, of this project's own RTL, by open tools: no wires, no clock tree, no placement.",
    "Gates have no delay: a net changes at most once in a cycle, glitches are not counted.",
    (
        "Switching: half C V^2 of the pins on a net, per transition. Internal: the cells' tables, "
        "at the load of each output and one slew; the library's states and causes of a transition "
        "are taken as equally likely. Clock: pins of registers and what an edge costs inside them, "
        "by the state that they are in. Leakage: by the clock period, as the library states it per "
        "cell."
    ),
    (
        "A sample is one output: all its steps, from zero operands to the first and from the last "
        "back to zero operands, the accumulator holding the sum of the sample before it in the "
        "list (the last one before the first) when it begins. Clock and leakage are those of the "
        "steps' cycles. The sum above is that of the PE above, a step ahead."
    ),
    (
        "A PE whose steps take several cycles goes on as soon as its own step ends, as an array of "
        "one PE; waiting for others, in an array that moves in lockstep, is not in it."
    ),
    (
        "PE: with the registers that pass its operands on; wires between PEs are charged where "
        "they enter. Edge: the unit of a row, shared by the array's columns; not the skew "
        "registers."
    ),
)


class PartEnergies(Record):
    """Energies in pJ, one per sample, by part."""

    switching_pj: tuple[float, ...]
    internal_pj: tuple[float, ...]
    clock_pj: tuple[float, ...]
    leakage_pj: tuple[float, ...]

    @classmethod
    def of(cls, energies: Energies) -> Self:
        """Return energies as they are stored, with seven digits."""
        return cls(**{f"{part}_pj": _stored(getattr(energies, part)) for part in PARTS})

    @property
    def total_pj(self) -> tuple[float, ...]:
        """Each sample's energy."""
        rows = zip(*(getattr(self, f"{part}_pj") for part in PARTS), strict=True)
        return tuple(map(sum, rows))


PARTS = ("switching", "internal", "clock", "leakage")


def _stored(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{DIGITS}g}") for value in values)


class Compared(Record):
    """What was equal in every cycle. sums: accumulators x cycles, netlist and simulator. nets: nets
    x cycles, netlist by the fast form and in Icarus. outputs: bits x cycles, netlist and RTL.
    """

    sums: int
    nets: int
    outputs: int


class Vectorless(Record):
    """What a model of activity expects of a sample in pJ: of its PE, of the edge of its row. It
    knows how often each input is 1 and changes, and takes all of them as independent.
    """

    pe_pj: float
    edge_pj: float


class LayerSamples(Record):
    """Sampled outputs of a layer. macs: of each, its K. positions: (group, row of X, column of W).
    step_cycles: cycles of each sample's steps.
    """

    layer: Name
    signed: bool
    macs: int = Field(ge=1)
    positions: tuple[tuple[Place, Place, Place], ...] = Field(min_length=1)
    step_cycles: tuple[int, ...]
    pe: PartEnergies
    edge: PartEnergies
    compared: Compared
    vectorless: Vectorless | None = None

    @model_validator(mode="after")
    def _one_per_sample(self) -> Self:
        lists = [self.step_cycles]
        parts = [getattr(of, f"{part}_pj") for of in (self.pe, self.edge) for part in PARTS]
        if any(len(each) != len(self.positions) for each in [*lists, *parts]):
            raise ValueError(f"layer {self.layer!r}: lists differ in length")
        return self

    def pj_per_mac(self, cols: int) -> float:
        """Return the mean energy per MAC in pJ, of a PE and its share of a row's edge unit."""
        return fmean(self._per_mac(cols))

    def standard_error(self, cols: int) -> float:
        """Return the standard error of `pj_per_mac`, as of independent samples; 0 for one."""
        values = self._per_mac(cols)
        return stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0

    def _per_mac(self, cols: int) -> list[float]:
        pairs = zip(self.pe.total_pj, self.edge.total_pj, strict=True)
        return [(pe + edge / cols) / self.macs for pe, edge in pairs]


class CycleEnergies(Record):
    """Mean energies of a cycle in pJ."""

    switching_pj: float
    internal_pj: float
    clock_pj: float
    leakage_pj: float

    @property
    def total_pj(self) -> float:
        """The sum of the parts."""
        return self.switching_pj + self.internal_pj + self.clock_pj + self.leakage_pj


class CycleKinds(Record):
    """Energies of cycles of a kind. idle: no valid operands, the clock runs. zero_operands: valid,
    all zero. padded_row: activations zero, weights of a layer. padded_column: weights zero,
    activations of a layer. drain: sums of a layer shift down; None for an edge unit.
    """

    idle: CycleEnergies
    zero_operands: CycleEnergies
    padded_row: CycleEnergies
    padded_column: CycleEnergies
    drain: CycleEnergies | None


class LeftOut(Record):
    """A layer that a design does not run, and why."""

    layer: Name
    reason: Text


class DesignSamples(Record):
    """A design's samples. pe_cells, edge_cells: cells of its netlists for unsigned layers."""

    design: Name
    pe_cells: int
    edge_cells: int
    pe_cycles: CycleKinds
    edge_cycles: CycleKinds
    layers: tuple[LayerSamples, ...]
    left_out: tuple[LeftOut, ...] = ()


class LibraryInfo(Record):
    """Cells. files: names, each with the begin of its SHA-256. voltage_v: of the supply."""

    files: tuple[Text, ...]
    names: tuple[Text, ...]
    corner: Text
    voltage_v: float = Field(gt=0, allow_inf_nan=False)


class EnergyReference(Record):
    """Gate-level energies of sampled outputs. trace, trace_sha256: whose operands. clock_ns: period
    of the clock, for leakage. slew_ns: of every input. rows, cols: of the array whose tiles are
    sampled; an edge unit is shared by `cols` PEs. random: operands are drawn at random instead.
    """

    schema_: Literal["sparqsim.energy_reference/1"] = Field(default=SCHEMA, alias="schema")
    notes: tuple[Text, ...] = NOTES
    trace: Text
    trace_sha256: Text
    tools: tuple[Text, ...]
    library: LibraryInfo
    flow: Text
    clock_ns: float = Field(gt=0, allow_inf_nan=False)
    slew_ns: float = Field(ge=0, allow_inf_nan=False)
    rows: int = Field(ge=1)
    cols: int = Field(ge=1)
    seed: int
    samples: int
    random: bool = False
    designs: tuple[DesignSamples, ...]

    def to_json(self) -> str:
        """Return JSON as every record does, lists of numbers in a line each."""
        return NUMBERS.sub(lambda found: " ".join(found[0].split()), super().to_json())
