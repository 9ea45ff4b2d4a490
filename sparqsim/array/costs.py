"""Step cycles of a layer, tile by tile, at the rank the data has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.axes import copy_axes
from sparqsim.array.grid import TileGrid
from sparqsim.array.sides import MOST_PLANES, SideWaves
from sparqsim.base.jit import SMALL, jit
from sparqsim.base.threads import core_count, in_order, one_ahead, shares

Costs = NDArray[np.uint8]

#: `pair_costs(group, m, steps, n)` gives the cycles of each step where activations and weights
#: decide them: uint8 (m, steps, n) of the slices' lengths. Slices may reach beyond the layer:
#: operands there are zero.
PairCosts = Callable[[int, slice, slice, slice], Costs]

#: What makes something of each tile of a batch: (tiles, ...).
OfTiles = Callable[[Costs], NDArray[Any]]

#: Step cycles that a core has in work at once, bytes: as many as stay in its memory.
BATCH_BYTES = 1 << 21


@dataclass(frozen=True)
class SideCosts:
    """Cycles of each step where the operands of one side decide them.

    Parameters
    ----------
    cycles : uint8 (groups, M, S) of activations, or (groups, S, N) of weights
    axes : str
        'ms' for activations, 'sn' for weights.
    """

    cycles: Costs
    axes: Literal["ms", "sn"]
    #: By roles: what is kept for arrays of every shape, and whether one has been timed.
    _waves: dict[str, SideWaves] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _timed: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def by_role(self, roles: str) -> Costs:
        """Return the cycles as (groups, *roles), the axis that does not decide 1 long."""
        missing = next(axis for axis, role in enumerate("msn") if role not in self.axes)
        whole = np.expand_dims(self.cycles, 1 + missing)
        return whole.transpose(0, *(1 + "msn".index(role) for role in roles))

    def waves(self, roles: str) -> SideWaves | None:
        """Return what they make of a layer in lockstep, made once for arrays of every shape.

        None where tiles are better gone through one by one: where steps can take many cycles, and
        for the first array of a small layer, which is then timed without a kernel.
        """
        if roles not in self._waves:
            first = roles not in self._timed
            self._timed.add(roles)
            few = int(self.cycles.max(initial=1)) <= MOST_PLANES
            if not few or (first and self.cycles.size <= SMALL):
                return None
            shared = next(axis for axis, role in enumerate(roles) if role not in self.axes)
            self._waves[roles] = SideWaves(self.by_role(roles), shared)
        return self._waves[roles]


@dataclass(frozen=True)
class Sharing:
    """Along which sides of the array the cost of a step is the same, and so in all tiles there."""

    rows: bool = False
    columns: bool = False


#: Every PE has costs of its own.
UNSHARED = Sharing()


class WorkTally:
    """Adds up step cycles, batch by batch: of each PE, and of all steps that are not padding."""

    def __init__(self, grid: TileGrid, sharing: Sharing) -> None:
        self._grid, self._sharing = grid, sharing
        self._busy: NDArray[np.int64] = np.zeros((), np.int64)
        self._real = self._tiles = 0

    def add(self, costs: Costs) -> None:
        """Count the next tiles, uint8 (tiles, stream or 1, rows or 1, columns or 1)."""
        self.add_sums(step_sums(costs), costs.shape[1])

    def add_sums(self, sums: NDArray[np.int64], items: int) -> None:
        """Count the next tiles, whose costs of so many items are added up, int64 (tiles, rows or 1,
        columns or 1).
        """
        sums = sums * (self._grid.stream // items)
        self._busy = self._busy + sums.sum(axis=0)
        self._real += self._of_layer(sums, np.arange(self._tiles, self._tiles + len(sums)))
        self._tiles += len(sums)

    def _of_layer(self, sums: NDArray[np.int64], tiles: NDArray[np.int64]) -> int:
        """Return the sum of `sums` (tiles, rows or 1, columns or 1) over PEs with real work."""
        grid = self._grid
        if self._sharing.columns:
            used = np.arange(grid.rows) < grid.used_rows[tiles % grid.row_tiles, None]
            return int(sums[used].sum()) * grid.along_cols
        if self._sharing.rows:
            used = np.arange(grid.cols) < grid.used_cols[tiles % grid.col_tiles, None]
            return int(sums[:, 0][used].sum()) * grid.along_rows
        _, col_tile, row_tile = np.unravel_index(tiles, grid.shape)
        return int(_sum_of_corners(sums, grid.used_rows[row_tile], grid.used_cols[col_tile]))

    def busiest_and_all(self) -> tuple[int, int]:
        """Return the step cycles of the busiest PE, padded steps included, and those of all PEs,
        padding left out.
        """
        alike = self._grid.col_tiles if self._sharing.columns else 1
        alike *= self._grid.row_tiles if self._sharing.rows else 1
        return int(self._busy.max()) * alike, self._real


class TileCosts(ABC):
    """The step cycles of every tile, padded to the whole array.

    A batch is uint8 (tiles, stream or 1, rows or 1, columns or 1): an axis of length 1 means that
    the cost does not change along it.
    """

    def __init__(self, grid: TileGrid, sharing: Sharing) -> None:
        self.grid, self.sharing = grid, sharing
        #: Filled once all tiles have been given out.
        self.tally = WorkTally(grid, sharing)

    @abstractmethod
    def of_tiles(self, function: OfTiles) -> NDArray[Any]:
        """Return what a function makes of all tiles in order, (tiles, ...), once; it is called with
        batches, on several cores at once.

        Column tiles, or row tiles, that share their costs are left out, except the first one.
        """

    @abstractmethod
    def batches(self) -> Iterator[Costs]:
        """Yield all tiles in order, some at a time, once; those that share their costs, too."""

    def for_tiles(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return what is known of each tile of `of_tiles` for all of them.

        Parameters
        ----------
        values : (tiles, ...)

        Returns
        -------
        (groups, column tiles, row tiles, ...)
        """
        groups, col_tiles, row_tiles = self.grid.shape
        distinct = (
            groups,
            1 if self.sharing.columns else col_tiles,
            1 if self.sharing.rows else row_tiles,
        )
        rest = values.shape[1:]
        return np.broadcast_to(values.reshape(*distinct, *rest), (*self.grid.shape, *rest))


class SideTileCosts(TileCosts):
    """Costs that the operands of one side decide.

    Parameters
    ----------
    costs : SideCosts
    grid : TileGrid
    roles : str
        Which of 'm', 's' (steps) and 'n' is streamed, along the rows, and along the columns.
    """

    def __init__(self, costs: SideCosts, grid: TileGrid, roles: str) -> None:
        sharing = Sharing(rows=roles[1] not in costs.axes, columns=roles[2] not in costs.axes)
        super().__init__(grid, sharing)
        self._tiles = self._cut(costs.by_role(roles))

    def of_tiles(self, function: OfTiles) -> NDArray[Any]:
        """Give out what is in memory anyway."""
        distinct = self._counted()
        parts = shares(len(distinct)) if distinct.size > SMALL else [(0, len(distinct))]
        calls = ((distinct[slice(*part)],) for part in parts)
        return np.concatenate(list(in_order(function, calls, len(parts))))

    def batches(self) -> Iterator[Costs]:
        """Yield what is in memory anyway."""
        self._counted()
        for of_group in self._tiles:
            for number in range(self.grid.col_tiles):
                yield self._row_tiles(of_group[0 if self.sharing.columns else number])

    def _counted(self) -> Costs:
        """Return all tiles but those that share their costs with others, and count them."""
        distinct = self._tiles.reshape(-1, *self._tiles.shape[3:])
        self.tally.add(distinct)
        return distinct

    def _row_tiles(self, tiles: Costs) -> Costs:
        """Return the row tiles of a column tile, the first repeated where all share its costs."""
        if not self.sharing.rows:
            return tiles
        return np.broadcast_to(tiles, (self.grid.row_tiles, *tiles.shape[1:]))

    def _cut(self, costs: Costs) -> Costs:
        """Return costs as (groups, col tiles, row tiles, stream, rows, cols), padded with ones."""
        groups, stream, along_rows, along_cols = costs.shape
        height = 1 if self.sharing.rows else self.grid.rows
        width = 1 if self.sharing.columns else self.grid.cols
        short = (-along_rows % height, -along_cols % width)
        padded = np.pad(costs, ((0, 0), (0, 0), (0, short[0]), (0, short[1])), constant_values=1)
        by_tile = padded.reshape(groups, stream, -1, height, padded.shape[3] // width, width)
        return np.ascontiguousarray(by_tile.transpose(0, 4, 2, 1, 3, 5))


class PairTileCosts(TileCosts):
    """Costs that activations and weights decide together: asked for tile by tile, never all at
    once.

    Parameters
    ----------
    pair_costs : PairCosts
    grid : TileGrid
    roles : str
        Which of 'm', 's' (steps) and 'n' is streamed, along the rows, and along the columns.
    """

    def __init__(self, pair_costs: PairCosts, grid: TileGrid, roles: str) -> None:
        super().__init__(grid, UNSHARED)
        self._pair_costs, self._roles = pair_costs, roles

    def of_tiles(self, function: OfTiles) -> NDArray[Any]:
        """Lay out, count and give to the function as many tiles at once as fit `BATCH_BYTES`."""

        def done(batch: list[Costs]) -> tuple[NDArray[Any], NDArray[np.int64]]:
            costs = self._laid_out(batch)
            return function(costs), step_sums(costs)

        calls = ((batch,) for batch in self._asked())
        found = []
        for values, sums in in_order(done, calls, None if self.grid.steps > SMALL else 1):
            found.append(values)
            self.tally.add_sums(sums, self.grid.stream)
        return np.concatenate(found)

    def batches(self) -> Iterator[Costs]:
        """Yield as many tiles at once as fit `BATCH_BYTES`.

        Who asks for tiles one after another goes through them on one core: another one makes the
        next batch ready meanwhile.
        """
        cores = core_count() if self.grid.steps > SMALL else 1
        return one_ahead(self._counted()) if cores > 1 else self._counted()

    def _counted(self) -> Iterator[Costs]:
        for batch in self._asked():
            costs = self._laid_out(batch)
            self.tally.add(costs)
            yield costs

    def _asked(self) -> Iterator[list[Costs]]:
        """Yield the costs of some tiles at a time, each as the design gives them."""
        grid = self.grid
        size = max(1, BATCH_BYTES // (grid.stream * grid.rows * grid.cols))
        for start in range(0, grid.tiles, size):
            numbers = range(start, min(start + size, grid.tiles))
            yield [self._of_design(number) for number in numbers]

    def _of_design(self, number: int) -> Costs:
        """Return what the design gives for a tile, uint8 (m, steps, n)."""
        group, rows, cols = self.grid.slices(number)
        part = dict(zip(self._roles, (slice(0, self.grid.stream), rows, cols), strict=True))
        return self._pair_costs(group, part["m"], part["s"], part["n"])

    def _laid_out(self, batch: list[Costs]) -> Costs:
        """Return tiles as one batch, the stream first."""
        grid, axes = self.grid, ["msn".index(role) for role in self._roles]
        costs = np.empty((len(batch), grid.stream, grid.rows, grid.cols), np.uint8)
        for place, tile in zip(costs, batch, strict=True):
            if grid.steps > SMALL:
                copy_axes(tile, axes, place)
            else:
                np.copyto(place, tile.transpose(axes))
        return costs


def step_sums(costs: Costs) -> NDArray[np.int64]:
    """Return costs (tiles, s, i, j) added up over s: (tiles, i, j)."""
    sums = np.zeros((len(costs), *costs.shape[2:]), np.int64)
    if costs.size <= SMALL:
        costs.sum(axis=1, dtype=np.int64, out=sums)
    else:
        add_steps(np.ascontiguousarray(costs), sums)
    return sums


@jit
def add_steps(costs: Costs, sums: NDArray[np.int64]) -> None:
    """Add costs (tiles, s, i, j) over s to sums (tiles, i, j)."""
    tiles, items, rows, cols = costs.shape
    for tile in range(tiles):
        by_step, of_pes = costs[tile].reshape(items, rows * cols), sums[tile].reshape(rows * cols)
        for s in range(items):
            for pe in range(rows * cols):
                of_pes[pe] += by_step[s, pe]


@jit
def _sum_of_corners(
    sums: NDArray[np.int64], rows: NDArray[np.int64], cols: NDArray[np.int64]
) -> int:
    """Return the sum over all tiles of sums[tile, :rows[tile], :cols[tile]]."""
    total = 0
    for tile in range(len(sums)):
        for i in range(rows[tile]):
            row = sums[tile, i]
            for j in range(cols[tile]):
                total += row[j]
    return total
