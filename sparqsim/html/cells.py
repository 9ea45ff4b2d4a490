"""What a table of the page is made of: cells with the value they sort by, columns with the term
that defines them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sparqsim.results.layer_report import Error

ABSENT = "\N{EN DASH}"
EXACT = "exact"
#: More designs than this make a table wide: it is printed on a page of its own orientation, its
#: heads upright.
WIDE = 8


@dataclass(frozen=True)
class Column:
    """A column: its head, the term that defines what is in it ('' for words), and whether it holds
    text.

    said: what the term means, where `sparqsim.html.definitions` does not know it.
    """

    label: str
    term: str
    text: bool = False
    said: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell: what is shown, what it sorts by (None: its text), what is shown when pointed at."""

    text: str
    value: float | None = None
    said: str = ""

    @property
    def sort_key(self) -> str:
        """Return the number for the page, '' where the text says it already."""
        if self.value is None or self.text.replace(",", "") == repr(self.value):
            return ""
        return (
            "Infinity"
            if self.value == math.inf
            else "-Infinity"
            if self.value == -math.inf
            else repr(self.value)
        )


@dataclass(frozen=True)
class Table:
    """A table; `foot` is a row that stays last, whatever the order."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    foot: tuple[Cell, ...] = ()
    note: str = ""
    wide: bool = False


def count(value: int | None) -> Cell:
    """Return a whole number, its thousands set off."""
    return Cell(ABSENT, -math.inf) if value is None else Cell(f"{value:,}", value)


def decimal(value: float | None, places: int = 2) -> Cell:
    """Return a number rounded to `places`; it sorts by all of them."""
    return Cell(ABSENT, -math.inf) if value is None else Cell(f"{value:,.{places}f}", value)


def share(value: float | None) -> Cell:
    """Return a share in percent, without the sign."""
    return decimal(None if value is None else 100 * value, 1)


def sqnr(error: Error) -> Cell:
    """Return the SQNR in dB, 'exact' without noise, nothing for noise on an all-zero signal."""
    return Cell(EXACT, math.inf) if error.noise == 0 else decimal(error.sqnr_db, 1)


def squared_error(error: Error) -> Cell:
    """Return the mean squared error, three significant digits."""
    return Cell(f"{error.mse:.3g}", error.mse)
