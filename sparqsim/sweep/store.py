"""A store as its users see it: recorded results, and tables of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparqsim.sweep.database import Database
from sparqsim.sweep.export import frame_of, rows_of

if TYPE_CHECKING:
    import pandas as pd


class Store(Database):
    """A store of results, for use in a `with` block or as it is; see `Database`."""

    def rows(self, baseline: str | None = None) -> list[dict[str, Any]]:
        """Return a flat row per point: its case, totals and speedup. See `sparqsim.sweep.export.rows_of`."""
        return rows_of(self, baseline)

    def frame(self) -> pd.DataFrame:
        """Return the rows as a pandas DataFrame. Raises InputError where pandas is not installed."""
        return frame_of(self)
