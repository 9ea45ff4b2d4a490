"""Codes where a network has none: scales found on what layers take, and values brought to them."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.quantise.codes import ActivationCodes, Quantised, quantise
from sparqsim.quantise.observers import Observer
from sparqsim.quantise.recipe import Recipe

Array = NDArray[Any]


class Observations:
    """What a calibrator sees of every operand that has no codes yet, batch by batch.

    Parameters
    ----------
    recipe : Recipe, or the name of a calibrator
        Says each layer's calibrator.
    """

    def __init__(self, recipe: Recipe | str) -> None:
        self._recipe = (
            Recipe.stated(None, activations=recipe) if isinstance(recipe, str) else recipe
        )
        self._observers: dict[Hashable, Observer] = {}
        self._second: set[Hashable] = set()
        self._first_seen = hashlib.sha256()

    def __len__(self) -> int:
        return len(self._observers)

    def see(self, key: Hashable, layer: str, values: Array, *, second: bool = False) -> None:
        """Look at one batch of an operand, float32.

        Parameters
        ----------
        key : hashable
            Names the operand.
        layer : str
            Named in errors.
        values : float32 (batch, ...)
        second : bool
            Whether it takes the weights' place, which is int8.

        Raises
        ------
        InputError
            For NaN or infinite values, naming the layer.
        """
        if key not in self._observers:
            chosen = self._recipe.calibrator(layer)
            self._observers[key] = chosen.observer(True if second else None)
            self._second |= {key} if second else set()
        if key == next(iter(self._observers)):
            self._first_seen.update(np.ascontiguousarray(values).tobytes())
        with naming(layer):
            self._observers[key].update(values)

    @property
    def sha256(self) -> str:
        """Of what the first operand was, float32, batch after batch: it identifies the data."""
        return self._first_seen.hexdigest()

    def codes(self) -> dict[Any, ActivationCodes]:
        """Return how each operand is stored: what takes the weights' place by the bits of keys and
        values.
        """
        return {
            key: ActivationCodes(observer.scale(), 0, observer.signed).narrowed(
                self._recipe.kv_bits if key in self._second else 8
            )
            for key, observer in self._observers.items()
        }

    def lowest(self, key: Hashable) -> float:
        """Return the smallest value seen of an operand, at most 0."""
        return self._observers[key].lowest


def coded(values: Array, codes: ActivationCodes) -> Quantised:
    """Return real values as codes, by the one rule of `sparqsim.quantise.codes`.

    Raises
    ------
    InputError
        For NaN or infinite values.
    """
    check_finite(values)
    return quantise(values, codes.scale, codes.signed, codes.bits)


def check_finite(values: Array) -> None:
    """Raise InputError for activations that are NaN or infinite."""
    if not np.isfinite(values).all():
        raise InputError("activations hold NaN or infinite values, expected finite ones")


@contextmanager
def naming(layer: str) -> Iterator[None]:
    """Put the layer's name before the message of any InputError."""
    try:
        yield
    except InputError as error:
        raise InputError(f"layer {layer!r}: {error}") from None
