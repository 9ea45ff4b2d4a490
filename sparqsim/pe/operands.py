"""The operands of a layer, step by step, as a PE design takes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array, PEDesign
from sparqsim.trace.lowering import LoweredLayer


class StepOperands:
    """Activations and weights of any rows, steps and columns of a layer; what lies beyond the layer is zero.

    Parameters
    ----------
    layer : LoweredLayer
    pe : PEDesign
        Its `k_order` says which elements of K meet in a step.
    """

    def __init__(self, layer: LoweredLayer, pe: PEDesign) -> None:
        self._layer, self._pe = layer, pe
        order = pe.k_order(layer.k)
        self._order = np.where(
            order < 0, layer.k, order
        )  # element K of every row is a zero, appended below
        self._rows_in_hand: tuple[tuple[int, int, int], Array] = ((0, 0, 0), np.zeros(0, np.uint8))

    def activations(self, group: int, m: slice, steps: slice) -> Array:
        """Return activations of rows `m`, (rows, steps, lanes) in the layer's dtype."""
        return self._rows(group, m)[:, self._elements(steps)]

    def weights(self, group: int, steps: slice, n: slice) -> NDArray[np.int8]:
        """Return weights of columns `n`, int8 (steps, lanes, cols)."""
        columns = self._layer.weights[group, :, n]
        padded = np.pad(columns, ((0, 1), (0, n.stop - n.start - columns.shape[1])))
        return padded[self._elements(steps)]

    def pair_costs(self, group: int, m: slice, steps: slice, n: slice) -> NDArray[np.uint8]:
        """Return `PEDesign.pair_step_cycles` of these operands, uint8 (m, steps, n)."""
        x, w = self.activations(group, m, steps), self.weights(group, steps, n)
        return self._pe.pair_step_cycles(x, w)

    def _elements(self, steps: slice) -> NDArray[np.int64]:
        """Return which element of K each lane takes, int64 (steps, lanes)."""
        order = self._order[steps]
        beyond = steps.stop - steps.start - len(order)
        return np.pad(order, ((0, beyond), (0, 0)), constant_values=self._layer.k)

    def _rows(self, group: int, m: slice) -> Array:
        """Return rows of X with a zero appended, (rows, K + 1), lowered anew only when others are wanted."""
        wanted = (group, m.start, m.stop)
        if self._rows_in_hand[0] != wanted:
            rows = self._layer.rows(m.start, m.stop)[group]
            self._rows_in_hand = wanted, np.pad(rows, ((0, m.stop - m.start - len(rows)), (0, 1)))
        return self._rows_in_hand[1]
