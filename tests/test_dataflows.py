"""Closed forms, attribution, bounds and lockstep of the three dataflows, against tables and sums
written down here.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqsim.array.config import ArrayConfig
from sparqsim.array.costs import SideCosts
from sparqsim.array.dataflow import Work
from sparqsim.array.registry import get_dataflow
from sparqsim.results.bounds import Bounds

FLOWS = ("os", "ws", "is")


def contract_total(dataflow: str, overlap: bool, rows: int, cols: int, work: Work) -> int:
    """Return the total that the table of DESIGN 1.3 gives."""
    m, s, n, e = work.m, work.steps, work.n, work.edge_cycles + work.stage_cycles

    def folds(along_rows, along_cols):
        return work.groups * -(-along_rows // rows) * -(-along_cols // cols)

    tiles, stream = {"os": (folds(m, n), s), "ws": (folds(s, n), m), "is": (folds(s, m), n)}[
        dataflow
    ]
    if overlap:
        return (tiles - 1) * max(stream, rows) + stream + rows + cols - 2 + e + rows
    return tiles * (stream + rows + cols - 2 + e + rows)


sizes = st.integers(1, 70)
registers = st.integers(0, 1)
works = st.builds(Work, sizes, sizes, sizes, st.integers(1, 3), registers, registers)
arrays = st.builds(
    ArrayConfig,
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from(FLOWS),
    st.sampled_from(["lockstep", "elastic:2", "elastic:5"]),
    st.booleans(),
)


@settings(max_examples=200, deadline=None)
@given(works, arrays)
def test_one_cycle_steps_take_what_the_contract_says(work, array):
    timing = get_dataflow(array.dataflow).timing(work, array)
    assert timing.total == contract_total(
        array.dataflow, array.overlap, array.rows, array.cols, work
    )
    assert timing.pe_stall == 0
    assert timing.busiest_pe == timing.compute
    assert timing.pe_work == work.groups * work.m * work.steps * work.n


@pytest.mark.parametrize(
    ("dataflow", "overlap", "parts"),
    [
        # 8x4 array, M=20, S=6, N=9, e=1: compute, fill, drain, written out by hand
        ("os", False, (3 * 3 * 6, 9 * (8 + 4 - 2 + 1), 9 * 8)),
        ("os", True, (9 * 6, 11, 8 + 8 * (8 - 6))),
        ("ws", False, (1 * 3 * 20, 3 * (11 + 8), 0)),
        ("ws", True, (3 * 20, 11 + 8, 0)),
        ("is", False, (1 * 5 * 9, 5 * (11 + 8), 0)),
        ("is", True, (5 * 9, 11 + 8, 0)),
    ],
)
def test_attribution_of_one_layer(dataflow, overlap, parts):
    timing = get_dataflow(dataflow).timing(
        Work(20, 6, 9, 1, 1), ArrayConfig(8, 4, dataflow, overlap=overlap)
    )
    assert (timing.compute, timing.fill, timing.drain) == parts


@pytest.mark.parametrize(
    ("dataflow", "sums"), [("os", 2 * 20 * 9), ("ws", 2 * 20 * 9 * 3), ("is", 2 * 20 * 9 * 3)]
)
def test_sums_of_every_k_fold_are_counted(dataflow, sums):
    """17 steps in rows of 8 are three folds."""
    assert (
        get_dataflow(dataflow).timing(Work(20, 17, 9, 2), ArrayConfig(8, 4, dataflow)).partial_sums
        == sums
    )


def waves_by_hand(costs, rows: int, cols: int) -> int:
    """Return the cycles of one tile (S, R, C) in lockstep, wave by wave."""
    longest: dict[int, int] = {}
    for (s, i, j), cost in np.ndenumerate(costs):
        longest[s + i + j] = max(longest.get(s + i + j, 1), int(cost))
    assert len(longest) == len(costs) + rows + cols - 2
    return sum(longest.values())


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 7),
    st.integers(1, 7),
    st.sampled_from(FLOWS),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_lockstep_is_a_sum_of_longest_steps(rows, cols, dataflow, pairs, seed):
    """One tile, as large as the array: the total is its waves, and loads or drains."""
    rng = np.random.default_rng(seed)
    items = int(rng.integers(1, 12))
    m, s, n = {"os": (rows, items, cols), "ws": (items, rows, cols), "is": (cols, rows, items)}[
        dataflow
    ]
    costs = rng.integers(1, 5, (m, s, n), np.uint8)
    if not pairs:
        costs[:] = costs[..., :1]
    of_tile = costs.transpose({"os": (1, 0, 2), "ws": (0, 1, 2), "is": (2, 1, 0)}[dataflow])
    given_costs = (lambda *_: costs) if pairs else SideCosts(costs[None, ..., 0], "ms")
    timing = get_dataflow(dataflow).timing(
        Work(m, s, n), ArrayConfig(rows, cols, dataflow), given_costs
    )
    assert timing.total == waves_by_hand(of_tile, rows, cols) + rows
    assert timing.pe_work == costs.sum()
    assert timing.busiest_pe == of_tile.sum(axis=0, dtype=int).max()


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from(FLOWS),
    st.booleans(),
    st.sampled_from(["lockstep", "elastic:1", "elastic:2", "elastic:9"]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_bounds_and_their_gap(rows, cols, dataflow, overlap, coupling, pairs, seed):
    """Both bounds lie below the total, and work and the parts of the gap add up to it."""
    rng = np.random.default_rng(seed)
    work = Work(
        *(int(size) for size in rng.integers(1, 20, 3)),
        groups=int(rng.integers(1, 3)),
        edge_cycles=1,
    )
    array = ArrayConfig(rows, cols, dataflow, coupling, overlap)
    full = rng.integers(
        1, 6, (work.groups, work.m + rows + cols, work.steps + rows, work.n + cols), np.uint8
    )
    given_costs = (
        (lambda group, m, s, n: full[group, m, s, n])
        if pairs
        else SideCosts(full[:, : work.m, : work.steps, 0], "ms")
    )
    timing = get_dataflow(dataflow).timing(work, array, given_costs)
    bounds = Bounds.of(timing, work.groups * work.m * work.steps * work.n, array.pes)
    parts = (
        bounds.gap_cycles.ragged_tiles,
        bounds.gap_cycles.fill_drain,
        bounds.gap_cycles.pe_waiting,
    )
    assert bounds.work_cycles + sum(parts) == timing.total
    assert min(parts) >= 0
    assert bounds.work_cycles <= bounds.busiest_pe_cycles <= timing.total
    if coupling == "lockstep":
        assert bounds.gap_cycles.fill_drain == timing.fill + timing.drain


def test_a_lone_row_of_x_does_not_slow_the_padded_columns_of_is():
    """In `is` padded columns hold zeros, one cycle each, also where M = 1; in os and ws they get
    the activations of

    their row."""
    slow, work = SideCosts(np.full((1, 1, 2), 2, np.uint8), "ms"), Work(1, 2, 3)
    total = {
        flow: get_dataflow(flow).timing(work, ArrayConfig(2, 4, flow), slow).pe_stall
        for flow in FLOWS
    }
    # Slow waves: os, row 0 in every column, 2 items: 0..4. ws, 2 rows in every column, 1 item:
    # 0..4. is, 2 rows in column 0, 3 items: 0..3.
    assert total == {"os": 5, "ws": 5, "is": 4}


def test_padded_columns_are_charged_at_every_rank():
    """The same costs given by activation, or pair by pair with padded columns alike, time alike."""
    rng = np.random.default_rng(3)
    costs = rng.integers(1, 4, (2, 9, 7), np.uint8)
    padded = np.ones((2, 24, 24), np.uint8)
    padded[:, :9, :7] = costs

    def by_pair(group, m, s, n):
        return np.repeat(padded[group, m, s, None], n.stop - n.start, axis=2)

    for dataflow, overlap, coupling in itertools.product(
        FLOWS, (False, True), ("lockstep", "elastic:1", "elastic:2")
    ):
        flow, array = get_dataflow(dataflow), ArrayConfig(4, 3, dataflow, coupling, overlap)
        assert flow.timing(Work(9, 7, 5, 2), array, SideCosts(costs, "ms")) == flow.timing(
            Work(9, 7, 5, 2), array, by_pair
        )
