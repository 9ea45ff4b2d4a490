"""What a weight quantiser gives for a layer: integer codes and a scale for each row of them.

    w[c] ~ sum of scales[r] * codes[r] over the rows r of output channel c

Nearly always a channel has one row. A method that approximates a channel by several vectors of few
bits gives several: each is a column of the array of its own, and the channel's output is the sum of
its columns, each brought to real units by its own scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.quantise.codes import float32, symmetric_codes

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class QuantisedWeights:
    """Weights of a layer as integers around 0.

    codes: int8 (row, kernel position, input channel of the group), within -2^(bits-1) and
    2^(bits-1) - 1. scales: float32 (row,), finite and above 0. bits: 2 to 8. channels: int64
    (row,), each row's output channel, ascending and each at least once; None where row r is channel
    r.
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    bits: int
    channels: NDArray[np.int64] | None = None

    @classmethod
    def at_scales(cls, weights: Array, scales: Array, bits: int) -> QuantisedWeights:
        """Return real weights (output channel, ...) at the nearest codes for given scales.

        The rule of `sparqsim.quantise.codes`: half to even, saturated to +-(2^(bits - 1) - 1).
        """
        scales = float32(scales)
        return cls(symmetric_codes(weights, scales, bits), scales, bits)

    @property
    def row_channels(self) -> NDArray[np.int64]:
        """The output channel of each row, int64 (row,)."""
        return np.arange(len(self.codes)) if self.channels is None else self.channels

    @property
    def real(self) -> NDArray[np.float32]:
        """The real weights that the codes stand for, float32 (output channel, ...).

        Codes times scales, rounded to float32 once, where a channel has one row; else their sum in
        float64, rounded once.
        """
        along_rows = self.scales.reshape(-1, *[1] * (self.codes.ndim - 1))
        if self.channels is None:
            return self.codes * along_rows
        rows = self.codes * along_rows.astype(np.float64)
        starts = np.flatnonzero(np.diff(self.channels, prepend=-1))
        return np.add.reduceat(rows, starts, axis=0).astype(np.float32)
