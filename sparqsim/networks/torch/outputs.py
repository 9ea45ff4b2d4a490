"""What networks return: single tensors, tuples, mappings, dataclasses, and any nesting of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


def tensors_of(value: Any, path: str = "output") -> Iterator[tuple[str, Tensor]]:
    """Yield (where it stands, tensor) of every tensor in a nested value, in a fixed order.

    Looks into mappings (Hugging Face's outputs are such), tuples, lists, dataclasses and other
    objects that keep tensors in their attributes.
    """
    yield from _tensors(value, path, frozenset())


def _tensors(value: Any, path: str, above: frozenset[int]) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield path, value
        return
    if id(value) in above:  # an object that holds itself
        return
    for step, part in _parts(value):
        yield from _tensors(part, path + step, above | {id(value)})


def _parts(value: Any) -> list[tuple[str, Any]]:
    """Return (step, part) of what a value is made of; nothing for numbers, strings and the like."""
    if isinstance(value, Mapping):
        return [(f"[{key!r}]", part) for key, part in value.items()]
    if isinstance(value, tuple | list):
        return [(f"[{at}]", part) for at, part in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return [(f".{name}", getattr(value, name)) for name in names if hasattr(value, name)]
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict) and not isinstance(value, type) and not callable(value):
        return [(f".{name}", part) for name, part in attributes.items()]
    return []


def logits_of(output: Any) -> Tensor | None:
    """Return a network's output as rows of logits (rows, classes); None where it has none.

    Logits are a tensor (batch, classes) or (batch, positions, classes): the output itself, what it
    calls `logits`, the first of a tuple or list, or the only tensor there is.
    """
    logits = _logits(output)
    if not isinstance(logits, Tensor) or logits.ndim not in {2, 3}:
        return None
    return logits.reshape(-1, logits.shape[-1])


def _logits(output: Any) -> Any:
    if isinstance(output, Mapping):
        if "logits" in output:
            return output["logits"]
    elif hasattr(output, "logits"):
        return output.logits
    elif isinstance(output, tuple | list) and output:
        return output[0]
    tensors = [tensor for _, tensor in tensors_of(output)]
    return tensors[0] if len(tensors) == 1 else None


def names_of(output: Any) -> tuple[str, ...]:
    """Return where the tensors of a network's output stand, that of its logits first."""
    logits = _logits(output)
    found = list(tensors_of(output))
    return tuple(name for name, tensor in sorted(found, key=lambda each: each[1] is not logits))


def described(value: Any) -> str:
    """Return types and shapes of the tensors in a value, as 'float32 (4, 3, 8, 8), int64 (4,)'."""
    shown = [
        f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
        for _, tensor in tensors_of(value)
    ]
    if not shown:
        return f"no tensor ({type(value).__name__})"
    return ", ".join(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")
