"""When the simulator says that things happen in the array.

Everything is derived from the dataflows' closed forms, from the lengths of waves that
`sparqsim.array` computes, and from the elastic recurrence, written out plainly here, which the
tests hold against the event model; the RTL is held against it, cycle by cycle. An *advance* of a
lockstep array is one wave: it takes one cycle, or as many as its slowest step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.registry import get_dataflow
from sparqsim.array.waves import merged_waves, tile_waves
from sparqsim.pe.base import PEDesign

Cycles = NDArray[np.int64]


@dataclass(frozen=True)
class Schedule:
    """First advance of every tile's stream and, in `ws` and `is`, of its load; advances in all."""

    streams: list[int]
    loads: list[int]
    advances: int


@dataclass(frozen=True)
class Registers:
    """Cycles that registers of a design take: at the edge, and between multipliers and sums."""

    edge: int
    stage: int

    @classmethod
    def of(cls, design: PEDesign) -> Registers:
        """Return those of a design."""
        return cls(design.edge_cycles, design.stage_cycles)


def schedule(array: ArrayConfig, tiles: int, stream: int, registers: int) -> Schedule:
    """Return the closed forms of the dataflow, tile by tile; `registers`: cycles of all of them."""
    around = array.rows
    skewed = stream + array.rows + array.cols - 2 + registers
    period = max(stream, array.rows) if array.overlap else skewed + around
    starts = [tile * period for tile in range(tiles)]
    end = starts[-1] + skewed + around
    if not get_dataflow(array.dataflow).loads:
        return Schedule(starts, [], end)
    streams = [start + around for start in starts]
    return Schedule(streams, [0, *streams[:-1]] if array.overlap else starts, end)


@dataclass(frozen=True)
class Timeline:
    """What happens when, in cycles.

    `starts`: int64 (tiles, stream, rows, cols), the cycle in which a PE starts a step. `costs`: how
    long it takes. `drains`: int64 (tiles, rows, cols), `os` only: the cycle of each of a column's
    shifts (row r is in the first r). `late`: cycles by which a sum is written after its step.
    `leaves`: the cycle in which each result leaves the array,
    (tiles, rows, cols) in `os`, else (tiles, stream, cols). `advance`: bool (cycles,), the last
    cycle of a wave.
    """

    starts: Cycles
    costs: NDArray[np.uint8]
    late: int
    drains: Cycles | None
    leaves: Cycles
    advance: NDArray[np.bool_]


def lockstep(
    array: ArrayConfig, costs: NDArray[np.uint8], registers: Registers
) -> tuple[Schedule, Timeline]:
    """Return when the steps of tiles with these costs, uint8 (tiles, stream, rows, cols), happen in
    lockstep.
    """
    tiles, stream, rows, cols = costs.shape
    late = registers.stage
    plan = schedule(array, tiles, stream, registers.edge + late)
    lengths = _advance_lengths(array, costs, plan, registers.edge)
    ends = np.cumsum(lengths) - 1
    begins = ends - lengths + 1
    first = np.asarray(plan.streams)[:, None, None, None] + registers.edge
    s, i, j = (np.arange(size) for size in (stream, rows, cols))
    at = first + s[:, None, None] + i[:, None] + j
    if not get_dataflow(array.dataflow).loads:
        # Shift i of every column.
        drain_at = first[..., 0] + stream - 1 + late + rows + j + i[:, None]
        drains, leaves = ends[drain_at], ends[drain_at[:, ::-1]]
    else:
        drains, leaves = None, ends[at[:, :, -1] + late]
    advance = np.zeros(ends[-1] + 1, bool)
    advance[ends] = True
    return plan, Timeline(begins[at], costs, late, drains, leaves, advance)


def _advance_lengths(
    array: ArrayConfig, costs: NDArray[np.uint8], plan: Schedule, edge_cycles: int
) -> Cycles:
    """Return the cycles of each advance: the simulator's waves, at their places."""
    _, stream, rows, cols = costs.shape
    waves = tile_waves(costs, stream, rows, cols)
    lengths = np.ones(plan.advances, np.int64)
    if array.overlap:
        period = max(stream, rows)
        merged = merged_waves(waves, period)
        line = np.concatenate([merged[:, :period].ravel(), merged[-1, period:]])
        place = lengths[plan.streams[0] + edge_cycles :]
        place[: len(line)] = line[: len(place)]
        return lengths
    for start, tile in zip(plan.streams, waves, strict=True):
        lengths[start + edge_cycles : start + edge_cycles + len(tile)] = tile
    return lengths


def elastic(
    array: ArrayConfig, costs: NDArray[np.uint8], registers: Registers
) -> tuple[Schedule, Timeline]:
    """Return when the steps of tiles happen with elastic links; costs uint8 (tiles, stream, rows,
    cols).

    The schedule tells from which cycle on the edges offer operands. With overlap stationary
    operands are always offered, in turn.
    """
    tiles, stream, rows, _ = costs.shape
    offers = schedule(array, tiles, stream, 0)
    loads = [tile * rows for tile in range(tiles)] if offers.loads else []
    first, late = registers.edge + (rows if offers.loads else 0), registers.stage
    starts, drained = elastic_starts(array, costs)
    starts += first
    ends = starts + costs - 1 + late
    if not get_dataflow(array.dataflow).loads:
        drains = first + late + drained[:, None] + np.arange(rows)[:, None]
        leaves = drains[:, ::-1]
        length = drains.max() + 1
    else:
        drains, leaves, length = None, ends[:, :, -1], ends.max() + 1
    return Schedule(offers.streams, loads, offers.advances), Timeline(
        starts, costs, late, drains, leaves, np.ones(length, bool)
    )


def elastic_starts(array: ArrayConfig, costs: NDArray[np.uint8]) -> tuple[Cycles, Cycles]:
    """Return the cycle in which PE (i, j) starts step s of tile t, and that in which column j
    starts to drain tile t.

    Counted from the edge's first offer: the plain recurrence, the tiles' items in a row. In `ws`
    and `is` the link downwards carries the sum, which is complete only when the step ends; so there
    a PE waits for the end of the step above it, not for its start.
    """
    tiles, stream, rows, cols = costs.shape
    depth, period = array.link_depth or 1, max(stream, rows)
    loads = get_dataflow(array.dataflow).loads
    start, drained = (
        np.zeros((tiles * stream, rows, cols), np.int64),
        np.zeros((tiles, cols), np.int64),
    )
    cost = costs.reshape(start.shape).astype(np.int64)
    free = np.zeros((rows, cols), np.int64)  # when a PE could start its next item, for itself
    entered = np.full(cols, -1)  # when a column's last stationary operand entered
    for n in range(tiles * stream):
        tile, s = divmod(n, stream)
        for i, j in np.ndindex(rows, cols):
            waits = [free[i, j], tile * period + s if i == 0 or j == 0 else 0]
            if j:
                waits.append(start[n, i, j - 1] + 1)
            if i:
                waits.append(start[n, i - 1, j] + (cost[n, i - 1, j] if loads else 1))
            if n >= depth and j + 1 < cols:
                waits.append(start[n - depth, i, j + 1] + 1)
            if n >= depth and i + 1 < rows:
                waits.append(start[n - depth, i + 1, j] + 1)
            start[n, i, j] = max(waits)
        free = start[n] + cost[n]
        if s == stream - 1 and not loads:
            free, drained[tile] = handed_over(free, drained[tile - 1] if tile else None)
        elif s == stream - 1:
            arrived, entered = loaded(start[n + 1 - stream], entered)
            free = np.maximum(free, arrived)
    return start.reshape(costs.shape), drained


def handed_over(ends: Cycles, draining: Cycles | None) -> tuple[Cycles, Cycles]:
    """Return when finished sums (rows, cols) move to the shadows, and when their columns start to
    drain.

    `draining` (cols,): when the columns started to drain the tile before, of which row r's shadow
    then holds a sum for r + 1 cycles.
    """
    rows = np.arange(len(ends))[:, None]
    handed = ends if draining is None else np.maximum(ends, draining + rows + 1)
    return handed, handed.max(0)


def loaded(taken: Cycles, entered: Cycles) -> tuple[Cycles, Cycles]:
    """Return when the next tile's operands have reached their PEs, (rows, cols), and when a
    column's last one entered.

    `taken` (rows, cols): when the PEs took up the operands before. `entered` (cols,): when the last
    of these entered.
    """
    arrived = np.zeros_like(taken)
    for row, freed in enumerate(taken):
        entered = np.maximum(entered + 1, freed)
        arrived[row] = entered + row + 1
    return arrived, entered
