"""Libraries that an extra installs."""

from __future__ import annotations

import importlib
from typing import Any

from sparqsim.base.errors import InputError
from sparqsim.base.wording import install_hint


def needed(module: str, extra: str) -> Any:
    """Import an optional library.

    Raises
    ------
    InputError
        Naming the extra that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{module.partition('.')[0]} cannot be imported ({error}); expected the extra "
            f"{extra!r}: {install_hint(extra)}"
        ) from None
