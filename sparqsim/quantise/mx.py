"""OCP Microscaling (MX): blocks of 32 values that share an exponent.

    e = floor(log2(max|x|)) - largest exponent of the element;   x ~ element * 2^e

Elements are rounded to nearest, half away from zero, and clamped to the largest normal one. A block
of zeros stays one. Shared exponents lie in -127 .. 127, lower ones clamp.

| format | element | largest exponent | largest |
|---|---|---|---|
| `MXINT8` | sign and magnitude, 1.xxxxxx: steps of 1/64 | 0 | 127/64 |
| `MXFP4` | e2m1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 | 2 | 6 |

*Source*: OCP Microscaling Formats 1.0, as microxcaling (MIT) has it with `round="nearest"`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: Values along K that share an exponent.
BLOCK: Final = 32
LOWEST_EXPONENT: Final = -127


@dataclass(frozen=True)
class MxFormat:
    """Elements of a format.

    unit_bits: elements are integers times 2^-unit_bits. mantissa_bits: behind the leading one.
    lowest_exponent, largest_exponent: of a normal element. largest: element, in units.
    """

    unit_bits: int
    mantissa_bits: int
    lowest_exponent: int
    largest_exponent: int
    largest: int

    def elements(self, scaled: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return values over their block's power of two as elements, in units of 2^-unit_bits."""
        _, exponents = np.frexp(np.abs(scaled))  # scaled = 0.5..1 * 2^exponent
        of_value = np.maximum(exponents - 1, self.lowest_exponent)
        step_bits = of_value - self.mantissa_bits
        steps = np.floor(np.ldexp(np.abs(scaled), -step_bits) + 0.5)
        magnitudes = np.ldexp(steps, step_bits + self.unit_bits).astype(np.int64)
        held = np.minimum(magnitudes, self.largest)
        elements: NDArray[np.int64] = np.where(scaled < 0, -held, held)
        return elements

    def quantised(self, values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return real values (..., K), blocks along the last axis, as elements and exponents.

        Returns
        -------
        elements : int64 (..., K), in units of 2^-unit_bits
        exponents : int64 (..., K), of each value's block; 0 for a block of zeros
        """
        k = values.shape[-1]
        whole_blocks = [(0, 0)] * (values.ndim - 1) + [(0, -k % BLOCK)]
        padded = np.pad(values, whole_blocks)
        blocks = padded.reshape(*values.shape[:-1], -1, BLOCK)
        shared = self._shared_exponents(blocks)
        elements = self.elements(np.ldexp(blocks, -shared))
        exponents = np.broadcast_to(shared, blocks.shape)
        return elements.reshape(padded.shape)[..., :k], exponents.reshape(padded.shape)[..., :k]

    def _shared_exponents(self, blocks: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the exponents (..., blocks, 1) that elements of each block share."""
        largest = np.abs(blocks).max(axis=-1, keepdims=True)
        _, exponents = np.frexp(largest)
        shared = np.maximum(exponents - 1 - self.largest_exponent, LOWEST_EXPONENT)
        return np.where(largest > 0, shared, 0)


MXINT8: Final = MxFormat(6, 6, 0, 0, 127)
MXFP4: Final = MxFormat(1, 1, 0, 2, 12)
