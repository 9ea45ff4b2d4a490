"""One layer's output sums in a design's arithmetic, from its stored 8-bit operands."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.pe import PEDesign
from sparqsim.pe.base import Array
from sparqsim.pe.binding import bound_to
from sparqsim.pe.encoded import codes_of
from sparqsim.trace.layer import Layer
from sparqsim.trace.lowering import LoweredLayer

#: Elements of X that are in work at once, as float64 32 MiB.
BLOCK_ELEMENTS = 1 << 22


def layer_sums(layer: Layer, pe: PEDesign) -> NDArray[np.int64]:
    """Return what `pe` makes of a layer, zero points corrected, in units of activation scale *
    weight scale.

    Returns
    -------
    int64 (M, groups * N)
        M as in the trace: batch, output row, output column; or rows of a product.
    """
    sums = encoded_sums(layer, bound_to(layer, pe))
    return sums.transpose(1, 0, 2).reshape(sums.shape[1], -1)


def encoded_sums(layer: Layer, pe: PEDesign) -> NDArray[np.int64]:
    """Return the same of a bound design, int64 (groups, M, N)."""
    lowered = layer.lower()
    factors = Factors(lowered, pe)
    blocks = [factors.sums(x, factors.used_activations(x)) for x in row_blocks(lowered)]
    return np.concatenate(blocks, axis=1)


def checked_operands(pe: PEDesign, hook: str, used: Array, stored: Array) -> Array:
    """Return what a hook makes of operands. Raises InputError for another shape, or no integers."""
    shape, dtype = np.shape(used), getattr(used, "dtype", type(used))
    if shape != stored.shape or not np.issubdtype(dtype, np.integer):
        raise InputError(
            f"{pe.spec}: `{hook}` gives {dtype} {shape}, expected integers {stored.shape}"
        )
    return used


class Factors:
    """The operands of a layer as a design's multipliers see them; W is transformed once.

    A design whose values depend on the pair has none of its own: its sums are those of its
    `matmul`, corrected by the stored integers.

    Attributes
    ----------
    layer : LoweredLayer or EncodedLayer
        What enters the array: codes where the design has its own.
    weights : integers (groups, K, N)
        As used; as they enter where values depend on the pair.
    """

    def __init__(self, layer: LoweredLayer, pe: PEDesign) -> None:
        self._stored, self._pe = layer, pe
        self.layer = pe.encoded(layer)
        stored = self.layer.weights
        self.weights: Array = stored
        if not pe.values_by_pair:
            self.weights = checked_operands(pe, "used_weights", pe.used_weights(stored), stored)

    def entering(self, x: Array) -> Array:
        """Return what enters the array for stored X (groups, rows, K)."""
        return codes_of(self.layer, x)

    def used_activations(self, x: Array) -> Array | None:
        """Return stored X (groups, rows, K) as it is used; None where that depends on the
        weights.
        """
        if self._pe.values_by_pair:
            return None
        return self._used(self.entering(x))

    def _used(self, codes: Array) -> Array:
        used = self._pe.used_activations(codes)
        return checked_operands(self._pe, "used_activations", used, codes)

    def exact_on(self, x: Array, used: Array | None) -> bool:
        """Return whether the design left every operand of a product as it is stored."""
        return used is x and self.weights is self._stored.weights

    def sums(self, x: Array, used: Array | None) -> NDArray[np.int64]:
        """Return the corrected sums of some rows, int64 (groups, rows, N).

        Parameters
        ----------
        x : uint8 or int8 (groups, rows, K)
        used : integers (groups, rows, K), optional
            What `used_activations` gives for `x`.
        """
        if used is None:
            product = self._pe.matmul(x, self.layer.weights)
            return self.layer.corrected(product, x, self.layer.weights)
        return self.layer.sums(used, self.weights)

    def corrected(self, product: NDArray[np.int64], x: Array) -> NDArray[np.int64]:
        """Return the design's own sums of X (groups, rows, K), zero points corrected.

        Parameters
        ----------
        product : int64 (groups, rows, N)
            What the design's steps add up to.
        x : uint8 or int8 (groups, rows, K)
        """
        used = self.used_activations(x)
        return self.layer.corrected(product, x if used is None else used, self.weights)


def row_blocks(layer: LoweredLayer, elements: int | None = None) -> Iterator[Array]:
    """Yield X in blocks (groups, rows, K) of so many elements, products included; by default, of a
    few million.
    """
    elements = elements or BLOCK_ELEMENTS
    rows = max(1, elements // (layer.groups * max(layer.k, layer.n)))
    for start in range(0, layer.m, rows):
        yield layer.rows(start, start + rows)
