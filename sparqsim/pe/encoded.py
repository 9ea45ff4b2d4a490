"""Layers whose operands are codes of a design's own, at scales of its own.

Most designs take the integers that a trace holds. A design with number formats of its own
(`real_valued`) takes codes of the real values behind them: `PEDesign.encoded` makes of a lowered
layer what enters its array. Scales are then the design's, and outputs are real: sums of codes times
`unit`. They are compared with the exact 8-bit sums in units of one product's least bit, activation
scale * weight scale, rounded to whole units, which adds at most 1/4 to the squared error of an
output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.exact import exact_matmul
from sparqsim.trace.lowering import LoweredLayer

Array = NDArray[Any]


class EncodedLayer:
    """A lowered layer as codes: it has what a `LoweredLayer` has.

    Parameters
    ----------
    layer : LoweredLayer
    weights : integers (groups, K, N)
        Codes in the place of the layer's weights.
    activations : callable
        Codes of the stored activations of any rows, integers (groups, rows, K).
    unit : float64 (groups, 1, N)
        What one unit of the array's sums is, in units of one product's least bit.
    signed : bool
        Whether codes of activations may be below 0.
    """

    def __init__(
        self,
        layer: LoweredLayer,
        weights: Array,
        activations: Callable[[Array], Array],
        unit: NDArray[np.float64],
        *,
        signed: bool,
    ) -> None:
        self._layer, self.codes_of, self.unit = layer, activations, unit
        self.weights, self.signed = weights, signed
        self.m, self.k, self.n, self.groups = layer.m, layer.k, layer.n, layer.groups

    def rows(self, start: int = 0, stop: int | None = None) -> Array:
        """Return codes of rows start..stop of X of every group: (groups, stop - start, K)."""
        return np.ascontiguousarray(self.codes_of(self._layer.rows(start, stop)))

    def sums(self, x: Array, w: Array) -> NDArray[np.int64]:
        """Return the outputs of codes as a design uses them, int64 (groups, rows, N)."""
        return self.corrected(exact_matmul(x, w), x, w)

    def corrected(self, product: NDArray[np.int64], x: Array, w: Array) -> NDArray[np.int64]:
        """Return outputs, given the array's sums; zero points have no part in codes of real values.

        In units of one product's least bit, rounded half to even.
        """
        return np.rint(product * self.unit).astype(np.int64)


#: What enters an array.
Entering = LoweredLayer | EncodedLayer


def codes_of(layer: Entering, x: Array) -> Array:
    """Return what enters the array for stored activations (groups, rows, K)."""
    return layer.codes_of(x) if isinstance(layer, EncodedLayer) else x


def signed_in_array(layer: Entering, *, stored: bool) -> bool:
    """Return whether activations in the array may be below 0; `stored`: those of the trace."""
    return layer.signed if isinstance(layer, EncodedLayer) else stored
