"""Numbers and names in text from outside: what is taken for one, everywhere in the package.

Digits are those of ASCII, no more of them than the range has: Python's `int` also takes digits of
other scripts, underscores and spaces, and refuses numbers of thousands of digits with an error of
its own.
"""

from __future__ import annotations

import math
import re
import unicodedata

from sparqsim.base.errors import InputError, shown

WHOLE_NUMBER = re.compile(r"(-?)0*([0-9]+)")
REAL_NUMBER = re.compile(r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?")
#: Characters of a name: of a layer, a network, a design.
LONGEST_NAME = 500


def whole_number(text: str, low: int, high: int) -> int | None:
    """Return the whole number that `text` is in ASCII digits, None where it is none in the range.

    A minus counts only where the range has negative numbers.
    """
    written = WHOLE_NUMBER.fullmatch(text)
    if written is None or (written[1] and low >= 0):
        return None
    if len(written[2]) > max(len(str(abs(low))), len(str(abs(high)))):
        return None
    value = int(written[1] + written[2])
    return value if low <= value <= high else None


def require_whole_number(text: str, what: str, low: int, high: int) -> int:
    """Return the whole number that `text` is.

    Parameters
    ----------
    text : str
    what : str
        File, line and field: the beginning of a message.
    low, high : int
        The range, ends included.

    Raises
    ------
    InputError
        For text that is no number in the range, as `whole_number` reads it.
    """
    value = whole_number(text, low, high)
    if value is None:
        raise InputError(f"{what} is {shown(text)}, expected a whole number from {low} to {high}")
    return value


def real_number(text: str) -> float | None:
    """Return the finite number that `text` is in ASCII, as '2.5' or '1e-3'; else None."""
    value = float(text) if REAL_NUMBER.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def looks_like_a_number(text: str) -> bool:
    """Return whether `text` is meant as a number, if perhaps not one that is accepted."""
    digits = text.lstrip("+-")
    return bool(digits) and (
        digits[0].isdecimal() or (digits[0] == "." and digits[1:2].isdecimal())
    )


def name_fault(name: str, longest: int = LONGEST_NAME) -> str:
    """Return why `name` cannot be a name, '' where it can.

    A name is shown in terminals, pages, figures and waveforms: it has at least one character and
    at most `longest`, all of them printable. Control, escape and bidirectional characters,
    line breaks and what is not UTF-8 are none of these.
    """
    if not name:
        return "is empty, expected at least one character"
    if len(name) > longest:
        return f"has {len(name)} characters, expected at most {longest}"
    if name.isprintable():
        return ""
    odd = next(char for char in name if not char.isprintable())
    what = unicodedata.name(odd, "a control character" if ord(odd) < 256 else "not a character")
    return f"holds U+{ord(odd):04X} ({what.lower()}), expected printable characters"
