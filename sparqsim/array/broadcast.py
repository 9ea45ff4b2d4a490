"""Broadcast: how much longer tiles take whose steps are as long as the slowest PE's.

All PEs of a tile do the same step at the same time, so a tile's stream takes the sum over its steps
of the most cycles of any PE, with and without overlap: loads and drains move when a step ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.costs import Costs, TileCosts
from sparqsim.array.grid import TileGrid


def broadcast_stalls(costs: TileCosts) -> NDArray[np.int64]:
    """Return the cycles that slow steps add to each tile, int64 (groups, col tiles, row tiles)."""
    grid = costs.grid
    return costs.for_tiles(costs.of_tiles(lambda batch: _added(batch, grid)))


def broadcast_fixed_stalls(cycles: int, grid: TileGrid) -> NDArray[np.int64]:
    """Return the same where every step takes `cycles`, padded ones too."""
    return np.full(grid.shape, (cycles - 1) * grid.stream, np.int64)


def _added(batch: Costs, grid: TileGrid) -> NDArray[np.int64]:
    """Return the same for tiles of costs (tiles, stream or 1, rows or 1, columns or 1)."""
    tiles, items = batch.shape[:2]
    slowest = batch.reshape(tiles, items, -1).max(axis=-1)
    streamed: NDArray[np.int64] = slowest.sum(axis=-1, dtype=np.int64) * (grid.stream // items)
    return streamed - grid.stream
