"""What each scratchpad holds and for how long, and the transfers that follow from it, for one group
of a layer.

Every scratchpad has two halves, filled in turn. A half keeps the blocks of one *generation*: all
blocks of the group if they fit, else all blocks of one turn of the outermost loop if they fit, else
one block. A block is fetched at its first use within its generation. Of the activations, only input
elements that the generation does not hold yet are fetched, each once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparqsim.memory.footprint import InputMap, elements_fetched
from sparqsim.memory.nest import Nest, first_of_each

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Formats:
    """Bits in memory of two adjacent activations, a weight, an output and a partial sum; the
    storage in effect.

    resumes: sums of an earlier pass over the layer come back first. finishes: outputs leave
    finished, else as partial sums for the next pass.
    """

    pair_bits: int
    weight_bits: int
    output_bits: int
    psum_bits: int
    storage: str
    resumes: bool = False
    finishes: bool = True

    @property
    def leaving_bits(self) -> int:
        """Bits of an output whose last fold of this pass is done."""
        return self.output_bits if self.finishes else self.psum_bits


@dataclass(frozen=True)
class Fetches:
    """What one operand's DMA engine brings, in order.

    Attributes
    ----------
    scope : str
    generations : int64 (items,)
        Generation that each item uses.
    items : int64 (fetches,)
        Item before which each fetch must be complete.
    sizes : int64 (fetches,)
        Bytes.
    """

    scope: str
    generations: Indices
    items: Indices
    sizes: Indices

    @property
    def largest(self) -> int:
        """Bytes of the largest generation."""
        return largest_sum(self.sizes, self.generations[self.items])


@dataclass(frozen=True)
class Writes:
    """What leaves the output scratchpad, and the partial sums that come back.

    Attributes
    ----------
    scope, generations
        As in `Fetches`.
    items, sizes : int64 (writes,)
        Item after which each block leaves, and its bytes.
    reload_items, reload_sizes : int64 (reloads,)
        Item before which a block of partial sums is back, and its bytes.
    produced : int64 (items,)
        Bytes that each item newly takes up in its generation.
    spilled : int
        Bytes of `sizes` that are partial sums.
    """

    scope: str
    generations: Indices
    items: Indices
    sizes: Indices
    reload_items: Indices
    reload_sizes: Indices
    produced: Indices
    spilled: int

    @property
    def largest(self) -> int:
        """Bytes of the largest generation."""
        return largest_sum(self.produced, self.generations)


def byte_count(elements: Indices, bits: int | Indices) -> Indices:
    """Return the whole bytes that elements of some bits take."""
    return -(-elements * bits // 8)


def largest_sum(values: Indices, keys: Indices) -> int:
    """Return the largest sum of the values that share a key."""
    sums = np.zeros(int(keys.max(initial=0)) + 1, np.int64)
    np.add.at(sums, keys, values)
    return int(sums.max())


def weight_fetches(nest: Nest, formats: Formats, half_bytes: int) -> Fetches:
    """Return the fetches of the weights, in the widest scope that fits, else the narrowest."""

    def sizes(items: Indices, _: Indices) -> Indices:
        return byte_count(nest.elements("weights")[items], formats.weight_bits)

    return _widest(nest, "weights", half_bytes, sizes)


def activation_fetches(nest: Nest, formats: Formats, half_bytes: int, source: InputMap) -> Fetches:
    """Return the fetches of the activations, in the widest scope that fits, else the narrowest."""

    def sizes(items: Indices, generations: Indices) -> Indices:
        elements = elements_fetched(
            source, nest.spans("m", items), nest.spans("k", items), generations
        )
        return -(-elements * formats.pair_bits // 16)

    return _widest(nest, "activations", half_bytes, sizes)


def _widest(
    nest: Nest, operand: str, half_bytes: int, sizes: Callable[[Indices, Indices], Indices]
) -> Fetches:
    for scope in nest.scopes(operand):
        fetches = _fetches(nest, operand, scope, sizes)
        if fetches.largest <= half_bytes:
            break
    return fetches


def _fetches(
    nest: Nest, operand: str, scope: str, sizes: Callable[[Indices, Indices], Indices]
) -> Fetches:
    generations, blocks = nest.generations(operand, scope), nest.blocks(operand)
    items = first_of_each(generations, blocks)
    if scope == "block":  # a block is the same every time: measure each once
        once, again = np.unique(blocks[items], return_index=True, return_inverse=True)[1:]
        found = sizes(items[once], np.arange(len(once)))[again]
    else:
        found = sizes(items, generations[items])
    real = found > 0  # a tile may lie in the padding
    return Fetches(scope, generations, items[real], found[real])


def output_writes(nest: Nest, formats: Formats, half_bytes: int) -> Writes:
    """Return the traffic of the outputs, in the widest scope that fits, else the narrowest."""
    for scope in nest.scopes("outputs"):
        writes = _spilling(nest, formats) if scope == "block" else _collecting(nest, formats, scope)
        if writes.largest <= half_bytes:
            break
    return writes


def held_bits(nest: Nest, formats: Formats) -> int:
    """Return the bits of an output in the scratchpad: a partial sum's where several folds of K, or
    passes, are added there.
    """
    added = formats.resumes or (nest.accumulates and nest.pieces("k") > 1)
    return formats.psum_bits if added else formats.leaving_bits


def _produced(nest: Nest, formats: Formats, generations: Indices) -> Indices:
    first = first_of_each(generations, nest.blocks("outputs"))
    produced = np.zeros(nest.items, np.int64)
    produced[first] = byte_count(nest.elements("outputs")[first], held_bits(nest, formats))
    return produced


def _collecting(nest: Nest, formats: Formats, scope: str) -> Writes:
    """Return writes of blocks that stay until their last fold, then leave."""
    generations, blocks = nest.generations("outputs", scope), nest.blocks("outputs")
    last = nest.items - 1 - first_of_each(blocks[::-1])[::-1]
    sizes = byte_count(nest.elements("outputs")[last], formats.leaving_bits)
    back = first_of_each(blocks) if formats.resumes else np.zeros(0, np.int64)
    return Writes(
        scope,
        generations,
        last,
        sizes,
        back,
        byte_count(nest.elements("outputs")[back], formats.psum_bits),
        _produced(nest, formats, generations),
        0 if formats.finishes else int(sizes.sum()),
    )


def _spilling(nest: Nest, formats: Formats) -> Writes:
    """Return writes of blocks that leave when the next one comes: after their last fold, or as
    sums that come back for a fold.
    """
    generations, elements = nest.generations("outputs", "block"), nest.elements("outputs")
    first = first_of_each(generations)
    last = np.append(first[1:], nest.items) - 1
    folded = nest.index["k"][last] == nest.pieces("k") - 1
    sizes = byte_count(elements[last], np.where(folded, formats.leaving_bits, formats.psum_bits))
    back = first[formats.resumes | (nest.index["k"][first] > 0)]
    return Writes(
        "block",
        generations,
        last,
        sizes,
        back,
        byte_count(elements[back], formats.psum_bits),
        _produced(nest, formats, generations),
        int(sizes[~(folded & formats.finishes)].sum()),
    )
