"""DropBits, **a reconstruction**: a gate on each bit below the first says whether weights have it.

    w = w_1 + z_2 (w_2 - w_1) + z_2 z_3 (w_3 - w_2) + ...

with w_k the weights rounded to k bits of magnitude (steps halve with each), and z_k the gates of a
layer, drawn in training as hard concrete variables. Added to the loss, per layer: weights * sum
over k of the probability that bit k is there, all over the network's weights. In the end a layer
has the bits up to the first gate that is more likely shut.

*Source*: CPQ and DropBits (ICCV 2021) could be read in the abstract only. From it: bits are dropped
at random in training, and a term of the loss learns how many each layer has. *Assumed by us*: all
else: gates per layer, each needing those above it; hard concrete variables, their constants and
penalty; rounding with gradients straight through in the place of a categorical distribution over
grid points with a multi-class straight-through estimator; the last epochs (`learned_step.py`).
"""

from __future__ import annotations

import math

import torch
from few_bits import MOST_MAGNITUDE_BITS, Codes, FewBits, straight_through
from torch import Tensor, nn

#: Temperature and limits of hard concrete variables, and where gates start.
TEMPERATURE, LOW, HIGH, START = 2 / 3, -0.1, 1.1, 2.0


class BitGates(FewBits):
    """Weights of 1 to 7 bits of magnitude; `gate`: float32 (6,), log odds of bits 2 to 7."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        largest = weight.abs().max().item()
        #: Of a code with one bit of magnitude; with k bits it is 2^(1 - k) of that.
        self.coarsest = (largest or 1.0) / 2 / (1 - 2.0**-MOST_MAGNITUDE_BITS)
        self.gate = nn.Parameter(torch.full((MOST_MAGNITUDE_BITS - 1,), START))

    def forward(self, weight: Tensor) -> Tensor:
        """Return weights with the bits that gates leave, drawn anew where it is in training."""
        gates = torch.cumprod(self._drawn() if self.training else self._likely(), dim=0)
        held = [self._rounded(weight, bits) for bits in range(1, MOST_MAGNITUDE_BITS + 1)]
        made = held[0]
        for gate, fine, coarse in zip(gates, held[1:], held, strict=False):
            made = made + gate * (fine - coarse)
        return straight_through(made.detach(), weight) + (made - made.detach())

    def penalty(self, weight: Tensor) -> Tensor:
        """Return weights times the bits that they are expected to have beside the first."""
        return weight.numel() * torch.cumprod(self.open, dim=0).sum()

    def codes(self, weight: Tensor) -> Codes:
        """Return the codes with the bits up to the first gate that is more likely shut."""
        bits = 1 + int(torch.cumprod(self._likely(), dim=0).sum())
        step = self._step(bits)
        highest = (1 << bits) - 1
        return Codes((weight / step).round().clamp(-highest, highest).long(), step, bits)

    @property
    def open(self) -> Tensor:
        """The probability that each gate is not shut, float32 (6,)."""
        return torch.sigmoid(self.gate - TEMPERATURE * math.log(-LOW / HIGH))

    def _likely(self) -> Tensor:
        return (self.open > 0.5).float()

    def _drawn(self) -> Tensor:
        noise = torch.rand_like(self.gate).clamp(1e-6, 1 - 1e-6)
        drawn = torch.sigmoid((noise.logit() + self.gate) / TEMPERATURE)
        return (drawn * (HIGH - LOW) + LOW).clamp(0, 1)

    def _step(self, bits: int) -> float:
        return self.coarsest * 2.0 ** (1 - bits)

    def _rounded(self, weight: Tensor, bits: int) -> Tensor:
        """Return weights rounded to bits of magnitude: numbers, no gradient."""
        step, highest = self._step(bits), (1 << bits) - 1
        return (weight.detach() / step).round().clamp(-highest, highest) * step
