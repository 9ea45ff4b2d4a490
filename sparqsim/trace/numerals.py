"""Whole numbers in text that somebody gives: one rule for what is a number, and how it is refused.

A number is an optional '-' and ASCII digits, within a range that whoever reads it states. Python's
own `int` also takes digits of other scripts, underscores and spaces, and its `str.isdigit` is true
of superscripts, which `int` then refuses.
"""

from __future__ import annotations

import re

from sparqsim.errors import InputError

#: Characters of a refused text that a message shows.
SHOWN_CHARACTERS = 40


def whole_number(text: str, what: str, *, lowest: int = 0, highest: int = 2**31 - 1) -> int:
    """Return the number that `text` writes.

    Parameters
    ----------
    text : str
        Spaces around the number do not count.
    what : str
        File, line and field: the beginning of a message.
    lowest, highest : int
        The range, ends included.

    Raises
    ------
    InputError
        For text that is no number, or a number out of range.
    """
    number = _read(text.strip(), max(len(str(lowest)), len(str(highest))))
    if number is None or not lowest <= number <= highest:
        raise InputError(
            f"{what} is {shown(text)}, expected a whole number from {lowest} to {highest}"
        )
    return number


def is_whole_number(text: str) -> bool:
    """Return whether `text` has the form of a whole number, of any size."""
    return re.fullmatch(r"-?[0-9]+", text.strip()) is not None


def shown(text: str) -> str:
    """Return `text` in quotes, cut where it is long."""
    return repr(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "...")


def _read(text: str, most_characters: int) -> int | None:
    digits = text.removeprefix("-").lstrip("0")
    if not is_whole_number(text) or len(digits) > most_characters:
        return None
    return int(digits or "0") * (-1 if text.startswith("-") else 1)
