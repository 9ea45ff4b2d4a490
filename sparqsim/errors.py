"""The one exception that means: what was given cannot be used."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

#: What a spreadsheet takes for a formula when a cell begins with it.
FORMULA_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r")


#: A design in a file, as the command line and TOML files name it: path, class, keys.
DESIGN_FILE = re.compile(r"(.+\.py):(\w+)(?::(.*))?", re.DOTALL)


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


def csv_cell(value: object) -> object:
    """Return a value as it stands in a CSV file.

    Numbers stay numbers, truth is `true` or `false`, absent values are empty. In text, what steers a terminal or is no
    character of Unicode is escaped; text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return value
    return ("'" if value.startswith(FORMULA_BEGINNINGS) else "") + printable(value)


def printable_lines(text: str) -> str:
    """Return `text` with everything escaped but printable characters and the ends of lines."""
    return "\n".join(map(printable, text.split("\n")))


def unreadable(path: object, error: Exception) -> str:
    """Return the beginning of a message about a file that cannot be read: its path, and why, in plain words."""
    if isinstance(error, FileNotFoundError):
        return f"{path}: no such file"
    if isinstance(error, IsADirectoryError):
        return f"{path}: is a directory"
    return f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})"


def design_file(spec: str) -> str | None:
    """Return the file that a design's name FILE.py:CLASS stands for, None for a name without one."""
    named = DESIGN_FILE.fullmatch(spec)
    return None if named is None else named[1]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ' (did you mean X?)' for the known name closest to `name`, or ''."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f" (did you mean {close[0]}?)" if close else ""
