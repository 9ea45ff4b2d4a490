"""Errors of all designs from one look at X: float32 products of what they change.

The sums of a design that leaves weights alone differ from the exact ones by (used - stored) @ W,
whose factors are so small that float32 holds every sum. So rows of X become, in one pass, float32
rows for every design, one below the other, which meet W in one product. A bound from the layer's
own weights says that no sum can leave float32; K is cut where one could.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.exact import FLOAT32_EXACT, float_product, integer_product
from sparqsim.base.jit import jit
from sparqsim.base.threads import in_order, shares, side_by_side
from sparqsim.engine.squares import Squares
from sparqsim.pe.base import Array
from sparqsim.pe.pairwise import OnPairs, PairValues, codes_on_pairs, pair_numbers
from sparqsim.results.layer_report import Error
from sparqsim.trace.lowering import LoweredLayer

Single = NDArray[np.float32]
#: Rows of W whose sums are bounded together.
BLOCK = 64


class FloatWeights:
    """W as float32, and what its columns can add up to; `layer` holds the weights meant."""

    def __init__(self, layer: LoweredLayer) -> None:
        weights = layer.real_weights if layer.has_weight_zero_points else layer.weights
        groups, k, n = weights.shape
        #: float32 (groups, K or K + 1, N): whole pairs.
        self.floats = np.zeros((groups, k + k % 2, n), np.float32)
        self._sizes = np.zeros((-(-k // BLOCK), groups, n), np.int64)
        sums = np.zeros((groups, n), np.int64)
        # Integers of 16 bits: their sums by block fit float32.
        summed = self.floats if weights.dtype.itemsize <= 2 else weights.astype(np.float64)
        for block, sizes in enumerate(self._sizes):
            rows = slice(block * BLOCK, min((block + 1) * BLOCK, k))
            self.floats[:, rows] = weights[:, rows]
            ones = np.ones(rows.stop - rows.start, summed.dtype)
            sizes[:] = float_product(ones, np.abs(summed[:, rows]))
            sums += integer_product(ones, summed[:, rows])
        #: What the zero point of activations adds to the array's sums, int64 (groups, 1, N).
        self.offset = layer.activation_zero_point * sums[:, None]
        bit = int(np.bitwise_or.reduce(weights, axis=None))
        self._unit = bit & -bit or 1
        self._largest = int(self._sizes.sum(axis=0).max())

    def cuts(self, values: PairValues) -> list[slice] | None:
        """Return parts of K in which float32 holds all sums of such activations exactly; None where
        there are none.

        Sums are whole multiples of the lowest bit of activations times that of weights.
        """
        most = FLOAT32_EXACT * values.unit * self._unit // max(1, values.largest)
        if self._largest <= most:
            return [slice(None)]
        starts, held = [0], np.zeros_like(self._sizes[0])
        for block, sizes in enumerate(self._sizes):
            held = held + sizes
            if held.max() > most:
                starts.append(block * BLOCK)
                held = sizes
            if held.max() > most:
                return None
        return [slice(*ends) for ends in zip(starts, [*starts[1:], None], strict=True)]


@dataclass(eq=False)
class Slot:
    """A product for one or more designs: what X becomes, what it meets, what is added up.

    Parameters
    ----------
    values : PairValues
    weights : FloatWeights
    cuts : list of slice
        Parts of K that are multiplied on their own.
    against : bool
        Whether the exact sums are taken from it: it holds sums, not differences of sums.
    """

    values: PairValues
    weights: FloatWeights
    cuts: list[slice]
    against: bool
    squares: Squares = field(default_factory=Squares)

    def count(self, product: Array, exact: NDArray[np.int64]) -> None:
        """Add up the differences from the exact sums, (groups, rows, N)."""
        if self.against:
            self.squares.add_differences(product, self.weights.offset, exact)
        else:
            self.squares.add_differences(product, np.zeros_like(self.weights.offset))


class Products:
    """Adds up errors of designs over blocks of rows.

    Parameters
    ----------
    layer : LoweredLayer
    used : sequence of (OnPairs, weights)
        What each design uses; weights (groups, K, N) are the layer's own array where it leaves them
        alone.

    Raises
    ------
    OverflowError
        Where float32 cannot hold a sum of few products.
    """

    def __init__(self, layer: LoweredLayer, used: Sequence[tuple[OnPairs, Array]]) -> None:
        self._stored = codes_on_pairs(layer.stored_signed)
        self._layer, self._outputs = layer, 0
        self._weights = {id(layer.weights): FloatWeights(layer)}
        self._slots = [self._slot(self._stored, layer.weights, against=True)]
        self._signal = self._slots[0].squares
        self._places = [self._place(*each) for each in used]
        first = self._slots[0].weights
        self._slots.sort(key=lambda slot: slot.weights is not first)  # neighbours meet W together
        self._packed = _stacked(tuple(slot.values for slot in self._slots))

    def _place(self, pairs: OnPairs, weights: Array) -> Slot | None:
        """Return the slot of a design; None where it is exact."""
        alone = weights is self._layer.weights
        values = pairs.change if alone else pairs.used
        if alone and not values.largest:
            return None
        wanted = self._slot(values, weights, against=not alone)
        for slot in self._slots[1:]:
            if slot.weights is wanted.weights and slot.values.digest == values.digest:
                return slot
        self._slots.append(wanted)
        return wanted

    def _slot(self, values: PairValues, weights: Array, *, against: bool) -> Slot:
        if id(weights) not in self._weights:
            self._weights[id(weights)] = FloatWeights(self._layer.with_weights(weights))
        floats = self._weights[id(weights)]
        cuts = floats.cuts(values)
        if cuts is None:
            raise OverflowError
        return Slot(values, floats, cuts, against)

    def add(self, x: Array) -> tuple[NDArray[np.int64], int]:
        """Count a block of X (groups, rows, K).

        Returns
        -------
        exact : int64 (groups, rows, N)
            Its exact sums, zero points corrected.
        signal : int
            The sum of their squares.
        """
        numbers = pair_numbers(x)
        groups, rows, steps = numbers.shape
        spread = np.empty((groups, len(self._slots), rows, steps), np.uint64)
        parts = shares(groups * rows)
        side_by_side(_spread, [(numbers, *part, self._packed, spread) for part in parts])
        of_slots = self._multiplied(spread.view(np.float32))
        first = next(of_slots)
        offset, before = self._slots[0].weights.offset, self._signal.total
        exact = first.astype(np.int64) - offset
        self._signal.add_differences(first, offset)
        self._outputs += exact.size
        rest = zip(self._slots[1:], of_slots, strict=True)
        deque(in_order(Slot.count, ((slot, product, exact) for slot, product in rest)), maxlen=0)
        return exact, self._signal.total - before

    def _multiplied(self, x: Single) -> Iterator[Array]:
        """Yield the products of X (groups, slots, rows, K) of one slot after another: neighbours
        that meet the same weights whole meet them together.
        """
        for weights, together in groupby(enumerate(self._slots), key=_meets):
            places = [place for place, _ in together]
            rows = x[:, places[0] : places[-1] + 1]
            joined = rows.reshape(len(rows), -1, rows.shape[3])
            product = _product(joined, weights[0].floats, self._slots[places[0]].cuts)
            by_slot = product.reshape(*rows.shape[:3], -1)
            yield from by_slot.swapaxes(0, 1)

    def error(self, design: int) -> Error:
        """Return the error of one of the designs, counted from 0."""
        slot = self._places[design]
        squares = Squares() if slot is None else slot.squares
        return Error(
            outputs=self._outputs,
            signal=self._signal.total,
            noise=squares.total,
            max_abs=squares.largest,
        )


@lru_cache(maxsize=4)
def _stacked(values: tuple[PairValues, ...]) -> NDArray[np.uint64]:
    """Return the tables of some slots, uint64 (slots, 65536): most layers have the same."""
    return np.stack([each.packed for each in values])


def _meets(numbered: tuple[int, Slot]) -> tuple[FloatWeights, int | None]:
    """Return the same for slots that are multiplied together."""
    place, slot = numbered
    return slot.weights, place if slot.cuts[1:] else None


def _product(x: Single, w: Single, cuts: list[slice]) -> Array:
    """Return x @ w: float32, or int64 where parts of K are multiplied on their own."""
    if not cuts[1:]:
        return float_product(x, w)
    total = np.zeros((*x.shape[:2], w.shape[2]), np.int64)
    for cut in cuts:
        total += integer_product(x[:, :, cut], w[:, cut])
    return total


@jit
def _spread(
    numbers: NDArray[np.uint16],
    first: int,
    end: int,
    tables: NDArray[np.uint64],
    spread: NDArray[np.uint64],
) -> None:
    """Write what every table (slots, 65536) has for rows first..end, counted through all groups, of
    numbers (groups, rows, steps), to `spread` (groups, slots, rows, steps).
    """
    _, rows, steps = numbers.shape
    for place in range(first, end):
        group, row = place // rows, place % rows
        for slot in range(len(tables)):
            for step in range(steps):
                spread[group, slot, row, step] = tables[slot, numbers[group, row, step]]
