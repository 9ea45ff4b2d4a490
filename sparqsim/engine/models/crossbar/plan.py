"""A layer laid out on crossbars, and its cycles in closed form.

A crossbar holds one slice of one sign of a block of `rows` x `cols` weights. A layer takes groups x
ceil(N / cols) x ceil(K / rows) blocks, each of slices x 2 crossbars. Crossbars are filled in this
order: group, columns, rows, slice (most significant first), sign (positive first). As many as there
are work side by side; what is left takes further rounds, each over all rows of X.

In a phase every driver applies its digit for `read` cycles, while the converters of each crossbar
turn the sums of its used columns into codes, one after the other: ceil(columns / adcs) conversions
of `conv` x R cycles each. The next phase begins when all crossbars of the round are done with both:

    cycles = M x phases x sum over rounds of
             max over its crossbars of max(read, ceil(columns / adcs) x conv x R)

Sums are sampled and held, so the converters work on one phase while the next is read; the one read
by which they lag behind is not counted, nor is the time to write cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.dataflow import Timing
from sparqsim.base.errors import InputError
from sparqsim.engine.models.crossbar.cells import SIGNS
from sparqsim.trace import GemmShape

Integers = NDArray[np.int64]

#: Crossbars of a layer: a few numbers of each are held at once, half a gigabyte.
MOST_CROSSBARS = 10_000_000
#: Of all crossbars of a layer together: int64 counts them.
MOST_CYCLES = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Layout:
    """The crossbars that a layer takes, in the order in which they are filled.

    Parameters
    ----------
    shape : GemmShape
    rows, cols : int
        Of a crossbar.
    slices : int
        Of a weight.
    crossbars : int
        That work side by side.
    """

    shape: GemmShape
    rows: int
    cols: int
    slices: int
    crossbars: int

    @property
    def row_tiles(self) -> int:
        """Blocks along K."""
        return -(-self.shape.k // self.rows)

    @property
    def col_tiles(self) -> int:
        """Blocks along N of a group."""
        return -(-self.shape.n // self.cols)

    @property
    def per_block(self) -> int:
        """Crossbars of a block of weights."""
        return SIGNS * self.slices

    @property
    def blocks(self) -> int:
        """Blocks of weights, of all groups."""
        return self.shape.groups * self.col_tiles * self.row_tiles

    @property
    def count(self) -> int:
        """Crossbars that the layer takes."""
        return self.blocks * self.per_block

    @property
    def conversions_per_phase(self) -> int:
        """Columns in use of all crossbars."""
        return self.shape.groups * self.row_tiles * self.per_block * self.shape.n

    @property
    def rounds(self) -> int:
        """How often the crossbars are filled."""
        return -(-self.count // self.crossbars)

    @property
    def rows_used(self) -> Integers:
        """Rows in use of each crossbar."""
        last = self.shape.k - (self.row_tiles - 1) * self.rows
        by_tile = np.array([*[self.rows] * (self.row_tiles - 1), last], np.int64)
        return np.tile(np.repeat(by_tile, self.per_block), self.shape.groups * self.col_tiles)

    @property
    def columns_used(self) -> Integers:
        """Columns in use of each crossbar."""
        last = self.shape.n - (self.col_tiles - 1) * self.cols
        by_tile = np.array([*[self.cols] * (self.col_tiles - 1), last], np.int64)
        by_block = np.repeat(by_tile, self.row_tiles * self.per_block)
        return np.tile(by_block, self.shape.groups)

    @property
    def slice_of(self) -> Integers:
        """Which slice each crossbar holds, 0 the most significant."""
        return np.tile(np.repeat(np.arange(self.slices), SIGNS), self.blocks)

    def by_round(self, values: Integers) -> Integers:
        """Return values of crossbars as (rounds, crossbars of a round), 0 where there is none."""
        width = min(self.crossbars, self.count)
        padded = np.zeros(self.rounds * width, np.int64)
        padded[: self.count] = values
        return padded.reshape(self.rounds, width)

    def block_cycles(self, of_rounds: Integers) -> Integers:
        """Return the cycles of rounds by block, (groups, column tiles, row tiles).

        A round counts where its last crossbar lies: it cannot begin before that is filled.
        """
        ends = np.minimum(np.arange(1, self.rounds + 1) * self.crossbars, self.count) - 1
        cycles = np.zeros(self.blocks, np.int64)
        np.add.at(cycles, ends // self.per_block, of_rounds)
        return cycles.reshape(self.shape.groups, self.col_tiles, self.row_tiles)


@dataclass(frozen=True)
class Converters:
    """Converters of crossbars.

    count: of a crossbar. cycles_per_bit: of a conversion. bits: by slice, most significant first.
    """

    count: int
    cycles_per_bit: int
    bits: Sequence[int]


@dataclass(frozen=True)
class Cycles:
    """Cycles of a layer, in closed form.

    Parameters
    ----------
    layout : Layout
    converters : Converters
    read : int
        Cycles for which drivers apply a digit.
    row_phases : int
        How often each crossbar is read: rows of X x phases.
    """

    layout: Layout
    converters: Converters
    read: int
    row_phases: int

    @cached_property
    def of_phases(self) -> Integers:
        """Cycles that each crossbar needs for a phase."""
        layout, converters = self.layout, self.converters
        conversions = -(-layout.columns_used // converters.count)
        bits = np.asarray(converters.bits, np.int64)[layout.slice_of]
        cycles: Integers = np.maximum(self.read, conversions * converters.cycles_per_bit * bits)
        return cycles

    @cached_property
    def of_rounds(self) -> Integers:
        """Cycles of each round: its slowest crossbar's."""
        slowest: Integers = self.layout.by_round(self.of_phases).max(axis=1)
        return slowest * self.row_phases

    @property
    def of_blocks(self) -> Integers:
        """Cycles by block of weights, (groups, column tiles, row tiles)."""
        return self.layout.block_cycles(self.of_rounds)

    @property
    def timing(self) -> Timing:
        """Reading is what the layer needs; what conversions take beyond it is waiting."""
        layout, shape = self.layout, self.layout.shape
        own = layout.by_round(self.of_phases) * self.row_phases
        working = np.count_nonzero(own, axis=1)
        compute = layout.rounds * self.row_phases * self.read
        return Timing(
            tiles=layout.count,
            compute=compute,
            fill=0,
            drain=0,
            pe_stall=int(self.of_rounds.sum()) - compute,
            used_pe_cycles=int((self.of_rounds * working).sum()),
            partial_sums=shape.groups * shape.m * shape.n * layout.row_tiles,
            busiest_pe=int(own.sum(axis=0).max()),
            pe_work=int(own.sum()),
        )

    def refuse_too_large(self, of_what: str) -> None:
        """Raise InputError, beginning with `of_what`, where crossbars or their cycles are too many
        to be counted.
        """
        count, converters = self.layout.count, self.converters
        if count > MOST_CROSSBARS:
            raise InputError(
                f"{of_what} takes {count:,} crossbars, expected at most {MOST_CROSSBARS:,}: more "
                "rows or cols"
            )
        columns = min(self.layout.cols, self.layout.shape.n)
        conversion = converters.cycles_per_bit * max(converters.bits)
        slowest = max(self.read, -(-columns // converters.count) * conversion)
        if count * self.row_phases * slowest > MOST_CYCLES:
            raise InputError(
                f"{of_what} may take {count * self.row_phases * slowest:,} cycles of its crossbars "
                f"together, expected at most {MOST_CYCLES:,}: fewer of `read` or `conv`"
            )
