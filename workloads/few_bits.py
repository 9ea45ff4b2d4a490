"""What learns a network's weights at few bits: the part that every trainer shares.

A trainer puts a `FewBits` on the weights of each layer (convolutions and the classifier alike). In
training the layer multiplies what `FewBits.forward` makes of its weights; afterwards `codes` are
the integers that it multiplied. Gradients go straight through rounding. Batch normalisation stays
as it is, in float, and is folded into the scales of the codes afterwards
(`trained_network.py`). Activations are float in training, and get 8 bits afterwards.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from digits_network import BATCH, Digits, Network, shifted, show_progress
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

#: Bits of a code's magnitude, at most: codes are int8, one bit of which is the sign.
MOST_MAGNITUDE_BITS = 7
MOMENTUM, WEIGHT_DECAY, GATE_RATE = 0.9, 1e-4, 0.03


@dataclass(frozen=True)
class Codes:
    """Weights as integers: int64 `values`, shaped as the weights, times `step`, real units.

    magnitude_bits: of their magnitudes, 1 to 7; with the sign a weight has one more.
    """

    values: Tensor
    step: float
    magnitude_bits: int

    @property
    def real(self) -> Tensor:
        """The weights, float32."""
        return (self.values.double() * self.step).float()

    @property
    def weight_bits(self) -> int:
        """Bits of a weight, its sign included."""
        return self.magnitude_bits + 1


class FewBits(nn.Module, ABC):
    """A layer's weights while they are learned; `rate`: of its own parameters, over the network's.

    Parameters that end on `gate` are learned by Adam.
    """

    rate: ClassVar[float] = 1.0

    @abstractmethod
    def forward(self, weight: Tensor) -> Tensor:
        """Return what the layer multiplies, of real weights."""

    @abstractmethod
    def codes(self, weight: Tensor) -> Codes:
        """Return the integers that it ends with."""

    def penalty(self, weight: Tensor) -> Tensor:
        """Return what is added to the loss, before it is divided by the network's weights."""
        return weight.new_zeros(())

    def after_step(self) -> None:
        """Bring parameters back into their range."""

    def requantise(self, weight: Tensor) -> None:
        """Take another number of bits; parameters may be others afterwards."""


@dataclass(frozen=True)
class Plan:
    """How a network is learned at few bits.

    epochs: passes over the training split. rate: of SGD, falling to 0 along a cosine. penalty: its
    weight in the loss. every: epochs between two `requantise`, 0 for never.
    """

    epochs: int
    rate: float = 0.02
    penalty: float = 0.0
    every: int = 0


def weighted(network: Network) -> dict[str, nn.Module]:
    """Return the modules with weights, by the names that layers have in traces."""
    found = {}
    for name in network.names:
        module = network.layer(name)
        found[name] = module if isinstance(module, nn.Linear) else module[0]
    return found


def put_on(network: Network, make: Callable[[str, Tensor], FewBits]) -> dict[str, FewBits]:
    """Put what `make(layer, real weights)` returns on the weights of every layer."""
    held = {}
    for name, module in weighted(network).items():
        held[name] = make(name, module.weight.detach())
        parametrize.register_parametrization(module, "weight", held[name])
    return held


def taken_off(network: Network) -> dict[str, Codes]:
    """Take a trainer off a network, whose weights become those that it multiplied; return its
    codes.
    """
    codes = {}
    for name, module in weighted(network).items():
        held = module.parametrizations.weight
        with torch.no_grad():
            codes[name] = held[0].codes(held.original)
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
        with torch.no_grad():
            module.weight.copy_(codes[name].real)
    return codes


def learn(
    network: Network, digits: Digits, held: Mapping[str, FewBits], plan: Plan, what: str = ""
) -> float:
    """Learn a network with `held` on its layers; return the mean loss of the last epoch, penalty
    included.
    """
    network.train()
    modules = weighted(network)
    share = plan.penalty / sum(module.weight.numel() for module in modules.values())

    def penalty() -> Tensor:
        each = (held[name].penalty(_real(module)) for name, module in modules.items())
        return share * torch.stack(list(each)).sum()

    optimisers = _optimisers(network, held, plan)
    loss = 0.0
    for epoch in range(plan.epochs):
        if plan.every and epoch and epoch % plan.every == 0:
            for name, module in modules.items():
                held[name].requantise(_real(module).detach())
            optimisers = _optimisers(network, held, plan)
        _fall(optimisers[0], epoch / plan.epochs)
        loss = _epoch(network, digits, held, optimisers, penalty if plan.penalty else None)
        show_progress(f"{what} epoch {epoch + 1}/{plan.epochs}  loss {loss:.4f}")
    network.eval()
    return loss


def _real(module: nn.Module) -> Tensor:
    """Return the real weights behind a trainer's."""
    return module.parametrizations.weight.original


def _optimisers(
    network: Network, held: Mapping[str, FewBits], plan: Plan
) -> list[torch.optim.Optimizer]:
    own = {id(each): each for part in held.values() for each in part.parameters()}
    gates = [
        each
        for part in held.values()
        for name, each in part.named_parameters()
        if name.endswith("gate")
    ]
    taken = {id(each) for each in gates}
    groups = [{"params": [each for each in network.parameters() if id(each) not in own]}]
    for part in held.values():
        mine = [each for each in part.parameters() if id(each) not in taken]
        if mine:
            groups.append({"params": mine, "lr": plan.rate * part.rate, "weight_decay": 0.0})
    sgd = torch.optim.SGD(groups, lr=plan.rate, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    return [sgd, *([torch.optim.Adam(gates, lr=GATE_RATE)] if gates else [])]


def _fall(optimiser: torch.optim.Optimizer, done: float) -> None:
    """Give an optimiser the rates that it has when a share of the epochs is over."""
    for group in optimiser.param_groups:
        first = group.setdefault("first_lr", group["lr"])
        group["lr"] = first * 0.5 * (1 + math.cos(math.pi * done))


def _epoch(
    network: Network,
    digits: Digits,
    held: Mapping[str, FewBits],
    optimisers: list[torch.optim.Optimizer],
    penalty: Callable[[], Tensor] | None,
) -> float:
    """Take one pass over the training split in random order; return the mean loss."""
    order = torch.randperm(len(digits.train_images))
    losses = []
    for batch in order.split(BATCH)[: max(1, len(order) // BATCH)]:
        logits = network(shifted(digits.train_images[batch]))
        loss = functional.cross_entropy(logits, digits.train_labels[batch])
        if penalty is not None:
            loss = loss + penalty()
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()
        with torch.no_grad():
            for each in held.values():
                each.after_step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


def straight_through(exact: Tensor, smooth: Tensor) -> Tensor:
    """Return `exact`, whose gradient is that of `smooth`."""
    return smooth + (exact - smooth).detach()
