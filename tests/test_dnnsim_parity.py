"""Cycles of DNNsim, a C++ simulator of bit-serial accelerators, met integer for integer.

DNNsim (github.com/isakedo/DNNsim, commit 4748a60, built and run by us): one tile of 16 windows x 16
filters x 16 lanes, 8 bits, `WindowFirstOutS`; its `compute_cycles`, without memory. It takes
windows column by column, so both axes of picture and kernel are exchanged before our row-major
lowering. The recount below knows neither our designs nor our arrays, only the rules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

import sparqsim
from sparqsim.array.config import ArrayConfig
from sparqsim.trace import Layer, Trace

SIDE = LANES = 16


@dataclass(frozen=True)
class Case:
    """A random layer: how it is drawn, and DNNsim's cycles on it.

    `pragmatic`: by the width of its first stage.
    """

    seed: int
    channels: int
    side: int
    filters: int
    kernel: int
    zeros: float
    padding: int
    stride: int
    stripes: int
    pragmatic: dict[int, int]
    laconic: int

    def operands(self) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
        """Return the picture (1, C, H, W) and the filters (N, C, R, S)."""
        rng = np.random.default_rng(self.seed)
        picture = rng.integers(0, 256, (1, self.channels, self.side, self.side))
        picture = picture * (rng.random(picture.shape) >= self.zeros)
        shape = (self.filters, self.channels, self.kernel, self.kernel)
        filters = np.clip(np.rint(rng.normal(0, 30, shape)), -127, 127)
        return picture.astype(np.uint8), filters.astype(np.int8)


CASES = {
    "p1": Case(1, 32, 12, 24, 3, 0.5, 1, 1, 2_592, {0: 2_592, 2: 2_352, 3: 2_352}, 11_598),
    "p2": Case(2, 64, 8, 40, 1, 0.3, 0, 1, 384, {0: 384, 2: 363, 3: 363}, 1_766),
    "p3": Case(3, 48, 15, 16, 3, 0.8, 1, 2, 864, {0: 864, 2: 742, 3: 742}, 3_608),
    "p4": Case(
        4, 128, 28, 64, 3, 0.5, 1, 1, 112_896, {0: 111_552, 2: 102_552, 3: 102_552}, 515_615
    ),
}


def windows(case: Case) -> NDArray[np.uint8]:
    """Return the steps of every window, (tiles, 16 windows, steps, 16 lanes), zeros where none
    is.
    """
    picture = np.pad(case.operands()[0][0], ((0, 0), *[(case.padding, case.padding)] * 2))
    starts = range(0, case.side + 2 * case.padding - case.kernel + 1, case.stride)
    places = [(down, right) for right in starts for down in starts]
    reach = range(case.kernel)
    kernel_places = [(down, right) for right in reach for down in reach]
    rows = [
        np.concatenate([picture[:, y + down, x + right] for down, right in kernel_places])
        for y, x in places
    ]
    return in_tiles(np.array(rows))


def filters(case: Case) -> NDArray[np.int8]:
    """Return the steps of every filter, (tiles, 16 filters, steps, 16 lanes), zeros where none
    is.
    """
    return in_tiles(case.operands()[1].transpose(0, 3, 2, 1).reshape(case.filters, -1))


def in_tiles(rows):
    rows = np.pad(rows, ((0, -len(rows) % SIDE), (0, -rows.shape[1] % LANES)))
    return rows.reshape(-1, SIDE, rows.shape[1] // LANES, LANES)


def pragmatic_step(activations: list[int], stage: int) -> int:
    """Return the cycles of one step: lanes spend their lowest one within reach of the lowest of
    all.
    """
    pending = [[bit for bit in range(8) if value >> bit & 1] for value in activations]
    cycles = 0
    while any(pending):
        reach = min(ones[0] for ones in pending if ones) + 2**stage - 1
        pending = [ones[1:] if ones and ones[0] <= reach else ones for ones in pending]
        cycles += 1
    return max(cycles, 1)


def pragmatic_recount(case: Case, stage: int) -> int:
    """Return the cycles of all tiles: all PEs of a tile wait for the slowest in every step."""
    of_steps = [
        max(pragmatic_step(lanes, stage) for lanes in of_windows)
        for tile in windows(case).swapaxes(1, 2).tolist()
        for of_windows in tile
    ]
    return sum(of_steps) * len(filters(case))


def laconic_recount(case: Case) -> int:
    """Return the same where a lane takes ones of the activation times ones of the weight."""
    total = 0
    for w in np.bitwise_count(filters(case)):
        for x in np.bitwise_count(windows(case)):
            pairs = x[:, None].astype(int) * w
            total += int(np.maximum(pairs.max(axis=(0, 1, 3)), 1).sum())
    return total


@pytest.mark.parametrize(
    "name",
    # Steps of the largest case are a hundred times those of the others.
    [pytest.param(name, marks=pytest.mark.slow if name == "p4" else []) for name in CASES],
)
def test_the_recount_meets_dnnsim(name):
    case = CASES[name]
    steps = windows(case).shape[0] * windows(case).shape[2] * len(filters(case))
    assert 8 * steps == case.stripes
    assert laconic_recount(case) == case.laconic
    for stage, cycles in case.pragmatic.items():
        assert pragmatic_recount(case, stage) == cycles


def layer_of(case: Case) -> Layer:
    """Return the case with both axes of picture and kernel exchanged: DNNsim's order of windows."""
    picture, weights = case.operands()
    return Layer.conv2d(
        "drawn",
        np.ascontiguousarray(picture.transpose(0, 3, 2, 1)),
        np.ascontiguousarray(weights.transpose(0, 3, 2, 1)).reshape(
            case.filters, -1, case.channels
        ),
        kernel=(case.kernel, case.kernel),
        stride=(case.stride, case.stride),
        padding=(case.padding,) * 4,
    )


def cycles_of(case: Case, pe: str) -> int:
    """Return what corresponds to DNNsim's compute cycles: no load, fill or drain."""
    array = ArrayConfig(SIDE, SIDE, "os", "broadcast")
    cycles = sparqsim.simulate(Trace([layer_of(case)]), pe, array).cycles
    return cycles.compute + cycles.pe_stall


@pytest.mark.parametrize("name", CASES)
def test_the_designs_meet_dnnsim(name):
    case = CASES[name]
    assert cycles_of(case, "stripes") == case.stripes
    assert cycles_of(case, "laconic") == case.laconic
    for stage, cycles in case.pragmatic.items():
        assert cycles_of(case, f"pragmatic:stage={stage}") == cycles
