"""Step cycles of pairs, copied by several cores or one batch ahead: the same tiles, in order."""

from __future__ import annotations

import itertools
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from sparqsim.array import costs as costs_module
from sparqsim.array.axes import copy_axes
from sparqsim.array.costs import PairTileCosts, SideCosts, SideTileCosts
from sparqsim.array.grid import TileGrid
from sparqsim.base import compiling
from sparqsim.base import threads as threads_module
from sparqsim.base.jit import jit
from sparqsim.base.threads import in_order, one_ahead, shares, side_by_side

M, STEPS, N, SIDE = 7, 3, 8, 3


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("cores", [1, 2])
def test_tiles_are_those_of_the_layer(one_by_one, cores, monkeypatch):
    """Batches of two tiles; in `is` steps lie along rows."""
    monkeypatch.setattr(costs_module, "SMALL", -1)
    monkeypatch.setattr(costs_module, "core_count", lambda: cores)
    monkeypatch.setattr(threads_module, "core_count", lambda: cores)
    monkeypatch.setattr(costs_module, "BATCH_BYTES", 2 * N * SIDE * SIDE)
    # Other values in each case: memory that nobody filled may hold those of the case before.
    rng = np.random.default_rng(2 * cores + one_by_one)
    drawn = rng.integers(1, 9, (9, STEPS, N)).astype(np.uint8)
    grid = TileGrid(1, STEPS, M, N, SIDE, SIDE)
    tiles = PairTileCosts(lambda _, m, s, n: drawn[m, s, n], grid, "nsm")
    sizes, batches = set(), []

    def copied(batch):
        sizes.add(len(batch))
        return batch.copy()

    if one_by_one:
        batches = [copied(batch) for batch in tiles.batches()]
        found = np.concatenate(batches).tolist()
    else:
        found = tiles.of_tiles(copied).tolist()
    assert sizes == {1, 2}
    expected = [drawn[col : col + SIDE].transpose(2, 1, 0).tolist() for col in range(0, 9, SIDE)]
    assert found == expected
    assert tiles.tally.busiest_and_all()[1] == drawn[:M].sum()


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_tiles_of_one_side_are_those_of_the_layer(cores, monkeypatch):
    """In order, however many cores share them: activations decide, three tiles of rows."""
    monkeypatch.setattr(costs_module, "SMALL", -1)
    monkeypatch.setattr(threads_module, "core_count", lambda: cores)
    drawn = np.random.default_rng(4).integers(1, 9, (1, M, STEPS)).astype(np.uint8)
    grid = TileGrid(1, M, N, STEPS, SIDE, SIDE)
    tiles = SideTileCosts(SideCosts(drawn, "ms"), grid, "smn")
    found = tiles.of_tiles(lambda batch: batch.copy())
    padded = np.ones((9, STEPS), int)
    padded[:M] = drawn[0]
    assert found[..., 0].tolist() == [padded[at : at + SIDE].T.tolist() for at in range(0, 9, SIDE)]


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("shape", [(3, 4, 5), (9, 16, 19), (8, 8, 8)])
def test_axes_change_places(axes, step, shape):
    """Whether bytes of a line lie side by side or not, and whether eight of them do."""
    *first, last = shape
    drawn = np.random.default_rng(3).integers(0, 256, (*first, last * step), np.uint8)
    values = drawn[..., ::step]
    place = np.empty([values.shape[axis] for axis in axes], np.uint8)
    copy_axes(values, list(axes), place)
    for at in np.ndindex(*values.shape):
        assert place[tuple(at[axis] for axis in axes)] == values[at]


def test_shares_are_the_whole_in_order(monkeypatch):
    monkeypatch.setattr(threads_module, "core_count", lambda: 3)
    assert shares(7) == [(0, 2), (2, 4), (4, 7)]
    assert shares(7, least=3) == [(0, 3), (3, 7)]
    assert shares(2, least=3) == [(0, 2)]
    assert [each for part in shares(2) for each in range(*part)] == [0, 1]


@pytest.mark.parametrize("threads", [1, 2])
def test_results_come_in_the_order_of_the_calls(threads):
    """However long each call takes."""
    waits = [0.02, 0, 0.01, 0, 0, 0, 0.01]
    calls = ((number, wait) for number, wait in enumerate(waits))
    assert list(in_order(lambda number, wait: time.sleep(wait) or number, calls, threads)) == [
        *range(len(waits))
    ]


def test_arguments_are_asked_for_a_few_ahead():
    """Else all that calls are given would lie in memory at once."""
    asked = []
    calls = ((asked.append(number) or number,) for number in range(100))
    assert next(in_order(int, calls, 2)) == 0
    assert len(asked) <= 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_has_threads_of_its_own():
    """It would wait for those of its parent forever."""
    calls = [(number, 2) for number in range(4)]
    expected = list(in_order(divmod, calls, 2))
    child = os.fork()
    if not child:
        answered = False
        try:
            signal.alarm(5)
            answered = list(in_order(divmod, calls, 2)) == expected
        finally:
            os._exit(not answered)
    assert os.waitpid(child, 0)[1] == 0


def test_all_parts_are_done_when_it_returns():
    done = []
    side_by_side(lambda number, wait: time.sleep(wait) or done.append(number), [(0, 0), (1, 0.02)])
    assert sorted(done) == [0, 1]


def test_faults_of_another_thread_are_told():
    def broken():
        yield 1
        raise ValueError("no more")

    items = one_ahead(broken())
    assert next(items) == 1
    with pytest.raises(ValueError, match="no more"):
        next(items)
    with pytest.raises(ZeroDivisionError):
        list(in_order(divmod, [(1, 0), (1, 1)], 2))
    with pytest.raises(ZeroDivisionError):
        side_by_side(divmod, [(1, 1), (1, 0)])


def test_a_kernel_is_compiled_once_whichever_thread_asks(monkeypatch):
    """numba's settings are the process's, and are changed meanwhile; cached properties of Python
    3.12 and later do not wait for each other.
    """
    made = []

    def compiled(function, *, parallel):
        time.sleep(0.02)
        made.append(parallel)
        return function

    monkeypatch.setattr(compiling, "compiled", compiled)
    kernel = jit(lambda x: x + 1)
    together = Barrier(3)
    with ThreadPoolExecutor(3) as threads:
        found = set(threads.map(lambda _: together.wait() >= 0 and kernel.compiled, range(3)))
    assert made == [False]
    assert [function(1) for function in found] == [2]
