"""Step cycles by a design's hooks, checked; of whole products, whatever decides them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.pe.base import COST_HOOKS, MOST_CYCLES, Array, PEDesign
from sparqsim.pe.layout import arranged


def fixed_step_cycles(pe: PEDesign) -> int:
    """Return `PEDesign.fixed_step_cycles`. Raises InputError for a number out of range."""
    cycles = int(pe.fixed_step_cycles())
    _check_range(pe, cycles, cycles)
    return cycles


def activation_cycles(pe: PEDesign, x: Array) -> NDArray[np.uint8]:
    """Return `PEDesign.step_cycles` of (..., M, K).

    Raises
    ------
    InputError
        For another dtype or shape than the hook's, or cycles out of range.
    """
    return _checked(pe, pe.step_cycles(x), (*x.shape[:-1], pe.steps(x.shape[-1])))


def weight_cycles(pe: PEDesign, w: Array) -> NDArray[np.uint8]:
    """Return `PEDesign.weight_step_cycles` of (..., K, N), checked as `activation_cycles`, columns
    as `filter_order` has them.
    """
    shape = (*w.shape[:-2], pe.steps(w.shape[-2]), w.shape[-1])
    by_filter = _checked(pe, pe.weight_step_cycles(w), shape)
    return in_columns(by_filter, filter_order(pe, w))


def filter_order(pe: PEDesign, w: Array) -> NDArray[np.int64]:
    """Return `PEDesign.filter_order` of (..., K, N).

    Raises InputError unless every filter of a matrix has one column.
    """
    order = pe.filter_order(w)
    every = np.arange(w.shape[-1])
    shape = (*w.shape[:-2], w.shape[-1])
    if order.shape != shape or not np.array_equal(np.sort(order), np.broadcast_to(every, shape)):
        raise InputError(
            f"{pe.spec}: `filter_order` gives {order.dtype} {order.shape}, expected shape {shape} "
            f"and every filter of 0..{w.shape[-1] - 1} once"
        )
    return order


def in_columns(values: Array, order: NDArray[np.int64]) -> Array:
    """Return values (..., K or steps, N) of filters, the last axis by columns as `filter_order`."""
    placed: Array = np.take_along_axis(values, order[..., None, :], axis=-1)
    return placed


def pair_cycles(pe: PEDesign, x: Array, w: Array) -> NDArray[np.uint8]:
    """Return `PEDesign.pair_step_cycles` of (rows, steps, lanes), (steps, lanes, cols), checked."""
    return _checked(pe, pe.pair_step_cycles(x, w), (len(x), x.shape[1], w.shape[-1]))


def _checked(pe: PEDesign, cycles: Array, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    dtype = getattr(cycles, "dtype", type(cycles))
    if dtype != np.uint8 or cycles.shape != shape:
        raise InputError(
            f"{pe.spec}: `{COST_HOOKS[pe.cost]}` gives {dtype} {np.shape(cycles)}, expected "
            f"uint8 {shape}"
        )
    if cycles.size:
        _check_range(pe, int(cycles.min()), int(cycles.max()))
    return cycles


def _check_range(pe: PEDesign, least: int, most: int) -> None:
    allowed = min(pe.most_step_cycles, MOST_CYCLES)
    if least < 1 or most > allowed:
        raise InputError(
            f"{pe.spec}: `{COST_HOOKS[pe.cost]}` gives {least if least < 1 else most} cycles, "
            f"expected 1 to {allowed} (`most_step_cycles`)"
        )


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
    """Return steps' cycles, uint8 (..., M, steps, N); the hook takes one product at a time."""
    order = pe.k_order(x.shape[-1])
    by_row = arranged(x, order)
    by_column = np.moveaxis(arranged(w.swapaxes(-1, -2), order), -3, -1)
    lead = x.shape[:-2]
    cycles = [pe.pair_step_cycles(by_row[at], by_column[at]) for at in np.ndindex(*lead)]
    return np.stack(cycles).reshape(*lead, *cycles[0].shape)
