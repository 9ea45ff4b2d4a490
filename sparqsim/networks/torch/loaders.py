"""Batches as users give them: inputs alone, or with labels; one input of the network or several."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sparqsim.base.errors import InputError
from sparqsim.networks.torch.outputs import tensors_of
from sparqsim.trace.coverage import TOKENS

#: Types that PyTorch computes on the CPU slowly or not at all, and numpy in part: taken as float32.
HALF = (torch.float16, torch.bfloat16)
#: Keys under which a batch that is a mapping keeps its labels.
LABELS = ("labels", "label")
EXPECTED = (
    "expected a tensor, (inputs, labels), ((input, input, ...), labels), or a mapping of the "
    "network's arguments"
)


@dataclass(frozen=True)
class Inputs:
    """One batch as a network takes it: its arguments, in order and by name, on the CPU.

    Its length is the batch size: that of the first tensor's first axis. forward: what is called
    with the network and these arguments, in the place of the network.
    """

    arguments: tuple[Any, ...]
    named: dict[str, Any] = field(default_factory=dict)
    forward: Callable[..., Any] | None = None

    @classmethod
    def of(cls, value: Any) -> Inputs:
        """Return the inputs that a tensor, a tuple of tensors or a mapping of arguments gives.

        Raises
        ------
        InputError
            For anything else.
        """
        if isinstance(value, Inputs):
            return value
        many = isinstance(value, tuple | list)
        named = {str(key): _on_cpu(part) for key, part in _items(value)}
        arguments = () if named else tuple(_on_cpu(part) for part in (value if many else [value]))
        made = cls(arguments, named)
        if not any(tensor.ndim for _, tensor in tensors_of(made)):
            raise InputError(f"a batch is {type(value).__name__} without a tensor, {EXPECTED}")
        return made

    def __len__(self) -> int:
        return next(len(tensor) for _, tensor in tensors_of(self) if tensor.ndim)

    def first(self, count: int | None) -> Inputs:
        """Return the batch's first `count` inputs; all for None. What has no batch axis stays."""
        return self.at(slice(count))

    def at(self, rows: slice) -> Inputs:
        """Return some of the batch's inputs. What has no batch axis stays."""
        size = len(self)

        def cut(part: Tensor) -> Tensor:
            return part[rows] if part.ndim and len(part) == size else part

        return self.changed(cut)

    def changed(self, change: Callable[[Tensor], Tensor]) -> Inputs:
        """Return the batch with every tensor that is an argument changed."""

        def changed(part: Any) -> Any:
            return change(part) if isinstance(part, Tensor) else part

        named = {key: changed(part) for key, part in self.named.items()}
        return replace(self, arguments=tuple(map(changed, self.arguments)), named=named)

    @property
    def main(self) -> Tensor:
        """What says what an input is: token numbers by their usual name, or the first tensor."""
        tensors = [tensor for _, tensor in tensors_of((self.arguments, self.named)) if tensor.ndim]
        found = self.named.get(TOKENS)
        return found if isinstance(found, Tensor) and found.ndim else tensors[0]

    def fed_to(self, model: nn.Module) -> Any:
        """Return what the network makes of this batch."""
        if self.forward is not None:
            return self.forward(model, *self.arguments, **self.named)
        return model(*self.arguments, **self.named)


def _items(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, Mapping) else []


def _on_cpu(part: Any) -> Any:
    if not isinstance(part, Tensor):
        return part
    tensor = part.detach().cpu()
    return tensor.float() if tensor.dtype in HALF else tensor


def checked(loader: Iterable[Any], name: str) -> Iterable[Any]:
    """Return `loader` if it can be read more than once. Raises InputError for a generator."""
    if not isinstance(loader, Iterable) or isinstance(loader, Tensor | Iterator | str | Mapping):
        raise InputError(
            f"{name} is a {type(loader).__name__}, expected a list of batches or a DataLoader, "
            "which can be read more than once"
        )
    return loader


def inputs_taken(model: nn.Module, forward: Callable[..., Any] | None = None) -> int:
    """Return how many inputs a network takes: the arguments of `forward` without default.

    forward: what is called in its place, with the network first.
    """
    try:
        called = model.forward if forward is None else partial(forward, model)
        parameters = inspect.signature(called).parameters.values()
    except (AttributeError, TypeError, ValueError):
        return 1
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [
        parameter
        for parameter in parameters
        if parameter.kind in positional and parameter.default is parameter.empty
    ]
    return max(1, len(needed))


def batches(
    loader: Iterable[Any], limit: int | None = None, *, taken: int = 1
) -> Iterator[tuple[Inputs, Tensor | None]]:
    """Yield (inputs, labels or None) on the CPU, `limit` inputs in all at most.

    Parameters
    ----------
    loader : iterable of batches
    limit : int, optional
    taken : int
        How many tensors of a plain tuple are inputs (`inputs_taken`); the next one is the labels.

    Raises
    ------
    InputError
        For a batch without a tensor.
    """
    left = limit
    for batch in loader:
        if left is not None and left <= 0:
            return
        given, labels = _parts(batch, taken)
        inputs = Inputs.of(given)
        yield inputs.first(left), None if labels is None else labels[:left]
        left = None if left is None else left - len(inputs)


def prepared(loader: Iterable[Any], inputs: Callable[[Any], Any] | None) -> Iterator[Any]:
    """Yield a loader's batches as `inputs` makes them. Raises InputError for what goes wrong."""
    for number, batch in enumerate(loader):
        try:
            made = batch if inputs is None else inputs(batch)
        except Exception as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise InputError(
                f"batch {number}: the function that inputs names raises {type(error).__name__}: "
                f"{text[:300]}; expected one that returns {EXPECTED.removeprefix('expected ')}"
            ) from error
        yield made


def _parts(batch: Any, taken: int) -> tuple[Any, Tensor | None]:
    """Return what of a batch the network takes, and the labels."""
    if isinstance(batch, Mapping):
        named = {key: part for key, part in batch.items() if key not in LABELS}
        labels = next((batch[key] for key in LABELS if key in batch), None)
        return named, _as_labels(labels)
    if not isinstance(batch, tuple | list):
        return batch, None
    if not batch:
        raise InputError(f"a batch is an empty {type(batch).__name__}, {EXPECTED}")
    nested = isinstance(batch[0], tuple | list | Mapping)
    inputs, others = (batch[0], batch[1:]) if nested else (batch[:taken], batch[taken:])
    return inputs, _as_labels(others[0] if others else None)


def _as_labels(labels: Any) -> Tensor | None:
    """Return labels as a tensor with a batch axis; None for what is no tensor (boxes, texts)."""
    if labels is None:
        return None
    try:
        found = torch.as_tensor(labels).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        return None
    return found if found.ndim else found[None]
