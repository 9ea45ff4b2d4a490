"""What every dataflow shares: the array is cut into tiles, a tile is a wavefront, tiles follow one another.

A layer is M x N outputs of S steps each, per group (S = ceil(K / lanes)). A dataflow says which of M, N, S lies
along the array's rows, which along its columns, and which is streamed. Everything else follows from these roles: what
stays in a PE, where operands enter, whether stationary operands load before a tile or results drain after it. So each
dataflow is one short file, and nothing else asks for its name.

In lockstep, PE (i, j) does the streamed item s of a tile in wave s + i + j, and a wave takes as long as its slowest
active PE.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.costs import ActivationCosts, PairCosts, PairTileCosts, TileCosts
from sparqsim.array.elastic import Links, chained_stalls, separate_stalls, unit_stalls
from sparqsim.array.grid import TileGrid
from sparqsim.array.shape import ArrayShape
from sparqsim.array.waves import merged_waves, tile_waves
from sparqsim.base.errors import InputError


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

    `used_pe_cycles`: sum over tiles of (PEs that hold real work) x (cycles of the tile). `partial_sums`: sums that
    leave the array, those of K folds counted one by one. `busiest_pe`: step cycles of the PE that has most of them,
    over all tiles. `pe_work`: step cycles of all PEs, padding left out.
    """

    tiles: int
    compute: int
    fill: int
    drain: int
    pe_stall: int
    used_pe_cycles: int
    partial_sums: int
    busiest_pe: int
    pe_work: int
    #: Cycles that slow steps add to each tile, int64 (groups, column tiles, row tiles); None: no step is slow. Of a
    #: design that times itself: all that each tile takes beyond its steps.
    tile_stalls: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)

    @property
    def total(self) -> int:
        """All cycles."""
        return self.compute + self.fill + self.drain + self.pe_stall


#: What stays in a PE, by the role that is streamed.
STATIONARY = {"s": "outputs", "m": "weights", "n": "activations"}


class Dataflow:
    """One way of laying a layer out on the array. Tiles run group by group, then by columns, rows innermost.

    A subclass gives `name` and `roles`.

    Raises
    ------
    InputError
        When a dataflow is made whose roles no array of this kind can have.
    """

    name: ClassVar[str]
    #: Which of 'm', 's' (steps of K) and 'n' is streamed, lies along the rows, and along the columns.
    roles: ClassVar[str]

    def __new__(cls, *_: object, **__: object) -> Self:
        """Refuse roles that cannot be."""
        check_roles(cls)
        return super().__new__(cls)

    @property
    def stationary(self) -> str:
        """What stays in a PE for a whole tile: 'outputs', 'weights' or 'activations'."""
        return STATIONARY[self.roles[0]]

    @property
    def loads(self) -> bool:
        """Whether stationary operands load (R cycles) before a tile; else results drain (R cycles) after it."""
        return self.roles[0] != "s"

    @property
    def activations_from_left(self) -> bool:
        """Whether activations enter at the left edge, row by row, and weights from above; else the reverse."""
        return "n" not in self.roles[:2]

    def partial_sums(self, work: Work, array: ArrayShape) -> int:
        """Return how many sums leave the array: every output once, or once per fold of K along the rows."""
        folds = -(-work.steps // array.rows) if self.loads else 1
        return work.groups * work.m * work.n * folds

    def grid(self, work: Work, array: ArrayShape) -> TileGrid:
        """Return how the work is cut into tiles."""
        sizes = {"m": work.m, "s": work.steps, "n": work.n}
        stream, rows, cols = (sizes[role] for role in self.roles)
        return TileGrid(work.groups, rows, cols, stream, array.rows, array.cols)

    def timing(
        self, work: Work, array: ArrayShape, cycles: NDArray[np.uint8] | PairCosts | None = None
    ) -> Timing:
        """Return the cycles of a layer.

        Parameters
        ----------
        work : Work
        array : ArrayShape
        cycles : uint8 (groups, M, S) or PairCosts, optional
            Cycles of each step where activations decide them, or a function that gives them where weights do too;
            one cycle each if absent.
        """
        grid = self.grid(work, array)
        links = self._links(work, array, grid)
        if cycles is None:
            stalls = None if links is None else unit_stalls(links, grid, overlap=array.overlap)
            return self.timing_of(
                work, array, stalls, grid.tiles * grid.stream, grid.used_pes * grid.stream
            )
        costs = self.tile_costs(cycles, grid)
        if links is None:
            stalls = wave_stalls(costs, overlap=array.overlap)
        else:
            stalls = elastic_stalls(costs, links, overlap=array.overlap)
        return self.timing_of(work, array, stalls, *costs.tally.busiest_and_all())

    def tile_costs(self, cycles: NDArray[np.uint8] | PairCosts, grid: TileGrid) -> TileCosts:
        """Return step cycles as tiles."""
        if not isinstance(cycles, np.ndarray):
            return PairTileCosts(cycles, grid, self.roles)
        if self.roles[1] == "n":
            return PairTileCosts(same_in_all_columns_of_w(cycles), grid, self.roles)
        of_stream_rows_cols = cycles[..., None].transpose(
            0, *(1 + "msn".index(role) for role in self.roles)
        )
        return ActivationCosts(of_stream_rows_cols, grid, columns_share=self.roles[2] == "n")

    def timing_of(
        self,
        work: Work,
        array: ArrayShape,
        stalls: NDArray[np.int64] | None,
        busiest_pe: int,
        pe_work: int,
    ) -> Timing:
        """Return the timing of a layer whose tiles each take `stalls` more cycles than they would with one-cycle steps.

        Parameters
        ----------
        work : Work
        array : ArrayShape
        stalls : int64 (groups, column tiles, row tiles), optional
        busiest_pe, pe_work : int
            As in `Timing`.
        """
        grid = self.grid(work, array)
        skew = array.rows + array.cols - 2 + work.edge_cycles
        period = max(grid.stream, array.rows)
        if array.overlap:
            fill, edge, exposed = skew, array.rows, (grid.tiles - 1) * (period - grid.stream)
            ends = array.rows * (grid.first_used_pes if self.loads else grid.last_used_pes)
            used = (
                period * grid.used_pes + (grid.stream - period + skew) * grid.last_used_pes + ends
            )
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
            busiest_pe=busiest_pe,
            pe_work=pe_work,
            tile_stalls=stalls,
        )

    def _links(self, work: Work, array: ArrayShape, grid: TileGrid) -> Links | None:
        """Return the elastic links of the array, None in lockstep."""
        if array.link_depth is None:
            return None
        return Links(
            array.link_depth,
            work.edge_cycles,
            max(grid.stream, array.rows),
            grid.stream,
            self.loads,
        )


def check_roles(flow: type[Dataflow]) -> None:
    """Raise InputError unless the roles of a dataflow are those of an array whose sums move down."""
    where, roles = f"dataflow {getattr(flow, 'name', flow.__name__)!r}", flow.roles
    if not isinstance(roles, str) or sorted(roles) != ["m", "n", "s"]:
        raise InputError(
            f"{where}: roles={roles!r}: expected the letters m, s and n once each: what is streamed, "
            "lies along the rows, and along the columns"
        )
    if roles[2] == "s":
        raise InputError(
            f"{where}: roles={roles!r} lays steps of K along the columns, so that sums would move right; "
            f"expected s streamed or along the rows, e.g. {roles[0]}s{roles[1]}: sums move down columns"
        )
    loads = getattr(flow, "loads", None)
    if isinstance(loads, bool) and loads != (roles[0] != "s"):
        raise InputError(
            f"{where}: loads={loads} with roles={roles!r}: expected {not loads}, or no `loads`: "
            "sums stay and drain where s is streamed, else operands stay and load"
        )


def same_in_all_columns_of_w(cycles: NDArray[np.uint8]) -> PairCosts:
    """Return step cycles (groups, M, S) that activations decide as costs of pairs; padding takes one cycle."""

    def costs(group: int, m: slice, steps: slice, n: slice) -> NDArray[np.uint8]:
        part = cycles[group, m, steps]
        padded = np.ones((m.stop - m.start, steps.stop - steps.start), np.uint8)
        padded[: part.shape[0], : part.shape[1]] = part
        return np.broadcast_to(padded[..., None], (*padded.shape, n.stop - n.start))

    return costs


def wave_stalls(costs: TileCosts, *, overlap: bool) -> NDArray[np.int64]:
    """Return the cycles that slow steps add to each tile in lockstep, int64 (groups, column tiles, row tiles)."""
    grid = costs.grid
    batches = (tile_waves(batch, grid.stream, grid.cols) for batch in costs.batches(repeat=False))
    if not overlap:
        return costs.for_tiles(
            np.concatenate([waves.sum(-1, dtype=np.int64) - waves.shape[-1] for waves in batches])
        )
    waves = np.concatenate(list(batches))
    length = waves.shape[-1]
    of_tiles = np.broadcast_to(
        waves.reshape(grid.groups, -1, grid.row_tiles, length), (*grid.shape, length)
    )
    merged = merged_waves(of_tiles.reshape(grid.tiles, length), max(grid.stream, grid.rows))
    stalls: NDArray[np.int64] = (merged.sum(-1, dtype=np.int64) - merged.shape[-1]).reshape(
        grid.shape
    )
    return stalls


def elastic_stalls(costs: TileCosts, links: Links, *, overlap: bool) -> NDArray[np.int64]:
    """Return the cycles that slow steps add to each tile of an elastic array, as `wave_stalls` does."""
    links = replace(links, mirrored=costs.columns_share and costs.grid.cols > 1)
    if overlap:
        return chained_stalls(costs.batches(repeat=True), links, costs.grid.tiles).reshape(
            costs.grid.shape
        )
    stalls = [separate_stalls(batch, links) for batch in costs.batches(repeat=False)]
    return costs.for_tiles(np.concatenate(stalls))
