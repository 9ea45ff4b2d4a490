"""Arrays with elastic links: every PE starts every step in the cycle that the recurrence says."""

from __future__ import annotations

import numpy as np
import pytest

from sparqsim.config import ArrayConfig
from sparqsim.dataflow.elastic import Links, starts
from sparqsim.pe import get_pe
from sparqsim.rtl.check import check_gemm, check_tiles, simulated_cycles
from sparqsim.rtl.tiles import by_place, cut, step_cycles


@pytest.mark.parametrize("sides", [(1, 1), (2, 5), (5, 3), (8, 8)], ids=str)
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize("spec", ["mac-8b8b", "sparq-exact"])
def test_starts_of_every_step(spec, dataflow, depth, sides, agree, sized):
    design, array = get_pe(spec), ArrayConfig(*sides, dataflow=dataflow, coupling=f"elastic:{depth}")
    agree(design, array, sized(dataflow, 40, *sides, design))


@pytest.mark.parametrize("dataflow", ["os", "ws", "is"])
@pytest.mark.parametrize("spec", ["sparq-5opt", "mac-4b4b", "sparq-exact"])
def test_ragged_tiles(spec, dataflow, agree):
    agree(get_pe(spec), ArrayConfig(3, 4, dataflow=dataflow, coupling="elastic:2"), (4, 15, 5))
    agree(get_pe(spec), ArrayConfig(3, 4, dataflow=dataflow, coupling="elastic:2"), (1, 1, 1))


def test_one_slot_halves_the_rate():
    """With one slot a PE can push only every other cycle."""
    ones = np.ones((50, 3, 3), np.uint8)
    deep, shallow = (starts(ones, Links(depth, 0, 50, 50, loads=False)) for depth in (2, 1))
    assert (deep[-1, -1, -1], shallow[-1, -1, -1]) == (49 + 4, 2 * 49 + 4)


def test_a_sum_waits_for_the_end_of_the_step_above(rng):
    """In `ws` the link downwards carries the sum: it is not there a cycle after the start of a step of two cycles."""
    design, array = get_pe("sparq-exact"), ArrayConfig(2, 1, dataflow="ws", coupling="elastic:2")
    x = np.array([[255, 255, 1, 1]], np.uint8)  # two cycles in row 0, one in row 1
    tiles = cut(design, array, x, rng.integers(1, 128, (4, 1)).astype(np.int8))
    costs = np.broadcast_to(by_place(step_cycles(design, tiles), "ws"), (1, 1, 2, 1))
    assert costs.ravel().tolist() == [2, 1]
    shown = check_tiles(design, array, tiles)
    cycle_of_row = np.argmax(shown.starts[:, :, 0], axis=0)
    assert cycle_of_row[1] - cycle_of_row[0] == 2
    w = rng.integers(1, 128, (4, 1)).astype(np.int8)
    assert check_gemm(design, array, x, w).cycles == simulated_cycles(design, array, x, w) == 2 + 1 + 3  # load, edge
