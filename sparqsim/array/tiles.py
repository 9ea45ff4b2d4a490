"""How long the array works on each tile, so that something outside can make tiles wait.

The lengths of all tiles add up to the total of `Dataflow.timing`, with and without overlap: a tile
lasts from its start to the start of the next, the last one to the end of the layer. With overlap,
where the next tile's steps can slow this one's, a tile's stalls are those it has in the array's own
order, whatever order the memory system prefers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Dataflow, Work
from sparqsim.array.grid import TileGrid


@dataclass(frozen=True)
class TileTimes:
    """Cycles of the tiles of a layer, whatever order they run in.

    Attributes
    ----------
    grid : TileGrid
    first_head, head : int
        Cycles before the stream of the first tile, and of any other: loads.
    tail, last_tail : int
        Cycles after the stream of a tile, and of the last one: skew and drain.
    stalls : int64 (groups, column tiles, row tiles)
        What slow steps add to each tile's stream.
    """

    grid: TileGrid
    first_head: int
    head: int
    tail: int
    last_tail: int
    stalls: NDArray[np.int64]

    @property
    def total(self) -> int:
        """Cycles of the whole layer."""
        tiles = self.grid.tiles
        around = self.first_head + self.last_tail + (tiles - 1) * (self.head + self.tail)
        return around + tiles * self.grid.stream + int(self.stalls.sum())


def tile_times(
    flow: Dataflow,
    work: Work,
    array: ArrayConfig,
    stalls: NDArray[np.int64] | None = None,
    *,
    whole: bool = False,
) -> TileTimes:
    """Return the lengths of a layer's tiles; `stalls`: `Timing.tile_stalls`, or a single one."""
    grid = flow.grid(work, array)
    if stalls is None:
        stalls = np.zeros((grid.groups, grid.col_tiles, grid.row_tiles), np.int64)
    skew = array.skew_cycles + work.register_cycles
    load, drain = (array.rows, 0) if flow.loads else (0, array.rows)
    if whole:
        return TileTimes(grid, 0, 0, 0, 0, stalls)
    if array.overlap:
        exposed = max(grid.stream, array.rows) - grid.stream
        return TileTimes(grid, load, 0, exposed, skew + drain, stalls)
    return TileTimes(grid, load, load, skew + drain, skew + drain, stalls)
