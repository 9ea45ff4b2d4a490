"""Elastic links: the published recurrence, what depth buys, and which bounds are reached."""

from __future__ import annotations

import itertools
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sparqsim.array.config import ArrayConfig
from sparqsim.array.costs import SideCosts
from sparqsim.array.dataflow import Work
from sparqsim.array.elastic import Links, chained_stalls, separate_stalls, starts
from sparqsim.array.registry import get_dataflow
from sparqsim.base.jit import Kernel
from sparqsim.event import Tile, run_tiles
from sparqsim.pe.base import Step

FLOWS = ("os", "ws", "is")


def published_starts(
    costs, depth: int, edge: int, *, loads: bool
) -> dict[tuple[int, int, int], int]:
    """Return f(i, j, s) of one tile, term by term as docs/timing.md writes it.

    `costs` is (S, R, C).
    """
    items, rows, cols = costs.shape
    f: dict[tuple[int, int, int], int] = {}
    for s, i, j in itertools.product(range(items), range(rows), range(cols)):
        terms = [f[i, j, s - 1] + int(costs[s - 1, i, j])] if s else []
        terms += [f[i - 1, j, s] + (int(costs[s, i - 1, j]) if loads else 1)] if i else []
        neighbours = (i, j - 1, s), (i, j + 1, s - depth), (i + 1, j, s - depth)
        terms += [f[place] + 1 for place in neighbours if place in f]
        terms += [s + edge] if j == 0 else []
        terms += [s] if i == 0 else []
        f[i, j, s] = max(terms)
    return f


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 8),
    st.integers(1, 4),
    st.sampled_from(FLOWS),
    st.integers(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_processes_start_every_step_when_the_published_recurrence_says(
    rows, cols, items, depth, dataflow, edge, seed
):
    costs = np.random.default_rng(seed).integers(1, 6, (items, rows, cols))
    loads = dataflow != "os"
    left = [[(i, s) for s in range(items)] for i in range(rows)]
    columns = (
        {"held": [list(range(cols))] * rows}
        if loads
        else {"cols": [[j] * items for j in range(cols)]}
    )
    array = ArrayConfig(rows, cols, dataflow, f"elastic:{depth}")
    run = run_tiles(
        [Tile(left, **columns)], lambda x, col: Step(0, int(costs[x[1], x[0], col])), array, edge
    )
    load = rows if loads else 0
    expected = published_starts(costs, depth, edge, loads=loads)
    assert {(step.row, step.col, step.item): step.start - load for step in run.steps} == expected
    fast = starts(costs.astype(np.uint8), Links(depth, edge, max(items, rows), items, loads))
    assert {(i, j, s): int(start) for (s, i, j), start in np.ndenumerate(fast)} == expected
    last = max(start + int(costs[s, i, j]) for (i, j, s), start in expected.items())
    assert run.cycles == last + rows


def random_case(seed: int, most: int = 6):
    """Return a shape, full-rank costs and an array's settings, drawn from `seed`."""
    rng = np.random.default_rng(seed)
    rows, cols = (int(side) for side in rng.integers(1, 10, 2))
    dataflow, overlap = FLOWS[rng.integers(3)], bool(rng.integers(2))
    work = Work(
        *(int(size) for size in rng.integers(1, 25, 3)),
        int(rng.integers(1, 3)),
        int(rng.integers(2)),
    )
    shape = (work.groups, work.m + rows + cols, work.steps + rows, work.n + cols)
    costs = rng.integers(1, most, shape, np.uint8, endpoint=True)
    if rng.integers(2):
        costs[rng.random(shape) < 0.8] = 1
    settings_of_array = {"rows": rows, "cols": cols, "dataflow": dataflow, "overlap": overlap}
    given_costs = [
        SideCosts(costs[:, : work.m, : work.steps, 0], "ms"),
        lambda group, m, s, n: costs[group, m, s, n],
    ][rng.integers(2)]
    return settings_of_array, work, given_costs


def timed(array: dict, coupling: str, work: Work, costs):
    return get_dataflow(array["dataflow"]).timing(
        work, ArrayConfig(coupling=coupling, **array), costs
    )


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_elastic_is_never_slower_than_lockstep_from_depth_2_on(seed, depth):
    """For a reason, sums that wait for a step's end included: see `sparqsim/array/elastic.py`."""
    array, work, costs = random_case(seed)
    assert (
        timed(array, f"elastic:{depth}", work, costs).total
        <= timed(array, "lockstep", work, costs).total
    )


def lockstep_starts(costs):
    """Return when lockstep starts every step of a tile (S, R, C): with its wave, as soon as the one
    before is over.
    """
    wave = np.add.outer(
        np.add.outer(*(np.arange(size) for size in costs.shape[:2])), np.arange(costs.shape[2])
    )
    longest = np.zeros(wave.max() + 1, int)
    np.maximum.at(longest, wave, costs)
    return (np.cumsum(longest) - longest)[wave]


@pytest.mark.parametrize("loads", [False, True])
@pytest.mark.parametrize(
    "shape", [shape for shape in itertools.product((1, 2, 3), repeat=3) if np.prod(shape) < 13]
)
def test_no_small_array_is_slower_than_lockstep_in_any_step(shape, loads):
    """All costs of 1 or 2, and some of 1 to 3: no step starts later than in lockstep, from depth 2
    on.
    """
    size = int(np.prod(shape))
    every = [
        *itertools.product((1, 2), repeat=size),
        *(itertools.product((1, 2, 3), repeat=size) if size < 7 else []),
    ]
    for drawn in every:
        costs = np.array(drawn, np.uint8).reshape(shape)
        elastic = starts(costs, Links(2, 0, max(shape[:2]), shape[0], loads))
        assert (elastic <= lockstep_starts(costs)).all(), costs.tolist()


def test_sums_wait_for_the_end_of_a_step_and_operands_do_not():
    """Two rows, one column, steps of 5 and 1 cycles: in `os` the lower PE starts a cycle after the
    upper one.
    """
    costs = np.array([[[5], [1]]], np.uint8)
    for loads, second in ((False, 1), (True, 5)):
        assert starts(costs, Links(2, 0, 2, 1, loads)).ravel().tolist() == [0, second]
        assert separate_stalls(costs[None], Links(2, 0, 2, 1, loads)) == [4 if loads else 3]


def test_a_full_link_down_holds_the_pe_above_until_a_slot_was_free_at_the_start_of_the_cycle():
    """`ws`, one column, D = 1, rows of 1 and 4 cycles: the upper PE waits a cycle after the lower
    one has started.
    """
    found = starts(np.array([[[1], [4]]] * 3, np.uint8), Links(1, 0, 3, 3, loads=True))[:, :, 0]
    assert found.tolist() == [[0, 1], [2, 5], [6, 9]]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_deeper_links_are_never_slower(seed, depth):
    array, work, costs = random_case(seed)
    deeper = timed(array, f"elastic:{depth + 1}", work, costs)
    assert deeper.total <= timed(array, f"elastic:{depth}", work, costs).total


def test_depth_1_can_lose_to_lockstep():
    array = {"rows": 4, "cols": 4, "dataflow": "os", "overlap": False}
    assert (
        timed(array, "elastic:1", Work(4, 50, 4), 1).total
        > timed(array, "lockstep", Work(4, 50, 4), 1).total
    )


@pytest.mark.parametrize("dataflow", FLOWS)
@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("sides", [(1, 1), (1, 4), (5, 1), (4, 3)])
def test_depth_1_halves_the_throughput_of_one_cycle_steps(dataflow, overlap, sides):
    """Starts two cycles apart, the first one as ever: items - 1 cycles more; a lone PE has no
    links.
    """
    array = {"rows": sides[0], "cols": sides[1], "dataflow": dataflow, "overlap": overlap}
    items = 60
    rows, cols = sides
    work = {
        "os": Work(rows, items, cols),
        "ws": Work(items, rows, cols),
        "is": Work(cols, rows, items),
    }[dataflow]
    lockstep, single = timed(array, "lockstep", work, 1), timed(array, "elastic:1", work, 1)
    assert single.pe_stall == (0 if sides == (1, 1) else items - 1)
    assert single.total == lockstep.total + single.pe_stall
    tiles = (
        Work(work.m * 3, work.steps, work.n)
        if dataflow != "ws"
        else Work(work.m, work.steps * 3, work.n)
    )
    added = timed(array, "elastic:1", tiles, 1).total - timed(array, "lockstep", tiles, 1).total
    assert added == (0 if sides == (1, 1) else 3 * items - 1 if overlap else 3 * (items - 1))


@pytest.mark.parametrize("dataflow", FLOWS)
@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("coupling", ["lockstep", "elastic:1", "elastic:2", "elastic:7"])
@pytest.mark.parametrize("groups", [1, 3])
def test_steps_of_one_cycle_given_one_by_one_equal_the_closed_form(
    dataflow, overlap, coupling, groups
):
    array = {"rows": 3, "cols": 4, "dataflow": dataflow, "overlap": overlap}
    work = Work(7, 5, 6, groups, edge_cycles=1)
    closed = timed(array, coupling, work, 1)
    ones = SideCosts(np.ones((groups, 7, 5), np.uint8), "ms")
    assert timed(array, coupling, work, ones) == closed

    def of_pairs(_, *parts):
        return np.ones([part.stop - part.start for part in parts], np.uint8)

    assert timed(array, coupling, work, of_pairs) == closed


def longest_path(costs, *, loads: bool) -> int:
    """Return the cycles of a tile (S, R, C) whose PEs never wait for room: its longest path of
    steps and links.
    """
    items, rows, cols = costs.shape
    end: dict[tuple[int, int, int], int] = {}
    for s, i, j in itertools.product(range(items), range(rows), range(cols)):
        before = [end[i, j, s - 1]] if s else []
        before += [end[i - 1, j, s] + (0 if loads else 1 - int(costs[s, i - 1, j]))] if i else []
        before += [end[i, j - 1, s] + 1 - int(costs[s, i, j - 1])] if j else []
        end[i, j, s] = max(before, default=0) + int(costs[s, i, j])
    return max(end.values())


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 12),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_links_as_deep_as_the_stream_reach_the_longest_path(rows, cols, items, loads, seed):
    """From D = items on nobody waits for room: a tile takes its longest path.

    That is the bound depth can reach; the work of the busiest PE lies below it by what that PE
    waits for operands that pass through slower PEs, and (ws, is) for sums.
    """
    costs = np.random.default_rng(seed).integers(1, 5, (items, rows, cols), np.uint8)
    path = longest_path(costs, loads=loads)
    for depth in (items, items + 3, 999_999):
        stall = separate_stalls(costs[None], Links(depth, 0, items, items, loads))[0]
        assert stall + items + rows + cols - 2 == path
    assert path >= costs.sum(axis=0, dtype=int).max()


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 60),
    st.integers(1, 6),
    st.integers(0, 2**32 - 1),
)
@example(3, 3, 5, 1, 2)
def test_costs_that_stay_along_the_stream_reach_the_busiest_pe(rows, cols, items, depth, seed):
    """The busiest PE sets the pace alone: from D = 2 on a tile takes its work and at most C - 1
    links and R - 1 steps

    more, whatever the depth."""
    costs = np.random.default_rng(seed).integers(
        1, 5 if seed % 2 else 1, (1, 1, rows, cols), np.uint8, endpoint=True
    )
    links = Links(depth, 0, items, items, loads=True)
    stall = separate_stalls(costs, links)
    assert stall == separate_stalls(np.repeat(costs, items, axis=1), links)
    if depth > 1:
        slowest = int(costs.max())
        assert (
            items * slowest
            <= stall + items + rows + cols - 2
            <= (items + rows - 1) * slowest + cols - 1
        )


def test_the_slowest_pe_can_slow_a_path_that_does_not_lead_through_it():
    """Why costs that stay have no closed form of paths that only lead right and down: room matters.

    PE (1, 1) of 5 cycles holds up column 0 to its left, whose lower PEs pass sums on slowly; links
    of any depth let it go ahead.
    """
    costs = np.ones((1, 1, 12, 3), np.uint8)
    costs[0, 0, 1, 1], costs[0, 0, 2:, 0] = 5, 4
    shallow, deep = (
        int(separate_stalls(costs, Links(depth, 0, 60, 60, loads=True))[0]) for depth in (2, 60)
    )
    stepped = int(separate_stalls(np.repeat(costs, 60, axis=1), Links(2, 0, 60, 60, loads=True))[0])
    assert shallow == stepped > deep


@pytest.mark.parametrize("loads", [False, True])
def test_depth_closes_in_on_the_busiest_pe_of_long_streams(loads):
    """With random costs the share of time that the busiest PE waits falls with depth and with the
    stream's length.
    """
    rng = np.random.default_rng(5)
    waits = []
    for items, depth in ((64, 2), (4096, 2), (4096, 64), (4096, 4096)):
        costs = rng.integers(1, 3, (items, 8, 8), np.uint8)
        busiest = int(costs.sum(axis=0, dtype=int).max())
        total = (
            int(separate_stalls(costs[None], Links(depth, 0, items, items, loads))[0]) + items + 14
        )
        waits.append(total / busiest)
    assert waits == sorted(waits, reverse=True)
    assert waits[-1] < 1.05


@contextmanager
def as_python():
    """Let kernels run as the functions they are, uncompiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kernel, "__call__", lambda kernel, *args: kernel._function(*args))
        yield


@pytest.mark.parametrize(
    "kernels",
    [as_python, pytest.param(nullcontext, marks=pytest.mark.slow)],  # those of 64 bits take long
    ids=["as Python", "compiled"],
)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.booleans())
def test_wide_and_narrow_integers_and_any_batches_agree(kernels, seed, depth, loads):
    """Lateness is kept in 32 bits where it cannot overflow, else in 64; tiles arrive in batches of
    any size.
    """
    rng = np.random.default_rng(seed)
    most = 4 if kernels is as_python else 7
    tiles, items, rows, cols = (int(size) for size in rng.integers(1, most + 1, 4))
    costs = rng.integers(1, 9, (tiles, items, rows, cols), np.uint8)
    links = Links(depth, 1, max(items, rows), items, loads)
    narrow, cut = chained_stalls([costs], links, tiles), tiles // 2
    assert (
        chained_stalls([part for part in (costs[:cut], costs[cut:]) if len(part)], links, tiles)
        == narrow
    ).all()
    with kernels():
        chained = chained_stalls([costs], links, tiles, most_cycles=1 << 40)
        separate = separate_stalls(costs, links, most_cycles=1 << 40)
    assert (chained == narrow).all()
    assert (separate == separate_stalls(costs, links)).all()


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.booleans())
def test_skipping_ahead_changes_nothing(seed, depth, loads):
    """Costs given once for all items of a tile, skipped through once the pace is steady, or item by
    item time alike.
    """
    rng = np.random.default_rng(seed)
    tiles, rows, cols = (int(size) for size in rng.integers(1, 6, 3))
    items = int(rng.integers(1, 60))
    costs = np.where(
        rng.random((tiles, 1, rows, cols)) < 0.25, rng.integers(2, 9, (tiles, 1, rows, cols)), 1
    )
    costs = costs.astype(np.uint8)
    links = Links(depth, 1, max(items, rows), items, loads)
    stepped = chained_stalls([np.repeat(costs, items, axis=1)], links, tiles)
    assert (chained_stalls([costs], links, tiles) == stepped).all()
