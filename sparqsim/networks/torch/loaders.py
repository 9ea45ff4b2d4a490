"""Batches as users give them: inputs alone, or with labels; one input of the network or several."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sparqsim.base.errors import InputError
from sparqsim.networks.torch.outputs import tensors_of

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

    Its length is the batch size: that of the first tensor's first axis.
    """

    arguments: tuple[Any, ...]
    named: dict[str, Any] = field(default_factory=dict)

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
        size = len(self)

        def cut(part: Any) -> Any:
            whole = not isinstance(part, Tensor) or not part.ndim or len(part) != size
            return part if whole else part[:count]

        return Inputs(
            tuple(map(cut, self.arguments)), {key: cut(part) for key, part in self.named.items()}
        )

    def fed_to(self, model: nn.Module) -> Any:
        """Return what the network makes of this batch."""
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


def inputs_taken(model: nn.Module) -> int:
    """Return how many inputs a network takes: the arguments of `forward` without default."""
    try:
        parameters = inspect.signature(model.forward).parameters.values()
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
