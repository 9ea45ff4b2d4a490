"""What gathers did that costs energy, counted, and what it costs by a table of memory words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields

from pydantic import Field, computed_field

from sparqsim.base.record import Record, Text
from sparqsim.results.actions import Action, Actions, GatherActions, MemoryActions, table_of
from sparqsim.results.energy import MemoryEnergyInfo

#: Who counts what the unit does beside moving bytes.
COUNTER = "gather"
#: What the bytes of looked-up rows are called among the memory's actions.
ROWS = "memory.rows"
REMARKS = (
    (
        "DRAM: whole bursts, at the source's energy of a word whether a page is open or not; no "
        "figure of opening one was read that belongs to it."
    ),
    (
        "Row buffers: each byte of a row is written once and read once, at the energy of the "
        "table's scratchpad, whatever the size of the buffers."
    ),
    (
        "Not counted: dequantising and adding (no figure of such a lane was read), requests, "
        "writing pooled vectors, leakage, refresh, the network behind."
    ),
)


class GatherEnergy(Record):
    """Energy of the gathers of one format, pJ, all look-ups together.

    dram: bytes over the channel, those that fill bursts included, x energy of a word. row_buffers:
    bytes written and read x energy of a word of the scratchpad.
    """

    dram: float = Field(ge=0, allow_inf_nan=False)
    row_buffers: float = Field(ge=0, allow_inf_nan=False)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> float:
        """The sum of both: DRAM is a chip of its own, and counts whatever the node of the other."""
        return math.fsum((self.dram, self.row_buffers))


class GatherEnergyInfo(Record):
    """Where energies of gathers come from.

    memory: the table of words that bytes are multiplied with. remarks: what a reader must know:
    what is not counted, what is priced as something else.
    """

    memory: MemoryEnergyInfo
    remarks: tuple[Text, ...] = REMARKS

    @property
    def words(self) -> str:
        """The memories and who says what they cost, in sentences."""
        told = (self.memory.dram, self.memory.sram)
        return " ".join(f"{each.label()}: {each.source}." for each in told)


def gather_actions(
    lookups: int, width: int, row_bytes: int, moved_bytes: int, page_opens: int
) -> Actions:
    """Return what gathers did.

    Parameters
    ----------
    lookups : int
    width : int
        Elements of a row.
    row_bytes : int
        Of a row.
    moved_bytes : int
        Over the channel, whole bursts.
    page_opens : int
        Of DRAM pages.

    Raises
    ------
    ValueError
        Where fewer bytes moved than the rows have.
    """
    of_rows = lookups * row_bytes
    if moved_bytes < of_rows:
        raise ValueError(f"bursts: {moved_bytes:,} bytes moved of rows of {of_rows:,}")
    moved = MemoryActions(
        dram_read=of_rows,
        dram_write=0,
        burst_padding=moved_bytes - of_rows,
        sram_read=of_rows,
        sram_write=of_rows,
    )
    done = GatherActions(requests=lookups, page_opens=page_opens, dequantised=lookups * width)
    return table_of(moved, "memory", ROWS) | table_of(done, COUNTER)


def gather_energy(actions: Mapping[str, Action], memory: MemoryEnergyInfo) -> GatherEnergy:
    """Return what `gather_actions` cost by a table of words."""
    names = [each.name for each in fields(MemoryActions)]
    counts = {name: actions[f"{ROWS}.{name}"].count for name in names}
    return GatherEnergy(
        dram=memory.dram.energy_pj(
            counts["dram_read"] + counts["burst_padding"], counts["dram_write"]
        ),
        row_buffers=memory.sram.energy_pj(counts["sram_read"], counts["sram_write"]),
    )
