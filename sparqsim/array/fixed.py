"""Steps that all take the same number of cycles, c, padded ones too: closed forms.

With X items streamed through a tile and e registers at the row edge, tiles that do not overlap
take, without their load or drain of R cycles,

    lockstep                  c (X + R + C - 2) + e
    elastic, sums stay        c X + R + C - 2 + e
    elastic, operands stay    c X + c (R - 1) + C - 1 + e

In lockstep every wave in which a PE works takes c; those of the edge registers, of loads and of
drains take one. In an elastic array an operand moves on a cycle after its step has started, so a
column, and where sums stay a row too, costs a cycle of skew; sums that move down do so when their
step has ended, and a row costs c.

**Depth 1.** PE (i, j) starts an item once the next PE has started the one before: 2 cycles after
its own start where an operand moves (harmless from c = 2 on), c + 1 cycles where a sum does. So a
PE starts an item every p = max(c, 2) cycles where sums stay, every p = c + 1 where operands stay
and there are several rows; without a neighbour every p = c. A tile takes (X - 1)(p - c) cycles
more than above.

**Overlap.** In lockstep tiles start max(X, R) waves apart, and a PE works in every wave between. In
an elastic array they start max(p X, R) cycles apart where sums stay. Where operands stay the same
holds from X >= R on. For shorter streams the loader of a column can hold the next tile back: row i
takes up its operand c i cycles after row 0, and the loader waits for that; tiles then start at no
fixed distance, and are stepped by the recurrence (`lateness.py`), one column for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.costs import BATCH_BYTES, Costs
from sparqsim.array.elastic import Links, chained_stalls
from sparqsim.array.grid import TileGrid


def lockstep_fixed_stalls(cycles: int, grid: TileGrid, *, overlap: bool) -> NDArray[np.int64]:
    """Return the cycles that steps of `cycles` add to each tile in lockstep.

    Returns
    -------
    int64 (groups, column tiles, row tiles)
    """
    waves = grid.stream + grid.rows + grid.cols - 2
    between = max(grid.stream, grid.rows) if overlap else waves
    return _each_and_last(grid, (cycles - 1) * between, (cycles - 1) * waves)


def elastic_fixed_stalls(
    cycles: int, links: Links, grid: TileGrid, *, overlap: bool
) -> NDArray[np.int64]:
    """Return what steps of `cycles` add to each tile of an elastic array, as in lockstep."""
    items, pace = links.items, _pace(cycles, links, grid)
    if overlap and links.loads and items < grid.rows and cycles > 1:
        return _stepped(cycles, links, grid)
    moving_sums = (cycles - 1) * (grid.rows - 1) if links.loads else 0
    alone = (items - 1) * (pace - 1) + cycles - 1 + moving_sums
    apart = max(pace * items, links.period) - links.period
    return _each_and_last(grid, apart if overlap else alone, alone)


def _pace(cycles: int, links: Links, grid: TileGrid) -> int:
    """Return how many cycles apart a PE starts its items."""
    if links.depth > 1 or grid.rows * grid.cols == 1:
        return cycles
    if links.loads and grid.rows > 1:
        return cycles + 1
    return max(cycles, 2)


def _each_and_last(grid: TileGrid, each: int, last: int) -> NDArray[np.int64]:
    stalls = np.full(grid.tiles, each, np.int64)
    stalls[-1] = last
    return stalls.reshape(grid.shape)


def _stepped(cycles: int, links: Links, grid: TileGrid) -> NDArray[np.int64]:
    """Return what the recurrence says, whose columns all share their costs."""
    links = replace(links, mirrored=grid.cols > 1)
    return chained_stalls(_batches(cycles, grid), links, grid.tiles).reshape(grid.shape)


def _batches(cycles: int, grid: TileGrid) -> Iterator[Costs]:
    """Yield the costs of all tiles, uint8 (some tiles, 1, rows, 1)."""
    size = max(1, BATCH_BYTES // grid.rows)
    for start in range(0, grid.tiles, size):
        yield np.full((min(size, grid.tiles - start), 1, grid.rows, 1), cycles, np.uint8)
