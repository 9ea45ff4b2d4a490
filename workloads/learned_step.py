"""Weights at a fixed number of bits, with a step that is learned: what uniform networks and the
last epochs of BSQ and DropBits have.

    code = round-half-even(w / step), saturated to +-(2^bits - 1)

One step per layer; its logarithm is learned. It starts as the best of STEPS_TRIED even parts of the
first one that saturates nothing, by squared error. *Source*: ours, after the common practice of
learned steps; its gradient is divided by sqrt(weights * highest code).
"""

from __future__ import annotations

import math

import torch
from few_bits import Codes, FewBits, straight_through
from torch import Tensor, nn

STEPS_TRIED = 40


class LearnedStep(FewBits):
    """Weights of `magnitude_bits` bits and a sign; `step`: the first one, None: the best."""

    def __init__(self, weight: Tensor, magnitude_bits: int, step: float | None = None) -> None:
        super().__init__()
        self.magnitude_bits = magnitude_bits
        self.highest = (1 << magnitude_bits) - 1
        first = best_step(weight, self.highest) if step is None else step
        self.log_step = nn.Parameter(torch.tensor(math.log(first)))
        self.share = 1 / math.sqrt(weight.numel() * self.highest)

    def forward(self, weight: Tensor) -> Tensor:
        """Return codes times the step."""
        log_step = straight_through(self.log_step, self.log_step * self.share)
        step = log_step.exp()
        inside = (weight / step).clamp(-self.highest, self.highest)
        return step * straight_through(inside.round(), inside)

    def codes(self, weight: Tensor) -> Codes:
        """Return the codes."""
        step = self.log_step.exp()
        values = (weight / step).clamp(-self.highest, self.highest).round().long()
        return Codes(values, step.item(), self.magnitude_bits)


def best_step(weight: Tensor, highest: int) -> float:
    """Return the step of least squared error, of those tried; 1 for weights that are all 0."""
    largest = weight.abs().max().item() / highest
    if largest == 0:
        return 1.0
    tried = [largest * part / STEPS_TRIED for part in range(1, STEPS_TRIED + 1)]

    def error(step: float) -> float:
        held = (weight / step).round().clamp(-highest, highest) * step
        return (held - weight).square().sum().item()

    return min(tried, key=error)
