"""Transforms found by name: files of this folder, entry points, or a user's file."""

from __future__ import annotations

from typing import Any

from sparqsim.base.errors import InputError
from sparqsim.base.registry import Registry
from sparqsim.trace.transforms.base import Transform


def get_transform(spec: str | Transform) -> Transform:
    """Return the transform that 'NAME', 'NAME:key=value,...' or 'FILE.py:CLASS[:key=value,...]'
    names.

    The last one runs the file, so this is for what a user has typed.

    Raises
    ------
    InputError
        For an unknown name (with the nearest known one), an unknown key, or a value out of range.
    """
    return spec if isinstance(spec, Transform) else REGISTRY.made(str(spec))


def _checked(value: Any, origin: str) -> type[Transform]:
    if not (isinstance(value, type) and issubclass(value, Transform)):
        raise InputError(f"{origin} is {value!r}, expected a subclass of {Transform.__qualname__}")
    if getattr(value, "__abstractmethods__", None) or not hasattr(value, "name"):
        raise InputError(f"{origin} is unfinished: expected `name` and `apply`")
    return value


REGISTRY: Registry[Transform] = Registry(
    "transform",
    Transform,  # type: ignore[type-abstract] # a base to look for
    "sparqsim.trace.transforms",
    "sparqsim.transform",
    _checked,
)
shipped_transforms = REGISTRY.shipped
