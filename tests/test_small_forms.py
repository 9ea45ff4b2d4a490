"""Forms without a kernel, and kernels: both equal sums and maxima in plain Python."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sparqsim.array import costs as costs_module
from sparqsim.array import waves as waves_module
from sparqsim.array.costs import step_sums
from sparqsim.array.waves import tile_waves
from sparqsim.pe.activity import state_counts

#: (tiles, stream, rows, columns) of step cycles; (groups, rows, steps) of states.
COSTS = [(1, 1, 1, 1), (3, 5, 4, 1), (2, 4, 1, 6), (3, 7, 4, 5), (2, 1, 3, 1)]
STATES = [(1, 1, 1), (1, 9, 4), (3, 5, 2)]


@pytest.fixture(params=["numpy", "kernel"])
def form(request, monkeypatch):
    """Which of the two forms is asked, whatever the size: up to which it is the one in numpy."""
    small = 1 << 20 if request.param == "numpy" else -1
    for module in (costs_module, waves_module):
        monkeypatch.setattr(module, "SMALL", small)
    return small


@pytest.mark.parametrize("shape", STATES)
def test_states_are_counted_step_by_step(shape, form):
    states = np.random.default_rng(1).integers(0, 5, shape).astype(np.uint8)
    groups, rows, steps = shape
    expected = np.zeros((groups, steps, 6), int)
    for group, row, step in itertools.product(range(groups), range(rows), range(steps)):
        expected[group, step, states[group, row, step]] += 1
    assert state_counts(states, 6, form).tolist() == expected.tolist()


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("shape", COSTS)
def test_steps_add_up_beyond_a_byte(shape):
    costs = np.random.default_rng(2).integers(200, 256, shape).astype(np.uint8)
    tiles, stream, rows, cols = shape
    expected = [
        [
            [sum(int(costs[tile, s, i, j]) for s in range(stream)) for j in range(cols)]
            for i in range(rows)
        ]
        for tile in range(tiles)
    ]
    assert step_sums(costs).tolist() == expected


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("shape", COSTS)
def test_a_wave_is_as_long_as_its_longest_step(shape):
    """An axis of length 1 stands for one along which the cost does not change."""
    costs = np.random.default_rng(3).integers(1, 9, shape).astype(np.uint8)
    stream, rows, cols = (
        size if size > 1 else full for size, full in zip(shape[1:], (6, 4, 5), strict=True)
    )
    expected = np.ones((shape[0], stream + rows + cols - 2), int)
    whole = np.broadcast_to(costs, (shape[0], stream, rows, cols))
    for tile, s, i, j in itertools.product(
        range(shape[0]), range(stream), range(rows), range(cols)
    ):
        expected[tile, s + i + j] = max(expected[tile, s + i + j], int(whole[tile, s, i, j]))
    assert tile_waves(costs, stream, rows, cols).tolist() == expected.tolist()
