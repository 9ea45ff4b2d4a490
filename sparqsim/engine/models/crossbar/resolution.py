"""Bits of converters for a layer: the fewest that clip nothing, or some that keep its SQNR above a
bound, none of which alone can be one less.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.exact import float_product
from sparqsim.engine.models.crossbar.cells import bits_for
from sparqsim.engine.models.crossbar.sums import Circuit, Clipping, Largest, row_slabs
from sparqsim.engine.squares import sum_of_squares
from sparqsim.pe.arithmetic import row_blocks
from sparqsim.trace.lowering import LoweredLayer

Bits = tuple[int, ...]


def lossless_bits(layer: LoweredLayer, circuit: Circuit) -> Bits:
    """Return the fewest bits, by slice, that clip no sum that the layer's own activations make."""
    largest = Largest(layer.weights, circuit)
    for x in row_blocks(layer):
        largest.add(x)
    return tuple(bits_for(each) for each in largest.sums.tolist())


def bits_above(layer: LoweredLayer, circuit: Circuit, sqnr_db: float) -> Bits:
    """Return bits, by slice, that keep the SQNR of the layer's sums at `sqnr_db` or above, of which
    none alone can be one less.

    From those that clip nothing, a bit at a time is taken from the slice that loses least by it
    (the most significant of equal ones), as long as the bound holds.
    """
    found = lossless_bits(layer, circuit)
    products, signal = _products(layer, circuit, found)
    most_noise = signal / 10 ** (sqnr_db / 10)
    while True:
        fewer = [_one_less(found, each) for each in range(len(found)) if found[each] > 1]
        noises = [products.noise(each) for each in fewer]
        if not fewer or min(noises) > most_noise:
            return found
        found = fewer[noises.index(min(noises))]


class Products:
    """Inner products of what is clipped, over all outputs of a layer, of every two slices and bits.

    Parameters
    ----------
    lossless : sequence of int
        Bits of each slice that clip nothing.
    """

    def __init__(self, lossless: Sequence[int]) -> None:
        pairs = [(each, bits) for each, most in enumerate(lossless) for bits in range(1, most)]
        self.slots = {pair: number for number, pair in enumerate(pairs)}
        self._sums = np.zeros((len(pairs), len(pairs)))

    def add(self, clipped: NDArray[np.int64]) -> None:
        """Add those of some outputs (slots, ...)."""
        flat = clipped.reshape(len(clipped), -1).astype(np.float64)
        self._sums += float_product(flat, flat.T)

    def noise(self, bits: Bits) -> float:
        """Return the squared error of outputs with these bits."""
        at = [self.slots[pair] for pair in enumerate(bits) if pair in self.slots]
        return float(self._sums[np.ix_(at, at)].sum())


def _products(layer: LoweredLayer, circuit: Circuit, lossless: Bits) -> tuple[Products, int]:
    """Return what is clipped by fewer bits than `lossless`, and the signal's sum of squares."""
    products, signal = Products(lossless), 0
    clipping = None
    if products.slots:
        clipping = Clipping(layer.weights, circuit, *_candidates(products, lossless))
    for x in row_blocks(layer):
        signal += sum_of_squares(layer.sums(x, layer.weights))
        if clipping is not None:
            made = (len(products.slots) + 1) * layer.groups * layer.n
            for part in row_slabs(x, made):
                products.add(clipping.clipped(part)[: len(products.slots)])
    return products, signal


def _candidates(products: Products, lossless: Bits) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return limits and slots, int64 (slices, candidates), of all bits that clip anything.

    Slices with fewer candidates than others have some that clip nothing, in a slot behind all.
    """
    most, unused = max(lossless) - 1, len(products.slots)
    limits = np.full((len(lossless), most), (1 << max(lossless)) - 1, np.int64)
    slots = np.full_like(limits, unused)
    for (each, bits), slot in products.slots.items():
        limits[each, bits - 1] = (1 << bits) - 1
        slots[each, bits - 1] = slot
    return limits, slots


def _one_less(bits: Bits, at: int) -> Bits:
    return tuple(each - (place == at) for place, each in enumerate(bits))
