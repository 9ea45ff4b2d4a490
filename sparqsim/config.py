"""The array that is simulated: frozen, checked when it is made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sparqsim.errors import InputError, nearest

DATAFLOWS = ("os", "ws", "is")
LARGEST_SIDE = 65_536
#: Entries of a link's FIFO.
DEEPEST_LINK = 999_999


@dataclass(frozen=True)
class ArrayConfig:
    """A systolic array of processing elements and how it is driven.

    Parameters
    ----------
    rows, cols : int
        PEs per column and per row, 1 to 65,536.
    dataflow : {'os', 'ws', 'is'}
        What stays in the PE: partial sums, weights or activations.
    coupling : str
        'lockstep' (the array advances as one), or 'elastic:D' (links are FIFOs of D entries, 1 to
        999,999; 'elastic' alone is 'elastic:2').
    overlap : bool
        Whether a tile streams while the one before it drains (os), or while the next
        stationary operands load (ws, is).

    Raises
    ------
    InputError
        For a value outside these ranges, naming the field.
    """

    rows: int = 16
    cols: int = 16
    dataflow: str = "os"
    coupling: str = "lockstep"
    overlap: bool = False

    def __post_init__(self) -> None:
        for field in ("rows", "cols", "overlap"):
            object.__setattr__(self, field, plain(getattr(self, field)))
        for field in ("rows", "cols"):
            value = getattr(self, field)
            if type(value) is not int or not 1 <= value <= LARGEST_SIDE:
                raise InputError(
                    f"array {field}={value!r}: expected an integer from 1 to {LARGEST_SIDE}"
                )
        if self.dataflow not in DATAFLOWS:
            hint = nearest(str(self.dataflow), DATAFLOWS)
            raise InputError(
                f"dataflow={self.dataflow!r}: expected one of {', '.join(DATAFLOWS)}{hint}"
            )
        if not isinstance(self.overlap, bool):
            raise InputError(f"overlap={self.overlap!r}: expected True or False ('on' or 'off')")
        object.__setattr__(self, "coupling", _checked_coupling(self.coupling))

    @classmethod
    def parse(cls, shape: str, **settings: object) -> ArrayConfig:
        """Return the array that 'ROWSxCOLS' names, e.g. '16x16'; other fields by keyword."""
        match = re.fullmatch(r"(\d{1,99})[xX](\d{1,99})", shape.strip())
        if match is None:
            raise InputError(
                f"array={shape!r}: expected ROWSxCOLS, two integers from 1, e.g. 16x16"
            )
        return cls(rows=int(match[1]), cols=int(match[2]), **settings)  # type: ignore[arg-type]

    @property
    def link_depth(self) -> int | None:
        """FIFO depth of every link in entries; None in lockstep."""
        return None if self.coupling == "lockstep" else int(self.coupling.partition(":")[2])

    @property
    def pes(self) -> int:
        """Number of processing elements."""
        return self.rows * self.cols

    def __str__(self) -> str:
        overlap = "on" if self.overlap else "off"
        return f"{self.rows}x{self.cols} {self.dataflow}, {self.coupling}, overlap {overlap}"


def plain(value: Any) -> Any:
    """Return a scalar of numpy as Python's own number or bool; anything else as it is."""
    return value.item() if getattr(value, "shape", None) == () else value


def _checked_coupling(text: str) -> str:
    if text == "lockstep":
        return text
    match = re.fullmatch(r"elastic(?::(\d{1,99}))?", str(text))
    if match is None or not 1 <= int(match[1] or 2) <= DEEPEST_LINK:
        raise InputError(
            f"coupling={text!r}: expected 'lockstep' or 'elastic:D' with a FIFO depth D "
            f"from 1 to {DEEPEST_LINK}"
        )
    return f"elastic:{int(match[1] or 2)}"
