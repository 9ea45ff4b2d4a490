"""Elastic links: when every PE starts every step, as a recurrence.

With f(i, j, n) the cycle in which PE (i, j) starts item n (counted over all tiles that overlap), D the depth of a link,

    f(i,j,n) = max( f(i,j,n-1) + cost(i,j,n-1), f(i,j-1,n) + 1, f(i-1,j,n) + 1, f(i,j+1,n-D) + 1, f(i+1,j,n-D) + 1 )

where terms that do not exist are left out and an edge offers item s of tile t from cycle t * period + s on, a
registered row edge from one cycle later on.

**Lateness.** The kernels keep g = f - i - j - (t * period + s): how much later a step starts than in an array
without slow steps. Then

    g(i,j,n) = max( g(i,j,n-1) + cost - 1, g(i,j-1,n), g(i-1,j,n), g(i,j+1,n-D) + 2 - D, g(i+1,j,n-D) + 2 - D )

with g >= e at the edges. From one tile to the next the time of offer jumps by period - items more than the item
number: all g fall by that. The ring `back` keeps g + 2 - D of the last D items; item n overwrites item n - D in
raster order, so its right and lower neighbours still hold item n - D when they are read.

**Costs that all columns share** (activations alone decide, os and ws). Then g is the same in every column.
Induction in raster order: if it holds for earlier steps, the left neighbour adds nothing, and the right neighbour's
g(i,n-D) + 2 - D is, for D >= 2, at most g(i,n-1) + cost - 1, since g never falls with n. For D = 1 it does bind,
g(i,n-1) + 1, as does the equal term of the left neighbour's start for the last column, which has no right
neighbour: its left neighbour waited for it. So one column with itself as right neighbour (`mirrored`) stands for
all C > 1. Handing over and loading shift by one cycle per column like everything else.

**Costs that stay the same along the stream** (is). Without overlap, the finish is e + max over PEs of i + j +
(items - 1) * (largest cost above and to the left, itself included) + cost, whatever D >= 2: a path of the
recurrence spends its items best in one PE, and a step back against the stream loses D items for two cycles. With
overlap the items are stepped until all PEs keep one pace. For D = 1 and more than one PE, two PEs pass every item
to and fro: costs below 2 count as 2, except in the last item. See `steady_stalls`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparqsim.dataflow.grid import TileGrid
from sparqsim.dataflow.lateness import chain, fresh_state, separate

Array = NDArray[np.int64]
Costs = NDArray[np.uint8]

#: Earlier than everything, and far enough from the ends of int32 that a few sums of it do not overflow.
NEVER = -(1 << 29)


@dataclass(frozen=True)
class Links:
    """What the recurrence needs to know of array and tiles.

    `depth`: of every link. `edge`: registers at the row edge. `period`: cycles from one tile's first offer to the
    next one's. `items`: streamed per tile. `loads`: operands stay (ws, is), else sums do (os). `mirrored`: all
    columns share their costs, and there are several.
    """

    depth: int
    edge: int
    period: int
    items: int
    loads: bool
    mirrored: bool = False


def unit_stalls(links: Links, grid: TileGrid, *, overlap: bool) -> Array:
    """Return the cycles that depth 1 adds to each tile of one-cycle steps, int64 (groups, column tiles, row tiles).

    With D = 1 and a neighbour, an item enters every two cycles: a tile's last step starts items - 1 cycles later,
    and with overlap tiles follow each other max(2 * items, R) cycles apart instead of period = max(items, R).
    """
    stalls = np.zeros(grid.tiles, np.int64)
    if links.depth == 1 and grid.rows * grid.cols > 1:
        stalls[:] = max(2 * links.items - links.period, 0) if overlap else links.items - 1
        stalls[-1] = links.items - 1
    return stalls.reshape(grid.shape)


def separate_stalls(costs: Costs, links: Links, most_cycles: int = 255) -> Array:
    """Return the cycles that slow steps add to tiles that do not overlap.

    Parameters
    ----------
    costs : uint8 (tiles, items or 1, rows, columns or 1)
        Cycles of each step; one item if they are the same for all items, one column if they are the same for all
        columns.
    links : Links
    most_cycles : int
        No step takes more.

    Returns
    -------
    int64 (tiles,)
    """
    costs = _laid_out(costs)
    limits, planes = _limits(links, links.items, most_cycles)
    ends = np.zeros(len(costs), np.int64)
    separate(costs, links.items, int(links.mirrored), planes, limits, ends)
    return ends - _unhindered_end(costs, links)


def steady_stalls(costs: Costs, links: Links) -> Array:
    """Return `separate_stalls` of costs (tiles, rows, columns) that all items share, without stepping the items."""
    tiles, rows, cols = costs.shape
    own = costs.astype(np.int64)
    slowest = np.maximum.accumulate(np.maximum.accumulate(own, axis=1), axis=2)
    if links.depth == 1 and rows * cols > 1:
        slowest = np.maximum(slowest, 2)
    skew = np.add.outer(np.arange(rows), np.arange(cols))
    ends = (skew + (links.items - 1) * slowest + own).reshape(tiles, -1).max(axis=1)
    stalls: Array = ends - (links.items + rows + cols - 2)
    return stalls


def chained_stalls(batches: Iterable[Costs], links: Links, tiles: int, most_cycles: int = 255) -> Array:
    """Return the cycles that slow steps add to each of `tiles` tiles that overlap, int64 (tiles,).

    A tile reaches from its start in PE (0, 0) to the next tile's; the last one has what remains of the total.

    Parameters
    ----------
    batches : iterable of uint8 (some tiles, items or 1, rows, columns or 1)
        Consecutive tiles, as in `separate_stalls`.
    links : Links
    tiles : int
        In all batches.
    most_cycles : int
        No step takes more.
    """
    limits, planes = _limits(links, tiles * links.items, most_cycles, tiles * links.period)
    cuts, done, state = np.full(tiles + 1, links.edge, np.int64), 0, None
    for batch in batches:
        costs = _laid_out(batch)
        if state is None:
            state = fresh_state(planes, costs.shape[2], costs.shape[3], limits)
        starts = np.zeros(len(costs), np.int64)
        end = chain(costs, done, links.items, links.period, int(links.loads), int(batch.shape[3] == 1),
                    int(links.mirrored), limits, state, starts)
        cuts[done:done + len(costs)] = starts
        done += len(costs)
        cuts[tiles] = end - _unhindered_end(costs, links) + links.edge
    cuts[0] = links.edge
    return np.diff(cuts)


def _laid_out(costs: Costs) -> Costs:
    """Return costs as the kernels take them: a single column as a row, which they run through faster."""
    if costs.shape[3] == 1:
        costs = costs.swapaxes(2, 3)
    return np.ascontiguousarray(costs)


def _unhindered_end(costs: Costs, links: Links) -> int:
    """Return a tile's end as the kernels tell it, if no step is slow: skew of the last PE and registers of the edge."""
    return int(costs.shape[2] + costs.shape[3] - 2 + links.edge)


def _limits(links: Links, items: int, most_cycles: int, cycles: int = 0) -> tuple[Array, int]:
    """Return (edge, 2 - depth, never) in the type in which lateness cannot overflow, and how many planes `back` needs.

    Links deeper than the items that ever pass never hold anybody up: one plane, never looked at.
    """
    unlimited = links.depth >= items
    latest = (most_cycles + 2) * items + cycles
    dtype = np.int32 if latest < -NEVER else np.int64
    never = NEVER if dtype == np.int32 else -(1 << 61)
    slack = never if unlimited else 2 - links.depth
    return np.array([links.edge, slack, never], dtype), 1 if unlimited else links.depth
