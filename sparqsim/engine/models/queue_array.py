"""The array of PEs with operand queues, of SMT-SA: it times whole arrays, tile after tile without
refilling.

The rules stand in `sparqsim.pe.smt_sa`; `queue_array_definition.py` is their definition in plain
Python, the kernel of this file the fast form. Groups run one after another, sums stay in the PEs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Timing
from sparqsim.array.registry import get_dataflow
from sparqsim.base.errors import InputError
from sparqsim.base.exact import exact_matmul
from sparqsim.base.jit import jit
from sparqsim.engine.measure import Measurement
from sparqsim.engine.models.base import Defined, Task
from sparqsim.engine.models.systolic_array import PEArray
from sparqsim.pe.base import Array
from sparqsim.pe.smt_sa import SmtSa, part_lengths
from sparqsim.results.actions import Actions, QueueActions, part_actions, table_of
from sparqsim.trace.lowering import LoweredLayer


@dataclass(frozen=True)
class GroupTiming:
    """How long one group's tiles take; the parts sum to the last tile's end.

    `tile_ends`: int64 (row tiles, column tiles), run row by row: the cycle by which every PE is
    done with a tile. `compute`, `fill`, `drain`: as in a report, in cycles; what remains is stall.
    `pe_cycles`: int64 (rows, cols), the cycles each PE would work if it never waited; `work`: the
    sum of them, padded outputs left out.
    """

    tile_ends: NDArray[np.int64]
    compute: int
    fill: int
    drain: int
    pe_cycles: NDArray[np.int64]
    work: int

    @property
    def total(self) -> int:
        """All cycles."""
        return int(self.tile_ends[-1, -1])

    @property
    def pe_stall(self) -> int:
        """Cycles beyond those that shapes alone ask for."""
        return self.total - self.compute - self.fill - self.drain

    @property
    def tile_cycles(self) -> NDArray[np.int64]:
        """For each tile the cycles from the one before's end to its own; their sum is the total."""
        return np.diff(self.tile_ends.ravel(), prepend=0).reshape(self.tile_ends.shape)


#: What gives the tile ends of a group: `tile_ends`, or its definition.
TileEnds: TypeAlias = Callable[[Array, Array, int, int, int, int], NDArray[np.int64]]


@dataclass(frozen=True)
class QueueArray(PEArray):
    """PEs that run through queues of their own; the array's coupling and overlap do not apply."""

    design: SmtSa
    name: ClassVar[str] = "queue-array"
    kind: ClassVar[str] = "times itself through queues of its own"

    def __post_init__(self) -> None:
        if not isinstance(self.design, SmtSa):
            raise InputError(
                f"{self.design.spec}: runs_on={self.name!r}, which takes designs derived from "
                "sparqsim.pe.smt_sa.SmtSa"
            )

    def refuse_array(self, array: ArrayConfig) -> None:
        """Refuse more PEs than `most_pes`, as each is stepped in each cycle; other dataflows."""
        pe = self.design
        if array.pes > pe.most_pes:
            raise InputError(
                f"array={array.rows}x{array.cols}: {pe.spec} steps every PE in every cycle, "
                f"expected at most {pe.most_pes:,} PEs (more with its key, e.g. "
                f"{pe.name}:most_pes=1000000)"
            )
        super().refuse_array(array)

    def time(self, task: Task, measured: Measurement | None = None) -> Timing:
        """Time by the kernel."""
        return self._timing(task, tile_ends)

    def define(self, task: Task) -> Defined:
        """Time queue by queue and cycle by cycle; the queues' sums are checked against X @ W."""
        from sparqsim.engine.models.queue_array_definition import defined_tile_ends

        return Defined(self._timing(task, defined_tile_ends))

    def _timing(self, task: Task, ends: TileEnds) -> Timing:
        """Return the cycles of a layer whose tiles end as `ends` says."""
        layer, array, flow = task.lowered, task.array, get_dataflow(task.array.dataflow)
        work = self.work(task.layer)
        groups = [
            self.group_timing(*operands, array, ends)
            for operands in _operands(layer, from_left=flow.activations_from_left)
        ]
        lengths = np.stack([group.tile_cycles for group in groups]).swapaxes(1, 2)
        used_pes = flow.grid(work, array).used_by_tile
        pe_cycles = np.sum([group.pe_cycles for group in groups], axis=0)

        def total(part: str) -> int:
            """Return the cycles of all groups, which run one after another."""
            return sum(getattr(group, part) for group in groups)

        return Timing(
            tiles=lengths.size,
            compute=total("compute"),
            fill=total("fill"),
            drain=total("drain"),
            pe_stall=total("pe_stall"),
            used_pe_cycles=int((lengths * used_pes).sum()),
            partial_sums=flow.partial_sums(work, array),
            busiest_pe=int(pe_cycles.max()),
            pe_work=total("work"),
            tile_stalls=lengths - work.steps,
        )

    def actions(
        self, task: Task, timing: Timing, measured: Measurement, unit_cycles: int
    ) -> Actions:
        """Return what parts and queues did: every PE takes all K pairs of a tile."""
        taken = timing.tiles * task.array.pes * task.shape.k
        counts = QueueActions(queue_reads=2 * taken, partial_sums=timing.partial_sums)
        return part_actions(measured.activity) | table_of(counts, "array")

    def group_timing(
        self, x: Array, w: Array, array: ArrayConfig, ends: TileEnds | None = None
    ) -> GroupTiming:
        """Return how long the array takes for one group.

        Parameters
        ----------
        x : uint8 or int8 (M, K)
            Enters at the left, a line of the array to a row.
        w : uint8 or int8 (K, N)
            Enters from above. Where the dataflow exchanges rows and columns, weights are `x` and
            activations `w`, both transposed.
        array : ArrayConfig
            Its sides.
        ends : callable, optional
            `tile_ends` by default.
        """
        pe, rows, cols = self.design, array.rows, array.cols
        of_tiles = (ends or tile_ends)(x, w, rows, cols, pe.lanes, pe.queue_depth)
        longest = pe.steps(x.shape[1])
        alone = np.maximum(longest, exact_matmul(x != 0, w != 0))
        short = [
            (0, -length % side) for length, side in zip(alone.shape, (rows, cols), strict=True)
        ]
        by_pe = (
            np.pad(alone, short, constant_values=longest)
            .reshape(len(of_tiles), rows, -1, cols)
            .sum((0, 2))
        )
        return GroupTiming(
            of_tiles,
            compute=of_tiles.size * longest,
            fill=rows + cols,
            drain=of_tiles.size,
            pe_cycles=by_pe,
            work=int(alone.sum()),
        )


def _operands(layer: LoweredLayer, *, from_left: bool) -> Iterator[tuple[Array, Array]]:
    """Yield what enters at the left and from above by group: X and W, or W.T and X.T."""
    for x, w in zip(layer.rows(), layer.weights, strict=True):
        yield (x, w) if from_left else (w.T, x.T)


def tile_ends(
    x: Array, w: Array, rows: int, cols: int, threads: int, depth: int
) -> NDArray[np.int64]:
    """Return the cycle by which every PE has emitted each tile, int64 (row tiles, column tiles).

    The fast form of `sparqsim.engine.models.queue_array_definition.Queues`.

    Parameters
    ----------
    x, w : integer (M, K) and (K, N)
    rows, cols, threads, depth : int
    """
    lengths = part_lengths(x.shape[1], threads)
    by_row, by_col = (_padded(values != 0, side) for values, side in ((x, rows), (w.T, cols)))
    ends = np.zeros((len(by_row) // rows, len(by_col) // cols), np.int64)
    _run_queues(
        by_row, by_col, np.cumsum(lengths) - lengths, lengths, rows, cols, depth, ends.reshape(-1)
    )
    return ends


def _padded(values: Array, side: int) -> Array:
    """Return (length, K) with rows of zeros until `side` divides it, and a column of them."""
    return np.ascontiguousarray(np.pad(values, ((0, -len(values) % side), (0, 1))))


@jit
def _run_queues(
    x: NDArray[np.bool_],
    w: NDArray[np.bool_],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    rows: int,
    cols: int,
    depth: int,
    ends: NDArray[np.int64],
) -> None:
    """Step the array cycle by cycle: x (row tiles * rows, K) and w (column tiles * cols, K), True
    where not zero.

    A queue's occupancy is the difference between the pairs its writer and its reader have taken, so
    counts stand for queues.
    """
    threads, with_work, col_tiles = len(lengths), np.count_nonzero(lengths), len(w) // cols
    # Pairs taken per PE and thread at the start of a cycle and at its end. The frame around the
    # array holds what the edge has delivered (above, left) and a reader that is never full (below,
    # right).
    taken = np.zeros((rows + 2, cols + 2, threads), np.int64)
    taken[rows + 1], taken[:, cols + 1] = 1 << 62, 1 << 62
    after = taken.copy()
    place = np.zeros((rows, cols, threads), np.int64)  # element of K each thread takes next
    place[:] = starts
    tile = np.zeros((rows, cols), np.int64)
    # Lines of x and of w each PE works on, kept because divisions are slow.
    row, col = np.zeros((rows, cols), np.int64), np.zeros((rows, cols), np.int64)
    for i in range(rows):
        for j in range(cols):
            row[i, j], col[i, j] = i, j
    open_threads = np.full((rows, cols), with_work)
    running, cycle = rows * cols, 0
    while running:
        _deliver(taken, cycle)
        for i in range(rows):
            for j in range(cols):
                if open_threads[i, j] > 0:
                    lines = row[i, j], col[i, j]
                    open_threads[i, j] -= _scan(
                        taken, after, place, x, w, starts, lengths, depth, i, j, lines
                    )
                    continue
                for thread in range(threads):
                    after[i + 1, j + 1, thread] = taken[i + 1, j + 1, thread]
                    place[i, j, thread] = starts[thread]
                if tile[i, j] < len(ends):
                    ends[tile[i, j]] = cycle + 1
                    tile[i, j] += 1
                    row[i, j] = tile[i, j] // col_tiles * rows + i
                    col[i, j] = tile[i, j] % col_tiles * cols + j
                    running -= tile[i, j] == len(ends)
                    open_threads[i, j] = with_work * (tile[i, j] < len(ends))
        taken, after = after, taken
        cycle += 1


@jit
def _deliver(taken: NDArray[np.int64], cycle: int) -> None:
    """Set what the edge has delivered when a cycle starts: entry q of line i from i + q + 2 on."""
    for i in range(1, taken.shape[0] - 1):
        taken[i, 0] = max(0, cycle - i)
    for j in range(1, taken.shape[1] - 1):
        taken[0, j] = max(0, cycle - j)


@jit
def _scan(
    taken: NDArray[np.int64],
    after: NDArray[np.int64],
    place: NDArray[np.int64],
    x: NDArray[np.bool_],
    w: NDArray[np.bool_],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    depth: int,
    i: int,
    j: int,
    lines: tuple[int, int],
) -> int:
    """Let the threads of PE (i, j) fire, on its `lines` of x and w; return how many finished."""
    row, col = lines
    finished, multiplied = 0, False
    for thread in range(len(lengths)):
        own, k = taken[i + 1, j + 1, thread], place[i, j, thread]
        end = starts[thread] + lengths[thread]
        fires = (
            (not multiplied)
            & (k < end)
            & (taken[i + 1, j, thread] > own)
            & (taken[i, j + 1, thread] > own)
            & (own - taken[i + 1, j + 2, thread] < depth)
            & (own - taken[i + 2, j + 1, thread] < depth)
        )
        # No branch on data, which no processor could foresee; k == end reads the column of padding.
        multiplied |= fires & x[row, k] & w[col, k]
        finished += fires & (k + 1 == end)
        after[i + 1, j + 1, thread] = own + fires
        place[i, j, thread] = k + fires
    return finished
