"""Planes of bits against waves gone through one by one: for every rank of one side's costs, every
dataflow, and shapes around the words that planes are made of.
"""

from __future__ import annotations

import numpy as np
import pytest
from own_dataflows import OtherInputs, OtherWeights, TransposedOutputs

from sparqsim import ArrayConfig
from sparqsim.array.costs import SideCosts
from sparqsim.array.dataflow import Dataflow, Timing, Work
from sparqsim.array.registry import get_dataflow
from sparqsim.array.sides import MOST_PLANES

FLOWS = [
    get_dataflow("os"),
    get_dataflow("ws"),
    get_dataflow("is"),
    TransposedOutputs(),
    OtherWeights(),
    OtherInputs(),
]
#: Groups, M, steps, N, rows, columns.
SHAPES = [
    (1, 1, 1, 1, 1, 1),
    (2, 5, 7, 3, 2, 4),
    (1, 63, 64, 65, 3, 9),
    (1, 20, 129, 6, 66, 2),
    (1, 130, 9, 4, 5, 65),
    (3, 7, 33, 20, 16, 128),
    (1, 4, 66, 30, 1, 64),
    (1, 70, 3, 2, 64, 63),
]


def tiles_of(costs: np.ndarray, flow: Dataflow, array: ArrayConfig) -> np.ndarray:
    """Return costs (groups, m or 1, s or 1, n or 1) as (tiles, stream, rows, cols), in order.

    A padded PE meets the operands that decide, where its side of the array shares them.
    """
    by_role = costs.transpose(0, *(1 + "msn".index(role) for role in flow.roles))
    short = [
        (0, 0),
        (0, 0),
        (0, -by_role.shape[2] % array.rows),
        (0, -by_role.shape[3] % array.cols),
    ]
    padded = np.pad(by_role, short, constant_values=1)
    rows, cols = padded.shape[2:]
    return np.array(
        [
            of_group[:, i : i + array.rows, j : j + array.cols]
            for of_group in padded
            for j in range(0, cols, array.cols)
            for i in range(0, rows, array.rows)
        ]
    )


def stalls_of(tile: np.ndarray) -> int:
    """Return what is beyond one cycle in each wave of a tile (stream, rows, cols)."""
    wave_of = sum(np.indices(tile.shape))
    longest = np.ones(wave_of.max() + 1, int)
    np.maximum.at(longest, wave_of, tile)
    return int((longest - 1).sum())


def drawn(shape: tuple[int, ...], most: int, share: float, seed: int) -> np.ndarray:
    """Return step cycles 1 to `most`, a share of them drawn, else 1."""
    values = np.random.default_rng(seed)
    slow = values.random(shape) < share
    return np.where(slow, values.integers(1, most + 1, shape), 1).astype(np.uint8)


def timed(sizes: tuple[int, ...], axes: str, flow: Dataflow, costs: np.ndarray) -> Timing:
    """Return the timing from planes; that of the first array of a small layer, without them, is
    the same.
    """
    groups, m, s, n, rows, cols = sizes
    array, kept = ArrayConfig(rows, cols), SideCosts(costs, axes)
    first, again = (flow.timing(Work(m, s, n, groups), array, kept) for _ in range(2))
    assert again == first
    assert again.tile_stalls.tolist() == first.tile_stalls.tolist()
    return again


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
@pytest.mark.parametrize("axes", ["ms", "sn"])
@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_stalls_are_those_of_waves_gone_through_one_by_one(
    sizes: tuple[int, ...], axes: str, flow: Dataflow
) -> None:
    """Sparse and dense slow steps, of two cycles and of up to five."""
    groups, m, s, n, rows, cols = sizes
    shape, missing = ((groups, m, s), 3) if axes == "ms" else ((groups, s, n), 1)
    for seed, (most, share) in enumerate([(2, 0.05), (5, 0.4), (1, 1.0)]):
        costs = drawn(shape, most, share, seed)
        found = timed(sizes, axes, flow, costs)
        side = (1, rows, cols)[flow.roles.index("msn"[missing - 1])]
        times = -(-(m, s, n)[missing - 1] // side) * side
        whole = np.repeat(np.expand_dims(costs, missing), times, axis=missing)
        tiles = tiles_of(whole, flow, ArrayConfig(rows, cols))
        expected = [stalls_of(tile) for tile in tiles]
        assert found.tile_stalls is not None
        assert found.tile_stalls.ravel().tolist() == expected
        assert found.pe_stall == sum(expected)
        assert found.busiest_pe == tiles.sum(axis=(0, 1)).max()
        assert found.pe_work == costs.sum(dtype=int) * (m, s, n)[missing - 1]


def test_one_object_gives_every_shape() -> None:
    """What is kept of one shape does not leak into the next."""
    costs = drawn((1, 90, 70), 3, 0.2, 5)
    kept, work = SideCosts(costs, "ms"), Work(90, 70, 40, 1)
    for flow in FLOWS:
        for rows, cols in [(8, 8), (3, 70), (70, 3), (8, 8)]:
            array = ArrayConfig(rows, cols)
            alone = flow.timing(work, array, SideCosts(costs, "ms"))
            again = flow.timing(work, array, kept)
            assert again == alone
            assert again.tile_stalls.tolist() == alone.tile_stalls.tolist()


def test_many_cycles_take_the_way_without_planes() -> None:
    """Both ways agree where the number of cycles decides which is gone."""
    flow, sizes = FLOWS[0], (1, 9, 12, 4, 4, 3)
    costs = drawn((1, 9, 12), 2, 0.3, 1)
    costs[0, 2, 3] = MOST_PLANES
    with_planes = timed(sizes, "ms", flow, costs)
    costs[0, 2, 3] = MOST_PLANES + 1
    without = timed(sizes, "ms", flow, costs)
    many = SideCosts(costs, "ms")
    assert [many.waves(flow.roles), many.waves(flow.roles)] == [None, None]
    # One step takes a cycle more, and all columns share it: four columns in two tiles of three.
    assert without.pe_stall == with_planes.pe_stall + 3 * 2
