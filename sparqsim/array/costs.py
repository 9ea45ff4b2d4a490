"""Step cycles of a layer, tile by tile, at the rank the data has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.grid import TileGrid
from sparqsim.base.jit import jit, parallel_jit, prange

Costs = NDArray[np.uint8]

#: `pair_costs(group, m, steps, n)` gives the cycles of each step where activations and weights decide them: uint8
#: (m, steps, n) of the slices' lengths. Slices may reach beyond the layer: operands there are zero.
PairCosts = Callable[[int, slice, slice, slice], Costs]

#: Step cycles that are in work at once, bytes.
BATCH_BYTES = 1 << 24


class WorkTally:
    """Adds up step cycles, batch by batch: of each PE, and of all steps that are not padding."""

    def __init__(self, grid: TileGrid, *, columns_share: bool) -> None:
        self._grid, self._columns_share = grid, columns_share
        self._busy: NDArray[np.int64] = np.zeros((), np.int64)
        self._real = self._tiles = 0

    def add(self, costs: Costs) -> None:
        """Count the next tiles, uint8 (tiles, stream or 1, rows, columns or 1)."""
        sums = np.zeros((len(costs), *costs.shape[2:]), np.int64)
        _add_steps(costs, sums)
        sums *= self._grid.stream // costs.shape[1]
        self._busy = self._busy + sums.sum(axis=0)
        self._real += self._of_layer(sums, np.arange(self._tiles, self._tiles + len(costs)))
        self._tiles += len(costs)

    def _of_layer(self, sums: NDArray[np.int64], tiles: NDArray[np.int64]) -> int:
        """Return the sum of `sums` (tiles, rows, columns or 1) over PEs that hold real work."""
        grid = self._grid
        if self._columns_share:
            used = np.arange(grid.rows) < grid.used_rows[tiles % grid.row_tiles, None]
            return int(sums[used].sum()) * grid.along_cols
        _, col_tile, row_tile = np.unravel_index(tiles, grid.shape)
        return int(_sum_of_corners(sums, grid.used_rows[row_tile], grid.used_cols[col_tile]))

    def busiest_and_all(self) -> tuple[int, int]:
        """Return the step cycles of the busiest PE, padded steps included, and those of all PEs, padding left out."""
        times = self._grid.col_tiles if self._columns_share else 1
        return int(self._busy.max()) * times, self._real


class TileCosts(ABC):
    """The step cycles of every tile, padded to the whole array.

    A batch is uint8 (tiles, stream or 1, rows, columns or 1): an axis of length 1 means that the cost does not
    change along it.
    """

    def __init__(self, grid: TileGrid, *, columns_share: bool) -> None:
        self.grid = grid
        #: Whether the cost of a step is the same in all columns, and so in all column tiles.
        self.columns_share = columns_share
        #: Filled once all batches have been given out.
        self.tally = WorkTally(grid, columns_share=columns_share)

    @abstractmethod
    def batches(self, *, repeat: bool) -> Iterator[Costs]:
        """Yield all tiles in order, some at a time, once.

        Column tiles that share their costs are left out, except the first one, unless `repeat` is set.
        """

    def for_tiles(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return what is known of each tile of `batches(repeat=False)`, int64, as (groups, column tiles, row tiles)."""
        shape = self.grid.shape
        return np.broadcast_to(values.reshape(shape[0], -1, shape[2]), shape)


class ActivationCosts(TileCosts):
    """Costs that activations alone decide.

    Parameters
    ----------
    costs : uint8 (groups, stream or 1, size along rows, size along columns or 1)
    grid : TileGrid
    columns_share : bool
    """

    def __init__(self, costs: Costs, grid: TileGrid, *, columns_share: bool) -> None:
        super().__init__(grid, columns_share=columns_share)
        self._tiles = self._cut(costs)

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
                yield of_group[0 if self.columns_share else number]

    def _cut(self, costs: Costs) -> Costs:
        """Return costs as (groups, column tiles, row tiles, stream, rows, columns), padded with one cycle."""
        groups, stream, along_rows, along_cols = costs.shape
        rows, width = self.grid.rows, 1 if self.columns_share else self.grid.cols
        short = (-along_rows % rows, -along_cols % width)
        padded = np.pad(costs, ((0, 0), (0, 0), (0, short[0]), (0, short[1])), constant_values=1)
        by_tile = padded.reshape(groups, stream, -1, rows, padded.shape[3] // width, width)
        return np.ascontiguousarray(by_tile.transpose(0, 4, 2, 1, 3, 5))


class PairTileCosts(TileCosts):
    """Costs that activations and weights decide together: asked for tile by tile, never all at once.

    Parameters
    ----------
    pair_costs : PairCosts
    grid : TileGrid
    roles : str
        Which of 'm', 's' (steps) and 'n' is streamed, along the rows, and along the columns.
    """

    def __init__(self, pair_costs: PairCosts, grid: TileGrid, roles: str) -> None:
        super().__init__(grid, columns_share=False)
        self._pair_costs, self._roles = pair_costs, roles

    def batches(self, *, repeat: bool) -> Iterator[Costs]:
        """Yield as many tiles at once as fit `BATCH_BYTES`."""
        grid = self.grid
        size = max(1, BATCH_BYTES // (grid.stream * grid.rows * grid.cols))
        for start in range(0, grid.tiles, size):
            count = min(size, grid.tiles - start)
            batch = np.empty((count, grid.stream, grid.rows, grid.cols), np.uint8)
            for place, number in zip(batch, range(start, start + count), strict=True):
                place[:] = self._tile(number)
            self.tally.add(batch)
            yield batch

    def _tile(self, number: int) -> Costs:
        group, rows, cols = self.grid.slices(number)
        part = dict(zip(self._roles, (slice(0, self.grid.stream), rows, cols), strict=True))
        costs = self._pair_costs(group, part["m"], part["s"], part["n"])
        return costs.transpose(["msn".index(role) for role in self._roles])


@parallel_jit
def _add_steps(costs: Costs, sums: NDArray[np.int64]) -> None:
    """Add costs (tiles, s, i, j) over s to sums (tiles, i, j)."""
    tiles, items, rows, _ = costs.shape
    for tile in prange(tiles):
        for s in range(items):
            for i in range(rows):
                row, total = costs[tile, s, i], sums[tile, i]
                for j in range(len(row)):
                    total[j] += row[j]


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
