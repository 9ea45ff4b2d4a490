"""Real tensors to 8-bit integers, by the one rule of `sparqsim.quantise.codes`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sparqsim.base.errors import InputError
from sparqsim.networks.torch.integer import as_float32
from sparqsim.quantise.codes import WeightCodes, quantise


@dataclass(frozen=True)
class Quantiser:
    """An 8-bit code: real = integer * scale, integers 0..255 or, signed, -127..127."""

    scale: float
    signed: bool

    def integers(self, x: Tensor) -> tuple[Tensor, int]:
        """Return x as integers, uint8 or int8, and how many values lay outside the code's range.

        Raises
        ------
        InputError
            For NaN or infinite values.
        """
        values = as_float32(x)
        if not np.isfinite(values).all():
            raise InputError("activations hold NaN or infinite values, expected finite ones")
        quantised = quantise(values, self.scale, self.signed)
        return torch.from_numpy(quantised.codes), quantised.clipped


def quantise_weights(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights (output channels, ...) as int8 and their scales, float64 (output channels,).

    See `WeightCodes.of_real`; raises InputError for NaN or infinite weights.
    """
    weights = WeightCodes.of_real(as_float32(weight))
    return torch.from_numpy(weights.codes), torch.from_numpy(weights.scales)
