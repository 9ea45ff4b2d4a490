"""Where a tensor comes from: memory, a file, or a generator of drawn values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Elements that `TensorSource.blocks` holds in memory at a time.
BLOCK_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class TensorSource:
    """A tensor's shape and dtype now, its values when they are read.

    `read` takes a slice of each of the first axes it is given slices for, and returns those values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[tuple[slice, ...]], NDArray[Any]]

    @classmethod
    def of(cls, array: NDArray[Any]) -> TensorSource:
        """Return a source that holds `array`."""
        return cls(array.shape, array.dtype, array.__getitem__)

    def load(self) -> NDArray[Any]:
        """Return the whole tensor."""
        return self.read((slice(None),) * min(1, len(self.shape)))

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the tensor in pieces that follow each other in memory, so that few are held."""
        if not self.shape:
            yield self.load()
            return
        yield from self._blocks(())

    def _blocks(self, place: tuple[slice, ...]) -> Iterator[NDArray[Any]]:
        size, *inner = self.shape[len(place) :]
        entry = math.prod(inner)
        if entry > BLOCK_ELEMENTS and inner:
            for at in range(size):
                yield from self._blocks((*place, slice(at, at + 1)))
            return
        step = max(1, BLOCK_ELEMENTS // max(1, entry))
        for start in range(0, size, step):
            yield self.read((*place, slice(start, min(size, start + step))))


def runs(shape: Sequence[int], part: Sequence[slice]) -> tuple[tuple[int, ...], list[range]]:
    """Return the shape of a part of a tensor, and the ranges of elements that it is made of.

    Elements are counted in the order of memory; the ranges follow each other in the part.

    Parameters
    ----------
    shape : sequence of int
        Of the whole tensor.
    part : sequence of slice
        For the first axes, with step 1.
    """
    kept = [range(*each.indices(size)) for each, size in zip(part, shape, strict=False)]
    result = (*map(len, kept), *shape[len(kept) :])
    while len(kept) > 1 and len(kept[-1]) == shape[len(kept) - 1]:
        kept.pop()  # whole: one run with the axis before it
    row = math.prod(shape[len(kept) :])
    if not kept:
        return result, [range(row)]
    last, entries, outer = kept[-1], shape[len(kept) - 1], shape[: len(kept) - 1]
    starts = (
        (int(np.ravel_multi_index(place, outer)) if place else 0) * entries + last.start
        for place in product(*kept[:-1])
    )
    return result, [range(start * row, (start + len(last)) * row) for start in starts]
