"""One layer's output sums in a design's arithmetic, from its stored 8-bit operands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqsim.measure import row_blocks
from sparqsim.pe import PEDesign
from sparqsim.pe.base import Array, exact_matmul
from sparqsim.trace.layer import Layer
from sparqsim.trace.lowering import LoweredLayer


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
    w = lowered.weights
    used = pe.used_operands(x, w)
    if used is not None:
        return lowered.corrected(exact_matmul(*used), *used)
    # A design that is no transformation of its operands: its sums are corrected by the stored integers.
    return lowered.corrected(pe.matmul(x, w), x, w)
