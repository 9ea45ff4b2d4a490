"""What a transform must give, and how it changes a tensor without holding it.

A transform is one frozen dataclass in one file of this folder, in a file named `FILE.py:CLASS`, or
an entry point of the group `sparqsim.transform`. Its fields are its keys (`sparqsim.base.keys`):
`NAME:key=value`.

`apply` takes a layer and returns one of the same shapes and dtypes, with other weights, activations
or scales, and `facts`: what it did, for the trace's provenance. Traces can be larger than memory,
so a transform reads blocks (`TensorSource.blocks`), and what it returns is read block by block,
too: `mapped` is for a rule that changes each value by itself. It changes nothing that it was given.
A layer that it leaves alone is returned as it is, with a fact that says why.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from sparqsim.base.keys import spec_of
from sparqsim.trace.layer import Layer
from sparqsim.trace.source import TensorSource

Array = NDArray[Any]


@dataclass(frozen=True)
class Transformed:
    """A layer as a transform leaves it, and what was done to it, as JSON values."""

    layer: Layer
    facts: dict[str, JsonValue] = field(default_factory=dict)


class Transform(ABC):
    """What is done to every layer of a trace; the module's docstring says what it must keep."""

    #: What the user names it by.
    name: ClassVar[str]

    @property
    def spec(self) -> str:
        """The transform's name with every key that is not at its default."""
        return spec_of(self)

    @abstractmethod
    def apply(self, layer: Layer) -> Transformed:
        """Return the changed layer.

        Raises
        ------
        InputError
            For a layer that it cannot change, naming it.
        """


def mapped(source: TensorSource, change: Callable[[Array], Array]) -> TensorSource:
    """Return a tensor whose values are changed one by one when they are read.

    Parameters
    ----------
    source : TensorSource
    change : callable
        Takes an array of any shape and returns one of the same shape; the dtype stays the source's.
    """

    def read(part: tuple[slice, ...]) -> Array:
        return np.asarray(change(source.read(part)), source.dtype)

    return TensorSource(source.shape, source.dtype, read)
