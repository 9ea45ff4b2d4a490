"""What toggles in the PEs of an output-stationary lockstep array: names, meaning, the definition.

A PE of a tile starts from zeros (what lies on the links before the tile's first step), meets its
steps one after another, and ends in zeros. Between two cycles it counts what changes. Cycles in
which it waits change nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from sparqsim.cost.paths.base import Cycle, DataPath, Port
from sparqsim.pe.base import Array, PEDesign


@dataclass(frozen=True)
class Toggles:
    """What changed in all PEs and edge units between successive cycles, padded ones included.

    activation_bits, weight_bits: bits of the operands' registers that toggled. products_activation,
    products_weight, products_both: bits of partial products (a bit of a multiplier's activation and
    a bit of its weight) that toggled, because of the activation alone, of the weight alone, of
    both. signs: multipliers whose product became negative, or ceased to be. products: multipliers x
    cycles with a product other than zero; new_products: those whose cycle before had none.
    product_bits: bits of the magnitudes of both operands of `products`. live_outputs: outputs of
    tiles whose row has activations other than zeros, and whose column has such weights: a sum
    begins and another one goes. drain_moves: PEs that those sums go through, down to the last row.
    edge_raw_bits, edge_used_bits: bits of activations that toggled at the inputs of the rows' edge
    units, and in their registers; 0 where a design has no such units.
    """

    activation_bits: int = 0
    weight_bits: int = 0
    products_activation: int = 0
    products_weight: int = 0
    products_both: int = 0
    signs: int = 0
    products: int = 0
    new_products: int = 0
    product_bits: int = 0
    live_outputs: int = 0
    drain_moves: int = 0
    edge_raw_bits: int = 0
    edge_used_bits: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(*(one + two for one, two in zip(self.all, other.all, strict=True)))

    @property
    def all(self) -> tuple[int, ...]:
        """The counts, in the order of the fields."""
        return tuple(getattr(self, each.name) for each in fields(self))


@dataclass(frozen=True)
class State:
    """A PE in a cycle: the activation's register, its multipliers' ports, its lanes' weights."""

    word: int
    ports: tuple[Port, ...]
    weights: tuple[int, ...]

    @classmethod
    def of(cls, cycle: Cycle, weights: Sequence[int]) -> State:
        """Return the state of a cycle."""
        return cls(cycle.word, cycle.ports, tuple(weights))


def defined_toggles(
    path: DataPath, design: Any, x: Array, w: Array, rows: int = 1, cols: int = 1
) -> Toggles:
    """Return what toggles in an array of rows x cols PEs, PE by PE and step by step.

    Parameters
    ----------
    path : DataPath
    design : PEDesign
    x : uint8 or int8 (M, K)
    w : int8 (K, N)
    """
    order = design.k_order(x.shape[1])
    padded_x = np.pad(x, ((0, -len(x) % rows), (0, 1)))[:, order].tolist()
    padded_w = np.pad(w, ((0, 1), (0, -w.shape[1] % cols)))[order].transpose(2, 0, 1).tolist()
    total = Toggles()
    for at, xs in enumerate(padded_x):
        for col, ws in enumerate(padded_w):
            states = list(_states(path, design, xs, ws, signed=x.dtype == np.int8))
            for before, now in itertools.pairwise(states):
                total += between(before, now, path.weight_bits(design))
            live_row = any(each.word != states[0].word for each in states)
            live = live_row and any(any(each.weights) for each in states)
            below = rows - 1 - at % rows
            total += Toggles(live_outputs=int(live), drain_moves=live * below)
            if path.edge_unit and col % cols == 0:
                total += _of_edge(path, design, xs)
    return total


def _of_edge(path: DataPath, design: PEDesign, xs: Sequence[Sequence[int]]) -> Toggles:
    """Return what toggles at a row's edge while a tile goes by."""
    zeros = (0,) * design.lanes
    total = Toggles()
    for before, now in itertools.pairwise([zeros, *map(tuple, xs), zeros]):
        raw = path.raw_word(design, before) ^ path.raw_word(design, now)
        used = _used_word(path, design, before) ^ _used_word(path, design, now)
        total += Toggles(edge_raw_bits=raw.bit_count(), edge_used_bits=used.bit_count())
    return total


def _states(
    path: DataPath,
    design: PEDesign,
    xs: Sequence[Sequence[int]],
    ws: Sequence[Sequence[int]],
    *,
    signed: bool,
) -> Iterator[State]:
    zeros = (0,) * design.lanes
    (resting,) = path.cycles(design, zeros)
    yield State.of(resting, zeros)
    for of_x, of_w in zip(xs, ws, strict=True):
        weights = [path.weight(design, w) for w in of_w]
        for cycle in path.cycles(design, of_x, signed=signed):
            yield State.of(cycle, weights)
    yield State.of(resting, zeros)


def _used_word(path: DataPath, design: PEDesign, xs: Sequence[int]) -> int:
    return path.cycles(design, xs)[0].word


def between(before: State, now: State, weight_bits: int) -> Toggles:
    """Return what toggles from one cycle to the next."""
    mask = (1 << weight_bits) - 1
    weights = sum(
        ((old ^ new) & mask).bit_count()
        for old, new in zip(before.weights, now.weights, strict=True)
    )
    total = Toggles((before.word ^ now.word).bit_count(), weights)
    for old, new in zip(before.ports, now.ports, strict=True):
        old_weight, new_weight = before.weights[old.lane], now.weights[new.lane]
        total += _of_multiplier(old.activation, new.activation, old_weight, new_weight, mask)
    return total


def _of_multiplier(old_x: int, new_x: int, old_w: int, new_w: int, mask: int) -> Toggles:
    by_activation = by_weight = by_both = 0
    for x_bit in range(8):
        for w_bit in range(mask.bit_length()):
            x = old_x >> x_bit & 1, new_x >> x_bit & 1
            w = (old_w & mask) >> w_bit & 1, (new_w & mask) >> w_bit & 1
            if x[0] & w[0] != x[1] & w[1]:
                by_activation += w[0] == w[1]
                by_weight += x[0] == x[1]
                by_both += x[0] != x[1] and w[0] != w[1]
    old, new = old_x * old_w, new_x * new_w
    return Toggles(
        products_activation=by_activation,
        products_weight=by_weight,
        products_both=by_both,
        signs=int((old < 0) != (new < 0)),
        products=int(new != 0),
        new_products=int(old == 0 and new != 0),
        product_bits=(new_x.bit_length() + abs(new_w).bit_length()) * (new != 0),
    )
