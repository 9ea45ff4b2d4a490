"""Sums of a layer on crossbars: the fast form.

A converter of R bits turns a sum s into min(s, 2^R - 1), so the layer's sums are the exact ones
less what converters clip. A column whose cells all together do not exceed 2^R - 1 clips nothing,
whatever is applied; the kernels add up the others, phase by phase, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.jit import jit
from sparqsim.engine.models.crossbar.cells import (
    SIGNS,
    Phase,
    column_sums,
    planes,
    slice_shifts,
)

Array = NDArray[Any]
Integers = NDArray[np.int64]

#: Elements of what is clipped that are in work at once; 64 MiB.
BLOCK_ELEMENTS = 1 << 23
#: Of an activation and a weight, in size: what is clipped is no more than their sum.
LARGEST_PRODUCT = 255 * 128


@dataclass(frozen=True)
class Circuit:
    """What decides the sums of a layer: how it is cut, and how activations are applied.

    Parameters
    ----------
    rows : int
        Of a crossbar.
    cell_bits : int
    phases : tuple of Phase
    """

    rows: int
    cell_bits: int
    phases: tuple[Phase, ...]

    @property
    def slices(self) -> int:
        """Slices of a weight."""
        return len(slice_shifts(self.cell_bits))

    @property
    def largest_digit(self) -> int:
        """What a driver applies at most."""
        return max(phase.mask for phase in self.phases)

    @property
    def largest_sum(self) -> int:
        """What no column's sum exceeds, whatever cells hold."""
        return self.rows * ((1 << self.cell_bits) - 1) * self.largest_digit

    def digits(self) -> tuple[Integers, Integers, Integers]:
        """Return shift, mask and weight of every phase, int64 each."""
        shifts, masks, weights = np.array(self.phases, np.int64).T
        return shifts.copy(), masks.copy(), weights.copy()


class Columns(NamedTuple):
    """The columns of a group that can hold sums above a limit, and only those.

    cells: unsigned (K, planes, columns), in a type that holds every sum. slice_of: int64 (planes,),
    which slice each plane is. plane_weights: int64 (planes,), what a unit of its sums is worth.
    at: int64 (columns,), which of the group's N they are.
    """

    cells: Array
    slice_of: Integers
    plane_weights: Integers
    at: Integers


def columns_above(weights: Array, circuit: Circuit, limits: Sequence[int]) -> Columns | None:
    """Return the columns of a group in which a sum can exceed its slice's limit; None if there are
    none.

    Parameters
    ----------
    weights : int8 (K, N)
    circuit : Circuit
    limits : sequence of int
        By slice.
    """
    if circuit.largest_sum <= min(limits):
        return None
    cells = planes(weights, circuit.cell_bits)
    largest = column_sums(cells, circuit.rows).max(axis=2) * circuit.largest_digit
    above = largest > np.asarray(limits, np.int64)[:, None, None]
    of_planes, at = above.any(axis=2).ravel(), np.flatnonzero(above.any(axis=(0, 1)))
    if not len(at):
        return None
    chosen = np.flatnonzero(of_planes)
    kept = cells.reshape(-1, *weights.shape)[chosen]
    if len(at) < weights.shape[1]:
        kept = kept[:, :, at]
    in_units = np.left_shift(1, np.array(slice_shifts(circuit.cell_bits), np.int64))
    plane_weights = np.stack([in_units, -in_units], axis=1).ravel()
    wide = np.min_scalar_type(int(largest.max()))
    return Columns(
        np.ascontiguousarray(kept.transpose(1, 0, 2), wide),
        chosen // SIGNS,
        plane_weights[chosen],
        at,
    )


def columns_of_groups(
    weights: Array, circuit: Circuit, limits: Sequence[int]
) -> list[Columns | None]:
    """Return the columns of every group of weights (groups, K, N), as `columns_above` finds
    them.
    """
    return [columns_above(each, circuit, limits) for each in weights]


class Clipping:
    """What converters clip from the sums of a layer.

    Parameters
    ----------
    weights : int8 (groups, K, N)
    circuit : Circuit
    limits : int64 (slices, candidates)
        What a code can be at most: 2^R - 1. With several candidates all are tried.
    slots : int64 (slices, candidates), optional
        Where in the result each is added; all in one place by default.
    """

    def __init__(
        self, weights: Array, circuit: Circuit, limits: Integers, slots: Integers | None = None
    ) -> None:
        self._circuit, self._limits, self._n = circuit, limits, weights.shape[2]
        self._slots = np.zeros_like(limits) if slots is None else slots
        least = limits.min(axis=1).tolist()
        self._columns = columns_of_groups(weights, circuit, least)

    @property
    def never(self) -> bool:
        """Whether nothing can be clipped, whatever is applied."""
        return not any(self._columns)

    def clipped(self, x: Array) -> Integers:
        """Return what is missing from the sums of some rows.

        Parameters
        ----------
        x : uint8 or int8 (groups, rows, K)

        Returns
        -------
        int64 (slots, groups, rows, N)
        """
        slots = int(self._slots.max()) + 1
        missing = np.zeros((slots, *x.shape[:2], self._n), np.int64)
        for group, columns in enumerate(self._columns):
            if columns is not None:
                missing[:, group, :, columns.at] = self._of_group(x[group], columns, slots)
        return missing

    def _of_group(self, x: Array, columns: Columns, slots: int) -> Integers:
        """Return what is missing from a group's columns, int64 (columns, slots, rows)."""
        fits = x.shape[1] * LARGEST_PRODUCT <= np.iinfo(np.int32).max
        kind = np.int32 if fits else np.int64
        missing = np.zeros((slots, len(x), len(columns.at)), kind)
        _convert(
            x.view(np.uint8),
            *self._circuit.digits(),
            columns.cells,
            self._circuit.rows,
            columns.plane_weights,
            self._limits[columns.slice_of],
            self._slots[columns.slice_of],
            missing,
            np.zeros(len(columns.slice_of), np.int64),
        )
        return missing.transpose(2, 0, 1)


class Largest:
    """The largest sum that converters meet, by slice, as rows are seen.

    Parameters
    ----------
    weights : int8 (groups, K, N)
    circuit : Circuit
    """

    def __init__(self, weights: Array, circuit: Circuit) -> None:
        self._circuit = circuit
        self._columns = columns_of_groups(weights, circuit, [0] * circuit.slices)
        #: int64 (slices,)
        self.sums = np.zeros(circuit.slices, np.int64)

    def add(self, x: Array) -> None:
        """Look at some rows, uint8 or int8 (groups, rows, K)."""
        for rows, columns in zip(x, self._columns, strict=True):
            if columns is None:
                continue
            found = np.zeros(len(columns.slice_of), np.int64)
            nothing = np.zeros((len(found), 0), np.int64)
            _convert(
                rows.view(np.uint8),
                *self._circuit.digits(),
                columns.cells,
                self._circuit.rows,
                columns.plane_weights,
                nothing,
                nothing,
                np.zeros((0, 0, 0), np.int32),
                found,
            )
            np.maximum.at(self.sums, columns.slice_of, found)


def row_slabs(x: Array, elements_per_row: int) -> Iterator[Array]:
    """Yield X (groups, rows, K) in pieces of rows of which so much is made that it fits."""
    rows = max(1, BLOCK_ELEMENTS // elements_per_row)
    for start in range(0, x.shape[1], rows):
        yield x[:, start : start + rows]


@jit
def _add_up(
    x: NDArray[np.uint8],
    first: int,
    shifts: Integers,
    masks: Integers,
    cells: Array,
    sums: Array,
    applied: NDArray[np.bool_],
) -> None:
    """Set sums (phases, columns) to those of one crossbar for one row x of X.

    `applied`: whether any driver applies anything in each phase; where none does, sums are left.
    """
    applied[:] = False
    for offset in range(len(cells)):
        code = np.int64(x[first + offset])
        if code == 0:
            continue
        for phase in range(len(shifts)):
            digit = (code >> shifts[phase]) & masks[phase]
            if digit == 0:
                continue
            if not applied[phase]:
                applied[phase] = True
                sums[phase] = 0
            of_phase, of_row = sums[phase], cells[offset]
            if digit == 1:
                for column in range(len(of_phase)):
                    of_phase[column] += of_row[column]
            else:
                for column in range(len(of_phase)):
                    of_phase[column] += digit * of_row[column]


@jit
def _convert(
    x: NDArray[np.uint8],
    shifts: Integers,
    masks: Integers,
    weights: Integers,
    cells: Array,
    rows: int,
    plane_weights: Integers,
    limits: Integers,
    slots: Integers,
    missing: Array,
    largest: Integers,
) -> None:
    """Go through all sums of cells (K, planes, columns) that converters meet.

    Adds to missing (slots, M, columns) what they exceed limits (planes, candidates) by; raises
    largest (planes,) to the largest of them.
    """
    k, of_planes, columns = cells.shape
    flat = cells.reshape(k, of_planes * columns)
    sums = np.zeros((len(shifts), of_planes * columns), cells.dtype)
    applied = np.zeros(len(shifts), np.bool_)
    for first in range(0, k, rows):
        of_tile = flat[first : first + rows]
        for row in range(len(x)):
            _add_up(x[row], first, shifts, masks, of_tile, sums, applied)
            for phase in range(len(shifts)):
                if not applied[phase]:
                    continue
                for plane in range(of_planes):
                    of_plane = sums[phase, plane * columns : (plane + 1) * columns]
                    most = _largest(of_plane)
                    largest[plane] = max(largest[plane], most)
                    worth = np.int32(weights[phase] * plane_weights[plane])
                    for candidate in range(limits.shape[1]):
                        if limits[plane, candidate] < most:
                            into = missing[slots[plane, candidate], row]
                            _add_excess(of_plane, limits[plane, candidate], worth, into)


@jit
def _add_excess(sums: Array, limit: np.int64, worth: np.int32, missing: Array) -> None:
    """Add to missing what sums exceed a limit by, times what a unit is worth."""
    for column in range(len(sums)):
        over = np.int32(np.int32(sums[column]) - np.int32(limit))
        missing[column] += max(over, np.int32(0)) * worth


@jit
def _largest(sums: Array) -> np.int64:
    """Return the largest of some sums."""
    most = sums.dtype.type(0)
    for column in range(len(sums)):
        most = max(most, sums[column])
    return np.int64(most)
