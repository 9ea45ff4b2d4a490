"""A layer on crossbars, cell by cell in plain Python, for the processes of
`sparqsim.event.crossbar`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from sparqsim.array.dataflow import Timing
from sparqsim.engine.models.base import Defined
from sparqsim.engine.models.crossbar.cells import MAGNITUDE_BITS, Phase
from sparqsim.engine.models.crossbar.plan import Converters, Layout
from sparqsim.event.crossbar import Converter, Crossbar, Run, run_crossbars
from sparqsim.trace.lowering import LoweredLayer


def defined(
    layer: LoweredLayer,
    layout: Layout,
    converters: Converters,
    cell_bits: int,
    phases: Sequence[Phase],
    read_cycles: int,
) -> Defined:
    """Return what the processes make of a layer: its time, and its sums, zero points corrected.

    Parameters
    ----------
    layer : LoweredLayer
    layout : Layout
        Sides and number of the crossbars.
    converters : Converters
    cell_bits : int
    phases : sequence of Phase
    read_cycles : int
    """
    run = run_layer(layer, layout, converters, cell_bits, phases, read_cycles)
    sums = np.array(run.sums, np.int64)
    compute = len(run.round_ends) * layer.m * len(phases) * read_cycles
    timing = Timing(
        tiles=layout.count,
        compute=compute,
        fill=0,
        drain=0,
        pe_stall=run.round_ends[-1] - compute,
        used_pe_cycles=run.occupied,
        partial_sums=sums.size * layout.row_tiles,
        busiest_pe=max(run.busy.values()),
        pe_work=run.busy.total(),
    )
    return Defined(timing, layer.corrected(sums, layer.rows(), layer.weights))


def run_layer(
    layer: LoweredLayer,
    layout: Layout,
    converters: Converters,
    cell_bits: int,
    phases: Sequence[Phase],
    read_cycles: int,
) -> Run:
    """Run a layer through the processes; parameters as of `defined`."""
    of_slices = [
        Converter(converters.count, bits, cycles=converters.cycles_per_bit * bits)
        for bits in converters.bits
    ]
    crossbars = filled(layer, layout, of_slices, cell_bits)
    starts = range(0, len(crossbars), layout.crossbars)
    rounds = [crossbars[start : start + layout.crossbars] for start in starts]
    return run_crossbars(rounds, layer.rows().tolist(), layer.n, phases, read_cycles)


def filled(
    layer: LoweredLayer, layout: Layout, converters: Sequence[Converter], cell_bits: int
) -> list[Crossbar]:
    """Return the crossbars of a layer with their cells, in the order in which they are filled."""
    weights = layer.weights.tolist()
    first_cols = range(0, layer.n, layout.cols)
    first_rows = range(0, layer.k, layout.rows)
    crossbars = []
    for group, first_col, first_row in product(range(layer.groups), first_cols, first_rows):
        block = [
            row[first_col : first_col + layout.cols]
            for row in weights[group][first_row : first_row + layout.rows]
        ]
        for number, converter in enumerate(converters):
            shift = MAGNITUDE_BITS - cell_bits * (number + 1)
            for sign in (1, -1):
                cells = [[_cell(sign * code, shift, cell_bits) for code in row] for row in block]
                worth = sign << shift
                crossbars.append(Crossbar(group, first_row, first_col, cells, worth, converter))
    return crossbars


def _cell(magnitude: int, shift: int, cell_bits: int) -> int:
    """Return what a cell holds of a weight; 0 where the weight is of the other sign."""
    return 0 if magnitude < 0 else (magnitude >> shift) % (1 << cell_bits)
