"""The tensors of a layer in the file of a quantised network, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError, shown
from sparqsim.networks.saved_document import LARGEST_SCALE
from sparqsim.quantise.codes import WeightCodes
from sparqsim.trace.codebits import CodeRange

Array = NDArray[Any]

#: What each tensor of a layer holds.
DTYPES: Mapping[str, type[np.generic]] = {
    "weights": np.int8,
    "weight_scales": np.float64,
    "weight_zero_points": np.int64,
    "column_channels": np.int64,
    "bias": np.float32,
}


@dataclass(frozen=True)
class LayerTensors:
    """The tensors of one layer; `place`: the file and the layer, for messages."""

    place: str
    tensors: Mapping[str, Array]

    def columns(self, shape: tuple[int, ...]) -> NDArray[np.int64] | None:
        """Return each column's output channel, None where column n is channel n.

        `shape`: (output channel, kernel position, input channel of the group).
        """
        if "column_channels" not in self.tensors:
            return None
        count = len(self.tensors["column_channels"].reshape(-1))
        columns = self._tensor("column_channels", (count,))
        steps = np.diff(columns, prepend=-1)
        ends = count > 0 and columns[-1] == shape[0] - 1
        if not ends or steps.min() < 0 or steps.max() > 1 or columns[0] != 0:
            raise InputError(
                f"{self.place}: column_channels are {shown(columns.tolist())}, expected each of "
                f"{shape[0]} output channels, ascending"
            )
        return columns

    def weights(
        self, shape: tuple[int, ...], columns: NDArray[np.int64] | None, bits: int
    ) -> WeightCodes:
        """Return the weights, a row for each column."""
        count = shape[0] if columns is None else len(columns)
        codes = self._tensor("weights", (count, *shape[1:]))
        CodeRange.of(bits, signed=True).check(codes, f"{self.place}: weights")
        scales = self._tensor("weight_scales", (count,))
        if not ((scales >= 0) & (scales <= LARGEST_SCALE)).all():
            raise InputError(
                f"{self.place}: weight_scales hold NaN, infinite or negative numbers, or some that "
                f"are too large; expected 0 to {LARGEST_SCALE:g}"
            )
        points = np.zeros(count, np.int64)
        if "weight_zero_points" in self.tensors:
            points = self._tensor("weight_zero_points", (count,))
            if points.min() < -128 or points.max() > 128:
                raise InputError(f"{self.place}: weight_zero_points are beyond codes of a byte")
        return WeightCodes(codes, scales, points, bits)

    def bias(self, channels: int) -> NDArray[np.float32] | None:
        """Return the bias, None where there is none."""
        if "bias" not in self.tensors:
            return None
        bias = self._tensor("bias", (channels,))
        if not np.isfinite(bias).all():
            raise InputError(f"{self.place}: bias holds NaN or infinite values, expected numbers")
        return bias

    def _tensor(self, what: str, shape: tuple[int, ...]) -> Array:
        if what not in self.tensors:
            raise InputError(f"{self.place}: tensor {what!r} is missing")
        values = self.tensors[what]
        if values.shape != shape or values.dtype != DTYPES[what]:
            raise InputError(
                f"{self.place}: {what} are {values.dtype} {values.shape}, expected "
                f"{np.dtype(DTYPES[what])} {shape}"
            )
        return values
