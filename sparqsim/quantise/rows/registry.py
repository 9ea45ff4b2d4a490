"""Row formats found by name: files of this folder, entry points, or a user's file."""

from __future__ import annotations

from sparqsim.base.registry import Registry, finished
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


REGISTRY: Registry[RowFormat] = Registry(
    WHAT,
    RowFormat,  # type: ignore[type-abstract] # a base to look for
    "sparqsim.quantise.rows",
    "sparqsim.rows",
    finished(
        RowFormat,  # type: ignore[type-abstract]
        "a frozen dataclass with `name`, `row_bytes`, `encode` and `decode`",
    ),
)
shipped_row_formats = REGISTRY.shipped
