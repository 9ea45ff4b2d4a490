"""Layers on designs that time whole arrays themselves: groups one after another, output-stationary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparqsim.config import ArrayConfig
from sparqsim.dataflow import Timing
from sparqsim.pe import PEDesign
from sparqsim.pe.base import ArrayTiming
from sparqsim.trace.lowering import LoweredLayer


def self_timed(
    layer: LoweredLayer, pe: PEDesign, array: ArrayConfig, *, by_definition: bool = False
) -> Timing:
    """Return the cycles of a layer; the array's coupling and overlap do not apply. `by_definition`: see the design."""
    groups = [
        pe.array_timing(x, w, array.rows, array.cols, by_definition=by_definition)
        for x, w in zip(layer.rows(), layer.weights, strict=True)
    ]
    used_pes = np.multiply.outer(
        used_per_tile(layer.m, array.rows), used_per_tile(layer.n, array.cols)
    )
    lengths = np.stack([tile_cycles(group) for group in groups])
    return Timing(
        tiles=sum(group.tile_ends.size for group in groups),
        compute=sum(group.compute for group in groups),
        fill=sum(group.fill for group in groups),
        drain=sum(group.drain for group in groups),
        pe_stall=sum(group.pe_stall for group in groups),
        used_pe_cycles=int((lengths * used_pes).sum()),
        partial_sums=layer.groups * layer.m * layer.n,
        busiest_pe=int(np.sum([group.pe_cycles for group in groups], axis=0).max()),
        pe_work=sum(group.work for group in groups),
        tile_stalls=(lengths - pe.steps(layer.k)).swapaxes(1, 2),
    )


def tile_cycles(group: ArrayTiming) -> NDArray[np.int64]:
    """Return for each tile the cycles from the end of the tile before it to its own: they sum to the total."""
    return np.diff(group.tile_ends.ravel(), prepend=0).reshape(group.tile_ends.shape)


def used_per_tile(length: int, side: int) -> NDArray[np.int64]:
    """Return how many of `side` rows (columns) hold real work in each of the tiles along `length`."""
    return np.minimum(side, length - np.arange(0, length, side))
