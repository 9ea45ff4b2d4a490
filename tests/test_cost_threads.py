"""Step cycles of pairs, copied by several cores or one batch ahead: the same tiles, in order."""

from __future__ import annotations

import numpy as np
import pytest

from sparqsim.array import costs as costs_module
from sparqsim.array.costs import PairTileCosts
from sparqsim.array.grid import TileGrid
from sparqsim.base.threads import all_done, one_ahead

M, STEPS, N, SIDE = 7, 3, 8, 3


@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize("cores", [1, 2])
def test_tiles_are_those_of_the_layer(repeat, cores, monkeypatch):
    """Batches of two tiles, or one where one is made ahead; in `is` steps lie along rows."""
    monkeypatch.setattr(costs_module, "SMALL", -1)
    monkeypatch.setattr(costs_module, "core_count", lambda: cores)
    monkeypatch.setattr(costs_module, "BATCH_BYTES", 2 * N * SIDE * SIDE)
    # Other values in each case: memory that nobody filled may hold those of the case before.
    rng = np.random.default_rng(2 * cores + repeat)
    drawn = rng.integers(1, 9, (9, STEPS, N)).astype(np.uint8)
    grid = TileGrid(1, STEPS, M, N, SIDE, SIDE)
    tiles = PairTileCosts(lambda _, m, s, n: drawn[m, s, n], grid, "nsm")
    batches = [batch.copy() for batch in tiles.batches(repeat=repeat)]
    assert {len(batch) for batch in batches} <= {1, 2}
    found = np.concatenate(batches).tolist()
    expected = [drawn[col : col + SIDE].transpose(2, 1, 0).tolist() for col in range(0, 9, SIDE)]
    assert found == expected
    assert tiles.tally.busiest_and_all()[1] == drawn[:M].sum()


def test_faults_of_another_thread_are_told():
    def broken():
        yield 1
        raise ValueError("no more")

    items = one_ahead(broken())
    assert next(items) == 1
    with pytest.raises(ValueError, match="no more"):
        next(items)
    with pytest.raises(ZeroDivisionError):
        all_done([(divmod, (1, 0)), (divmod, (1, 1))], 2)
