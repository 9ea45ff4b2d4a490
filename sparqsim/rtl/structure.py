"""Which array's parts an area is of: dataflow, coupling, overlap, accumulators, stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.pe.base import PEDesign
from sparqsim.rtl.accumulator import USUAL_BITS, Accumulator, least_bits
from sparqsim.rtl.tiles import circuit_flow

#: Dataflows by the parameter FLOW of their circuits.
FLOWS = ("os", "ws", "is")
#: As a width: every design its own, in which no sum over `accumulator.USUAL_K` can overflow.
LEAST = "least"


@dataclass(frozen=True)
class Structure:
    """The key of a table's rows, beside library and flow of synthesis.

    `dataflow`: os, ws or is, by what the array's circuit does, whatever its name. `acc_bits`: of
    every design, or 'least'.
    """

    dataflow: str = "os"
    coupling: str = "lockstep"
    overlap: bool = False
    acc_bits: int | str = USUAL_BITS

    @classmethod
    def of(cls, array: ArrayConfig, acc_bits: int | str = USUAL_BITS) -> Structure:
        """Return an array's.

        Raises
        ------
        InputError
            For an array that has no RTL, or a width that accumulators cannot have.
        """
        if acc_bits != LEAST:
            if isinstance(acc_bits, str):
                raise InputError(f"acc_bits={acc_bits!r}: expected a number of bits, or {LEAST!r}")
            Accumulator(acc_bits)
        return cls(FLOWS[circuit_flow(array)], array.coupling, array.overlap, acc_bits)

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Structure:
        """Return that of a table's row."""
        return cls(*(row[name] for name in asdict(cls())))

    @property
    def flow(self) -> int:
        """The parameter FLOW of its circuit."""
        return FLOWS.index(self.dataflow)

    @property
    def depth(self) -> int:
        """Entries of a link's FIFO, 0 in lockstep."""
        return int(self.coupling.partition(":")[2] or 0)

    @property
    def row_numbers(self) -> bool:
        """Whether stationary operands carry the number of rows they have yet to pass."""
        return self.flow != 0 and self.overlap and self.depth > 0

    def accumulator_bits(self, design: PEDesign) -> int:
        """Return the width of a design's accumulators."""
        return least_bits(design) if self.acc_bits == LEAST else int(self.acc_bits)

    @property
    def options(self) -> str:
        """The options of `sparqsim rtl area` that name it."""
        overlap = "on" if self.overlap else "off"
        return (
            f"--dataflow {self.dataflow} --coupling {self.coupling} --overlap {overlap} "
            f"--acc-bits {self.acc_bits}"
        )

    def __str__(self) -> str:
        overlap = "on" if self.overlap else "off"
        width = f"acc_bits {self.acc_bits}"
        return f"{self.dataflow}, {self.coupling}, overlap {overlap}, {width}"
