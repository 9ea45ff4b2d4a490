"""Where a tensor comes from: memory or a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
