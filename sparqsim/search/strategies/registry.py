"""Ways to search found by name: files of this folder, entry points, or a user's file."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any

from sparqsim.base.errors import InputError
from sparqsim.base.registry import Registry
from sparqsim.search.strategies.base import Strategy

WHAT = "search method"


def get_strategy(spec: str | Strategy) -> Strategy:
    """Return the way to search that 'NAME[:key=value,...]' or 'FILE.py:CLASS[:...]' names.

    The last one runs the file, so this is for what a user has typed.

    Raises
    ------
    InputError
        For an unknown name (with the nearest known one), an unknown key, or a value out of range.
    """
    return spec if isinstance(spec, Strategy) else REGISTRY.made(spec)


def _checked(value: Any, origin: str) -> type[Strategy]:
    if not (isinstance(value, type) and issubclass(value, Strategy)):
        raise InputError(f"{origin} is {value!r}, expected a subclass of {Strategy.__qualname__}")
    missing = getattr(value, "__abstractmethods__", None)
    if missing or not is_dataclass(value) or not all(hasattr(value, each) for each in STATED):
        raise InputError(
            f"{origin} is unfinished: expected a frozen dataclass with `name`, `words` and `search`"
        )
    return value


#: What every one says of itself.
STATED = ("name", "words")
REGISTRY: Registry[Strategy] = Registry(
    WHAT,
    Strategy,  # type: ignore[type-abstract] # a base to look for
    "sparqsim.search.strategies",
    "sparqsim.search",
    _checked,
)
shipped_strategies = REGISTRY.shipped
