"""The one exception that means: what was given cannot be used."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input from the user.

    The message is one line that names the file, layer or field, the value found
    and what would be accepted. The command line prints it and exits with code 2.
    """

    def __init__(self, message: object) -> None:
        super().__init__(printable(" ".join(str(message).split())))


def printable(text: str) -> str:
    """Return `text` with whatever would steer a terminal escaped: names and notes come from files."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def unreadable(path: object, error: Exception) -> str:
    """Return the beginning of a message about a file that cannot be read: its path, and why, in plain words."""
    if isinstance(error, FileNotFoundError):
        return f"{path}: no such file"
    if isinstance(error, IsADirectoryError):
        return f"{path}: is a directory"
    return f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ' (did you mean X?)' for the known name closest to `name`, or ''."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f" (did you mean {close[0]}?)" if close else ""
