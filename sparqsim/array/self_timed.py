"""Layers on designs that time whole arrays themselves: groups one after another, sums staying in the PEs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.dataflow import Timing, Work
from sparqsim.array.registry import get_dataflow
from sparqsim.pe import PEDesign
from sparqsim.pe.base import Array, ArrayTiming
from sparqsim.trace.lowering import LoweredLayer


def self_timed(
    layer: LoweredLayer, pe: PEDesign, array: ArrayConfig, *, by_definition: bool = False
) -> Timing:
    """Return the cycles of a layer; the array's coupling and overlap do not apply. `by_definition`: see the design."""
    flow = get_dataflow(array.dataflow)
    work = Work(layer.m, pe.steps(layer.k), layer.n, layer.groups)
    groups = [
        pe.array_timing(*operands, array.rows, array.cols, by_definition=by_definition)
        for operands in _operands(layer, from_left=flow.activations_from_left)
    ]
    lengths = np.stack([tile_cycles(group) for group in groups]).swapaxes(1, 2)
    used_pes = flow.grid(work, array).used_by_tile
    return Timing(
        tiles=sum(group.tile_ends.size for group in groups),
        compute=sum(group.compute for group in groups),
        fill=sum(group.fill for group in groups),
        drain=sum(group.drain for group in groups),
        pe_stall=sum(group.pe_stall for group in groups),
        used_pe_cycles=int((lengths * used_pes).sum()),
        partial_sums=flow.partial_sums(work, array),
        busiest_pe=int(np.sum([group.pe_cycles for group in groups], axis=0).max()),
        pe_work=sum(group.work for group in groups),
        tile_stalls=lengths - pe.steps(layer.k),
    )


def _operands(layer: LoweredLayer, *, from_left: bool) -> Iterator[tuple[Array, Array]]:
    """Yield what enters at the left and from above in each group: X (M, K) and W (K, N), or W.T and X.T."""
    for x, w in zip(layer.rows(), layer.weights, strict=True):
        yield (x, w) if from_left else (w.T, x.T)


def tile_cycles(group: ArrayTiming) -> NDArray[np.int64]:
    """Return for each tile the cycles from the end of the tile before it to its own: they sum to the total."""
    return np.diff(group.tile_ends.ravel(), prepend=0).reshape(group.tile_ends.shape)
