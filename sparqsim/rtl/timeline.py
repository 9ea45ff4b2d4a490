"""When the simulator says that things happen in the array.

Everything is derived from the dataflows' closed forms, and from the lengths of waves and the starts of elastic steps
that `sparqsim.dataflow` computes; the RTL is held against it, cycle by cycle. An *advance* of a lockstep array is one
wave: it takes one cycle, or as many as its slowest step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparqsim.config import ArrayConfig
from sparqsim.dataflow.elastic import Links
from sparqsim.dataflow.elastic import starts as elastic_starts
from sparqsim.dataflow.waves import merged_waves, tile_waves

Cycles = NDArray[np.int64]


@dataclass(frozen=True)
class Schedule:
    """First advance of every tile's stream and, in `ws` and `is`, of its load; advances in all."""

    streams: list[int]
    loads: list[int]
    advances: int


def schedule(array: ArrayConfig, tiles: int, stream: int, edge_cycles: int) -> Schedule:
    """Return the closed forms of the dataflow, tile by tile."""
    around = array.rows
    skewed = stream + array.rows + array.cols - 2 + edge_cycles
    period = max(stream, array.rows) if array.overlap else skewed + around
    starts = [tile * period for tile in range(tiles)]
    end = starts[-1] + skewed + around
    if array.dataflow == "os":
        return Schedule(starts, [], end)
    streams = [start + around for start in starts]
    return Schedule(streams, [0, *streams[:-1]] if array.overlap else starts, end)


@dataclass(frozen=True)
class Timeline:
    """What happens when, in cycles.

    `starts`: int64 (tiles, stream, rows, cols), the cycle in which a PE starts a step. `costs`: how long it takes.
    `drains`: int64 (tiles, rows, cols), `os` only: the cycle of each of a column's shifts (row r is in the first r).
    `leaves`: the cycle in which each result leaves the array, (tiles, rows, cols) in `os`, else (tiles, stream, cols).
    `advance`: bool (cycles,), the last cycle of a wave.
    """

    starts: Cycles
    costs: NDArray[np.uint8]
    drains: Cycles | None
    leaves: Cycles
    advance: NDArray[np.bool_]


def lockstep(array: ArrayConfig, costs: NDArray[np.uint8], edge_cycles: int) -> tuple[Schedule, Timeline]:
    """Return when the steps of tiles with these costs, uint8 (tiles, stream, rows, cols), happen in lockstep."""
    tiles, stream, rows, cols = costs.shape
    plan = schedule(array, tiles, stream, edge_cycles)
    lengths = _advance_lengths(array, costs, plan, edge_cycles)
    ends = np.cumsum(lengths) - 1
    begins = ends - lengths + 1
    first = np.asarray(plan.streams)[:, None, None, None] + edge_cycles
    s, i, j = (np.arange(size) for size in (stream, rows, cols))
    at = first + s[:, None, None] + i[:, None] + j
    if array.dataflow == "os":
        drain_at = first[..., 0] + stream - 1 + rows + j + i[:, None]  # shift i of every column
        drains, leaves = ends[drain_at], ends[drain_at[:, ::-1]]
    else:
        drains, leaves = None, ends[at[:, :, -1]]
    advance = np.zeros(ends[-1] + 1, bool)
    advance[ends] = True
    return plan, Timeline(begins[at], costs, drains, leaves, advance)


def _advance_lengths(array: ArrayConfig, costs: NDArray[np.uint8], plan: Schedule, edge_cycles: int) -> Cycles:
    """Return the cycles of each advance: the simulator's waves, at their places."""
    _, stream, rows, cols = costs.shape
    waves = tile_waves(costs, stream, cols)
    lengths = np.ones(plan.advances, np.int64)
    if array.overlap:
        period = max(stream, rows)
        merged = merged_waves(waves, period)
        line = np.concatenate([merged[:, :period].ravel(), merged[-1, period:]])
        place = lengths[plan.streams[0] + edge_cycles:]
        place[:len(line)] = line[:len(place)]
        return lengths
    for start, tile in zip(plan.streams, waves, strict=True):
        lengths[start + edge_cycles:start + edge_cycles + len(tile)] = tile
    return lengths


def elastic(array: ArrayConfig, costs: NDArray[np.uint8], edge_cycles: int) -> Timeline:
    """Return when the steps of one tile happen with elastic links; costs uint8 (1, stream, rows, cols)."""
    stream, loads = costs.shape[1], array.dataflow != "os"
    links = Links(array.link_depth or 1, edge_cycles, max(stream, array.rows), stream, loads)
    starts = elastic_starts(costs[0], links)[None] + (array.rows if loads else 0)
    ends = starts + costs - 1
    if array.dataflow == "os":
        drains = ends[:, -1, -1, None] + 1 + np.arange(array.rows)[:, None]
        leaves = drains[:, ::-1]
        length = drains.max() + 1
    else:
        drains, leaves, length = None, ends[:, :, -1], ends.max() + 1
    return Timeline(starts, costs, drains, leaves, np.ones(length, bool))
