"""The array of processes defines timing: the fast forms must equal it, integer for integer, and so
must the

recurrence, step by step."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.costs import SideCosts
from sparqsim.array.dataflow import Timing, Work
from sparqsim.array.registry import get_dataflow
from sparqsim.event import Run, Tile, run_tiles
from sparqsim.event.layer import stalls_of
from sparqsim.pe.base import Step

#: Those of the package, and one that exchanges the sides of `os`: every roles there can be.
DATAFLOWS = ("os", "ws", "is", f"{Path(__file__).parent / 'own_dataflows.py'}:TransposedOutputs")
COUPLINGS = ("lockstep", "broadcast", "elastic:1", "elastic:2", "elastic:3", "elastic:4")
LARGEST_CASE = 900  # PE-steps: the processes take some 50 microseconds for each


@dataclass(frozen=True)
class Case:
    """An array, a layer's shape, and the cycles of each step, padded operands included: uint8
    (groups, M, S, N).
    """

    array: ArrayConfig
    work: Work
    rank: str
    costs: NDArray[np.uint8]

    @property
    def flow(self):
        return get_dataflow(self.array.dataflow)

    def fast(self) -> Timing:
        whole = self.costs[:, : self.work.m, : self.work.steps, : self.work.n]
        given = {
            "unit": 1,
            "fixed": int(self.costs[0, 0, 0, 0]),
            "activation": SideCosts(whole[..., 0], "ms"),
            "weight": SideCosts(whole[:, 0], "sn"),
            "pair": lambda group, m, s, n: self.costs[group, m, s, n],
        }
        return self.flow.timing(self.work, self.array, given[self.rank])

    def cost(self, tile: int, row: int, col: int, item: int) -> int:
        group, rows, cols = self.flow.grid(self.work, self.array).slices(tile)
        at = dict(zip(self.flow.roles, (item, rows.start + row, cols.start + col), strict=True))
        return int(self.costs[group, at["m"], at["s"], at["n"]])

    def event(self) -> tuple[Run, Timing]:
        """Run the processes with operands that tell where they belong; any two that meet must
        belong together.
        """
        grid = self.flow.grid(self.work, self.array)

        def of_rows(tile):
            return [[(tile, i, s) for s in range(grid.stream)] for i in range(grid.rows)]

        def step(left, other):
            (tile, row, item), (other_tile, *place) = left, other
            assert tile == other_tile
            col = place[1] if self.flow.loads else place[0]
            assert place[0] == row if self.flow.loads else place[1] == item
            return Step(1000 * tile + item, self.cost(tile, row, col, item))

        def of_columns(tile):
            if self.flow.loads:
                return {
                    "held": [[(tile, i, j) for j in range(grid.cols)] for i in range(grid.rows)]
                }
            return {"cols": [[(tile, j, s) for s in range(grid.stream)] for j in range(grid.cols)]}

        tiles = [Tile(of_rows(tile), **of_columns(tile)) for tile in range(grid.tiles)]
        registers = self.work.edge_cycles, self.work.stage_cycles
        run = run_tiles(tiles, step, self.array, *registers)
        busiest = max(map(max, run.busy_cycles(grid.rows, grid.cols)))
        work = sum(step.cycles for step in run.steps if self.is_real(step))
        stalls = stalls_of(run, self.work, self.array, self.flow)
        return run, self.flow.timing_of(self.work, self.array, stalls, busiest, work)

    def is_real(self, step) -> bool:
        grid = self.flow.grid(self.work, self.array)
        _, rows, cols = grid.slices(step.tile)
        return rows.start + step.row < grid.along_rows and cols.start + step.col < grid.along_cols


@st.composite
def cases(draw) -> Case:
    rows, cols = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    array = ArrayConfig(
        rows,
        cols,
        draw(st.sampled_from(DATAFLOWS)),
        draw(st.sampled_from(COUPLINGS)),
        draw(st.booleans()),
    )
    room = max(1, LARGEST_CASE // (rows * cols))
    stream = draw(st.integers(1, min(room, 24)))
    tiles = room // stream
    groups = draw(st.integers(1, min(2, tiles)))
    row_tiles = draw(st.integers(1, min(4, tiles // groups)))
    col_tiles = draw(st.integers(1, min(4, tiles // groups // row_tiles)))
    along_rows = rows * row_tiles - draw(st.integers(0, rows - 1))
    along_cols = cols * col_tiles - draw(st.integers(0, cols - 1))
    roles = get_dataflow(array.dataflow).roles
    sizes = dict(zip(roles, (stream, along_rows, along_cols), strict=True))
    padded = dict(zip(roles, (stream, rows * row_tiles, cols * col_tiles), strict=True))
    rank = draw(st.sampled_from(["unit", "fixed", "activation", "weight", "pair"]))
    stages = draw(st.integers(0, 1)) if rank == "unit" else 0
    edge = draw(st.integers(0, 1))
    work = Work(sizes["m"], sizes["s"], sizes["n"], groups, edge, stages)
    shape = (groups, padded["m"], padded["s"], padded["n"])
    return Case(array, work, rank, drawn_costs(draw, rank, work, shape))


def drawn_costs(draw, rank: str, work: Work, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return costs (groups, M, S, N): all one, all the same, or any.

    Where one side decides they are shared along the other, and one where its operands are padding.
    """
    if rank == "unit":
        return np.ones(shape, np.uint8)
    if rank == "fixed":
        return np.full(shape, draw(st.sampled_from([2, 3, 4, 7, 64, 255])), np.uint8)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    most = draw(st.sampled_from([2, 2, 3, 9, 255]))
    costs = rng.integers(1, most, shape, np.uint8, endpoint=True)
    if draw(st.booleans()):  # slow steps few and far between
        costs = np.where(rng.random(shape) < 0.8, 1, costs).astype(np.uint8)
    if rank == "activation":
        costs[:] = costs[..., :1]
        costs[:, work.m :], costs[:, :, work.steps :] = 1, 1
    if rank == "weight":
        costs[:] = costs[:, :1]
        costs[:, :, work.steps :], costs[..., work.n :] = 1, 1
    return costs


def examples(count: int):
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check_event_equals_fast(case: Case) -> None:
    run, defined = case.event()
    assert defined.total == run.cycles
    assert case.fast() == defined


@examples(120)
@given(cases())
def test_fast_timing_equals_the_processes(case):
    check_event_equals_fast(case)


@pytest.mark.slow
@examples(6000)
@given(cases())
def test_fast_timing_equals_the_processes_long_run(case):
    check_event_equals_fast(case)


@pytest.mark.parametrize("sides", [(1, 3), (3, 1), (3, 2)])
@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize("coupling", ["lockstep", "elastic:1", "elastic:2"])
def test_fixed_lengths_for_short_and_long_streams(sides, dataflow, coupling):
    """A loader holds the next tile back where a stream is shorter than the rows, a sum at depth
    1.
    """
    for stream, cycles, overlap in itertools.product((1, 2, 5), (2, 3), (False, True)):
        along = (stream, 2 * sides[0], 2 * sides[1] - 1)
        size = dict(zip(get_dataflow(dataflow).roles, along, strict=True))
        work = Work(size["m"], size["s"], size["n"], edge_cycles=1)
        costs = np.full((1, *(side + 3 for side in (work.m, work.steps, work.n))), cycles, np.uint8)
        array = ArrayConfig(*sides, dataflow, coupling, overlap)
        check_event_equals_fast(Case(array, work, "fixed", costs))
