"""Stored activations in blocks of an MX format, the fast form: there are 256 codes, and as many
exponents of a block as codes have of their own, so both are looked up.

The definition is `quantised` of the format, of real values: the tables are made by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array
from sparqsim.quantise.mx import BLOCK, MxFormat


def every_code(kind: type[np.uint8 | np.int8]) -> NDArray[np.float64]:
    """Return the value of each byte, float64 (256,)."""
    return np.arange(256, dtype=np.uint8).view(kind).astype(np.float64)


@dataclass(frozen=True)
class MxCodes:
    """What becomes of the codes of a layer, indexed by a code's byte.

    ranks: uint8 (256,), of the exponent that a block has whose largest value is the code's; 0 of a
    code for 0. values: int32 (ranks, 256), element times two to the block's exponent over `least`,
    in the format's unit, in a block whose exponent has the rank.
    """

    ranks: NDArray[np.uint8]
    values: NDArray[np.int32]

    @classmethod
    def of(cls, format_: MxFormat, real: NDArray[np.float64], least: int) -> MxCodes:
        """Make the tables.

        Parameters
        ----------
        format_ : MxFormat
        real : float64 (256,)
            Real value of each byte.
        least : int
            The least exponent of a block that is not all zeros.
        """
        _, of_codes = format_.quantised(real[:, None])
        own = np.where(real == 0, least, of_codes[:, 0])
        exponents, ranks = np.unique(np.append(own, least), return_inverse=True)
        elements = [format_.elements(np.ldexp(real, -exponent)) for exponent in exponents]
        values = [
            each << (exponent - least) for each, exponent in zip(elements, exponents, strict=True)
        ]
        return cls(ranks[:-1].astype(np.uint8), np.stack(values).astype(np.int32))

    def of_rows(self, x: Array) -> NDArray[np.int32]:
        """Return stored activations, 8-bit (..., K), as values over the least unit."""
        k = x.shape[-1]
        codes = np.ascontiguousarray(x).view(np.uint8)
        ranks = self.ranks[codes]
        if k % BLOCK:
            ranks = np.pad(ranks, [(0, 0)] * (x.ndim - 1) + [(0, -k % BLOCK)])
        of_blocks = ranks.reshape(*ranks.shape[:-1], -1, BLOCK).max(axis=-1)
        rows_of_table = np.repeat(of_blocks.astype(np.uint16) << 8, BLOCK, axis=-1)[..., :k]
        found: NDArray[np.int32] = self.values.ravel().take(rows_of_table | codes)
        return found
