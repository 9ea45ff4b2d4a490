"""Energy of the memory system: bytes that it counts x energy of a word, from sourced tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.record import Record
from sparqsim.cost.table import MOST_PJ
from sparqsim.memory.traffic import OperandTraffic, Traffic
from sparqsim.results.energy import MemoryEnergyInfo, SramEnergy, WordEnergy
from sparqsim.results.filekinds import result_text

SCHEMA: Final = "sparqsim.memory_energy/1"
FOLDER = Path(__file__).with_name("memories")
DEFAULT = "45nm"
OPERANDS = ("activations", "weights", "outputs")


class MemoryTable(Record):
    """What a word of the scratchpads and of the DRAM costs."""

    schema_: Literal["sparqsim.memory_energy/1"] = Field(default=SCHEMA, alias="schema")
    sram: WordEnergy
    dram: WordEnergy

    @model_validator(mode="after")
    def _has_sources(self) -> Self:
        for name, word in (("sram", self.sram), ("dram", self.dram)):
            if not word.source.strip():
                raise ValueError(f"{name}.source: is empty, expected who says so")
            if max(word.read_pj, word.write_pj) > MOST_PJ:
                raise ValueError(f"{name}: a word of more than {MOST_PJ:g} pJ")
        if self.sram.node_nm is None:
            raise ValueError("sram.node_nm: expected the node, which decides what may be added")
        return self

    @property
    def info(self) -> MemoryEnergyInfo:
        """What reports say of it."""
        return MemoryEnergyInfo(sram=self.sram, dram=self.dram)

    def sram_energy(self, traffic: Traffic, factor: float = 1.0) -> SramEnergy:
        """Return the energy of the scratchpads' reads and writes, times a factor."""
        return SramEnergy(
            **{name: factor * self._of_operand(getattr(traffic, name)) for name in OPERANDS}
        )

    def _of_operand(self, moved: OperandTraffic) -> float:
        return self.sram.energy_pj(moved.sram_read_bytes, moved.sram_write_bytes)

    def dram_energy(self, traffic: Traffic) -> float:
        """Return the energy of all that moved over the channel, what only fills bursts included."""
        moved = [getattr(traffic, name) for name in OPERANDS]
        reads = sum(each.dram_read_bytes + each.burst_padding_bytes for each in moved)
        return self.dram.energy_pj(reads, sum(each.dram_write_bytes for each in moved))


def shipped_memories() -> Mapping[str, Path]:
    """Return the files of the tables that ship, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.json"))}


def load_memory(name: str | Path) -> MemoryTable:
    """Return a table that ships, by its name, or the one in a file.

    Raises
    ------
    InputError
        Where there is none.
    """
    shipped = shipped_memories()
    path = shipped.get(str(name), Path(name))
    if not path.is_file():
        raise InputError(
            f"memory energies {str(name)!r}: no file, and none that ship"
            f"{nearest(str(name), shipped)}; expected {', '.join(shipped)}, or a file"
        )
    text, _ = result_text(path, [SCHEMA], f"a table of memory energies ({SCHEMA})")
    return MemoryTable.from_json(text, str(path))
