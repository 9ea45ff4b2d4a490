"""The operands of a layer, step by step, as a PE design takes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array, PEDesign
from sparqsim.pe.declared import filter_order, pair_cycles
from sparqsim.pe.encoded import Entering

#: Rows of X that are kept in hand, bytes.
BLOCK_BYTES = 1 << 22


class _Block(NamedTuple):
    """Some rows of X of one group, (rows, K + 1): an element K of zero appended to each."""

    group: int
    m: slice
    rows: Array


class StepOperands:
    """Activations and weights of any rows, steps and columns of a layer; what lies beyond the layer
    is zero. Columns are the array's, in which filters lie as the design orders them.

    Parameters
    ----------
    layer : LoweredLayer or EncodedLayer
    pe : PEDesign
        Its `k_order` says which elements of K meet in a step.
    """

    def __init__(self, layer: Entering, pe: PEDesign) -> None:
        self._layer, self._pe = layer, pe
        order = pe.k_order(layer.k)
        self._order = np.where(
            order < 0, layer.k, order
        )  # element K of every row is a zero, appended below
        self._filters = filter_order(pe, layer.weights)
        self._block = _Block(-1, slice(0, 0), np.zeros((0, 0), np.uint8))

    def activations(self, group: int, m: slice, steps: slice) -> Array:
        """Return activations of rows `m`, (rows, steps, lanes) in the layer's dtype."""
        return self._rows(group, m)[:, self._elements(steps)]

    def weights(self, group: int, steps: slice, n: slice) -> Array:
        """Return weights of columns `n`, (steps, lanes, cols) in the layer's dtype."""
        columns = self._layer.weights[group][:, self.filters(group)[n]]
        padded = np.zeros((self._layer.k + 1, n.stop - n.start), columns.dtype)
        padded[:-1, : columns.shape[1]] = columns
        return padded[self._elements(steps)]

    def filters(self, group: int) -> NDArray[np.int64]:
        """Return the filter in each column, int64 (N,)."""
        filters: NDArray[np.int64] = self._filters[group]
        return filters

    def pair_costs(self, group: int, m: slice, steps: slice, n: slice) -> NDArray[np.uint8]:
        """Return `PEDesign.pair_step_cycles` of these operands, uint8 (m, steps, n)."""
        x, w = self.activations(group, m, steps), self.weights(group, steps, n)
        return pair_cycles(self._pe, x, w)

    def _elements(self, steps: slice) -> NDArray[np.int64]:
        """Return which element of K each lane takes, int64 (steps, lanes)."""
        order = self._order[steps]
        beyond = steps.stop - steps.start - len(order)
        if not beyond:
            return order
        return np.pad(order, ((0, beyond), (0, 0)), constant_values=self._layer.k)

    def _rows(self, group: int, m: slice) -> Array:
        """Return rows of X with a zero appended, (rows, K + 1)."""
        block = self._block
        if block.group != group or not block.m.start <= m.start <= m.stop <= block.m.stop:
            block = self._block = self._lowered(group, m)
        return block.rows[m.start - block.m.start : m.stop - block.m.start]

    def _lowered(self, group: int, m: slice) -> _Block:
        """Lower rows `m`, and as many that follow in slices of the same length as a block holds.

        Tiles come by columns, rows innermost: where all rows fit, they are lowered once.
        """
        length = m.stop - m.start
        to_the_end = -(-(self._layer.m - m.start) // length)
        in_block = BLOCK_BYTES // ((self._layer.k + 1) * length)
        stop = m.start + length * max(1, min(to_the_end, in_block))
        rows = self._layer.rows(m.start, stop)[group]
        padded = np.zeros((stop - m.start, self._layer.k + 1), rows.dtype)
        padded[: len(rows), :-1] = rows
        return _Block(group, slice(m.start, stop), padded)
