"""The same counts without going from PE to PE.

What toggles in PE (m, n) at a step is a sum of products of something that row m tells and something
that column n tells. Every row meets every column in one tile, so

    count = sum over steps of (sum over rows of what they tell) x (sum over columns of the same)

Rows tell of each multiplier, by the lanes of its weight before and now (`pairs`): bits of its
activation that stay 1, rise, fall; whether it was, is, or was and is other than zero; the bits of
its magnitude. Columns tell the same of the weights of two lanes, and of their signs.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from sparqsim.cost.columns import ColumnSums
from sparqsim.cost.facts import (
    BITS,
    BOTH,
    FALL,
    IS,
    NEGATIVE_BOTH,
    NEGATIVE_IS,
    NEGATIVE_WAS,
    RISE,
    ROW_FACTS,
    STAY,
    WAS,
    LanePairs,
    Sums,
)
from sparqsim.cost.paths.base import DataPath
from sparqsim.cost.rows import RowTables, tell_rows
from sparqsim.cost.toggles import Toggles
from sparqsim.pe.base import Array, PEDesign


@lru_cache(maxsize=64)
def _prepared(path: DataPath, design: PEDesign, _spec: str) -> tuple[RowTables, LanePairs, int]:
    """Return what is the same for all layers; `_spec` tells designs apart that are equal but for a
    key.
    """
    tables = path.tables(design)
    return RowTables.of(tables), LanePairs.of(tables, design.lanes), tables.multipliers


class ToggleCounter:
    """Counts what toggles in the PEs of one design over the row blocks of one layer."""

    def __init__(self, path: DataPath, design: PEDesign, weights: Array) -> None:
        """Start with no rows; `weights` int8 (groups, K, N)."""
        self._path, self._design = path, design
        self._tables, self._pairs, self._multipliers = _prepared(path, design, design.spec)
        self._weights = weights
        groups, steps = weights.shape[0], design.steps(weights.shape[1])
        self._words, self._raw = np.zeros((2, groups, steps + 1), np.int64)
        self._live: list[NDArray[np.bool_]] = []
        self._between = np.zeros((groups, steps + 1, self._pairs.count, ROW_FACTS), np.int64)
        self._within = np.zeros((groups, steps, self._pairs.count, ROW_FACTS), np.int64)

    def add(self, x: Array) -> None:
        """Count a block of rows, uint8 or int8 (groups, rows, K)."""
        # Of one width whatever the design, so that one kernel is compiled for all of them.
        codes = np.ascontiguousarray(self._path.codes(self._design, x), np.uint16)
        tables = self._tables
        tell_rows(
            codes,
            (tables.first, tables.last, tables.facts),
            tables.port_bits,
            self._multipliers,
            self._pairs.number,
            (self._words, self._raw),
            self._between,
            self._within,
        )
        live: NDArray[np.bool_] = np.any(codes, axis=2)
        self._live.append(live)

    @cached_property
    def columns(self) -> ColumnSums:
        """What the columns tell."""
        return ColumnSums.of(self._path, self._design, self._weights, self._pairs)

    def toggles(self, rows: int, cols: int) -> Toggles:
        """Return what toggled in an array of rows x cols PEs."""
        return sum(self.by_group(rows, cols), Toggles())

    def by_group(self, rows: int, cols: int) -> list[Toggles]:
        """Return the same, group by group."""
        columns = self.columns
        live_rows = np.concatenate(self._live, axis=1)
        along_rows, along_cols = (
            -(-size // side) for size, side in ((live_rows.shape[1], rows), (columns.count, cols))
        )
        edge = along_cols * self._path.edge_unit
        below = rows - 1 - np.arange(live_rows.shape[1]) % rows
        counts = {
            "activation_bits": self._words.sum(axis=1) * along_cols * cols,
            "weight_bits": columns.words.sum(axis=1) * along_rows * rows,
            "live_outputs": live_rows.sum(axis=1) * columns.live,
            "drain_moves": (live_rows * below).sum(axis=1) * columns.live,
            "edge_raw_bits": self._raw.sum(axis=1) * edge,
            "edge_used_bits": self._words.sum(axis=1) * edge,
        }
        counts |= _of_multipliers(self._joint())
        names, lists = counts.keys(), [values.tolist() for values in counts.values()]
        return [Toggles(**dict(zip(names, each, strict=True))) for each in zip(*lists, strict=True)]

    def _joint(self) -> Sums:
        """Return the products of what rows and columns tell, (groups, row facts, column facts)."""
        joint = _joined(self._between, self.columns.between)
        if self.columns.within is not None:
            joint += _joined(self._within, self.columns.within)
        return joint


def _joined(rows: Sums, cols: Sums) -> Sums:
    joint: Sums = np.einsum("gspi,gspj->gij", rows, cols)
    return joint


def _of_multipliers(joint: Sums) -> dict[str, Sums]:
    """Return the counts of multipliers by group, given the joint facts (groups, row, column)."""

    def fact(row: int, column: int) -> Sums:
        return joint[:, row, column]

    was, now = fact(WAS, NEGATIVE_WAS), fact(IS, NEGATIVE_IS)
    return {
        "products_activation": fact(RISE, STAY) + fact(FALL, STAY),
        "products_weight": fact(STAY, RISE) + fact(STAY, FALL),
        "products_both": fact(RISE, RISE) + fact(FALL, FALL),
        "signs": was + now - 2 * fact(BOTH, NEGATIVE_BOTH),
        "products": fact(IS, IS),
        "new_products": fact(IS, IS) - fact(BOTH, BOTH),
        "product_bits": fact(BITS, IS) + fact(IS, BITS),
    }
