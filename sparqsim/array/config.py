"""The array that is simulated: frozen, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sparqsim.base.errors import InputError, shown
from sparqsim.base.parse import whole_number

LARGEST_SIDE = 65_536
#: What is read as a number, and then refused as a side.
LARGEST_READ = 10**18
#: Entries of a link's FIFO.
DEEPEST_LINK = 999_999
DEFAULT_LINK = 2


@dataclass(frozen=True)
class ArrayConfig:
    """A systolic array of processing elements and how it is driven.

    Parameters
    ----------
    rows, cols : int
        PEs per column and per row, 1 to 65,536.
    dataflow : str
        What stays in the PE: partial sums ('os'), weights ('ws') or activations ('is'); or another
        dataflow, by its name or as 'FILE.py:CLASS'.
    coupling : str
        'lockstep' (the array advances as one), 'elastic:D' (links are FIFOs of D entries, 1 to
        999,999; 'elastic' alone is 'elastic:2'), or 'broadcast' (operands reach all PEs of a row or
        column at once; a step takes as long as its slowest PE).
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
                    f"array {field}={shown(value)}: expected an integer from 1 to {LARGEST_SIDE}"
                )
        _check_dataflow(self.dataflow)
        if not isinstance(self.overlap, bool):
            raise InputError(
                f"overlap={shown(self.overlap)}: expected True or False ('on' or 'off')"
            )
        object.__setattr__(self, "coupling", _checked_coupling(self.coupling))

    @classmethod
    def parse(cls, shape: str, **settings: object) -> ArrayConfig:
        """Return the array that 'ROWSxCOLS' names, e.g. '16x16'; other fields by keyword."""
        # Sides out of range are the array's own to refuse: it says which one.
        texts = shape.strip().lower().split("x", 2)
        sides = [whole_number(side, 0, LARGEST_READ) for side in texts]
        if len(sides) != 2 or None in sides:
            raise InputError(
                f"array={shown(shape)}: expected ROWSxCOLS, two integers from 1, e.g. 16x16"
            )
        return cls(rows=sides[0], cols=sides[1], **settings)  # type: ignore[arg-type]

    @property
    def link_depth(self) -> int | None:
        """FIFO depth of every link in entries; None in lockstep and broadcast."""
        depth = self.coupling.partition(":")[2]
        return int(depth) if depth else None

    @property
    def broadcast(self) -> bool:
        """Whether all PEs of a tile do the same step at the same time."""
        return self.coupling == "broadcast"

    @property
    def skew_cycles(self) -> int:
        """Steps of one cycle by which the last PE is behind the first one."""
        return 0 if self.broadcast else self.rows + self.cols - 2

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


def _check_dataflow(spec: object) -> None:
    from sparqsim.array.registry import get_dataflow  # with numpy, which `--help` does without

    if not isinstance(spec, str):
        raise InputError(
            f"dataflow={shown(spec)}: expected the name of a dataflow, or 'FILE.py:CLASS'"
        )
    get_dataflow(spec)


def _checked_coupling(text: str) -> str:
    if text in ("lockstep", "broadcast"):
        return str(text)
    name, colon, depth = str(text).partition(":") if isinstance(text, str) else ("", "", "")
    entries = whole_number(depth, 1, DEEPEST_LINK) if colon else DEFAULT_LINK
    if name != "elastic" or entries is None:
        raise InputError(
            f"coupling={shown(text)}: expected 'lockstep', 'broadcast' or 'elastic:D' with a FIFO "
            f"depth D from 1 to {DEEPEST_LINK}"
        )
    return f"elastic:{entries}"
