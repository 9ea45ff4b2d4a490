"""Kernels of the elastic recurrence: how late every PE starts every step. `elastic.py` derives and drives them.

What a chain of tiles knows of the past, all of it lateness g = f - i - j - (t * period + s):

* `back` (D, rows + 2, cols + 2): g + 2 - D of the last D items, in a ring; the border never holds anybody up.
* `front` (rows + 2, cols + 2): g of the item in work; the border is the edge of the array.
* `free` (rows, cols): when each PE could start its next item, for itself.
* `first` (rows, cols): g of the tile's first item, when a stationary operand is taken up.
* `passed` (cols,): when a column's drain started (os), or its last stationary operand entered (ws, is).
* `room` (cols,) and `before` (rows, cols): scratch.

`limits` is (lateness at the edge, 2 - D, never), in the type of all these arrays. Costs are uint8 (tiles, items or 1,
rows, cols). Transposed: the rows of a single column lie along the last axis. Mirrored: that column stands for several.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim._jit import jit, parallel_jit, prange

Array = NDArray[Any]
Costs = NDArray[np.uint8]
State = tuple[Array, Array, Array, Array, Array, Array, Array]


@jit
def fresh_state(planes: int, rows: int, cols: int, limits: Array) -> State:
    """Return what a chain of tiles knows of the past, as it is before the first one; see the module's docstring."""
    edge, never = limits[0], limits[2]
    back = np.full((planes, rows + 2, cols + 2), never, limits.dtype)
    front = np.full((rows + 2, cols + 2), edge, limits.dtype)
    free = np.full((rows, cols), edge, limits.dtype)
    room = np.full(cols, edge, limits.dtype)
    first = np.full((rows, cols), edge, limits.dtype)
    before = np.full((rows, cols), edge, limits.dtype)
    passed = np.full(cols, never, limits.dtype)
    return back, front, free, room, first, before, passed


@jit
def _stream(costs: Costs, start: int, stop: int, number: int, mirrored: int, limits: Array, back: Array, front: Array,
            free: Array, room: Array) -> None:
    """Start items start..stop of a tile in every PE; afterwards `free` holds when each could start the next one.

    Three loops over a row, because only the middle one, a running maximum, must go step by step.
    """
    rows, cols = free.shape
    for s in range(start, stop):
        ring = back[(number + s) % len(back)]
        item = costs[min(s, len(costs) - 1)]
        for i in range(rows):
            cost, ready, own, mine = item[i], free[i], front[i + 1, 1:], ring[i + 1, 1:]
            above, right, below = front[i, 1:], ring[i + 1, 2:], ring[i + 2 - mirrored, 1:]
            for j in range(cols):
                room[j] = max(ready[j], above[j], right[j], below[j])
            _running_maximum(room, limits[0], own)
            for j in range(cols):
                ready[j] = own[j] + cost[j] - 1
                mine[j] = own[j] + limits[1]


@jit
def _running_maximum(values: Array, least: int, maxima: Array) -> None:
    """Write max(least, values[0], ..., values[j]) to maxima[j].

    Four at a time, so that only one maximum in four waits for the one before it.
    """
    count = len(values)
    late = least
    fours = count - count % 4
    for j in range(0, fours, 4):
        first = values[j]
        second = max(first, values[j + 1])
        third = max(second, values[j + 2])
        fourth = max(second, max(values[j + 2], values[j + 3]))  # noqa: PLW3301 - two short chains
        maxima[j] = max(late, first)
        maxima[j + 1] = max(late, second)
        maxima[j + 2] = max(late, third)
        late = max(late, fourth)
        maxima[j + 3] = late
    for j in range(fours, count):
        late = max(late, values[j])
        maxima[j] = late


@jit
def _stream_steadily(costs: Costs, items: int, number: int, mirrored: int, limits: Array, back: Array, front: Array,
                     free: Array, room: Array, before: Array) -> None:
    """Stream items 1..items of a tile whose costs stay the same, and skip ahead once every PE keeps the same pace.

    If each of as many items as links are deep is later than the one before it by the same amount in all PEs, so is
    every further one: the recurrence only knows these items, and adding a constant to all of them adds it to what
    follows.
    """
    alike, pace, s = 0, -1, 1
    while s < items:
        before[:] = front[1:-1, 1:-1]
        _stream(costs, s, s + 1, number, mirrored, limits, back, front, free, room)
        s += 1
        change = _common_change(before, front[1:-1, 1:-1])
        alike = alike + 1 if change == pace else 1
        pace = change
        if pace >= 0 and alike >= len(back):
            skipped = (items - s) // len(back) * len(back)  # whole turns of the ring
            free += skipped * pace
            front[1:-1, 1:-1] += skipped * pace
            back[:, 1:-1, 1:-1] += skipped * pace
            s += skipped
            alike = 0


@jit
def _common_change(before: Array, after: Array) -> int:
    """Return after - before if it is the same everywhere, else -1."""
    rows, cols = before.shape
    change = after[0, 0] - before[0, 0]
    for i in range(rows):
        differing = 0
        for j in range(cols):
            differing += after[i, j] - before[i, j] != change
        if differing:
            return -1
    return int(change)


@jit
def _hand_over(free: Array, drained: int, period: int) -> int:
    """Hand a column's finished sums to shadow registers, once the sums before have moved on.

    Return when the column starts to drain.
    """
    start = drained
    for i in range(len(free)):
        free[i] = max(free[i], drained + 1 - period)
        start = free[i] + i if i == 0 else max(start, free[i] + i)
    return start


@jit
def _take_up(free: Array, first: Array, entered: int, period: int, items: int) -> int:
    """Send the next tile's operands into a column, each when its PE has taken up the one before.

    Return when the last one enters.
    """
    rows = len(free)
    entered = entered + rows - period
    for i in range(rows):
        entered = max(entered, first[i])
        free[i] = max(free[i], entered + i + 1 - items)
    return entered


@jit
def _latest(free: Array) -> int:
    """Return when the last PE finishes, counted from the start of the corner's last item."""
    rows, cols = free.shape
    end = free[0, 0]
    for i in range(rows):
        for j in range(cols):
            end = max(end, free[i, j] + i + j)
    return int(end)


@jit
def _change_tile(free: Array, first: Array, passed: Array, items: int, period: int, loads: int,
                 transposed: int) -> None:
    """Let every column hand over (os) or take up (ws, is)."""
    columns = 1 if transposed else free.shape[1]
    for j in range(columns):
        if loads and transposed:
            passed[j] = _take_up(free[0], first[0], passed[j], period, items)
        elif loads:
            passed[j] = _take_up(free[:, j], first[:, j], passed[j], period, items)
        elif transposed:
            passed[j] = _hand_over(free[0], passed[j], period)
        else:
            passed[j] = _hand_over(free[:, j], passed[j], period)


@jit
def chain(costs: Costs, number: int, items: int, period: int, loads: int, transposed: int, mirrored: int,
          limits: Array, state: State, starts: Array) -> int:
    """Stream tiles `number`, `number` + 1, ...; note when PE (0, 0) starts each.

    Return when the last one has ended.
    """
    back, front, free, room, first, before, passed = state
    end = limits[0]
    for tile in range(len(costs)):
        done = (number + tile) * items
        _stream(costs[tile], 0, 1, done, mirrored, limits, back, front, free, room)
        starts[tile] = front[1, 1]
        first[:] = front[1:-1, 1:-1]
        if len(costs[tile]) == 1:
            _stream_steadily(costs[tile], items, done, mirrored, limits, back, front, free, room, before)
        else:
            _stream(costs[tile], 1, items, done, mirrored, limits, back, front, free, room)
        if loads:
            end = _latest(free)
        _change_tile(free, first, passed, items, period, loads, transposed)
        if not loads:
            end = _latest(free)
        if period > items:
            free -= period - items
            back -= period - items
    return int(end)


@parallel_jit
def separate(costs: Costs, items: int, mirrored: int, planes: int, limits: Array, ends: Array) -> None:
    """Stream every tile on its own and note when it has ended."""
    tiles, _, rows, cols = costs.shape
    for tile in prange(tiles):
        back, front, free, room, _first, _before, _passed = fresh_state(planes, rows, cols, limits)
        _stream(costs[tile], 0, items, 0, mirrored, limits, back, front, free, room)
        ends[tile] = _latest(free)
