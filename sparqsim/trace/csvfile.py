"""Rows of a small CSV file: bounded in size, UTF-8 with or without a byte-order mark."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from sparqsim.errors import InputError, unreadable

#: Ten million classes with their file names fit.
MOST_BYTES = 256 << 20


def rows_of(path: Path, expected: str, most_bytes: int = MOST_BYTES) -> list[list[str]]:
    """Return the rows that are not empty, cells without the spaces around them.

    Raises
    ------
    InputError
        When the file cannot be read, is no text or is too long; ends with `expected`.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{unreadable(path, error)}; expected {expected}") from None
    if len(content) > most_bytes:
        raise InputError(f"{path}: more than {most_bytes} bytes; expected {expected}")
    try:
        text = io.StringIO(content.decode("utf-8-sig"), newline="")
        rows = [[cell.strip() for cell in row] for row in csv.reader(text)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); expected {expected}") from None
    return [row for row in rows if any(row)]
