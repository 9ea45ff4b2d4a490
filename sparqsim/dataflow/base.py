"""What every dataflow shares: the array is cut into tiles, a tile is a wavefront, tiles follow one another.

A layer is M x N outputs of S steps each, per group (S = ceil(K / lanes)). A dataflow says which of M, N, S lies along
the array's rows, which along its columns, and which is streamed; and whether stationary operands load before a tile
or results drain after it. Everything else is the same for all three, so each dataflow is one short file.

In lockstep, PE (i, j) does the streamed item s of a tile in wave s + i + j, and a wave takes as long as its slowest
active PE.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.config import ArrayConfig
from sparqsim.dataflow.waves import merged_waves, tile_waves


@dataclass(frozen=True)
class Work:
    """What a layer asks of the array: per group, `m` x `n` outputs of `steps` steps; `edge_cycles` of the PE design."""

    m: int
    steps: int
    n: int
    groups: int = 1
    edge_cycles: int = 0


@dataclass(frozen=True)
class Timing:
    """Cycles of a layer by what they were spent on, and the PEs its tiles used.

    `used_pe_cycles`: sum over tiles of (PEs that hold real work) x (cycles of the tile).
    `partial_sums`: sums that leave the array, those of K folds counted one by one.
    """

    tiles: int
    compute: int
    fill: int
    drain: int
    pe_stall: int
    used_pe_cycles: int
    partial_sums: int

    @property
    def total(self) -> int:
        """All cycles."""
        return self.compute + self.fill + self.drain + self.pe_stall


@dataclass(frozen=True)
class Axes:
    """Sizes of the work along the array's rows and columns, and of the stream."""

    rows: int
    cols: int
    stream: int


@dataclass(frozen=True)
class TileGrid:
    """How the work is cut: sizes along the array's rows and columns, the array's own, and the stream's length."""

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
    def tiles(self) -> int:
        """All tiles, of all groups."""
        return self.groups * self.row_tiles * self.col_tiles

    @property
    def used_pes(self) -> int:
        """Sum over all tiles of the PEs that hold real work."""
        return self.groups * self.along_rows * self.along_cols

    @property
    def first_used_pes(self) -> int:
        """PEs the first tile uses: no tile uses more."""
        return min(self.rows, self.along_rows) * min(self.cols, self.along_cols)

    @property
    def last_used_pes(self) -> int:
        """PEs the last tile uses."""
        return int(self._used(self.along_rows, self.rows)[-1] * self._used(self.along_cols, self.cols)[-1])

    @property
    def used_by_tile(self) -> NDArray[np.int64]:
        """PEs each tile of a group uses, int64 (column tiles, row tiles)."""
        return np.outer(self._used(self.along_cols, self.cols), self._used(self.along_rows, self.rows))

    @staticmethod
    def _used(along: int, side: int) -> NDArray[np.int64]:
        starts = np.arange(0, along, side)
        used: NDArray[np.int64] = np.minimum(side, along - starts)
        return used


class Dataflow(ABC):
    """One way of laying a layer out on the array. Tiles run group by group, then by columns, rows innermost."""

    name: ClassVar[str]
    #: Whether stationary operands load (R cycles) before a tile; else results drain (R cycles) after it.
    loads: ClassVar[bool]

    @abstractmethod
    def axes(self, work: Work) -> Axes:
        """Return which sizes lie along rows, columns and the stream."""

    @abstractmethod
    def tile_costs(self, cycles: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return step cycles (groups, M, S) along the array: (groups, stream or 1, rows, cols or 1)."""

    @abstractmethod
    def partial_sums(self, work: Work, array: ArrayConfig) -> int:
        """Return how many sums leave the array."""

    def timing(self, work: Work, array: ArrayConfig, cycles: NDArray[np.uint8] | None = None) -> Timing:
        """Return the cycles of a layer.

        Parameters
        ----------
        work : Work
        array : ArrayConfig
        cycles : uint8 (groups, M, S), optional
            Cycles of each step where activations decide them; one cycle each if absent.
        """
        axes = self.axes(work)
        grid = TileGrid(work.groups, axes.rows, axes.cols, axes.stream, array.rows, array.cols)
        stalls = None if cycles is None else self._stalls(grid, array, cycles)
        return self._timing(work, array, grid, stalls)

    def _timing(self, work: Work, array: ArrayConfig, grid: TileGrid, stalls: NDArray[np.int64] | None) -> Timing:
        skew = array.rows + array.cols - 2 + work.edge_cycles
        period = max(grid.stream, array.rows)
        if array.overlap:
            fill, edge, exposed = skew, array.rows, (grid.tiles - 1) * (period - grid.stream)
            ends = array.rows * (grid.first_used_pes if self.loads else grid.last_used_pes)
            used = period * grid.used_pes + (grid.stream - period + skew) * grid.last_used_pes + ends
        else:
            fill, edge, exposed = grid.tiles * skew, grid.tiles * array.rows, 0
            used = (grid.stream + skew + array.rows) * grid.used_pes
        if stalls is not None:
            used += int((stalls * grid.used_by_tile).sum())
        around = edge + exposed
        return Timing(
            tiles=grid.tiles,
            compute=grid.tiles * grid.stream,
            fill=fill + (around if self.loads else 0),
            drain=0 if self.loads else around,
            pe_stall=0 if stalls is None else int(stalls.sum()),
            used_pe_cycles=used,
            partial_sums=self.partial_sums(work, array),
        )

    def _stalls(self, grid: TileGrid, array: ArrayConfig, cycles: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return the cycles that slow steps add to each tile, int64 (groups, column tiles, row tiles)."""
        waves = tile_waves(self.tile_costs(cycles), grid.stream, array.rows, array.cols)
        waves = np.broadcast_to(waves, (grid.groups, grid.col_tiles, grid.row_tiles, waves.shape[-1]))
        if not array.overlap:
            return np.asarray(waves.sum(-1, dtype=np.int64) - waves.shape[-1])
        period = max(grid.stream, array.rows)
        merged = merged_waves(waves.reshape(grid.tiles, -1), period)
        stalls: NDArray[np.int64] = merged.sum(-1, dtype=np.int64) - merged.shape[-1]
        return stalls.reshape(waves.shape[:-1])
