"""Numbers and names in text from outside: what is taken for one, everywhere in the package.

Digits are those of ASCII, and few enough to convert at once: Python's `int` takes Arabic digits and
signs, and refuses numbers of thousands of digits with an error of its own.
"""

from __future__ import annotations

import math
import re
import unicodedata

#: More digits than any quantity here has; `int` takes them at once.
MOST_DIGITS = 18
WHOLE_NUMBER = re.compile(rf"[0-9]{{1,{MOST_DIGITS}}}")
REAL_NUMBER = re.compile(r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?")
#: Characters of a name: of a layer, a network, a design.
LONGEST_NAME = 500


def whole_number(text: str, low: int, high: int) -> int | None:
    """Return the whole number that `text` is in ASCII digits, None where it is out of range."""
    if not WHOLE_NUMBER.fullmatch(text):
        return None
    value = int(text)
    return value if low <= value <= high else None


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
    odd = next((char for char in name if not char.isprintable()), None)
    if odd is None:
        return ""
    what = unicodedata.name(odd, "a control character" if ord(odd) < 256 else "not a character")
    return f"holds U+{ord(odd):04X} ({what.lower()}), expected printable characters"
