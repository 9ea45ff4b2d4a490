"""Cycles of real steps of each PE, added up from the record of the processes: of heat maps."""

from __future__ import annotations

import numpy as np

from sparqsim import ArrayConfig, Layer, PEDesign
from sparqsim.analysis.wave import window_of
from sparqsim.array.registry import get_dataflow
from sparqsim.pe.binding import bound_to


def busy_cycles(layer: Layer, pe: PEDesign, array: ArrayConfig) -> list[list[int]]:
    """Return the cycles of each row and column of the array, of a layer of one group."""
    roles, shape = get_dataflow(array.dataflow).roles, layer.gemm
    sizes = {"m": shape.m, "s": bound_to(layer, pe).steps(shape.k), "n": shape.n}
    along_rows, along_columns = sizes[roles[1]], sizes[roles[2]]
    row_tiles, col_tiles = -(-along_rows // array.rows), -(-along_columns // array.cols)
    busy = np.zeros((array.rows, array.cols), np.int64)
    for tile in range(row_tiles * col_tiles):
        col_tile, row_tile = divmod(tile, row_tiles)
        for done in window_of(layer, pe, array, tile).run.steps:
            row, column = row_tile * array.rows + done.row, col_tile * array.cols + done.col
            if row < along_rows and column < along_columns:
                busy[done.row, done.col] += done.cycles
    return busy.tolist()
