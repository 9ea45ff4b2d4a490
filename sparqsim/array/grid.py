"""How a layer is cut into tiles the size of the array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TileGrid:
    """How the work is cut: sizes along the array's rows and columns, the array's own, and the
    stream's length.

    Tiles run group by group, then by columns, rows innermost.
    """

    groups: int
    along_rows: int
    along_cols: int
    stream: int
    rows: int
    cols: int

    @property
    def row_tiles(self) -> int:
        """Tiles along the rows."""
        return -(-self.along_rows // self.rows)

    @property
    def col_tiles(self) -> int:
        """Tiles along the columns."""
        return -(-self.along_cols // self.cols)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(groups, column tiles, row tiles)."""
        return self.groups, self.col_tiles, self.row_tiles

    @property
    def tiles(self) -> int:
        """All tiles, of all groups."""
        return self.groups * self.row_tiles * self.col_tiles

    @property
    def steps(self) -> int:
        """All steps of all PEs, padded ones included."""
        return self.tiles * self.stream * self.rows * self.cols

    @property
    def used_pes(self) -> int:
        """Sum over all tiles of the PEs that hold real work."""
        return self.groups * self.along_rows * self.along_cols

    @property
    def first_used_pes(self) -> int:
        """PEs the first tile uses: no tile uses more."""
        return int(self.used_rows[0] * self.used_cols[0])

    @property
    def last_used_pes(self) -> int:
        """PEs the last tile uses."""
        return int(self.used_rows[-1] * self.used_cols[-1])

    @property
    def used_by_tile(self) -> NDArray[np.int64]:
        """PEs each tile of a group uses, int64 (column tiles, row tiles)."""
        return np.multiply.outer(self.used_cols, self.used_rows)

    @property
    def used_rows(self) -> NDArray[np.int64]:
        """Rows each row tile uses, int64 (row tiles,)."""
        return self._used(self.along_rows, self.rows)

    @property
    def used_cols(self) -> NDArray[np.int64]:
        """Columns each column tile uses, int64 (column tiles,)."""
        return self._used(self.along_cols, self.cols)

    def slices(self, tile: int) -> tuple[int, slice, slice]:
        """Return group, rows and columns of a tile's work; a ragged one reaches beyond the end."""
        group, col_tile, row_tile = (int(index) for index in np.unravel_index(tile, self.shape))
        return (
            group,
            slice(row_tile * self.rows, (row_tile + 1) * self.rows),
            slice(col_tile * self.cols, (col_tile + 1) * self.cols),
        )

    @staticmethod
    def _used(along: int, side: int) -> NDArray[np.int64]:
        starts = np.arange(0, along, side)
        return np.minimum(side, along - starts)
