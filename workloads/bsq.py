"""BSQ: bit planes of weights are learned, and those that end up empty are stripped.

    w = step * round(sum over planes b of (p_b - n_b) 2^b)

with planes p (of positive weights) and n (of negative ones) that are real numbers kept within 0..2;
gradients go straight through the rounding. Added to the loss, per layer: planes * weights * sum
over planes of sqrt(1e-8 + sum p_b^2 + sum n_b^2), a group Lasso, all over the network's weights.
`requantise` makes planes of the rounded codes anew, with a plane more where they need it, and
strips planes that are zero everywhere: from the highest down, then from the lowest up, each of
which doubles the step.

*Source*: BSQ (Yang et al., ICLR 2021), its code (yanghr/BSQ @9f09b62, Apache-2.0), as far as
docs/how-to/trainers.md says. *Ours*: at most 7 planes (theirs: 8), since codes are int8; one plane
is left of a layer that is empty; the rate of the planes; the last epochs (`learned_step.py`).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from few_bits import MOST_MAGNITUDE_BITS, Codes, FewBits, straight_through
from torch import Tensor, nn

HIGHEST_PLANE_VALUE = 2.0
SMALLEST = 1e-8  # below the square root of the penalty: its gradient at 0 stays finite


class BitPlanes(FewBits):
    """Weights as planes; `positive`, `negative`: float32 (planes, *weights)."""

    rate: ClassVar[float] = 50.0

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        highest = (1 << MOST_MAGNITUDE_BITS) - 1
        largest = weight.abs().max().item()
        self.step = largest / highest if largest else 1.0
        self._take((weight / self.step).round().long(), MOST_MAGNITUDE_BITS)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weights that planes stand for; the layer's own are not looked at."""
        summed = self._summed()
        return self.step * straight_through(summed.round(), summed)

    def codes(self, weight: Tensor) -> Codes:
        """Return what planes round to, stripped."""
        self.requantise(weight)
        return Codes(self._summed().round().long(), self.step, self.planes)

    @property
    def planes(self) -> int:
        """How many there are."""
        return len(self.positive)

    def penalty(self, weight: Tensor) -> Tensor:
        """Return the group Lasso of the planes."""
        squares = self.positive.square().flatten(1) + self.negative.square().flatten(1)
        norms = (squares.sum(dim=1) + SMALLEST).sqrt()
        return self.planes * weight.numel() * norms.sum()

    def after_step(self) -> None:
        """Keep planes within 0..2."""
        for planes in (self.positive, self.negative):
            planes.clamp_(0, HIGHEST_PLANE_VALUE)

    def requantise(self, weight: Tensor) -> None:
        """Make planes of the codes, and strip those that are zero."""
        with torch.no_grad():
            codes, doublings, planes = stripped(self._summed().round().long())
            self.step *= 2.0**doublings
            self._take(codes, planes)

    def _summed(self) -> Tensor:
        powers = 2.0 ** torch.arange(self.planes)
        return torch.tensordot(powers, self.positive - self.negative, dims=1)

    def _take(self, codes: Tensor, planes: int) -> None:
        self.positive = nn.Parameter(_planes_of(codes.clamp(min=0), planes))
        self.negative = nn.Parameter(_planes_of((-codes).clamp(min=0), planes))


def stripped(codes: Tensor) -> tuple[Tensor, int, int]:
    """Return codes without the planes that are zero in all of them: codes, planes stripped below,
    planes left.

    codes: int64. First of all, those that have more than 7 bits saturate.
    """
    most = (1 << MOST_MAGNITUDE_BITS) - 1
    codes = codes.clamp(-most, most)
    magnitudes = codes.abs()
    if not magnitudes.any():
        return codes, 0, 1
    below = 0
    while not (magnitudes >> below & 1).any():
        below += 1
    left = int(magnitudes.max()).bit_length() - below
    return codes.sign() * (magnitudes >> below), below, left


def _planes_of(magnitudes: Tensor, planes: int) -> Tensor:
    """Return the lowest planes of int64 magnitudes, float32 (planes, *magnitudes)."""
    return torch.stack([magnitudes >> plane & 1 for plane in range(planes)]).float()
