"""How the roundings of one block's layers are learned: Adam on the block's output.

This module imports torch; whoever needs it imports it when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sparqsim.quantise.layered import Hold, LayeredNetwork, Unit
from sparqsim.quantise.rounding import GAMMA, UNDECIDED, ZETA, Schedule


@dataclass(frozen=True)
class Learning:
    """How blocks are learned.

    schedule; batch: pictures of a step; seed; drop: the share of inputs that are quantised while
    learning, 0 where none is; activation_bits: top bits of the layers' 8-bit codes.
    """

    schedule: Schedule
    batch: int = 32
    seed: int = 0
    drop: float = 0.0
    activation_bits: int = 8


@dataclass(frozen=True, eq=False)
class Grid:
    """A layer's weights and the codes they can have.

    weights: float32 in the module's own axes. scales: float32 (output channel,). limit: the largest
    code.
    """

    weights: Tensor
    scales: Tensor
    limit: int

    @property
    def unit(self) -> Tensor:
        """The scales, along the weights' first axis."""
        return self.scales.reshape(-1, *[1] * (self.weights.ndim - 1))

    @property
    def nearest(self) -> Tensor:
        """Codes by rounding to nearest."""
        steps = torch.round(self.weights.double() / self.unit.double())
        return steps.clamp(-self.limit, self.limit).float()


@dataclass(frozen=True, eq=False)
class LearnedUnit:
    """Codes of a block's layers, float32 in the modules' own axes, and what is told of them."""

    codes: Mapping[str, Tensor]
    facts: dict[str, Any] = field(default_factory=dict)


class Seen(NamedTuple):
    """A block's input behind quantised blocks, in the float network, and its float output."""

    taken: Tensor
    real: Tensor
    meant: Tensor


class Descent:
    """V of a block's layers and how they are learned."""

    def __init__(
        self,
        network: LayeredNetwork,
        unit: Unit,
        grids: Mapping[str, Grid],
        seen: Seen,
        learning: Learning,
    ) -> None:
        self._network, self._grids, self._seen, self._learning = network, grids, seen, learning
        self._module = network.module(unit.name)
        self._random = torch.Generator().manual_seed(learning.seed)

    def learned(self, each: Callable[[int], None]) -> LearnedUnit:
        """Return the codes by the hard rule, or to nearest where those are better."""
        schedule = self._learning.schedule
        floors = {name: torch.floor(grid.weights / grid.unit) for name, grid in self._grids.items()}
        starts = {
            name: _start_of(grid.weights / grid.unit - floors[name])
            for name, grid in self._grids.items()
        }
        vs = {name: start.requires_grad_() for name, start in starts.items()}
        adam = torch.optim.Adam(vs.values(), lr=schedule.rate)
        for step in range(schedule.steps):
            adam.zero_grad()
            self._loss(vs, floors, schedule.beta(step)).backward()  # type: ignore[no-untyped-call]
            adam.step()
            each(step + 1)
        return self._decided({name: v.detach() for name, v in vs.items()}, floors)

    def _loss(
        self, vs: Mapping[str, Tensor], floors: Mapping[str, Tensor], beta: float | None
    ) -> Tensor:
        hs = {name: _rectified(v) for name, v in vs.items()}
        codes = {name: floors[name] + h for name, h in hs.items()}
        count = len(self._seen.meant)
        drawn = torch.randperm(count, generator=self._random)[: self._learning.batch]
        loss = self._output_error(codes, drawn, self._dropping)
        if beta is not None:
            drawing = sum((1 - (2 * h - 1).abs() ** beta).sum() for h in hs.values())
            loss = loss + self._learning.schedule.weight * drawing
        return loss

    def error(self, codes: Mapping[str, Tensor]) -> float:
        """Return the mean squared output error on all calibration pictures."""
        total = 0.0
        with torch.no_grad():
            for part in torch.split(torch.arange(len(self._seen.meant)), self._learning.batch):
                total += float(self._output_error(codes, part, self._holding)) * len(part)
        return total / len(self._seen.meant)

    def _output_error(self, codes: Mapping[str, Tensor], pictures: Tensor, hold: Hold) -> Tensor:
        """Return the mean over pixels of the squared output error, summed over channels."""
        before = self._network.weights
        self._network.weights = before | {
            name: codes[name].clamp(-grid.limit, grid.limit) * grid.unit
            for name, grid in self._grids.items()
        }
        try:
            with self._network.holding(hold):
                output: Tensor = self._module(hold("", pictures))
        finally:
            self._network.weights = before
        return (output - self._seen.meant[pictures]).square().sum(dim=1).mean()

    def _holding(self, name: str, x: Tensor) -> Tensor:
        """Return what a layer takes afterwards; the block's own input where the name is empty."""
        if not name:
            return self._seen.taken[x]
        return self._network.coded(name, x, self._learning.activation_bits)

    def _dropping(self, name: str, x: Tensor) -> Tensor:
        """Return what a layer takes while learning: in part as in the float network."""
        drop = self._learning.drop
        if not name:
            taken = self._seen.taken[x]
            return self._mixed(taken, self._seen.real[x]) if drop else taken
        if not drop:
            return x
        return self._mixed(self._network.coded(name, x, self._learning.activation_bits), x)

    def _mixed(self, quantised: Tensor, real: Tensor) -> Tensor:
        chosen = torch.rand(quantised.shape, generator=self._random) < self._learning.drop
        return torch.where(chosen, quantised, real)

    def _decided(self, vs: Mapping[str, Tensor], floors: Mapping[str, Tensor]) -> LearnedUnit:
        nearest = {name: grid.nearest for name, grid in self._grids.items()}
        codes = {
            name: (floors[name] + (v >= 0)).clamp(-self._grids[name].limit, self._grids[name].limit)
            for name, v in vs.items()
        }
        error, error_nearest = self.error(codes), self.error(nearest)
        hs = torch.cat([_rectified(v).flatten() for v in vs.values()])
        undecided = ((hs > UNDECIDED[0]) & (hs < UNDECIDED[1])).double().mean()
        facts = {
            "layers": list(codes),
            "pictures": len(self._seen.meant),
            "output_error": min(error, error_nearest),
            "output_error_nearest": error_nearest,
            "kept_nearest": error > error_nearest,
            "undecided_share": float(undecided),
        }
        return LearnedUnit(nearest if error > error_nearest else codes, facts)


def _rectified(v: Tensor) -> Tensor:
    return torch.clamp((ZETA - GAMMA) * torch.sigmoid(v) + GAMMA, 0, 1)


def _start_of(fraction: Tensor) -> Tensor:
    return -torch.log((ZETA - GAMMA) / (fraction - GAMMA) - 1)
