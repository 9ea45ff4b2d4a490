"""What a report says of energy; `sparqsim.cost` makes it.

Figures of different nodes are never added. Off-chip DRAM is a chip of its own, whose energy per bit
does not follow the node of the logic: it counts in every total.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Self

from pydantic import Field, computed_field, model_validator

from sparqsim.base.record import Name, Record, Summed, Text
from sparqsim.base.tabular import Row

#: Parts of the energy of cells.
PARTS = ("switching", "internal", "clock", "leakage")
#: pJ x ns of one nJ x us.
PJ_NS_PER_NJ_US = 1e6


class SummedPj(Summed):
    """Energies, pJ: sums over layers are rounded once, so that their order does not matter."""

    @classmethod
    def sum_of(cls, parts: Iterable[Self]) -> Self:
        """Return the sum of every field; None where one part has None."""
        parts = list(parts)
        return cls(**{name: _sum([getattr(part, name) for part in parts]) for name in cls.summed()})

    @classmethod
    def summed(cls) -> Iterable[str]:
        """Return the names of the fields that add up: all."""
        return cls.model_fields


def _sum(values: list[Any]) -> Any:
    if None in values:
        return None
    if isinstance(values[0], SummedPj):
        return type(values[0]).sum_of(values)
    return math.fsum(values) if isinstance(values[0], float) else sum(values)


class CellEnergy(SummedPj):
    """Energy of standard cells, pJ.

    switching: load capacitances, 1/2 C V^2 per transition. internal: inside cells, at transitions
    of their outputs and inputs. clock: clock pins of registers. leakage: leakage power x time.
    """

    switching: float = Field(ge=0, allow_inf_nan=False)
    internal: float = Field(ge=0, allow_inf_nan=False)
    clock: float = Field(ge=0, allow_inf_nan=False)
    leakage: float = Field(ge=0, allow_inf_nan=False)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> float:
        """The sum of the four."""
        return math.fsum((self.switching, self.internal, self.clock, self.leakage))


class SramEnergy(SummedPj):
    """Energy of the scratchpads' reads and writes, pJ, by operand."""

    activations: float = Field(ge=0, allow_inf_nan=False)
    weights: float = Field(ge=0, allow_inf_nan=False)
    outputs: float = Field(ge=0, allow_inf_nan=False)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> float:
        """The sum of the three."""
        return math.fsum((self.activations, self.weights, self.outputs))


class Energy(SummedPj):
    """Energy of a layer or a network, pJ.

    pe: PEs with the registers that pass operands on; padded, waiting and draining ones, too. edge:
    trim units with their registers at the array's edge; skew registers are not counted. sram, dram:
    bytes that moved x energy of a word; absent where memory is not modelled. macs: what `per_mac`
    is over. time_ns: cycles x clock period. nodes_nm: the nodes of the figures of the chip, nm.
    """

    pe: CellEnergy
    edge: CellEnergy
    sram: SramEnergy | None = None
    dram: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    macs: int = Field(ge=1)
    time_ns: float = Field(gt=0, allow_inf_nan=False)
    nodes_nm: tuple[float, ...] = Field(min_length=1)

    @classmethod
    def sum_of(cls, parts: Iterable[Self]) -> Self:
        """Put energies of several layers together."""
        parts = list(parts)
        nodes = sorted({node for part in parts for node in part.nodes_nm})
        sums = {name: _sum([getattr(part, name) for part in parts]) for name in cls.summed()}
        return cls(**sums, nodes_nm=tuple(nodes))

    @classmethod
    def summed(cls) -> Iterable[str]:
        """Return the names of the fields that add up."""
        return [name for name in cls.model_fields if name != "nodes_nm"]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def array(self) -> float:
        """PEs and edge together: the whole energy of the array's cells."""
        return math.fsum((self.pe.total, self.edge.total))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> float | None:
        """All of it, the memory's where that is modelled; None where figures are of different
        nodes, which are never added.
        """
        if len(self.nodes_nm) > 1:
            return None
        sram = 0.0 if self.sram is None else self.sram.total
        return math.fsum((self.array, sram, self.dram or 0.0))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def array_per_mac(self) -> float:
        """Energy of the array per multiply-accumulate of the exact layer, zeros included."""
        return self.array / self.macs

    @computed_field  # type: ignore[prop-decorator]
    @property
    def per_mac(self) -> float | None:
        """`total` per multiply-accumulate of the exact layer, zeros included."""
        return None if self.total is None else self.total / self.macs

    @computed_field  # type: ignore[prop-decorator]
    @property
    def delay_product_nj_us(self) -> float | None:
        """Energy-delay product: `total` x `time_ns`, nJ x us."""
        return None if self.total is None else self.total * self.time_ns / PJ_NS_PER_NJ_US


def energy_field() -> Any:
    """Return a field of what is absent, and not written, unless it was asked for."""
    return Field(default=None, exclude_if=lambda each: each is None)


class CellsInfo(Record):
    """The cells that figures of PEs and edge are of, and how they were found.

    library: the liberty file's name with a digest. clock_ns: the period that leakage is over.
    source: what was measured. tools: what it was measured with. method: how the figures of a run
    follow from it. fit_layers, test_layers: layers that coefficients were found on, and layers that
    they were tried on; test_median_percent, test_worst_percent: absolute error of the design's
    layers there, percent of the reference; None where none were tried.
    """

    library: Text
    node_nm: float = Field(gt=0, allow_inf_nan=False)
    corner: Text
    voltage_v: float = Field(gt=0, allow_inf_nan=False)
    clock_ns: float = Field(gt=0, allow_inf_nan=False)
    source: Text
    tools: Text
    method: Text
    fit_layers: int = Field(ge=1)
    test_layers: int = Field(ge=0)
    test_median_percent: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    test_worst_percent: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class WordEnergy(Record):
    """What a word of a memory costs.

    name: which memory. word_bits: bits of a word. read_pj, write_pj: energy of one. node_nm: None
    for a chip of its own (DRAM). source: who says so.
    """

    name: Text
    word_bits: int = Field(ge=1)
    read_pj: float = Field(ge=0, allow_inf_nan=False)
    write_pj: float = Field(ge=0, allow_inf_nan=False)
    node_nm: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    source: Text

    def energy_pj(self, read_bytes: int, write_bytes: int) -> float:
        """Return the energy of bytes: each costs its part of a word."""
        bits = read_bytes * 8 * self.read_pj + write_bytes * 8 * self.write_pj
        return bits / self.word_bits

    def label(self) -> str:
        """Return memory, word width, energies and node in a few words."""
        node = "a chip of its own" if self.node_nm is None else f"{self.node_nm:g} nm"
        return (
            f"{self.name}, words of {self.word_bits} bits, read {self.read_pj:g} pJ, "
            f"write {self.write_pj:g} pJ, {node}"
        )


class MemoryEnergyInfo(Record):
    """The table that bytes are multiplied with, as it stands: `Scaled` is not yet in it."""

    sram: WordEnergy
    dram: WordEnergy


class Scaled(Record):
    """Figures brought to another node by a named rule.

    rule: its name and source. to_nm: the node. cells_factor, sram_factor: what the figures of cells
    and of scratchpads were multiplied with.
    """

    rule: Text
    to_nm: float = Field(gt=0, allow_inf_nan=False)
    cells_factor: float = Field(gt=0, allow_inf_nan=False)
    sram_factor: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class EnergyInfo(Record):
    """Where the energies of a report come from.

    table: name of the table of coefficients. memory: absent where memory is not modelled. scaled:
    absent unless asked for. remarks: what a reader must know: parts that are not counted, layers
    that run in a mode that was never measured, why there is no total.
    """

    table: Name
    cells: CellsInfo
    memory: MemoryEnergyInfo | None = None
    scaled: Scaled | None = None
    remarks: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _scales_what_there_is(self) -> Self:
        if self.scaled and (self.scaled.sram_factor is None) != (self.memory is None):
            raise ValueError(
                "scaled.sram_factor: expected where, and only where, memory is modelled"
            )
        return self

    @property
    def basis(self) -> str:
        """What energies must have in common to stand side by side, in words."""
        cells, memory, scaled = self.cells, self.memory, self.scaled
        words = "" if memory is None else f", {memory.sram.label()}, {memory.dram.label()}"
        node = "" if scaled is None else f", scaled to {scaled.to_nm:g} nm"
        return (
            f"table {self.table}, {cells.library}, {cells.node_nm:g} nm, {cells.corner}, "
            f"{cells.voltage_v:g} V, clock {cells.clock_ns:g} ns{words}{node}"
        )

    def flat_fields(self) -> Row:
        """Return for a flat row what its energies are of."""
        cells, memory = self.cells, self.memory
        row: Row = {
            "energy_table": self.table,
            "energy_library": cells.library,
            "energy_node_nm": cells.node_nm,
            "energy_corner": cells.corner,
            "energy_voltage_v": cells.voltage_v,
            "energy_clock_ns": cells.clock_ns,
            "energy_source": cells.source,
        }
        if memory is not None:
            row["energy_memory"] = f"{memory.sram.label()}; {memory.dram.label()}"
        if self.scaled is not None:
            row["energy_scaled_to_nm"] = self.scaled.to_nm
        return row


def check_energies(layers: Iterable[Any], info: EnergyInfo | None, absent: str) -> None:
    """Raise ValueError unless all layers have energies, or none, as `info` says.

    `layers`: reports of them. `absent`: why there are none though they were asked for; '' where
    they are, or were not.
    """
    for layer in layers:
        if (layer.energy_pj is None) != (info is None):
            raise ValueError(
                f"layer {layer.name!r}: energy_pj: expected where, and only where, `energy` says "
                "what it is of"
            )
    if info is not None and absent:
        raise ValueError("energy_absent: expected only where there is no `energy`")
