"""SMT-SA: threads with operand queues share one multiplier; a zero operand costs nothing, a product costs a cycle.

The rules of the array, output-stationary; `sparqsim.pe.smt_sa_definition` is their definition in plain Python:

1. Activations move right, weights move down. A PE has one accumulator and, per thread, a queue of `queue_depth`
   entries for each operand.
2. K is cut into T contiguous parts of floor(K / T), the last with the remainder; all threads serve the same sum.
   Tiles at the matrices' ends are padded with zeros.
3. Each cycle, every PE scans its threads in fixed order. A thread fires if both its queues hold data, it is not
   finished, and both of its downstream queues have room, all judged on the occupancy at the **start** of the cycle.
   Firing takes one pair and forwards both operands. If both are non-zero they are multiplied and the scan **stops**,
   even for pairs with a zero; otherwise it goes on.
4. An operand takes 1 cycle from PE to PE and 2 from the array's edge to the first PE. The edge sends one entry per
   thread and cycle without asking for room, so the queues it feeds are unbounded.
5. Row i of activations and column j of weights start with i (j) empty slots, before the first tile only. The next
   tile is appended, at most one per cycle, when the edge queue of row 0, thread 0 holds fewer than 128 entries. Tiles
   run by rows of the output, columns innermost.
6. A thread is finished at the end of the cycle that takes its last pair of a tile. At the end of the cycle **after**
   all threads are finished the PE emits its sum and clears their flags: one idle cycle per tile. The run ends when
   every PE has emitted every tile.

Deeper queues are mostly but not always faster: a full queue can hold thread 0 back in favour of a thread that has
more to do. No deadlock at any depth: no thread waits for another thread's operands, and the PE furthest behind in the
stream of pairs always finds room.

Attribution: `compute` = tiles x longest part, one pair per thread and cycle; `fill` = R + C (skew, and the 2-cycle
edge); `drain` = one emitting cycle per tile; `pe_stall` = the rest: products that share the multiplier, full queues,
and waiting for neighbours. How sums leave the array takes no time in the source, so none here.

Source: SMT-SA, Shomron, Horowitz and Weiser, IEEE CAL 18(2), 2019; rules as in the public simulator of the authors'
group (nadavzach/BRP_SA_SIM), restated in our words. Our assumptions: R x C arrays (the source's are square); groups
run one after another, each with its own fill; images of a batch are one matrix (the source tiles each by itself); K <
T leaves the first threads without work; signed activations are taken as they are, since only zeros matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.base.exact import exact_matmul
from sparqsim.base.jit import jit
from sparqsim.pe.base import (
    Array,
    ArrayTiming,
    PEDesign,
    Step,
    arranged,
    mask_examples,
    nonzero_masks,
)

#: Cycles from the array's edge to the first PE.
EDGE_LINK_CYCLES = 2
#: PEs of the largest array that is stepped unless the key `most_pes` says otherwise: 128 bytes each, at most.
LARGEST_ARRAY = 1 << 18
#: The next tile is appended when fewer entries than this wait at the edge.
APPEND_BELOW = 128


#: Elements of K by line of a tile and by thread.
Parts = list[list[list[int]]]


def part_lengths(k: int, threads: int) -> NDArray[np.int64]:
    """Return how many elements of K each thread has: floor(K / T), the last with the remainder."""
    lengths = np.full(threads, k // threads)
    lengths[-1] += k % threads
    return lengths


@dataclass(frozen=True)
class SmtSa(PEDesign):
    """One multiplier shared by `lanes` threads; a named design fixes their number."""

    exact: ClassVar[bool] = True
    times_itself: ClassVar[bool] = True
    stationary: ClassVar[tuple[str, ...]] = ("outputs",)
    queue_depth: int = field(default=4096, metadata={"least": 1})
    most_pes: int = field(default=LARGEST_ARRAY, metadata={"least": LARGEST_ARRAY})

    def __post_init__(self) -> None:
        for key in fields(self):
            value, least = getattr(self, key.name), key.metadata["least"]
            if value < least:
                raise InputError(f"{key.name}={value}: expected an integer of at least {least}")

    def check_array(self, rows: int, cols: int) -> None:
        """Raise InputError for more PEs than `most_pes`: every one is stepped in every cycle."""
        if rows * cols > self.most_pes:
            raise InputError(
                f"array={rows}x{cols}: {self.spec} steps every PE in every cycle, expected at most "
                f"{self.most_pes:,} PEs (more with its key, e.g. {self.name}:most_pes=1000000)"
            )

    def steps(self, k: int) -> int:
        """Return the length of the longest part."""
        return int(part_lengths(k, self.lanes)[-1])

    def k_order(self, k: int) -> NDArray[np.int64]:
        """Return the elements each thread takes, in its order."""
        lengths = part_lengths(k, self.lanes)
        place = np.arange(lengths[-1])[:, None]
        return np.where(place < lengths, (np.cumsum(lengths) - lengths) + place, -1)

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Take one pair of every thread, as a PE alone would: one cycle per product, at least one."""
        products = [x * w for x, w in zip(xs, ws, strict=True)]
        busy = sum(value != 0 for value in products)
        return Step(
            sum(products),
            max(1, busy),
            {"multiplier_0": busy, "pe": busy} if busy else {},
            {"products": busy},
        )

    def activation_states(self, x: Array) -> NDArray[np.uint8]:
        """Return which threads have an activation other than zero."""
        in_steps = arranged(x, self.k_order(x.shape[-1]))
        return nonzero_masks(in_steps.reshape(*in_steps.shape[:-2], -1), self.lanes)

    def state_examples(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Return operands of every mask."""
        return mask_examples(self.lanes, 1), mask_examples(self.lanes, 1)

    def array_timing(
        self, x: Array, w: Array, rows: int, cols: int, *, by_definition: bool = False
    ) -> ArrayTiming:
        """Return the cycles of one group; see `PEDesign.array_timing`."""
        if by_definition:
            from sparqsim.pe.smt_sa_definition import defined_tile_ends

            ends = defined_tile_ends(x, w, rows, cols, self.lanes, self.queue_depth)
        else:
            ends = tile_ends(x, w, rows, cols, self.lanes, self.queue_depth)
        longest = self.steps(x.shape[1])
        alone = np.maximum(longest, exact_matmul(x != 0, w != 0))
        short = [
            (0, -length % side) for length, side in zip(alone.shape, (rows, cols), strict=True)
        ]
        by_pe = (
            np.pad(alone, short, constant_values=longest)
            .reshape(len(ends), rows, -1, cols)
            .sum((0, 2))
        )
        return ArrayTiming(
            ends, ends.size * longest, rows + cols, ends.size, by_pe, int(alone.sum())
        )


@dataclass(frozen=True)
class SmtSa2t(SmtSa):
    """Two threads."""

    name: ClassVar[str] = "smt-sa-2t"
    lanes: ClassVar[int] = 2
    most_step_cycles: ClassVar[int] = 2


@dataclass(frozen=True)
class SmtSa4t(SmtSa):
    """Four threads."""

    name: ClassVar[str] = "smt-sa-4t"
    lanes: ClassVar[int] = 4
    most_step_cycles: ClassVar[int] = 4


def tile_ends(
    x: Array, w: Array, rows: int, cols: int, threads: int, depth: int
) -> NDArray[np.int64]:
    """Return the cycle by which every PE has emitted each tile, int64 (row tiles, column tiles).

    The fast form of `sparqsim.pe.smt_sa_definition.QueueArray`.

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
    """Return (length, K) with rows of zeros so that `side` divides the length, and one more column of zeros."""
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
    """Step the array cycle by cycle: x (row tiles * rows, K) and w (column tiles * cols, K), True where not zero.

    A queue's occupancy is the difference between the pairs its writer and its reader have taken, so counts stand for
    queues.
    """
    threads, with_work, col_tiles = len(lengths), np.count_nonzero(lengths), len(w) // cols
    # Pairs taken per PE and thread at the start of a cycle and at its end. The frame around the array holds what the
    # edge has delivered (above, left) and a reader that is never full (below, right).
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
                    open_threads[i, j] -= _scan(
                        taken,
                        after,
                        place,
                        x,
                        w,
                        starts,
                        lengths,
                        depth,
                        i,
                        j,
                        row[i, j],
                        col[i, j],
                    )
                    continue
                for thread in range(threads):
                    after[i + 1, j + 1, thread] = taken[i + 1, j + 1, thread]
                    place[i, j, thread] = starts[thread]
                if tile[i, j] < len(ends):
                    ends[tile[i, j]] = cycle + 1
                    tile[i, j] += 1
                    row[i, j], col[i, j] = (
                        tile[i, j] // col_tiles * rows + i,
                        tile[i, j] % col_tiles * cols + j,
                    )
                    running -= tile[i, j] == len(ends)
                    open_threads[i, j] = with_work * (tile[i, j] < len(ends))
        taken, after = after, taken
        cycle += 1


@jit
def _deliver(taken: NDArray[np.int64], cycle: int) -> None:
    """Set what the edge has delivered when a cycle starts: entry q of line i is there from cycle i + q + 2 on."""
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
    row: int,
    col: int,
) -> int:
    """Let the threads of PE (i, j) fire, on row `row` of x and row `col` of w; return how many finished their part."""
    finished, multiplied = 0, False
    for thread in range(len(lengths)):
        own, k, end = (
            taken[i + 1, j + 1, thread],
            place[i, j, thread],
            starts[thread] + lengths[thread],
        )
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
