"""Kernels of the elastic recurrence: how late every PE starts every step.

`elastic.py` derives and drives them.

What a chain of tiles knows of the past, all of it lateness g = f - i - j - (t * period + s):

* `back` (D, rows + 2, cols + 2): g + 2 - D of the last D items, in a ring; the border never holds
  anybody up.
* `front` (rows + 2, cols + 2): g of the item in work; the border is the edge of the array.
* `free` (rows, cols): when each PE could start its next item, for itself.
* `first` (rows, cols): g of the tile's first item, when a stationary operand is taken up.
* `passed` (cols,): when a column's drain started (os), or its last stationary operand entered (ws,
  is).
* `room` (cols,) and `before` (rows, cols): scratch.

`limits` is (lateness at the edge, 2 - D, never), in the type of all these arrays. Costs are uint8
(tiles, items or 1, rows, cols). `way` is four integers. Loads: operands stay, and sums move down
when a step has ended (ws, is); else operands move down when it has started. Transposed: the rows of
a single column lie along the last axis. Mirrored: that column, or the single row there is, stands
for several. Further rows: how many that single row stands for beside itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import jit

Array = NDArray[Any]
Costs = NDArray[np.uint8]
State = tuple[Array, Array, Array, Array, Array, Array, Array]
Way = tuple[int, int, int, int]


@jit
def fresh_state(planes: int, rows: int, cols: int, limits: Array) -> State:
    """Return what a chain of tiles knows of the past before the first (module's docstring)."""
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
def _stream(
    costs: Costs,
    start: int,
    stop: int,
    number: int,
    way: Way,
    limits: Array,
    back: Array,
    front: Array,
    free: Array,
    room: Array,
) -> None:
    """Start items start..stop of a tile in every PE; afterwards `free` holds when each could start
    the next one.

    Three loops over a row, because only the middle one must go step by step. Indices are unsigned:
    numba gives negative ones a meaning, which keeps the compiler from using vectors.
    """
    loads, transposed, mirrored, _further_rows = way
    one, edge, slack = np.uint64(1), limits[0], limits[1]
    rows, cols = np.uint64(free.shape[0]), np.uint64(free.shape[1])
    planes, below = np.uint64(len(back)), np.uint64(1 - mirrored)
    last: Any = np.uint64(len(costs) - 1)
    for s in range(np.uint64(start), np.uint64(stop)):
        item, p = min(s, last), (np.uint64(number) + s) % planes
        for i in range(rows):
            if loads and not transposed and i > 0:  # the step above must have ended, not only begun
                for j in range(cols):
                    links = max(back[p, i + one, j + one + one], back[p, i + one + below, j + one])
                    room[j] = max(max(free[i, j], free[i - one, j]), links)  # noqa: PLW3301 - a short chain
            else:
                for j in range(cols):
                    links = max(back[p, i + one, j + one + one], back[p, i + one + below, j + one])
                    room[j] = max(max(free[i, j], front[i, j + one]), links)  # noqa: PLW3301 - a short chain
            if loads and transposed:
                _running_sums(room, costs, item, edge)
            else:
                _running_maximum(room, edge)
            for j in range(cols):
                front[i + one, j + one] = room[j]
                free[i, j] = room[j] + costs[item, i, j] - 1
                back[p, i + one, j + one] = room[j] + slack


@jit
def _running_maximum(values: Array, least: int) -> None:
    """Replace values[j] by max(least, values[0], ..., values[j]).

    Eight at a time, so that only one maximum in eight waits for the one before it; maxima are
    nested for that.
    """
    one, two, four, eight = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(8)
    late, eights = least, np.uint64(len(values)) // eight * eight
    for j in range(np.uint64(0), eights, eight):
        k = j + four
        a, b, c, d = values[j], values[j + two], values[k], values[k + two]
        ab, cd = max(a, values[j + one]), max(c, values[k + one])
        to_b, to_d = max(b, values[j + two + one]), max(d, values[k + two + one])
        left, right = max(ab, to_b), max(cd, to_d)
        middle = max(late, left)
        values[j], values[j + one], values[j + two] = (
            max(late, a),
            max(late, ab),
            max(late, max(ab, b)),  # noqa: PLW3301
        )
        values[j + two + one], values[k], values[k + one] = middle, max(middle, c), max(middle, cd)
        values[k + two] = max(middle, max(cd, d))  # noqa: PLW3301
        late = max(late, max(left, right))  # noqa: PLW3301
        values[k + two + one] = late
    for j in range(eights, np.uint64(len(values))):
        late = max(late, values[j])
        values[j] = late


@jit
def _running_sums(values: Array, costs: Costs, item: int, least: int) -> None:
    """Replace values[j] by max(values[j], values[j - 1] + cost[j - 1] - 1), at least `least`."""
    late = least
    for j in range(np.uint64(len(values))):
        late = max(late, values[j])
        values[j] = late
        late += costs[item, 0, j] - 1


@jit
def _stream_tile(
    costs: Costs,
    start: int,
    items: int,
    number: int,
    way: Way,
    limits: Array,
    back: Array,
    front: Array,
    free: Array,
    room: Array,
    before: Array,
) -> None:
    """Stream items start..items of a tile; if their costs stay the same, skip ahead once every PE
    keeps one pace.

    If each of D items in a row is later than the one D items before it by the same amount in all
    PEs, so are the next D: the recurrence only knows the last D items, and adding a constant to all
    of them adds it to what follows.
    """
    planes = len(back)
    alike, pace, s = 0, -1, start
    while s < items:
        p, steady = (number + s) % planes, len(costs) == 1 and s > 0
        if steady:
            _copy_plane(back, p, before)
        until = s + 1 if len(costs) == 1 else items
        _stream(costs, s, until, number, way, limits, back, front, free, room)
        s = until
        change = _common_change(before, back, p) if steady else -1
        alike = alike + 1 if change == pace else 1
        pace = change
        if pace >= 0 and alike >= planes:
            turns = (items - s) // planes
            _delay(turns * pace, back, front, free)
            s += turns * planes
            alike = 0


@jit
def _delay(cycles: int, back: Array, front: Array, free: Array) -> None:
    """Let everything that is known of the PEs' past be so much later."""
    one = np.uint64(1)
    for i in range(np.uint64(free.shape[0])):
        for j in range(np.uint64(free.shape[1])):
            free[i, j] += cycles
            front[i + one, j + one] += cycles
            for p in range(np.uint64(len(back))):
                back[p, i + one, j + one] += cycles


@jit
def _copy_plane(back: Array, p: int, copy: Array) -> None:
    """Copy plane p of `back`, without its border."""
    rows, cols = np.uint64(copy.shape[0]), np.uint64(copy.shape[1])
    for i in range(rows):
        for j in range(cols):
            copy[i, j] = back[np.uint64(p), i + np.uint64(1), j + np.uint64(1)]


@jit
def _common_change(before: Array, back: Array, p: int) -> int:
    """Return by how much plane p of `back` is later than `before`, -1 if not uniform."""
    rows, cols = np.uint64(before.shape[0]), np.uint64(before.shape[1])
    change = back[p, 1, 1] - before[0, 0]
    for i in range(rows):
        differing = 0
        for j in range(cols):
            differing += (
                back[np.uint64(p), i + np.uint64(1), j + np.uint64(1)] - before[i, j] != change
            )
        if differing:
            return -1
    return int(change)


@jit
def _hand_over(free: Array, drained: int, period: int, further_rows: int) -> int:
    """Hand a column's finished sums to shadow registers, once the sums before have moved on.

    Return when the column starts to drain: with its last row, `further_rows` below those of `free`.
    """
    start = drained
    for i in range(len(free)):
        free[i] = max(free[i], drained + 1 - period)
        start = free[i] + i if i == 0 else max(start, free[i] + i)
    return start + further_rows


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
def _change_tile(
    free: Array,
    first: Array,
    passed: Array,
    items: int,
    period: int,
    loads: int,
    transposed: int,
    further_rows: int,
) -> None:
    """Let every column hand over (os) or take up (ws, is)."""
    columns = 1 if transposed else free.shape[1]
    for j in range(columns):
        if loads and transposed:
            passed[j] = _take_up(free[0], first[0], passed[j], period, items)
        elif loads:
            passed[j] = _take_up(free[:, j], first[:, j], passed[j], period, items)
        elif transposed:
            passed[j] = _hand_over(free[0], passed[j], period, further_rows)
        else:
            passed[j] = _hand_over(free[:, j], passed[j], period, further_rows)


@jit
def chain(
    costs: Costs,
    number: int,
    items: int,
    period: int,
    way: Way,
    limits: Array,
    state: State,
    starts: Array,
) -> int:
    """Stream tiles `number`, `number` + 1, ...; note when PE (0, 0) starts each.

    Return when the last one has ended.
    """
    loads, transposed, _mirrored, further_rows = way
    back, front, free, room, first, before, passed = state
    end = limits[0]
    for tile in range(len(costs)):
        done = (number + tile) * items
        _stream_tile(costs[tile], 0, 1, done, way, limits, back, front, free, room, before)
        starts[tile] = front[1, 1]
        first[:] = front[1:-1, 1:-1]
        _stream_tile(costs[tile], 1, items, done, way, limits, back, front, free, room, before)
        if loads:
            end = _latest(free)
        _change_tile(free, first, passed, items, period, loads, transposed, further_rows)
        if not loads:
            end = _latest(free)
        if period > items:
            free -= period - items
            back -= period - items
    return int(end)


@jit
def _end_of_tile(costs: Costs, items: int, way: Way, limits: Array, state: State) -> int:
    """Stream one tile from its first item to its last one; return when it has ended."""
    back, front, free, room, _, before, _ = state
    _stream_tile(costs, 0, items, 0, way, limits, back, front, free, room, before)
    return _latest(free)


@jit
def separate(costs: Costs, items: int, way: Way, planes: int, limits: Array, ends: Array) -> None:
    """Stream every tile on its own and note when it has ended."""
    tiles, _, rows, cols = costs.shape
    for tile in range(tiles):
        ends[tile] = _end_of_tile(
            costs[tile], items, way, limits, fresh_state(planes, rows, cols, limits)
        )


@jit
def note_lateness(costs: Costs, way: Way, planes: int, limits: Array, late: Array) -> None:
    """Stream one tile, costs (items, rows, cols), and note how late every step starts."""
    items, rows, cols = costs.shape
    back, front, free, room, _first, _before, _passed = fresh_state(planes, rows, cols, limits)
    for s in range(items):
        _stream(costs, s, s + 1, 0, way, limits, back, front, free, room)
        late[s] = front[1:-1, 1:-1]
