"""Batch normalisation folded into the layer before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparqsim.base.errors import InputError
from sparqsim.networks.torch.loaders import Inputs
from sparqsim.networks.torch.modes import OperationMode
from sparqsim.networks.torch.outputs import tensors_of

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)
LAYERS = (nn.Conv2d, nn.Linear)
#: What a layer or norm computes with.
TENSORS = ("weight", "bias", "running_mean", "running_var")
#: Of the largest value of an output tensor: what float32 rounding may change. More means that
#: something else reads a folded layer's output.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Folded:
    """What became of the batch norms.

    `pairs`: (layer, norm) that were folded. `left`: norms that stay, computed in float.
    `unchecked`: why the network's output could not show that folding changed nothing, or ''.
    """

    pairs: tuple[tuple[str, str], ...]
    left: tuple[str, ...]
    unchecked: str = ""


def fold_batch_norms(model: nn.Module, example: Tensor | Inputs) -> Folded:
    """Fold, in place, every plain batch norm that alone reads the output of a Conv2d or Linear.

    Who reads whom is seen by running `example`. Left alone are: norms and layers that do more than
    their PyTorch class (`is_plain`), that run more than once, and norms without running statistics.

    Raises
    ------
    InputError
        When folding changes the network's output.
    """
    inputs = Inputs.of(example)
    foldable = any(isinstance(each, NORMS) and _foldable(each) for each in model.modules())
    pairs = _followers(model, inputs) if foldable else []
    if not pairs:
        return Folded((), _norms(model))
    before = _real_tensors(inputs.fed_to(model))
    for layer, norm in pairs:
        _fold(model.get_submodule(layer), model.get_submodule(norm))
        _replace(model, model.get_submodule(norm))
    unchecked = "" if before else "the network's output holds no tensor of real numbers"
    _check_unchanged(before, _real_tensors(inputs.fed_to(model)))
    return Folded(tuple(pairs), _norms(model), unchecked)


def _norms(model: nn.Module) -> tuple[str, ...]:
    return tuple(name for name, module in model.named_modules() if isinstance(module, NORMS))


def computes_as(module: nn.Module, kinds: Sequence[type[nn.Module]]) -> bool:
    """Whether a module's forward is that of one of PyTorch's own classes `kinds`.

    Not so for a forward of its own, in a subclass or put on the object.
    """
    kind = next((kind for kind in kinds if isinstance(module, kind)), None)
    methods = ("forward", "__call__", "_call_impl", "_wrapped_call_impl", "_conv_forward")
    return (
        kind is not None
        and all(getattr(type(module), name, 0) is getattr(kind, name, 0) for name in methods)
        and not vars(module).keys() & set(methods)
    )


def is_plain(module: nn.Module, kinds: Sequence[type[nn.Module]]) -> bool:
    """Whether a call of a module computes what one of `kinds` does with its parameters, no more.

    Beside `computes_as` it has no hooks, which may change what goes in or comes out, and no weights
    that are computed on every access.
    """
    return (
        computes_as(module, kinds)
        and not module._forward_hooks  # noqa: SLF001 - PyTorch has no public way to ask
        and not module._forward_pre_hooks  # noqa: SLF001
        # Parametrizations (torch.nn.utils.parametrize) make properties of a module's tensors.
        and not any(isinstance(getattr(type(module), name, None), property) for name in TENSORS)
    )


def _foldable(norm: nn.Module) -> bool:
    return is_plain(norm, NORMS) and not norm.training and norm.running_var is not None


def _real_tensors(output: Any) -> dict[str, Tensor]:
    """Return the tensors of real or complex numbers in an output, by where they stand."""
    return {
        place: tensor.detach().clone()
        for place, tensor in tensors_of(output)
        if tensor.is_floating_point() or tensor.is_complex()
    }


def _check_unchanged(before: dict[str, Tensor], after: dict[str, Tensor]) -> None:
    for place in before.keys() | after.keys():
        if place in before and place in after and _close(before[place], after[place]):
            continue
        raise InputError(
            f"folding batch normalisation changes the network's {place} (another operation reads "
            "the output of a layer before its norm); expected fold=False for this network"
        )


def _close(before: Tensor, after: Tensor) -> bool:
    if before.shape != after.shape:
        return False
    if not before.numel() or not (before.isfinite().all() and after.isfinite().all()):
        return True  # not folding's fault: the layer that makes NaN is named when it runs
    return bool((before - after).abs().max() <= TOLERANCE * before.abs().max().clamp_min(1e-6))


def _followers(model: nn.Module, inputs: Inputs) -> list[tuple[str, str]]:
    """Return (layer, norm) where the norm alone reads the very tensor that the layer returned."""
    readers = _Readers()
    foldable = {
        name: module
        for name, module in model.named_modules()
        if is_plain(module, LAYERS) or (isinstance(module, NORMS) and _foldable(module))
    }
    with _hooked(foldable, readers), torch.no_grad(), readers:
        output = inputs.fed_to(model)
    for _, tensor in tensors_of(output):
        readers.read(tensor)
    return readers.pairs()


class _Readers(OperationMode):
    """While active, notes who reads layers' outputs: norms, and operations outside them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._norm = ""
        self._calls: Counter[str] = Counter()
        self._read_by: dict[str, set[str]] = {}
        # Tensors are kept, so that no other one gets their identity.
        self._produced: dict[int, tuple[str, Tensor]] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Compute `func`, and note which layers' outputs it reads."""
        for _, tensor in tensors_of((args, kwargs)):
            self.read(tensor)
        return func(*args, **(kwargs or {}))

    def read(self, tensor: Tensor) -> None:
        """Note that the running norm, or anything else, reads a tensor."""
        if id(tensor) in self._produced:
            layer, _ = self._produced[id(tensor)]
            self._read_by.setdefault(layer, set()).add(self._norm)

    def entered(self, name: str, module: nn.Module) -> None:
        """Note that a layer or norm starts."""
        self._calls[name] += 1
        self._norm = name if isinstance(module, NORMS) else ""

    def left(self, name: str, module: nn.Module, output: Any) -> None:
        """Note that a layer or norm has returned `output`."""
        self._norm = ""
        # A norm's channels are axis 1, which is the layer's output axis in these shapes alone.
        batched_ndim = 2 if isinstance(module, nn.Linear) else 4
        if not isinstance(module, NORMS) and output.ndim == batched_ndim:
            self._produced[id(output)] = (name, output)

    def pairs(self) -> list[tuple[str, str]]:
        """Return (layer, norm) of layers that one norm reads and nothing else, each run once."""
        alone = [(layer, *norms) for layer, norms in self._read_by.items() if len(norms) == 1]
        return [
            (layer, norm)
            for layer, norm in alone
            if norm and self._calls[layer] == self._calls[norm] == 1
        ]


@contextmanager
def _hooked(modules: dict[str, nn.Module], readers: _Readers) -> Iterator[None]:
    def entering(name: str) -> Callable[..., None]:
        return lambda module, _inputs: readers.entered(name, module)

    def leaving(name: str) -> Callable[..., None]:
        return lambda module, _inputs, output: readers.left(name, module, output)

    handles = [
        handle
        for name, module in modules.items()
        for handle in (
            module.register_forward_pre_hook(entering(name)),
            module.register_forward_hook(leaving(name)),
        )
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _replace(model: nn.Module, norm: nn.Module) -> None:
    """Put an identity in the place of `norm`, under every name that it has."""
    for parent in list(model.modules()):
        # Not named_children(), which names a module that stands twice only once.
        for name, child in list(parent._modules.items()):  # noqa: SLF001
            if child is norm:
                setattr(parent, name, nn.Identity())


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
