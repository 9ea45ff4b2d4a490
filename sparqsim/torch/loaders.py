"""Batches as users give them: tensors, or (inputs, labels)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from sparqsim.errors import InputError


def checked(loader: Iterable[Any], field: str) -> Iterable[Any]:
    """Return `loader` if it can be read more than once. Raises InputError for a generator."""
    if not isinstance(loader, Iterable) or isinstance(loader, Tensor | Iterator):
        raise InputError(
            f"{field} is a {type(loader).__name__}, expected a list of batches or a DataLoader, which can "
            "be read more than once"
        )
    return loader


def batches(
    loader: Iterable[Any], limit: int | None = None
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield (inputs, labels or None) on the CPU, `limit` inputs in all at most.

    Raises
    ------
    InputError
        For a batch that is neither a tensor nor a tuple that starts with one.
    """
    left = limit
    for batch in loader:
        if left is not None and left <= 0:
            return
        inputs, labels = _parts(batch)
        yield inputs[:left], None if labels is None else labels[:left]
        left = None if left is None else left - len(inputs)


def _parts(batch: Any) -> tuple[Tensor, Tensor | None]:
    parts = list(batch) if isinstance(batch, tuple | list) else [batch]
    if not parts or not isinstance(parts[0], Tensor):
        raise InputError(
            f"a batch is {type(batch).__name__}, expected a tensor or (inputs, labels)"
        )
    labels = parts[1] if len(parts) > 1 else None
    return parts[0].detach().cpu(), None if labels is None else torch.as_tensor(labels).cpu()


def logits_of(output: Any) -> Tensor | None:
    """Return a network's output as rows of logits (rows, classes), or None where it is not one tensor of them."""
    first = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(first, Tensor) or first.ndim < 2:
        return None
    return first.reshape(-1, first.shape[-1])
