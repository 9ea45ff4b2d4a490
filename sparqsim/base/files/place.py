"""What is at a path: what a rename may replace, and what can only be written into."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from sparqsim.base.errors import InputError


def destination(path: str | Path) -> Path:
    """Return where the file itself is, or would be made: links are followed.

    Raises OSError for links in a circle.
    """
    with suppress(FileNotFoundError):
        Path(path).stat()
    return Path(os.path.realpath(path))


def is_replaceable(path: str | Path) -> bool:
    """Return whether a rename may put a file at `path`: nothing is there, or only a file."""
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return True
    return stat.S_ISREG(status.st_mode) and standard_stream(status) is None


def standard_stream(status: os.stat_result) -> TextIO | None:
    """Return the standard stream of this process that is the file of this status, if one is."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        with suppress(OSError):
            if stream is not None and os.path.samestat(os.fstat(number), status):
                return stream
    return None


def check_permission(path: str | Path) -> None:
    """Raise OSError where a file is at `path` that this user may not write."""
    if Path(path).exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))


def unwritable(path: str | Path, error: Exception) -> InputError:
    """Return what to raise where `path` cannot be written."""
    reason = getattr(error, "strerror", None) or error
    return InputError(
        f"{path}: cannot be written ({reason}); expected a file path in a "
        "folder that exists and may be written, and free space"
    )
