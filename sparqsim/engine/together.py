"""One pass over a layer's rows for all designs that look at pairs of activations.

Most designs use an activation as it and its neighbour say, and weights as they are. What they make
of a large layer then follows from a census of its pairs (`census.py`) and from one product for all
of them (`products.py`). Smaller layers, and other designs, are measured design by design
(`measure.py`), to the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparqsim.engine.census import MOST_KINDS, Census, StepWeights
from sparqsim.engine.products import Products
from sparqsim.pe.base import Array, PEDesign
from sparqsim.pe.pairwise import OnPairs, is_pairwise, on_pairs
from sparqsim.results.layer_report import Error, Pairs
from sparqsim.trace.lowering import LoweredLayer

#: Elements of X that are in work at once: each becomes a float32 for every design.
BLOCK_ELEMENTS = 1 << 20


@dataclass(frozen=True, eq=False)
class Sharing:
    """A design in a shared pass, and what it makes of pairs and weights.

    `weights` integers (groups, K, N): the layer's own array where it leaves them alone.
    """

    pe: PEDesign
    pairs: OnPairs
    weights: Array


def sharing(layer: LoweredLayer, pe: PEDesign, weights: Array) -> Sharing | None:
    """Return how a design takes part; None where it cannot."""
    if not is_pairwise(pe):
        return None
    pairs = on_pairs(pe, layer.stored_signed)
    return None if pairs is None else Sharing(pe, pairs, weights)


class Together:
    """Collects what designs make of a layer's rows.

    Parameters
    ----------
    layer : LoweredLayer
    designs : sequence of Sharing

    Raises
    ------
    OverflowError
        Where float32 cannot hold a design's sums.
    """

    def __init__(self, layer: LoweredLayer, designs: Sequence[Sharing]) -> None:
        self._layer, self._designs = layer, designs
        states = [state for each in designs for state in each.pairs.states]
        classes = [each.pairs.classes for each in designs]
        self._census = Census(layer.groups, layer.k, states, classes)
        self._columns = StepWeights(layer.weights)
        self._products = Products(layer, [(each.pairs, each.weights) for each in designs])

    @property
    def block_elements(self) -> int:
        """Elements of X in a block."""
        return BLOCK_ELEMENTS

    def add(self, x: Array) -> tuple[NDArray[np.int64], int]:
        """Count a block of X (groups, rows, K); return its sums and those of their squares."""
        self._census.add(x)
        return self._products.add(x)

    def macs_nonzero(self) -> int:
        """Return the MACs whose operands are both non-zero."""
        return int((self._census.nonzero() * self._columns.nonzero()).sum())

    def error(self, at: int) -> Error:
        """Return the error of a design."""
        return self._products.error(at)

    def pairs(self, at: int) -> Pairs:
        """Return the classes of pairs under a design."""
        return self._census.classes(self._designs[at].pairs.classes)

    def windows(self, at: int) -> dict[int, int]:
        """Return the windows of a design that has `pair_windows`."""
        return self._census.windows(self._designs[at].pe, signed=self._layer.stored_signed)

    def counts_parts(self, at: int) -> bool:
        """Return whether the activity of a design's parts follows from pairs."""
        few = len(self._census.kinds.examples) <= MOST_KINDS
        return few and bool(self._designs[at].pairs.states)

    def activity(self, at: int) -> dict[str, int]:
        """Return the cycles in which each part of a design worked."""
        design = self._designs[at]
        return self._census.activity(design.pe, design.pairs.states, self._columns)
