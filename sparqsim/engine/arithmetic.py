"""One layer's output sums in a design's arithmetic, from its stored 8-bit operands."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe import PEDesign
from sparqsim.pe.base import Array
from sparqsim.trace.layer import Layer
from sparqsim.trace.lowering import LoweredLayer

#: Elements of X that are in work at once, as float64 32 MiB.
BLOCK_ELEMENTS = 1 << 22


def layer_sums(layer: Layer, pe: PEDesign) -> NDArray[np.int64]:
    """Return what `pe` makes of a layer, zero points corrected, in units of activation scale * weight scale.

    Returns
    -------
    int64 (M, groups * N)
        M as in the trace: batch, output row, output column; or rows of a product.
    """
    lowered = layer.lower()
    blocks = [design_sums(lowered, pe, x) for x in row_blocks(lowered)]
    return np.concatenate(blocks, axis=1).transpose(1, 0, 2).reshape(lowered.m, -1)


def design_sums(lowered: LoweredLayer, pe: PEDesign, x: Array) -> NDArray[np.int64]:
    """Return the corrected sums of some rows: X (groups, rows, K) -> (groups, rows, N)."""
    return sums_of(lowered, pe, x, pe.used_operands(x, lowered.weights))


def sums_of(
    lowered: LoweredLayer, pe: PEDesign, x: Array, used: tuple[Array, Array] | None
) -> NDArray[np.int64]:
    """Return the same where `used`, what `pe.used_operands` gives, is known."""
    if used is not None:
        return lowered.sums(*used)
    # A design that is no transformation of its operands: its sums are corrected by the stored integers.
    return lowered.corrected(pe.matmul(x, lowered.weights), x, lowered.weights)


def row_blocks(layer: LoweredLayer) -> Iterator[Array]:
    """Yield X in blocks of rows (groups, rows, K); a block and its product have a few million elements each."""
    rows = max(1, BLOCK_ELEMENTS // (layer.groups * max(layer.k, layer.n)))
    for start in range(0, layer.m, rows):
        yield layer.rows(start, start + rows)
