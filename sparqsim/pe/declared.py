"""Step cycles of whole products by a design's fast form, whatever decides them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array, PEDesign, arranged


def declared_cycles(pe: PEDesign, x: Array, w: Array) -> NDArray[np.uint8]:
    """Return the cycles of each step of X @ W as the design's `cost` and its hook tell them.

    Parameters
    ----------
    pe : PEDesign
        One that does not time itself.
    x : uint8 or int8 (..., M, K)
    w : int8 (..., K, N)
        Of the same leading axes.

    Returns
    -------
    uint8 (..., M or 1, steps, N or 1); an axis is 1 long where the cycles do not change along it.
    """
    if pe.cost == "activations":
        return pe.step_cycles(x)[..., None]
    if pe.cost == "weights":
        return pe.weight_step_cycles(w)[..., None, :, :]
    if pe.cost == "pair":
        return _pair_cycles(pe, x, w)
    fixed = 1 if pe.cost == "unit" else pe.fixed_step_cycles()
    return np.full((*x.shape[:-2], 1, pe.steps(x.shape[-1]), 1), fixed, np.uint8)


def _pair_cycles(pe: PEDesign, x: Array, w: Array) -> NDArray[np.uint8]:
    """Return the cycles of each step, uint8 (..., M, steps, N); the hook takes one product at a
    time.
    """
    order = pe.k_order(x.shape[-1])
    by_row = arranged(x, order)
    by_column = np.moveaxis(arranged(w.swapaxes(-1, -2), order), -3, -1)
    cycles = [pe.pair_step_cycles(by_row[at], by_column[at]) for at in np.ndindex(*x.shape[:-2])]
    return np.stack(cycles).reshape(*x.shape[:-2], *cycles[0].shape)
