"""SMT-SA's array in plain Python, queue by queue and cycle by cycle: the definition of its timing.

The rules are those of the docstring of `sparqsim.pe.smt_sa`; the kernel of `queue_array.py` is the
fast form. All decisions of a cycle look at its start, so the array is stepped rather than left to
an event queue.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array
from sparqsim.pe.smt_sa import part_lengths

#: Cycles from the array's edge to the first PE.
EDGE_LINK_CYCLES = 2
#: The next tile is appended when fewer entries than this wait at the edge.
APPEND_BELOW = 128
#: Elements of K by line of a tile and by thread.
Parts = list[list[list[int]]]


@dataclass
class Thread:
    """One thread of one PE: its operand queues, and how much of the tile it still has to take."""

    length: int
    activations: deque[int] = field(default_factory=deque)
    weights: deque[int] = field(default_factory=deque)
    taken: int = 0

    @property
    def finished(self) -> bool:
        """Whether it took its last pair of the tile, in an earlier cycle."""
        return self.taken == self.length


@dataclass
class QueuePE:
    """One PE: threads and an accumulator; operands go on `right` and `below`, None at ends."""

    threads: list[Thread]
    depth: int
    right: QueuePE | None = None
    below: QueuePE | None = None
    psum: int = 0
    sums: list[int] = field(default_factory=list)

    def firing(self) -> list[int]:
        """Return the threads that fire, judged on the occupancy now (rule 3)."""
        chosen = []
        for number, thread in enumerate(self.threads):
            if (
                thread.activations
                and thread.weights
                and not thread.finished
                and self.has_room_after(number)
            ):
                chosen.append(number)
                if thread.activations[0] * thread.weights[0] != 0:
                    break
        return chosen

    def has_room_after(self, number: int) -> bool:
        """Return whether both downstream queues of a thread have room."""
        return (
            self.right is None or len(self.right.threads[number].activations) < self.depth
        ) and (self.below is None or len(self.below.threads[number].weights) < self.depth)

    def fire(self, number: int) -> None:
        """Take one pair, forward both operands, multiply and accumulate."""
        thread = self.threads[number]
        a, w = thread.activations.popleft(), thread.weights.popleft()
        thread.taken += 1
        self.psum += a * w
        if self.right:
            self.right.threads[number].activations.append(a)
        if self.below:
            self.below.threads[number].weights.append(w)

    def emit(self) -> None:
        """Give the tile's sum out and begin the next tile (rule 6)."""
        self.sums.append(self.psum)
        self.psum = 0
        for thread in self.threads:
            thread.taken = 0


@dataclass
class Edge:
    """What feeds a row or column: per thread, entries to send (None: empty), those on the link."""

    waiting: list[deque[int | None]]
    on_link: deque[list[int | None]] = field(default_factory=lambda: deque([[]] * EDGE_LINK_CYCLES))

    @classmethod
    def behind(cls, slots: int, threads: int) -> Edge:
        """Return an edge that begins with so many empty slots."""
        return cls([deque([None] * slots) for _ in range(threads)])

    def arriving(self) -> list[int | None]:
        """Send one entry per thread; return what arrives now, sent `EDGE_LINK_CYCLES` ago."""
        self.on_link.append([queue.popleft() if queue else None for queue in self.waiting])
        return self.on_link.popleft()


class Queues:
    """The definition of the timing: every queue of every PE, one cycle after the other.

    Parameters
    ----------
    x, w : integer (M, K) and (K, N)
    rows, cols, threads, depth : int
    """

    def __init__(self, x: Array, w: Array, rows: int, cols: int, threads: int, depth: int) -> None:
        lengths = part_lengths(x.shape[1], threads).tolist()
        self.pes = {
            (i, j): QueuePE([Thread(length) for length in lengths], depth)
            for i, j in product(range(rows), range(cols))
        }
        for (i, j), pe in self.pes.items():
            pe.right, pe.below = self.pes.get((i, j + 1)), self.pes.get((i + 1, j))
        self.row_edges = [Edge.behind(slots, threads) for slots in range(rows)]
        self.col_edges = [Edge.behind(slots, threads) for slots in range(cols)]
        row_tiles = _tiles_by_thread(x, rows, lengths)
        col_tiles = _tiles_by_thread(w.T, cols, lengths)
        self.tiles = len(row_tiles) * len(col_tiles)
        self.to_append = iter(list(product(row_tiles, col_tiles)))

    def run(self) -> tuple[list[NDArray[np.int64]], list[int]]:
        """Run to the end; return tiles' sums (rows, cols), and when all PEs had emitted each."""
        ends: list[int] = []
        cycle = 0
        while len(ends) < self.tiles:
            self.step_cycle()
            cycle += 1
            slowest = min(len(pe.sums) for pe in self.pes.values())
            ends += [cycle] * (slowest - len(ends))
        rows, cols = len(self.row_edges), len(self.col_edges)
        by_tile = zip(*(pe.sums for pe in self.pes.values()), strict=True)
        return [np.array(sums).reshape(rows, cols) for sums in by_tile], ends

    def step_cycle(self) -> None:
        """One cycle: what arrives is there at its start; every PE decides before any PE acts."""
        self.feed()
        done = [pe for pe in self.pes.values() if all(thread.finished for thread in pe.threads)]
        firing = [(pe, number) for pe in self.pes.values() for number in pe.firing()]
        for pe, number in firing:
            pe.fire(number)
        for pe in done:
            pe.emit()

    def feed(self) -> None:
        """Append the next tile if the edge runs low (rule 5); move the links (rule 4)."""
        if len(self.row_edges[0].waiting[0]) < APPEND_BELOW:
            self.append(next(self.to_append, ([], [])))
        for i, edge in enumerate(self.row_edges):
            for thread, value in zip(self.pes[i, 0].threads, edge.arriving(), strict=False):
                if value is not None:
                    thread.activations.append(value)
        for j, edge in enumerate(self.col_edges):
            for thread, value in zip(self.pes[0, j].threads, edge.arriving(), strict=False):
                if value is not None:
                    thread.weights.append(value)

    def append(self, tile: tuple[Parts, Parts]) -> None:
        """Put a tile's operands behind what waits at the edges."""
        for edges, lines in zip((self.row_edges, self.col_edges), tile, strict=True):
            for edge, parts in zip(edges, lines, strict=False):
                for queue, part in zip(edge.waiting, parts, strict=True):
                    queue.extend(part)


def defined_tile_ends(
    x: Array, w: Array, rows: int, cols: int, threads: int, depth: int
) -> NDArray[np.int64]:
    """Return the cycle by which every PE is done with each tile, int64 (row tiles, column tiles).

    Raises AssertionError where the array's sums are not X @ W.
    """
    sums, ends = Queues(x, w, rows, cols, threads, depth).run()
    grid = -(-x.shape[0] // rows), -(-w.shape[1] // cols)
    outputs = (
        np.array(sums)
        .reshape(*grid, rows, cols)
        .swapaxes(1, 2)
        .reshape(grid[0] * rows, grid[1] * cols)
    )
    if not np.array_equal(
        outputs[: x.shape[0], : w.shape[1]], x.astype(np.int64) @ w.astype(np.int64)
    ):
        raise AssertionError("the queues lost or mixed up operands")
    return np.array(ends, np.int64).reshape(grid)


def _tiles_by_thread(values: Array, side: int, lengths: list[int]) -> list[Parts]:
    """Return for each tile, line and thread the thread's elements of K."""
    cuts = np.cumsum(lengths)[:-1]
    lines = [
        [part.tolist() for part in np.split(line.astype(int), cuts)]
        for line in np.pad(values, ((0, -len(values) % side), (0, 0)))
    ]
    return [lines[start : start + side] for start in range(0, len(lines), side)]
