"""The user's cache: what can be made again, and is kept where there is room."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_folder(name: str) -> Path | None:
    """Return the user's cache folder `name` of sparqsim, made where it was missing.

    Returns
    -------
    Path or None
        None where there is no home, no room, or no permission: then nothing is kept.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # A relative path is to be ignored, as the XDG rules say; a user without a home has no
        # cache.
        home = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
        folder = home / "sparqsim" / name
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError, ValueError):
        return None
