"""Transforms found by name: the files of this folder, entry points of other packages, or a user's
file.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint
from typing import Any

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.keys import with_keys
from sparqsim.base.plugins import SourceClass, described, installed, load_installed, shipped_classes
from sparqsim.trace.transforms.base import Transform

ENTRY_POINTS = "sparqsim.transform"
WHAT = "transform"


def get_transform(spec: str | Transform) -> Transform:
    """Return the transform that 'NAME', 'NAME:key=value,...' or 'FILE.py:CLASS[:key=value,...]'
    names.

    The last one runs the file, so this is for what a user has typed.

    Raises
    ------
    InputError
        For an unknown name (with the nearest known one), an unknown key, or a value out of range.
    """
    if isinstance(spec, Transform):
        return spec
    source = SourceClass.parse(str(spec), WHAT)
    if source is not None:
        in_file = _checked(source.load(Transform), f"{source.path}:{source.class_name}")
        return with_keys(in_file, source.keys, spec, WHAT)
    name, _, text = str(spec).partition(":")
    return with_keys(_class_named(name), text, spec, WHAT)


@cache
def shipped_transforms() -> dict[str, type[Transform]]:
    """Return every transform that ships with the package, by name."""
    shipped = shipped_classes("sparqsim.trace.transforms", Transform)  # type: ignore[type-abstract]
    return {each.name: each for each in sorted(shipped, key=lambda each: each.name)}


def outside_transforms() -> dict[str, EntryPoint]:
    """Return the entry points of installed packages that offer transforms, by name, not loaded."""
    return installed(ENTRY_POINTS)


def _class_named(name: str) -> type[Transform]:
    if name in shipped_transforms():
        return shipped_transforms()[name]
    outside = outside_transforms()
    if name not in outside:
        known = [*shipped_transforms(), *outside]
        raise InputError(
            f"transform {name!r} is not known{nearest(name, known)}; expected one of "
            f"{', '.join(known)}, or FILE.py:CLASS"
        )
    entry = outside[name]
    return _checked(load_installed(entry), described(entry))


def _checked(value: Any, origin: str) -> type[Transform]:
    if not (isinstance(value, type) and issubclass(value, Transform)):
        raise InputError(f"{origin} is {value!r}, expected a subclass of {Transform.__qualname__}")
    if getattr(value, "__abstractmethods__", None) or not hasattr(value, "name"):
        raise InputError(f"{origin} is unfinished: expected `name` and `apply`")
    return value
