"""A store as its users see it: recorded results, and tables of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sparqsim.base.errors import InputError
from sparqsim.base.tabular import Row, Tabular
from sparqsim.base.wording import counted
from sparqsim.sweep.database import Database
from sparqsim.sweep.export import rows_of

if TYPE_CHECKING:
    import pandas as pd


class Store(Database, Tabular):
    """A store of results, for use in a `with` block or as it is; see `Database`."""

    HTML_COLUMNS: ClassVar = {"version": "sparqsim", "state": "state", "points": "points"}

    def rows(self, baseline: str | None = None, clock: str | None = None) -> list[Row]:
        """Return a row per point: case, totals and speedup, with a clock times too; see
        `sparqsim.sweep.export.rows_of`.
        """
        return rows_of(self, baseline, clock)

    def flat_rows(self) -> list[Row]:
        """Return `rows()`."""
        return self.rows()

    def frame(self) -> pd.DataFrame:
        """Return `to_frame()`: its older name."""
        return self.to_frame()

    def summary(self) -> str:
        """Return the file's name, and how many points it holds."""
        try:
            points = sum(count for *_, count in self.counts())
        except InputError:  # closed, or damaged: a repr does not fail
            return f"{self.path.name}, not readable now"
        return f"{self.path.name}, {counted(points, 'point')}"

    def html_rows(self) -> list[Row]:
        """Return how many points there are, by version and state; nothing is unpacked."""
        names = ("version", "state", "points")
        return [dict(zip(names, count, strict=True)) for count in self.counts()]
