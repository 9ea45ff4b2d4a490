"""Elastic links: when every PE starts every step, as a recurrence.

With f(i, j, n) the cycle in which PE (i, j) starts item n (counted over all tiles that overlap), D
the depth of a link,

    f(i,j,n) = max( f(i,j,n-1) + cost(i,j,n-1), f(i,j-1,n) + 1, f(i-1,j,n) + down(i-1,j,n),
                    f(i,j+1,n-D) + 1, f(i+1,j,n-D) + 1 )

where terms that do not exist are left out and an edge offers item s of tile t from cycle t * period
+ s on, a registered row edge from one cycle later on. An operand moves down a cycle after its step
has started: down = 1 (os). A sum moves down when its step has ended: down = cost (ws, is).

**Lateness.** The kernels keep g = f - i - j - (t * period + s): how much later a step starts than
in an array without slow steps. Then

    g(i,j,n) = max( g(i,j,n-1) + cost - 1, g(i,j-1,n), g(i-1,j,n) + down - 1, g(i,j+1,n-D) + 2 - D,
                    g(i+1,j,n-D) + 2 - D )

with g >= e at the edges. From one tile to the next the time of offer jumps by period - items more
than the item number: all g fall by that. The ring `back` keeps g + 2 - D of the last D items; item
n overwrites item n - D in raster order, so its right and lower neighbours still hold item n - D
when they are read. `free` holds g(i,j,n) + cost - 1 from the moment PE (i, j) has its place in
raster order: the first term for item n + 1, and the third one for the row below.

**Never slower than lockstep** from D = 2 on. Lockstep's own start times meet every condition: PE (i
- 1, j) and (i, j - 1) do item n a wave earlier, and a wave ends no sooner than its steps, so sums
are there, too; PE (i, j + 1) and (i + 1, j) do item n - D at least D - 1 >= 1 waves earlier. The
recurrence gives the earliest times that do. With D = 1 the last two are in the same wave, and
lockstep can win.

**Costs that all columns share** (activations alone decide, os and ws). Then g is the same in every
column, whatever D. Induction in raster order: if it holds for earlier items and the rows above, all
terms of PE (i, j) but that of the left neighbour are the same in every column that has them, and
only the last column lacks one, that of the right neighbour. Column 0 has all of them; each further
column has column 0's value through its left neighbour, and nothing later. So one column with itself
as right neighbour (`mirrored`) stands for all C > 1. Handing over and loading shift by one cycle
per column like everything else.

**Costs that all rows share** (weights alone decide, os). With down = 1 the recurrence is the same
with rows and columns exchanged, so one row with itself as lower neighbour stands for all R > 1.
Handing over is not the same: a column drains once its last row has handed over, R - 1 cycles after
its first (`further_rows`).

**Costs that stay the same along the stream** (is). From D = 2 on the slowest PE sets the pace: a
tile without overlap takes at least its work, items * cost, and at most (R - 1) * cost + C - 1 + e
more, whatever D. For f is the longest path of the recurrence's moves: an item more in the same PE
gives at most cost, a move right 1, a move down at most cost, a move left or up 1 for D items. A
path that ends i down and j right of the corner makes u moves up and i + u down, l left and j + l
right. An up and a down give at most cost + 1 for D items, a left and a right 2, no more than the D
* cost of staying. What is left is i moves down and j right. When exactly that pace is reached
depends on all costs, so tiles are stepped, but only until every PE keeps one pace (`lateness.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.lateness import Way, chain, fresh_state, note_lateness, separate
from sparqsim.base.jit import only_read

Array = NDArray[np.int64]
Costs = NDArray[np.uint8]

#: Earlier than everything, and far enough from the ends of int32 that a few sums of it do not
#: overflow.
NEVER = -(1 << 29)


@dataclass(frozen=True)
class Links:
    """What the recurrence needs to know of array and tiles.

    `depth`: of every link. `edge`: registers at the row edge. `period`: cycles from one tile's
    first offer to the next one's. `items`: streamed per tile. `loads`: operands stay (ws, is), else
    sums do (os). `mirrored`: all columns, or all rows, share their costs, and there are several.
    `further_rows`: rows that the one row of costs stands for beside itself (0 unless all rows share
    their costs).
    """

    depth: int
    edge: int
    period: int
    items: int
    loads: bool
    mirrored: bool = False
    further_rows: int = 0


def separate_stalls(costs: Costs, links: Links, most_cycles: int = 255) -> Array:
    """Return the cycles that slow steps add to tiles that do not overlap.

    Parameters
    ----------
    costs : uint8 (tiles, items or 1, rows or 1, columns or 1)
        Cycles of each step; one item if they are the same for all items, one row or column if they
        are the same for all of them.
    links : Links
    most_cycles : int
        No step takes more.

    Returns
    -------
    int64 (tiles,)
    """
    way, costs = _way(costs, links), _laid_out(costs)
    limits, planes = _limits(links, costs, links.items, most_cycles)
    ends = np.zeros(len(costs), np.int64)
    separate(costs, links.items, way, planes, limits, ends)
    return ends - _unhindered_end(costs, links)


def chained_stalls(
    batches: Iterable[Costs], links: Links, tiles: int, most_cycles: int = 255
) -> Array:
    """Return the cycles that slow steps add to each of `tiles` tiles that overlap, int64 (tiles,).

    A tile reaches from its start in PE (0, 0) to the next tile's; the last one has what remains of
    the total.

    Parameters
    ----------
    batches : iterable of uint8 (some tiles, items or 1, rows or 1, columns or 1)
        Consecutive tiles, as in `separate_stalls`.
    links : Links
    tiles : int
        In all batches.
    most_cycles : int
        No step takes more.
    """
    cuts, done, state = np.full(tiles + 1, links.edge, np.int64), 0, None
    for batch in batches:
        costs = _laid_out(batch)
        if state is None:
            limits, planes = _limits(
                links, costs, tiles * links.items, most_cycles, tiles * links.period
            )
            state = fresh_state(planes, costs.shape[2], costs.shape[3], limits)
        first = np.zeros(len(costs), np.int64)
        end = chain(
            costs, done, links.items, links.period, _way(batch, links), limits, state, first
        )
        cuts[done : done + len(costs)] = first
        done += len(costs)
        cuts[tiles] = end - _unhindered_end(costs, links) + links.edge
    cuts[0] = links.edge
    return np.diff(cuts)


def starts(costs: Costs, links: Links, most_cycles: int = 255) -> Array:
    """Return the cycle in which each step of one tile starts, counted from the first offer, int64
    as costs.

    Parameters
    ----------
    costs : uint8 (items, rows, columns)
    links : Links
    most_cycles : int
        No step takes more.
    """
    limits, planes = _limits(links, costs[None], links.items, most_cycles)
    late = np.zeros(costs.shape, np.int64)
    way = int(links.loads), 0, 0, 0
    note_lateness(np.ascontiguousarray(costs), way, planes, limits, late)
    items, rows, cols = (np.arange(size) for size in costs.shape)
    return late + items[:, None, None] + rows[:, None] + cols


def _way(costs: Costs, links: Links) -> Way:
    """Return what the kernels take: loads, transposed, mirrored, further rows."""
    transposed = costs.shape[3] == 1
    return int(links.loads), int(transposed), int(links.mirrored), links.further_rows


def _laid_out(costs: Costs) -> Costs:
    """Return costs as the kernels take them: a column as a row, which they run through faster."""
    if costs.shape[3] == 1:
        costs = costs.swapaxes(2, 3)
    return only_read(costs)


def _unhindered_end(costs: Costs, links: Links) -> int:
    """Return a tile's end as the kernels tell it, if no step is slow: skew of the last PE and
    registers of the edge.
    """
    return int(costs.shape[2] + costs.shape[3] - 2 + links.edge)


def _limits(
    links: Links, costs: Costs, items: int, most_cycles: int, cycles: int = 0
) -> tuple[Array, int]:
    """Return (edge, 2 - depth, never) in the type in which lateness cannot overflow, and how many
    planes `back` needs.

    Links deeper than the items that ever pass never hold anybody up: one plane, never looked at.
    """
    unlimited = links.depth >= items
    latest = (most_cycles + 2) * (items + costs.shape[2] + costs.shape[3]) + cycles
    dtype = np.int32 if latest < -NEVER else np.int64
    never = NEVER if dtype == np.int32 else -(1 << 61)
    slack = never if unlimited else 2 - links.depth
    return np.array([links.edge, slack, never], dtype), 1 if unlimited else links.depth
