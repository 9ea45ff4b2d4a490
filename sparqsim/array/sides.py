"""What step cycles that the operands of one side decide make of a layer in lockstep, on arrays of
any shape.

Their planes of bits (`planes.py`) do not depend on the array: made once, they give the stalls of
every tile of each shape that is asked for.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.grid import TileGrid
from sparqsim.array.planes import bit_planes, folded_sums, stalls_along_stream, stalls_of_corners

Costs = NDArray[np.uint8]

#: More cycles of a step than this make more planes than are worth their while.
MOST_PLANES = 16


class SideWaves:
    """Step cycles of one side's operands, laid out for one dataflow.

    Parameters
    ----------
    costs : uint8 (groups, stream or 1, rows or 1, columns or 1)
        The axis of length 1 by `shared`.
    shared : int
        Along what costs do not change: 0 the stream, 1 the array's rows, 2 its columns.
    """

    def __init__(self, costs: Costs, shared: int) -> None:
        lines = costs.squeeze(1 + shared)
        # Lines lie along a side of the array: its rows where the stream shares, else the other one.
        lines = np.ascontiguousarray(lines.swapaxes(1, 2) if shared else lines)
        self._shared, self._places = shared, lines.shape[2]
        self._planes = bit_planes(lines)
        self._sums = _over_groups(lines)
        if shared:
            along_stream = self._sums.sum(axis=1, keepdims=True, dtype=np.int64)
            self._sums = along_stream.reshape(1, -1) if shared == 1 else along_stream
        self._work = int(self._sums.sum(dtype=np.int64))

    def stalls(self, grid: TileGrid) -> NDArray[np.int64]:
        """Return what slow steps add to each tile, int64 (groups, column tiles, row tiles)."""
        planes = self._planes
        if self._shared == 0:
            return stalls_of_corners(planes, self._places, grid.rows, grid.cols, grid.stream)
        if self._shared == 1:
            stalls = stalls_along_stream(planes, self._places, grid.cols, grid.rows)[:, :, None]
        else:
            stalls = stalls_along_stream(planes, self._places, grid.rows, grid.cols)[:, None]
        return np.broadcast_to(stalls, grid.shape)

    def busiest_and_all(self, grid: TileGrid) -> tuple[int, int]:
        """Return the step cycles of the busiest PE, padded steps included, and those of all PEs,
        padding left out.
        """
        if self._shared == 0:
            # All items of the stream cost what the first one costs.
            busy = self._busy(grid, padded_cycles=1)
            return busy * grid.stream, self._work * grid.stream
        if self._shared == 1:
            one_row = replace(grid, along_rows=1, rows=1)
            busy = self._busy(one_row, padded_cycles=grid.stream)
            return busy * grid.row_tiles, self._work * grid.along_rows
        one_col = replace(grid, along_cols=1, cols=1)
        busy = self._busy(one_col, padded_cycles=grid.stream)
        return busy * grid.col_tiles, self._work * grid.along_cols

    def _busy(self, grid: TileGrid, padded_cycles: int) -> int:
        """Return the most cycles of a PE over the tiles of a grid; those of a tile in which it has
        no work are `padded_cycles`.
        """
        real_rows = -((np.arange(grid.rows) - grid.along_rows) // grid.rows)
        real_cols = -((np.arange(grid.cols) - grid.along_cols) // grid.cols)
        # Beyond the work's end -(positive // side) is 0 or less.
        real = np.multiply.outer(np.maximum(real_rows, 0), np.maximum(real_cols, 0))
        padded = grid.groups * (grid.row_tiles * grid.col_tiles - real)
        sums = folded_sums(self._sums, grid.rows, grid.cols) + padded_cycles * padded
        return int(sums.max())


def _over_groups(lines: Costs) -> NDArray[np.integer]:
    """Return the sum over groups of (groups, lines, places); one group is not copied."""
    sums: NDArray[np.integer] = lines[0]
    return sums if len(lines) == 1 else lines.sum(axis=0, dtype=np.int64)
