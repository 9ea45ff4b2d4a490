"""Ways to search found by name: files of this folder, entry points, or a user's file."""

from __future__ import annotations

from sparqsim.base.registry import Registry, finished
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


REGISTRY: Registry[Strategy] = Registry(
    WHAT,
    Strategy,  # type: ignore[type-abstract] # a base to look for
    "sparqsim.search.strategies",
    "sparqsim.search",
    finished(
        Strategy,  # type: ignore[type-abstract]
        "a frozen dataclass with `name`, `words` and `search`",
        stated=("name", "words"),
    ),
)
shipped_strategies = REGISTRY.shipped
