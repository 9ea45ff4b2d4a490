"""Operands on which a design is tried, and its plain `step` run over whole products."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from sparqsim.pe.base import Array, PEDesign, Step
from sparqsim.pe.layout import arranged

KINDS = ("random", "sparse", "small", "zero", "extreme")


def modes(pe: PEDesign) -> tuple[bool, ...]:
    """Return the kinds of activations to try: unsigned, and signed where the design takes them."""
    return (False, True) if pe.signed_activations else (False,)


def dtype_of(signed: bool) -> type[np.uint8 | np.int8]:
    """Return the dtype of activations."""
    return np.int8 if signed else np.uint8


def operands(
    pe: PEDesign, shape: tuple[int, ...], kind: str, seed: int, signed: bool = False
) -> Array:
    """Return activations of one of the `KINDS`, the same for the same seed."""
    return drawn(shape, kind, np.random.default_rng([seed, pe.lanes]), np.dtype(dtype_of(signed)))


def weights(shape: tuple[int, ...], kind: str, seed: int) -> Array:
    """Return int8 weights of one of the `KINDS`."""
    return drawn(shape, kind, np.random.default_rng([seed, 99]), np.dtype(np.int8))


def drawn(
    shape: tuple[int, ...], kind: str, rng: np.random.Generator, dtype: np.dtype[np.uint8 | np.int8]
) -> Array:
    """Return random operands: half zeros if 'sparse', below 16 if 'small', ends if 'extreme'."""
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    values = rng.integers(low, high + 1, shape)
    if kind == "sparse":
        values *= rng.integers(0, 2, shape)
    elif kind == "small":
        values = rng.integers(max(low, -16), 17, shape)
    elif kind == "extreme":
        values = rng.choice([low, high], shape)
    elif kind == "zero":
        values *= 0
    return values.astype(dtype)


def narrowed(values: Array, bits: int) -> Array:
    """Return operands of `bits` bits: the top bits of each, as its type has a sign."""
    return values >> (8 - bits)


def plain_steps(pe: PEDesign, x: Array, w: Array) -> Iterator[Step]:
    """Yield every step of X (M, K) @ W (K, N), by `step` of each filter's design alone, as
    (M, N, steps).
    """
    order, signed = pe.k_order(x.shape[1]), x.dtype == np.int8
    by_row, by_col = arranged(x, order).tolist(), arranged(w.T, order).tolist()
    filters = zip(pe.of_filters(w), by_col, strict=True)
    for row, (design, col) in itertools.product(by_row, filters):
        for xs, ws in zip(row, col, strict=True):
            yield design.step(xs, ws, signed)
