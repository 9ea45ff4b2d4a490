"""Step cycles of a layer, tile by tile, at the rank the data has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.grid import TileGrid
from sparqsim.array.sides import MOST_PLANES, SideWaves
from sparqsim.base.jit import SMALL, jit
from sparqsim.base.threads import all_done, core_count, one_ahead

Costs = NDArray[np.uint8]

#: `pair_costs(group, m, steps, n)` gives the cycles of each step where activations and weights
#: decide them: uint8 (m, steps, n) of the slices' lengths. Slices may reach beyond the layer:
#: operands there are zero.
PairCosts = Callable[[int, slice, slice, slice], Costs]

#: Step cycles that are in work at once, bytes.
BATCH_BYTES = 1 << 24


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
        sums = step_sums(costs)
        sums *= self._grid.stream // costs.shape[1]
        self._busy = self._busy + sums.sum(axis=0)
        self._real += self._of_layer(sums, np.arange(self._tiles, self._tiles + len(costs)))
        self._tiles += len(costs)

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
        #: Filled once all batches have been given out.
        self.tally = WorkTally(grid, sharing)

    @abstractmethod
    def batches(self, *, repeat: bool) -> Iterator[Costs]:
        """Yield all tiles in order, some at a time, once.

        Column tiles, or row tiles, that share their costs are left out, except the first one,
        unless `repeat` is set.
        """

    def for_tiles(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return what is known of each tile of `batches(repeat=False)` for all of them.

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

    def batches(self, *, repeat: bool) -> Iterator[Costs]:
        """Yield what is in memory anyway."""
        tiles = self._tiles
        distinct = tiles.reshape(-1, *tiles.shape[3:])
        self.tally.add(distinct)
        if not repeat:
            yield distinct
            return
        for of_group in tiles:
            for number in range(self.grid.col_tiles):
                yield self._row_tiles(of_group[0 if self.sharing.columns else number])

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

    def batches(self, *, repeat: bool) -> Iterator[Costs]:
        """Yield as many tiles at once as fit `BATCH_BYTES`.

        Who asks for tiles that overlap (`repeat`) goes through them on one core: another one makes
        the next batch ready meanwhile, and each is half as long.
        """
        grid = self.grid
        cores = core_count() if grid.steps > SMALL else 1
        if repeat and cores > 1:
            return one_ahead(self._batches(BATCH_BYTES // 2, 1))
        return self._batches(BATCH_BYTES, cores)

    def _batches(self, most_bytes: int, cores: int) -> Iterator[Costs]:
        """Yield batches of so many bytes, copied to them by so many cores."""
        grid = self.grid
        size = max(1, most_bytes // (grid.stream * grid.rows * grid.cols))
        for start in range(0, grid.tiles, size):
            count = min(size, grid.tiles - start)
            batch = np.empty((count, grid.stream, grid.rows, grid.cols), np.uint8)
            copies = (
                (np.copyto, (place, self._tile(number)))
                for place, number in zip(batch, range(start, start + count), strict=True)
            )
            if cores > 1:
                all_done(copies, cores)
            else:
                for copy, operands in copies:
                    copy(*operands)
            self.tally.add(batch)
            yield batch

    def _tile(self, number: int) -> Costs:
        group, rows, cols = self.grid.slices(number)
        part = dict(zip(self._roles, (slice(0, self.grid.stream), rows, cols), strict=True))
        costs = self._pair_costs(group, part["m"], part["s"], part["n"])
        return costs.transpose(["msn".index(role) for role in self._roles])


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
