"""What every dataflow shares: the array is cut into tiles, a tile is a wavefront, tiles follow one
another.

A layer is M x N outputs of S steps each, per group (S = ceil(K / lanes)). A dataflow says which of
M, N, S lies along the array's rows, which along its columns, and which is streamed. Everything else
follows from these roles: what stays in a PE, where operands enter, whether stationary operands load
before a tile or results drain after it. So each dataflow is one short file, and nothing else asks
for its name.

In lockstep, PE (i, j) does the streamed item s of a tile in wave s + i + j, and a wave takes as
long as its slowest active PE. In broadcast it does item s in wave s, wherever it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.broadcast import broadcast_fixed_stalls, broadcast_stalls
from sparqsim.array.costs import (
    Costs,
    PairCosts,
    PairTileCosts,
    SideCosts,
    SideTileCosts,
    TileCosts,
)
from sparqsim.array.elastic import Links, chained_stalls, separate_stalls
from sparqsim.array.fixed import elastic_fixed_stalls, lockstep_fixed_stalls
from sparqsim.array.grid import TileGrid
from sparqsim.array.shape import ArrayShape
from sparqsim.array.waves import merged_waves, tile_waves
from sparqsim.base.errors import InputError


@dataclass(frozen=True)
class Work:
    """What a layer asks of the array: per group, `m` x `n` outputs of `steps` steps.

    `edge_cycles`, `stage_cycles`: registers in front of the first PE, and between a PE's
    multipliers and its sum.
    """

    m: int
    steps: int
    n: int
    groups: int = 1
    edge_cycles: int = 0
    stage_cycles: int = 0

    @property
    def register_cycles(self) -> int:
        """Cycles that a sum comes later than without those registers."""
        return self.edge_cycles + self.stage_cycles


#: Cycles of the steps of a layer: of all, by the operands of one side, or by both sides.
StepCycles = int | SideCosts | PairCosts


@dataclass(frozen=True)
class Timing:
    """Cycles of a layer by what they were spent on, and the PEs its tiles used.

    `used_pe_cycles`: sum over tiles of (PEs that hold real work) x (cycles of the tile).
    `partial_sums`: sums that leave the array, those of K folds counted one by one. `busiest_pe`:
    step cycles of the PE that has most of them, over all tiles. `pe_work`: step cycles of all PEs,
    padding left out.
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
    #: Cycles that slow steps add to each tile, int64 (groups, column tiles, row tiles); None: no
    #: step is slow. Of a design that times itself: all that each tile takes beyond its steps.
    tile_stalls: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)
    #: Of a layer that is gone over several times, the timing of each pass.
    passes: tuple[Timing, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def sum_of(cls, passes: tuple[Timing, ...]) -> Timing:
        """Return the timing of passes that run one after another."""
        counts = [each.name for each in fields(cls) if each.compare]
        sums = {name: sum(getattr(each, name) for each in passes) for name in counts}
        return cls(**sums, passes=passes)

    @property
    def total(self) -> int:
        """All cycles."""
        return self.compute + self.fill + self.drain + self.pe_stall


#: What stays in a PE, by the role that is streamed.
STATIONARY = {"s": "outputs", "m": "weights", "n": "activations"}


class Dataflow:
    """One way of laying a layer out on the array.

    Tiles run group by group, then by columns, rows innermost.

    A subclass gives `name` and `roles`.

    Raises
    ------
    InputError
        When a dataflow is made whose roles no array of this kind can have.
    """

    name: ClassVar[str]
    #: Which of 'm', 's' (steps of K) and 'n' is streamed, lies along the rows, and along the
    #: columns.
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
        """Whether stationary operands load (R cycles) before a tile; else results drain after."""
        return self.roles[0] != "s"

    @property
    def activations_from_left(self) -> bool:
        """Whether activations enter at the left edge, row by row, and weights from above; else the
        reverse.
        """
        return "n" not in self.roles[:2]

    def partial_sums(self, work: Work, array: ArrayShape) -> int:
        """Return how many sums leave: every output once, or once per fold of K along the rows."""
        folds = -(-work.steps // array.rows) if self.loads else 1
        return work.groups * work.m * work.n * folds

    def grid(self, work: Work, array: ArrayShape) -> TileGrid:
        """Return how the work is cut into tiles."""
        sizes = {"m": work.m, "s": work.steps, "n": work.n}
        stream, rows, cols = (sizes[role] for role in self.roles)
        return TileGrid(work.groups, rows, cols, stream, array.rows, array.cols)

    def timing(self, work: Work, array: ArrayShape, cycles: StepCycles = 1) -> Timing:
        """Return the cycles of a layer.

        Parameters
        ----------
        work : Work
        array : ArrayShape
        cycles : int, SideCosts or PairCosts
            Cycles of each step: the same for all; by the operands of one side; or a function that
            gives them where both sides decide.
        """
        grid = self.grid(work, array)
        links = self._links(work, array, grid)
        if isinstance(cycles, int):
            return self._fixed_timing(work, array, cycles, links)
        waves = None
        if isinstance(cycles, SideCosts) and not (array.broadcast or links or array.overlap):
            waves = cycles.waves(self.roles)
        if waves is not None:
            busiest_and_all = waves.busiest_and_all(grid)
            return self.timing_of(work, array, waves.stalls(grid), *busiest_and_all)
        costs = self.tile_costs(cycles, grid)
        if array.broadcast:
            stalls = broadcast_stalls(costs)
        elif links is None:
            stalls = wave_stalls(costs, overlap=array.overlap)
        else:
            stalls = elastic_stalls(costs, links, overlap=array.overlap)
        return self.timing_of(work, array, stalls, *costs.tally.busiest_and_all())

    def _fixed_timing(
        self, work: Work, array: ArrayShape, cycles: int, links: Links | None
    ) -> Timing:
        """Return the timing where every step takes `cycles`, padded ones too."""
        grid = self.grid(work, array)
        if links is not None:
            stalls = elastic_fixed_stalls(cycles, links, grid, overlap=array.overlap)
        elif array.broadcast and cycles > 1:
            stalls = broadcast_fixed_stalls(cycles, grid)
        elif cycles > 1:
            stalls = lockstep_fixed_stalls(cycles, grid, overlap=array.overlap)
        else:
            stalls = None
        streamed = cycles * grid.stream
        return self.timing_of(work, array, stalls, grid.tiles * streamed, grid.used_pes * streamed)

    def tile_costs(self, cycles: SideCosts | PairCosts, grid: TileGrid) -> TileCosts:
        """Return step cycles as tiles."""
        if isinstance(cycles, SideCosts):
            return SideTileCosts(cycles, grid, self.roles)
        return PairTileCosts(cycles, grid, self.roles)

    def timing_of(
        self,
        work: Work,
        array: ArrayShape,
        stalls: NDArray[np.int64] | None,
        busiest_pe: int,
        pe_work: int,
    ) -> Timing:
        """Return the timing of a layer whose tiles each take `stalls` more cycles than they would
        with one-cycle steps.

        Parameters
        ----------
        work : Work
        array : ArrayShape
        stalls : int64 (groups, column tiles, row tiles), optional
        busiest_pe, pe_work : int
            As in `Timing`.
        """
        grid = self.grid(work, array)
        skew = array.skew_cycles + work.register_cycles
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
        """Return the elastic links of the array, None where it has none."""
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
    """Raise InputError unless a dataflow's roles are those of an array whose sums move down."""
    where, roles = f"dataflow {getattr(flow, 'name', flow.__name__)!r}", flow.roles
    if not isinstance(roles, str) or sorted(roles) != ["m", "n", "s"]:
        raise InputError(
            f"{where}: roles={roles!r}: expected the letters m, s and n once each: what is "
            "streamed, lies along the rows, and along the columns"
        )
    if roles[2] == "s":
        raise InputError(
            f"{where}: roles={roles!r} lays steps of K along the columns, so that sums would move "
            f"right; expected s streamed or along the rows, e.g. {roles[0]}s{roles[1]}: sums move "
            "down columns"
        )
    loads = getattr(flow, "loads", None)
    if isinstance(loads, bool) and loads != (roles[0] != "s"):
        raise InputError(
            f"{where}: loads={loads} with roles={roles!r}: expected {not loads}, or no `loads`: "
            "sums stay and drain where s is streamed, else operands stay and load"
        )


def wave_stalls(costs: TileCosts, *, overlap: bool) -> NDArray[np.int64]:
    """Return what slow steps add to each tile in lockstep, int64 (groups, col tiles, row tiles)."""
    grid = costs.grid

    def waves_of(batch: Costs) -> Costs:
        return tile_waves(batch, grid.stream, grid.rows, grid.cols)

    def stalls_of(batch: Costs) -> NDArray[np.int64]:
        waves = waves_of(batch)
        late: NDArray[np.int64] = waves.sum(-1, dtype=np.int64) - waves.shape[-1]
        return late

    if not overlap:
        return costs.for_tiles(costs.of_tiles(stalls_of))
    waves = costs.for_tiles(costs.of_tiles(waves_of))
    in_order = waves.reshape(grid.tiles, waves.shape[-1])
    merged = merged_waves(in_order, max(grid.stream, grid.rows))
    stalls: NDArray[np.int64] = (merged.sum(-1, dtype=np.int64) - merged.shape[-1]).reshape(
        grid.shape
    )
    return stalls


def elastic_stalls(costs: TileCosts, links: Links, *, overlap: bool) -> NDArray[np.int64]:
    """Return what slow steps add to each tile of an elastic array, as `wave_stalls` does."""
    grid, sharing = costs.grid, costs.sharing
    links = replace(
        links,
        mirrored=(sharing.columns and grid.cols > 1) or (sharing.rows and grid.rows > 1),
        further_rows=grid.rows - 1 if sharing.rows else 0,
    )
    if overlap:
        stalls_in_order = chained_stalls(costs.batches(), links, grid.tiles)
        return stalls_in_order.reshape(grid.shape)
    return costs.for_tiles(costs.of_tiles(partial(separate_stalls, links=links)))
