"""The loops over the tiles of a layer: where M, K and N are cut, in which order the pieces are
visited.

An *item* is what the array works on at once: a tile, or a chunk of its stream where the operands of
a whole tile do not fit a scratchpad half. The stream is always the innermost loop. A *block* is the
piece of one operand that an item uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.array.registry import get_dataflow

Indices = NDArray[np.int64]

#: Operand -> the two dimensions of its blocks.
OPERANDS = {"activations": "mk", "weights": "kn", "outputs": "mn"}


def axes_of(dataflow: str) -> tuple[str, str, str]:
    """Return which of 'm', 'k' and 'n' lies along the rows, along the columns, and is streamed."""
    stream, rows, cols = tuple(get_dataflow(dataflow).roles.replace("s", "k"))
    return rows, cols, stream


def orders_of(dataflow: str) -> tuple[str, str]:
    """Return a dataflow's loop orders, outermost loop first; the array's own order first."""
    rows, cols, stream = axes_of(dataflow)
    return cols + rows + stream, rows + cols + stream


@dataclass(frozen=True)
class Nest:
    """The loops of one group.

    Attributes
    ----------
    order : str
        Dimensions, outermost loop first, e.g. 'nmk'.
    cuts : dict of str to int64 (pieces + 1,)
        Where each dimension is cut, in outputs (m, n) or elements (k).
    lanes : int
        Elements of K per step.
    accumulates : bool
        Whether sums of several pieces of K are added outside the array: where operands stay (ws,
        is).
    """

    order: str
    cuts: dict[str, Indices]
    lanes: int
    accumulates: bool

    @classmethod
    def of(
        cls, sizes: dict[str, int], array: ArrayConfig, lanes: int, order: str, chunk: int
    ) -> Nest:
        """Cut `sizes` of m, k and n for an array; `chunk`: steps of a piece of the stream."""
        rows, cols, stream = axes_of(array.dataflow)
        pieces = {rows: array.rows, cols: array.cols, stream: chunk}
        pieces["k"] *= lanes
        cuts = {
            dim: np.minimum(np.arange(-(-size // pieces[dim]) + 1) * pieces[dim], size)
            for dim, size in sizes.items()
        }
        return cls(order, cuts, lanes, stream != "k")

    def pieces(self, dim: str) -> int:
        """Return into how many pieces a dimension is cut."""
        return len(self.cuts[dim]) - 1

    @property
    def items(self) -> int:
        """Items of one group."""
        return self.pieces("m") * self.pieces("k") * self.pieces("n")

    @cached_property
    def index(self) -> dict[str, Indices]:
        """For each dimension, the piece that each item works on, int64 (items,)."""
        grids = np.indices([self.pieces(dim) for dim in self.order])
        return {dim: grid.ravel() for dim, grid in zip(self.order, grids, strict=True)}

    @cached_property
    def sizes(self) -> dict[str, Indices]:
        """For each dimension, the length of the piece that each item works on, int64 (items,)."""
        return {dim: np.diff(self.cuts[dim])[self.index[dim]] for dim in self.order}

    def blocks(self, operand: str) -> Indices:
        """Return the number of the operand's block that each item uses, int64 (items,)."""
        first, second = tuple(OPERANDS[operand])
        return self.index[first] * self.pieces(second) + self.index[second]

    def elements(self, operand: str) -> Indices:
        """Return the matrix elements of the operand's block that each item uses, int64 (items,)."""
        first, second = tuple(OPERANDS[operand])
        return self.sizes[first] * self.sizes[second]

    def spans(self, dim: str, items: Indices) -> Indices:
        """Return the first and last + 1 element of a dimension, int64 (len(items), 2)."""
        piece = self.index[dim][items]
        return np.stack([self.cuts[dim][piece], self.cuts[dim][piece + 1]], axis=1)

    def generations(self, operand: str, scope: str) -> Indices:
        """Return which filling of a scratchpad half each item uses, int64 (items,), not decreasing.

        `scope`: 'block' (a half holds one block), 'outer' (all blocks of one turn of the outermost
        loop), 'group' (all).
        """
        if scope == "group":
            return np.zeros(self.items, np.int64)
        if scope == "outer":
            return self.index[self.order[0]]
        return runs(self.blocks(operand))

    def scopes(self, operand: str) -> list[str]:
        """Return the scopes that make sense for an operand, widest first."""
        return (
            ["group", "outer", "block"]
            if self.order[0] in OPERANDS[operand]
            else ["group", "block"]
        )


def runs(values: Indices) -> Indices:
    """Return the number of the run of equal values that each entry belongs to, from 0."""
    return np.concatenate([[0], np.cumsum(values[1:] != values[:-1])])


def first_of_each(*keys: Indices) -> Indices:
    """Return the positions at which each combination of keys occurs first, ascending."""
    combined = keys[0]
    for key in keys[1:]:
        combined = combined * (int(key.max()) + 1) + key
    return np.sort(np.unique(combined, return_index=True)[1])
