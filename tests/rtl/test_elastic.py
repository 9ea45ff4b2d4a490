"""Arrays with elastic links: every PE starts every step in the cycle that the recurrence says."""

from __future__ import annotations

import numpy as np
import pytest

from sparqsim.array.config import ArrayConfig
from sparqsim.event.array import Tile
from sparqsim.event.run import run_tiles
from sparqsim.pe import get_pe
from sparqsim.pe.base import Step
from sparqsim.rtl.check import check_gemm, check_tiles, simulated_cycles
from sparqsim.rtl.tiles import by_place, cut, step_cycles
from sparqsim.rtl.timeline import elastic_starts


@pytest.mark.sampled(8)
@pytest.mark.parametrize("sides", [(1, 1), (1, 5), (5, 1), (5, 3), (8, 8)], ids=str)
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize("spec", ["mac-8b8b", "sparq-exact", "mac-8b8b:stages=2"])
def test_starts_of_every_step(spec, dataflow, depth, sides, agree, sized):
    design, array = (
        get_pe(spec),
        ArrayConfig(*sides, dataflow=dataflow, coupling=f"elastic:{depth}"),
    )
    agree(design, array, sized(dataflow, 40, *sides, design))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize("spec", ["sparq-5opt", "mac-4b4b", "sparq-exact", "sparq-5opt:stages=2"])
def test_ragged_tiles(spec, dataflow, agree):
    agree(get_pe(spec), ArrayConfig(3, 4, dataflow=dataflow, coupling="elastic:2"), (4, 15, 5))
    agree(get_pe(spec), ArrayConfig(3, 4, dataflow=dataflow, coupling="elastic:2"), (1, 1, 1))


@pytest.mark.sampled(6)
@pytest.mark.parametrize("steps", [1, 3, 17], ids=lambda steps: f"{steps} steps")
@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize("spec", ["sparq-5opt", "mac-4b8b", "sparq-exact", "mac-4b4b:stages=2"])
def test_overlapping_tiles(spec, dataflow, depth, steps, agree, sized):
    """Six tiles, of more and of fewer items than rows, so that shadows and second operand registers
    are waited for.
    """
    design, array = (
        get_pe(spec),
        ArrayConfig(4, 3, dataflow=dataflow, coupling=f"elastic:{depth}", overlap=True),
    )
    agree(design, array, sized(dataflow, steps, 11, 5, design))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("sides", [(1, 1), (1, 5), (7, 1), (8, 8)], ids=str)
@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
def test_overlapping_tiles_on_other_arrays(dataflow, sides, agree, sized):
    design, array = (
        get_pe("sparq-exact"),
        ArrayConfig(*sides, dataflow=dataflow, coupling="elastic:2", overlap=True),
    )
    agree(design, array, sized(dataflow, 6, 2 * sides[0], 2 * sides[1], design))


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
def test_starts_are_those_of_the_processes(dataflow, depth, rng):
    """The event model defines elastic timing; the RTL is compared with `elastic_starts`, and that
    with the model.
    """
    for stream, rows, cols in ((1, 4, 3), (3, 5, 2), (9, 3, 4)):
        array = ArrayConfig(
            rows, cols, dataflow=dataflow, coupling=f"elastic:{depth}", overlap=True
        )
        costs = rng.integers(1, 3, (4, stream, rows)).astype(np.uint8)
        starts, _ = elastic_starts(array, np.broadcast_to(costs[..., None], (*costs.shape, cols)))
        zeros = (
            {"cols": [[0] * stream] * cols} if dataflow == "os" else {"held": [[0] * cols] * rows}
        )
        tiles = [Tile(rows=tile.T.tolist(), **zeros) for tile in costs]
        run = run_tiles(tiles, lambda cost, _: Step(0, cost), array)
        first = 0 if dataflow == "os" else rows
        for step in run.steps:
            assert step.start == first + starts[step.tile, step.item, step.row, step.col], step
        assert len(run.steps) == starts.size


def test_one_slot_halves_the_rate():
    """With one slot a PE can push only every other cycle."""
    ones = np.ones((1, 50, 3, 3), np.uint8)
    deep, shallow = (
        elastic_starts(ArrayConfig(3, 3, coupling=f"elastic:{depth}"), ones)[0] for depth in (2, 1)
    )
    assert (deep[0, -1, -1, -1], shallow[0, -1, -1, -1]) == (49 + 4, 2 * 49 + 4)


def test_a_sum_waits_for_the_end_of_the_step_above(rng):
    """In `ws` the link downwards carries the sum: it is not there a cycle after the start of a step
    of two cycles.
    """
    design, array = get_pe("sparq-exact"), ArrayConfig(2, 1, dataflow="ws", coupling="elastic:2")
    x = np.array([[255, 255, 1, 1]], np.uint8)  # two cycles in row 0, one in row 1
    tiles = cut(design, array, x, rng.integers(1, 128, (4, 1)).astype(np.int8))
    costs = np.broadcast_to(by_place(step_cycles(design, tiles), "ws"), (1, 1, 2, 1))
    assert costs.ravel().tolist() == [2, 1]
    shown = check_tiles(design, array, tiles)
    cycle_of_row = np.argmax(shown.starts[:, :, 0], axis=0)
    assert cycle_of_row[1] - cycle_of_row[0] == 2
    w = rng.integers(1, 128, (4, 1)).astype(np.int8)
    assert (
        check_gemm(design, array, x, w).cycles == simulated_cycles(design, array, x, w) == 2 + 1 + 3
    )  # load, edge
