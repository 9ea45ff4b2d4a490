"""What rows and columns tell of successive cycles, by number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparqsim.cost.paths.base import PathTables

#: What rows tell, in order: bits that stay 1, rise, fall; other than zero before, now, both; bits
#: of the magnitude.
STAY, RISE, FALL, WAS, IS, BOTH, BITS = range(7)
ROW_FACTS = 7
#: What columns tell beside: negative before, now, both.
NEGATIVE_WAS, NEGATIVE_IS, NEGATIVE_BOTH = range(7, 10)
COLUMN_FACTS = 10

BIT_COUNT = np.array([value.bit_count() for value in range(256)], np.uint8)
BIT_LENGTH = np.array([value.bit_length() for value in range(256)], np.uint8)

Sums = NDArray[np.int64]


@dataclass(frozen=True)
class LanePairs:
    """Pairs of lanes, before and now, that a multiplier's weight can be of.

    `number`: int64 (lanes, lanes), the number of a pair; -1 for none. `count`: how many. `within`:
    whether steps have a second cycle.
    """

    number: NDArray[np.int64]
    count: int
    within: bool

    @classmethod
    def of(cls, tables: PathTables, lanes: int) -> LanePairs:
        """Return those of a design: lane by lane alone where every multiplier has its own."""
        ways = np.unique(np.concatenate([tables.first_lanes, tables.last_lanes]))
        used = np.ones((lanes, lanes), bool) if len(ways) > 1 else np.eye(lanes, dtype=bool)
        count = int(used.sum())
        number = np.full((lanes, lanes), -1, np.int64)
        number[used] = np.arange(count)
        return cls(number, count, bool(tables.two.any()))
