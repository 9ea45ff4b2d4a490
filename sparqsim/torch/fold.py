"""Batch normalisation folded into the layer before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparqsim.errors import InputError
from sparqsim.torch.loaders import logits_of

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)
#: Of the largest logit: what float32 rounding may change. More means that something else reads a folded layer's output.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Folded:
    """What became of the batch norms: pairs (layer, norm) that were folded, and norms that stay, computed in float."""

    pairs: tuple[tuple[str, str], ...]
    left: tuple[str, ...]


def fold_batch_norms(model: nn.Module, example: Tensor) -> Folded:
    """Fold, in place, every batch norm whose input is the output of a Conv2d or Linear.

    Who follows whom is seen by running `example`. A layer or norm that runs more than once, and a norm without running
    statistics, is left alone.

    Raises
    ------
    InputError
        When folding changes the network's output: something else reads the output of a folded layer.
    """
    before = logits_of(model(example))
    pairs = _followers(model, example)
    for layer, norm in pairs:
        _fold(model.get_submodule(layer), model.get_submodule(norm))
        model.set_submodule(norm, nn.Identity())
    after = logits_of(model(example))
    if before is not None and after is not None and not _close(before, after):
        raise InputError(
            "folding batch normalisation changes the network's output (another operation reads the output "
            "of a layer before its norm); expected fold=False for this network"
        )
    left = [name for name, module in model.named_modules() if isinstance(module, NORMS)]
    return Folded(tuple(pairs), tuple(left))


def _close(before: Tensor, after: Tensor) -> bool:
    if not (before.isfinite().all() and after.isfinite().all()):
        return True  # not folding's fault: the layer that makes NaN is named when it runs
    return bool((before - after).abs().max() <= TOLERANCE * before.abs().max().clamp_min(1e-6))


def _followers(model: nn.Module, example: Tensor) -> list[tuple[str, str]]:
    """Return (layer, norm) where the norm reads the very tensor that the layer returned."""
    calls: Counter[str] = Counter()
    produced: list[tuple[Tensor, str]] = []
    found: list[tuple[str, str]] = []

    def ran(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        calls[name] += 1
        if isinstance(module, nn.Conv2d | nn.Linear):
            produced.append((output, name))
        elif isinstance(module, NORMS) and module.running_var is not None:
            found.extend(
                (layer, name) for tensor, layer in produced if inputs and tensor is inputs[0]
            )

    with _hooked(model, ran), torch.no_grad():
        model(example)
    readers = Counter(layer for layer, _ in found)
    return [
        (layer, norm) for layer, norm in found if calls[layer] == calls[norm] == readers[layer] == 1
    ]


@contextmanager
def _hooked(model: nn.Module, ran: Any) -> Iterator[None]:
    handles = [
        module.register_forward_hook(
            lambda module, inputs, output, name=name: ran(name, module, inputs, output)
        )
        for name, module in model.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear, *NORMS))
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _fold(layer: Any, norm: Any) -> None:
    """Give `layer` the weights and bias that make `norm` superfluous."""
    # In float64, so that the only rounding is the one back to the layer's type.
    gain = (
        torch.ones_like(norm.running_var, dtype=torch.float64)
        if norm.weight is None
        else norm.weight.double()
    )
    gain = gain / torch.sqrt(norm.running_var.double() + norm.eps)
    shift = torch.zeros_like(gain) if norm.bias is None else norm.bias.double()
    bias = torch.zeros_like(gain) if layer.bias is None else layer.bias.double()
    weight = layer.weight.double() * gain.reshape(-1, *[1] * (layer.weight.ndim - 1))
    dtype = layer.weight.dtype
    layer.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    layer.bias = nn.Parameter(
        (shift + (bias - norm.running_mean.double()) * gain).to(dtype), requires_grad=False
    )
