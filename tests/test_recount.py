"""Every number of a layer's cycles, counted again from the steps that the processes record.

Nothing here asks the dataflow for its grid, its closed forms or its tiles: which tile a step is of,
where its PE stands and when it started is in the record, and the layer's shape says which PEs hold
real work.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import own_dataflows
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim import ArrayConfig, Layer
from sparqsim.array.grid import TileGrid
from sparqsim.array.registry import get_dataflow
from sparqsim.array.timing import array_timing
from sparqsim.engine.measure import measure
from sparqsim.event.array import Run
from sparqsim.event.layer import LayerTiles
from sparqsim.event.run import run_tiles

#: Dataflow -> what is streamed, along rows, along columns; whether operands load. Written down
#: again.
FLOWS = {
    "os": ("smn", False),
    "ws": ("msn", True),
    "is": ("nsm", True),
    f"{own_dataflows.__file__}:TransposedOutputs": ("snm", False),
}


@dataclass(frozen=True)
class Counted:
    """What the steps of a run say."""

    tiles: int
    compute: int
    fill: int
    drain: int
    pe_stall: int
    used_pe_cycles: int
    busiest_pe: int
    pe_work: int


def counted(
    run: Run, array: ArrayConfig, sizes: tuple[int, int, int], edge: int, stage: int
) -> Counted:
    """Count a layer of one group from its record.

    `sizes`: of what is streamed, along rows, along columns. A tile reaches from its first offer to
    PE (0, 0), without overlap from its load, to the next tile's; the first one from cycle 0, the
    last one to the end. Of a layer without slow steps, what is left of its cycles beside its
    streamed items is fill or drain: the load, the skew and the registers of the edge, and, where
    tiles wait for loads or drains, that wait.
    """
    _, loads = FLOWS[array.dataflow]
    _, along_rows, along_cols = sizes
    items, tiles = defaultdict(set), defaultdict(list)
    for step in run.steps:
        items[step.tile].add(step.item)
        tiles[step.tile].append(step)
    row_tiles = 0
    while row_tiles * array.rows < along_rows:
        row_tiles += 1
    used_of, busy, work = {}, np.zeros((array.rows, array.cols), int), 0
    for tile, steps in tiles.items():
        col_tile, row_tile = divmod(tile, row_tiles)
        used = set()
        for step in steps:
            busy[step.row, step.col] += step.cycles
            row, col = row_tile * array.rows + step.row, col_tile * array.cols + step.col
            if row < along_rows and col < along_cols:
                used.add((step.row, step.col))
                work += step.cycles
        used_of[tile] = len(used)
    compute = sum(map(len, items.values()))
    # From the first offer to the far corner's first step, if nothing is slow: PEs and registers.
    skew = (0 if array.coupling == "broadcast" else array.rows - 1 + array.cols - 1) + edge + stage
    times = 1 if array.overlap else len(tiles)
    waits = (len(tiles) - 1) * max(0, array.rows - sizes[0]) if array.overlap else 0
    around = times * array.rows + waits
    starts = {
        step.tile: step.start for step in run.steps if (step.row, step.col, step.item) == (0, 0, 0)
    }
    before = edge + (array.rows if loads and not array.overlap else 0)
    cuts = [0, *(starts[tile] - before for tile in range(1, len(tiles))), run.cycles]
    used_cycles = sum((cuts[tile + 1] - cuts[tile]) * used_of[tile] for tile in tiles)
    return Counted(
        tiles=len(tiles),
        compute=compute,
        fill=times * skew + (around if loads else 0),
        drain=0 if loads else around,
        pe_stall=run.cycles - compute - times * skew - around,
        used_pe_cycles=used_cycles,
        busiest_pe=int(busy.max()),
        pe_work=work,
    )


def layer_of(seed: int, sizes: dict[str, int], lanes: int) -> Layer:
    rng = np.random.default_rng(seed)
    m, k, n = sizes["m"], sizes["s"] * lanes, sizes["n"]
    x = rng.integers(0, 256, (m, k)) * (rng.random((m, k)) < 0.7)
    return Layer.from_gemm("drawn", x.astype(np.uint8), rng.integers(-128, 128, (k, n), np.int8))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 5),
    cols=st.integers(1, 5),
    flow=st.sampled_from(list(FLOWS)),
    coupling=st.sampled_from(["lockstep", "broadcast", "elastic:1", "elastic:2", "elastic:4"]),
    overlap=st.booleans(),
    spec=st.sampled_from(
        ["mac-8b8b", "sparq-5opt", "sparq-exact", "pragmatic:lanes=2", "sparq-5opt:stages=2"]
    ),
    data=st.data(),
)
def test_fast_timing_is_what_the_steps_say(rows, cols, flow, coupling, overlap, spec, data):
    array, pe = ArrayConfig(rows, cols, flow, coupling, overlap), sparqsim.get_pe(spec)
    sizes = (
        data.draw(st.integers(1, 8)),
        data.draw(st.integers(1, 2 * rows + 1)),
        data.draw(st.integers(1, 2 * cols + 1)),
    )
    by_role = dict(zip(FLOWS[flow][0], sizes, strict=True))
    layer = layer_of(data.draw(st.integers(0, 2**32 - 1)), by_role, pe.lanes)
    lowered = layer.lower()
    grid = TileGrid(1, sizes[1], sizes[2], sizes[0], rows, cols)  # only to cut the operands
    cut = LayerTiles(lowered, pe, get_dataflow(flow), grid)

    def step(left, other):
        x, w = (other, left) if "n" in FLOWS[flow][0][:2] else (left, other)
        return pe.step(x.values, w.values, False)

    run = run_tiles(cut.tiles(), step, array, pe.edge_cycles, pe.stage_cycles)
    timing = array_timing(lowered, pe, array, measure(lowered, [pe])[0].step_costs)
    expected = counted(run, array, sizes, pe.edge_cycles, pe.stage_cycles)
    assert {name: getattr(timing, name) for name in vars(expected)} == vars(expected)
    folds = len({tile % -(-sizes[1] // rows) for tile in range(expected.tiles)})
    assert timing.partial_sums == by_role["m"] * by_role["n"] * (folds if FLOWS[flow][1] else 1)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.rpartition(":")[2])
def test_first_and_last_tiles_are_not_alike(flow):
    """With overlap, loads belong to the first tile's PEs, drains to the last one's: 6 and 1 of 6
    here.
    """
    array, pe = ArrayConfig(3, 2, flow, overlap=True), sparqsim.get_pe("mac-8b8b")
    by_role = dict(zip(FLOWS[flow][0], (5, 4, 3), strict=True))
    lowered = layer_of(0, by_role, 1).lower()
    timing = array_timing(lowered, pe, array, measure(lowered, [pe])[0].step_costs)
    # Tiles of 5 items, 5 cycles apart, using 3x2, 1x2, 3x1 and 1x1 PEs; then 3 cycles of skew.
    around = 3 * 6 if FLOWS[flow][1] else 3 * 1
    assert timing.used_pe_cycles == 5 * (6 + 2 + 3 + 1) + 3 * 1 + around
