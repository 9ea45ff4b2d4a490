"""What cells hold and what drivers apply: codes cut into slices and phases.

A weight's magnitude is stored as it is in 8 bits, cut into slices of `cell_bits`, most significant
first; weights above zero in one set of columns, those below in another. An activation is applied
`dac_bits` at a time, least significant first.

Signed activations are applied as two's complement: the bit of the sign has a phase of its own,
which counts negative. That is ours: no source says how such a crossbar takes them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: Bits of a magnitude: an int8 code's is 0 to 128, the source's 0 to 255.
MAGNITUDE_BITS = 8
#: Columns of weights above zero, and of weights below.
SIGNS = 2


class Phase(NamedTuple):
    """A digit of every activation, applied at once: `(code >> shift) & mask`, worth `weight`."""

    shift: int
    mask: int
    weight: int


def phases_of(bits: int, dac_bits: int, *, signed: bool) -> tuple[Phase, ...]:
    """Return the phases that codes of `bits` bits take, in order.

    Parameters
    ----------
    bits : int
        Of a code, 1 to 8.
    dac_bits : int
        Bits that a driver applies at once.
    signed : bool
        Whether codes are two's complement.
    """
    magnitude_bits = bits - signed
    phases = []
    for shift in range(0, magnitude_bits, dac_bits):
        width = min(dac_bits, magnitude_bits - shift)
        phases.append(Phase(shift, (1 << width) - 1, 1 << shift))
    if signed:
        phases.append(Phase(bits - 1, 1, -(1 << (bits - 1))))
    return tuple(phases)


def slices(magnitudes: Array, cell_bits: int) -> Array:
    """Return magnitudes cut into slices, most significant first, one axis more in front.

    Parameters
    ----------
    magnitudes : integers (...) from 0 to 255
    cell_bits : int
        Of a cell: 1, 2, 4 or 8.

    Returns
    -------
    uint8 (8 / cell_bits, ...)
    """
    shifts = slice_shifts(cell_bits)
    mask = (1 << cell_bits) - 1
    return np.stack([(magnitudes >> shift) & mask for shift in shifts]).astype(np.uint8)


def slice_shifts(cell_bits: int) -> tuple[int, ...]:
    """Return by how many bits each slice is shifted when it is added, most significant first."""
    return tuple(range(MAGNITUDE_BITS - cell_bits, -1, -cell_bits))


def planes(weights: Array, cell_bits: int) -> Array:
    """Return the cells of weights: for every slice the columns of both signs, positive first.

    Parameters
    ----------
    weights : integers (K, N) from -255 to 255

    Returns
    -------
    uint8 (slices, 2, K, N)
    """
    wide = weights.astype(np.int16)
    above, below = np.maximum(wide, 0), np.maximum(-wide, 0)
    return np.stack([slices(above, cell_bits), slices(below, cell_bits)], axis=1)


def column_sums(cells: Array, rows: int) -> NDArray[np.int64]:
    """Return the sums of all cells of each column of each crossbar: its current when every driver
    applies one.

    Parameters
    ----------
    cells : integers (..., K, N)
    rows : int
        Of a crossbar; the last one along K may have fewer in use.

    Returns
    -------
    int64 (..., ceil(K / rows), N)
    """
    *before, k, n = cells.shape
    whole = k - k % rows
    tiles = cells[..., :whole, :].reshape(*before, whole // rows, rows, n)
    sums: NDArray[np.int64] = tiles.sum(axis=-2, dtype=np.uint32).astype(np.int64)
    if whole == k:
        return sums
    last = cells[..., whole:, :].sum(axis=-2, keepdims=True, dtype=np.int64)
    return np.concatenate([sums, last], axis=-2)


def bits_for(largest: int) -> int:
    """Return the fewest bits of a converter that clips no sum up to `largest`; at least 1."""
    return max(1, int(largest).bit_length())
