"""Row formats found by name: files of this folder, entry points, or a user's file."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any

from sparqsim.base.errors import InputError
from sparqsim.base.registry import Registry
from sparqsim.quantise.rows.base import RowFormat

WHAT = "row format"


def get_row_format(spec: str | RowFormat) -> RowFormat:
    """Return the row format that 'NAME', 'NAME:key=value,...' or 'FILE.py:CLASS[:...]' names.

    The last one runs the file, so this is for what a user has typed.

    Raises
    ------
    InputError
        For an unknown name (with the nearest known one), an unknown key, or a value out of range.
    """
    return spec if isinstance(spec, RowFormat) else REGISTRY.made(str(spec))


def _checked(value: Any, origin: str) -> type[RowFormat]:
    if not (isinstance(value, type) and issubclass(value, RowFormat)):
        base = RowFormat.__qualname__
        raise InputError(f"{origin} is {value!r}, expected a subclass of {base}")
    unfinished = getattr(value, "__abstractmethods__", None) or not hasattr(value, "name")
    if unfinished or not is_dataclass(value):
        raise InputError(
            f"{origin} is unfinished: expected a frozen dataclass with `name`, `row_bytes`, "
            "`encode` and `decode`"
        )
    return value


REGISTRY: Registry[RowFormat] = Registry(
    WHAT,
    RowFormat,  # type: ignore[type-abstract] # a base to look for
    "sparqsim.quantise.rows",
    "sparqsim.rows",
    _checked,
)
shipped_row_formats = REGISTRY.shipped
