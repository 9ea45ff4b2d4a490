"""The one exception that means: what was given cannot be used; and how its messages show things."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Characters of a value in a message.
LONGEST_SHOWN = 60
#: Characters of a message: it names things that files name, and stays a line to read.
LONGEST_MESSAGE = 2000
#: What a spreadsheet takes for a formula when a cell begins with it.
FORMULA_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r")


class InputError(ValueError):
    """Bad input from the user.

    The message is one line that names the file, layer or field, the value found
    and what would be accepted. The command line prints it and exits with code 2.
    """

    def __init__(self, message: object) -> None:
        text = printable(" ".join(str(message).split()))
        cut = len(text) > LONGEST_MESSAGE
        super().__init__(text[: LONGEST_MESSAGE - 3] + "..." if cut else text)


def printable(text: str, kept: str = "") -> str:
    """Return `text` with whatever would steer a terminal escaped, but for the characters `kept`."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in kept else repr(char)[1:-1] for char in text
    )


def shown(value: object) -> str:
    """Return a value from a file for a message: its `repr`, within 60 characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested deeply, or an integer of thousands of digits
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."


def csv_cell(value: object) -> object:
    """Return a value as it stands in a CSV file.

    Numbers stay numbers, truth is `true` or `false`, absent values are empty. In text, what steers
    a terminal or is no character of Unicode is escaped; text that a spreadsheet would take for a
    formula gets an apostrophe in front.
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
    """Return how a message about a file that cannot be read begins: its path, and why."""
    if isinstance(error, FileNotFoundError):
        return f"{path}: no such file"
    if isinstance(error, IsADirectoryError):
        return f"{path}: is a directory"
    return f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ' (did you mean X?)' for the known name closest to `name`, or ''."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f" (did you mean {close[0]}?)" if close else ""
