"""What a row format must give.

A row format is one frozen dataclass in one file of this folder, in a file named `FILE.py:CLASS`, or
an entry point of the group `sparqsim.rows`. Its fields are its keys (`sparqsim.base.keys`). It
gives

* `name`, and `row_bytes(width)`: what a row of so many elements takes in memory;
* `encode(rows)`: the bytes of rows, as they lie in memory, and
* `decode(stored, width)`: what the dequantise lanes make of them.

What every format keeps (`contract.py` checks it): rows do not know of each other; the same bytes
for the same rows; what was given is not written to; NaN and infinity are refused, naming the row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.base.keys import spec_of

Rows = NDArray[np.float32]
Stored = NDArray[np.uint8]


@dataclass(frozen=True)
class RowFormat(ABC):
    """How a row of an embedding table is stored. See the module's docstring."""

    name: ClassVar[str]

    @property
    def spec(self) -> str:
        """Its name with every key that is not at its default, e.g. 'int4:search=none'."""
        return spec_of(self)

    @abstractmethod
    def row_bytes(self, width: int) -> int:
        """Return the bytes of a row of `width` elements, all that is needed to read it included."""

    @abstractmethod
    def encode(self, rows: Rows) -> Stored:
        """Return rows as they lie in memory.

        Parameters
        ----------
        rows : float32 (rows, width)

        Returns
        -------
        uint8 (rows, row_bytes(width))

        Raises
        ------
        InputError
            For NaN and infinity, and for a row that the format cannot hold, naming the row.
        """

    @abstractmethod
    def decode(self, stored: Stored, width: int) -> Rows:
        """Return what is read back, float32 (rows, width), of uint8 (rows, row_bytes(width))."""


def check_finite(rows: Rows) -> None:
    """Raise InputError for NaN and infinity, naming the first row that holds some."""
    if np.isfinite(rows).all():
        return
    row, column = (int(place) for place in np.argwhere(~np.isfinite(rows))[0])
    raise InputError(f"row {row}: element {column} is {rows[row, column]}, expected finite numbers")


def check_held(values: NDArray[Any], rows: Rows, what: str, kind: str) -> None:
    """Raise InputError where a value of a row is no finite one in the type that holds it.

    Parameters
    ----------
    values : array (rows, ...)
        In that type already.
    rows : float32 (rows, width)
        What they come from.
    what, kind : str
        What the values are, and the name of the type.
    """
    if np.isfinite(values).all():
        return
    row = int(np.argwhere(~np.isfinite(values))[0][0])
    raise InputError(
        f"row {row}: values {rows[row].min():g} to {rows[row].max():g}, whose {what} is beyond "
        f"{kind}; expected a row that {kind} holds"
    )
