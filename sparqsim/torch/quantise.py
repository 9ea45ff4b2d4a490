"""Real values to 8-bit integers and back: rounded half to even, zero exact."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparqsim.errors import InputError


@dataclass(frozen=True)
class Quantiser:
    """An 8-bit code: real = integer * scale, integers 0..255 or, signed, -127..127.

    Raises
    ------
    InputError
        When used on NaN or infinite values.
    """

    scale: float
    signed: bool

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and the highest integer."""
        return (-127, 127) if self.signed else (0, 255)

    def integers(self, x: Tensor) -> tuple[Tensor, int]:
        """Return x as integers, uint8 or int8, and how many values lay outside the code's range.

        A value is outside if rounding alone would put it there.
        """
        lowest, highest = (float(value) for value in torch.aminmax(x))
        if not abs(lowest) + abs(highest) < float("inf"):  # NaN compares false too
            raise InputError("activations hold NaN or infinite values, expected finite ones")
        steps = torch.round(x.double() / self.scale)
        bottom, top = self.limits
        clipped = 0
        if round(lowest / self.scale) < bottom or round(highest / self.scale) > top:
            clipped = int(((steps < bottom) | (steps > top)).sum())
        return steps.clamp_(bottom, top).to(torch.int8 if self.signed else torch.uint8), clipped


def quantise_weights(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights (output channels, ...) as int8, symmetric, and their scales, float64, one per output channel.

    scale = 2 max|w| / 255, integers -128..127. Source: SPARQ (the authors' code).

    Raises
    ------
    InputError
        For NaN or infinite weights.
    """
    if not weight.isfinite().all():
        raise InputError("weights hold NaN or infinite values, expected finite ones")
    largest = weight.double().flatten(1).abs().amax(dim=1)
    # A channel of zeros would have scale 0; any positive scale represents it exactly.
    scales = torch.where(largest > 0, 2 * largest / 255, torch.ones_like(largest))
    steps = torch.round(weight.double() / scales.reshape(-1, *[1] * (weight.ndim - 1)))
    return steps.clamp(-128, 127).to(torch.int8), scales
