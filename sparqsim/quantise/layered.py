"""A copy of a PyTorch network whose layers compute as they are told, and the blocks in it.

A block is a module that holds several layers and is called once, with one tensor in and one out: of
a residual network the two convolutions and the addition. A layer in no such module is a block of
its own.

This module imports torch; whoever needs it imports it when it is asked for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from sparqsim.base.errors import InputError
from sparqsim.quantise.codes import LIMITS

Hold = Callable[[str, Tensor], Tensor]

#: Modules that only call what they hold, one after another: no block of a network's design.
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class Unit(NamedTuple):
    """A block: its name, and the layers in it."""

    name: str
    layers: tuple[str, ...]


class LayeredNetwork:
    """A copy of a network whose layers compute with weights and inputs as they are told.

    Parameters
    ----------
    model : nn.Module
        Not modified.
    layers : names of modules
    signed : mapping
        Whether a layer's activation codes are int8, by name.
    scales : mapping
        Of activation codes.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[str],
        signed: Mapping[str, bool],
        scales: Mapping[str, float],
    ) -> None:
        self.model = copy.deepcopy(model)
        self._signed, self._scales = signed, scales
        modules = dict(self.model.named_modules())
        for name in layers:
            if name not in modules:
                raise InputError(
                    f"layer {name!r} is no module that runs once, expected one: its rounding is "
                    "learned through PyTorch's modules"
                )
        #: The layers' modules, by name.
        self.modules: dict[str, Any] = {name: modules[name] for name in layers}
        #: Weights that stand in their layers.
        self.weights: dict[str, Tensor] = {}
        self._hold: Hold = lambda _, x: x
        for name, module in self.modules.items():
            module.forward = partial(self._forward, name, module)

    def _forward(self, name: str, module: Any, x: Tensor) -> Tensor:
        weight = self.weights.get(name, module.weight)
        held = self._hold(name, x)
        if isinstance(module, nn.Linear):
            return functional.linear(held, weight, module.bias)
        output: Tensor = module._conv_forward(held, weight, module.bias)  # noqa: SLF001
        return output

    @contextmanager
    def holding(self, hold: Hold) -> Iterator[None]:
        """Let layers take what `hold` makes of their inputs, given the layer's name."""
        before, self._hold = self._hold, hold
        try:
            yield
        finally:
            self._hold = before

    def coded(self, name: str, x: Tensor, bits: int) -> Tensor:
        """Return inputs as the top bits of their codes have them; gradients go through where
        nothing saturates.
        """
        step, signed = self._scales[name], self._signed[name]
        lowest, highest = LIMITS[signed]
        codes = torch.clamp(torch.round(x / step), lowest, highest)
        unit = 1 << (8 - bits)
        least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        if bits < 8:
            codes = torch.clamp(torch.round(codes / unit), least, most) * unit
        clipped = torch.clamp(x, lowest * step, highest * step)
        return clipped + (codes * step - clipped).detach()

    def module(self, name: str) -> nn.Module:
        """Return a module of the copy."""
        found: nn.Module = self.model.get_submodule(name)
        return found


def find_units(
    network: LayeredNetwork, example: Any, feed: Callable[[nn.Module, Any], Any]
) -> list[Unit]:
    """Return the blocks of a network, in the order they start.

    A layer belongs to the nearest module around it that holds several layers and is called once,
    with one tensor in and one out, but not to the whole network.

    Parameters
    ----------
    network : LayeredNetwork
    example : a batch of inputs
    feed : callable
        Runs a model on a batch.
    """
    seen = _Calls(network)
    with seen.watching(), torch.no_grad():
        feed(network.model, example)
    units: dict[str, list[str]] = {}
    for layer in seen.layers:
        units.setdefault(seen.block_of(layer), []).append(layer)
    return [Unit(name, tuple(layers)) for name, layers in units.items()]


class _Calls:
    """How the modules of a network are called in one run."""

    def __init__(self, network: LayeredNetwork) -> None:
        self._network = network
        self._holders = {
            name: module
            for name, module in network.model.named_modules()
            if name and name not in network.modules and not isinstance(module, CONTAINERS)
        }
        self._plain: dict[str, list[bool]] = {}
        self.layers: list[str] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note calls meanwhile."""

        def note_layer(name: str, x: Tensor) -> Tensor:
            if name in self.layers:
                raise InputError(f"layer {name!r} runs more than once, expected once")
            self.layers.append(name)
            return x

        handles = [
            module.register_forward_hook(partial(self._note, name), with_kwargs=True)
            for name, module in self._holders.items()
        ]
        try:
            with self._network.holding(note_layer):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _note(
        self, name: str, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        plain = len(args) == 1 and not kwargs and isinstance(args[0], Tensor)
        self._plain.setdefault(name, []).append(plain and isinstance(output, Tensor))

    def block_of(self, layer: str) -> str:
        """Return the name of the block that a layer is in, its own where there is none."""
        parts = layer.split(".")
        for length in range(len(parts) - 1, 0, -1):
            name = ".".join(parts[:length])
            inside = [each for each in self.layers if each.startswith(f"{name}.")]
            if self._plain.get(name) == [True] and len(inside) > 1:
                return name
        return layer
