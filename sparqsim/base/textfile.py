"""The one guarded way into a text file: bounded, decoded; what CSV, JSON and TOML hold in it."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sparqsim.base.errors import InputError, shown, unreadable
from sparqsim.base.limits import JSON_NESTING, NESTING, TEXT_BYTES, Limit
from sparqsim.base.parse import name_fault

#: Characters of a text in a TOML file: a path, at most.
LONGEST_TEXT = 4096


@dataclass(frozen=True)
class CsvLine:
    """A line of a CSV file: its number, from 1, and its cells without the spaces around them."""

    number: int
    cells: list[str]

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands in any cell."""
        return not any(self.cells)


def read_text(path: str | Path, expected: str = "a text file", limit: Limit = TEXT_BYTES) -> str:
    """Return the text of a file: UTF-8, with or without a byte order mark.

    Raises
    ------
    InputError
        Naming the file and what was expected; also for more bytes than `limit` allows.
    """
    most = limit.most
    try:
        with Path(path).open("rb") as file:
            content = file.read(most + 1)
            size = len(content) if len(content) <= most else max(most + 1, _size_of(file))
        limit.check(size, str(path))
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except InputError:
        raise
    except (OSError, ValueError, MemoryError) as error:
        raise InputError(f"{unreadable(path, error)}; expected {expected}") from None


def _size_of(file: IO[bytes]) -> int:
    return file.seek(0, os.SEEK_END) if file.seekable() else 0


def csv_lines(text: str, origin: object, expected: str, separator: str = ",") -> list[CsvLine]:
    """Return the lines of a CSV text; a cell in quotes may go over several, and counts to the last.

    Raises
    ------
    InputError
        Naming `origin` and the line, for quotes that do not fit or a cell without end.
    """
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )
    lines: list[CsvLine] = []
    try:
        for cells in reader:
            lines.append(CsvLine(reader.line_num, [cell.strip() for cell in cells]))  # noqa: PERF401 - an error needs the lines before it
    except csv.Error as error:
        begun = lines[-1].number + 1 if lines else 1
        raise InputError(f"{origin}: line {begun}: {error}; expected {expected}") from None
    return lines


def json_of(text: str | bytes, origin: object, expected: str = "JSON") -> Any:
    """Return what a JSON text holds.

    Raises
    ------
    InputError
        Naming `origin`, for what is not JSON; for a key that stands twice in an object, for NaN
        and infinite numbers, and for objects and lists nested deeper than `JSON_NESTING` allows.
    """
    try:
        document = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_no_number,
            parse_float=_finite,
        )
    except (ValueError, RecursionError, MemoryError) as error:
        said = _said(error, JSON_NESTING)
        raise InputError(f"{origin}: not JSON ({said}); expected {expected}") from None
    JSON_NESTING.check(_depth(document), f"{origin}: nested")
    return document


def _depth(document: Any) -> int:
    """Return how many objects and lists stand within each other, 0 where there is none."""
    depth, level = 0, [document]
    while level := [part for part in level if isinstance(part, dict | list)]:
        depth += 1
        level = [
            inner for part in level for inner in (part.values() if isinstance(part, dict) else part)
        ]
    return depth


def _said(error: Exception, nesting: Limit) -> str:
    """Return why a text cannot be read; Python's words for its own limits are replaced."""
    if isinstance(error, RecursionError):
        return (
            f"nested too deeply: beyond what {nesting.variable}={nesting.most} allows, and Python"
        )
    if isinstance(error, MemoryError):
        return "more than the memory holds"
    return "an integer of thousands of digits" if "digits" in str(error) else str(error)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"key {shown(twice)} stands twice in one object")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{shown(text)} is beyond every number that can be held")
    return value


def toml_of(text: str, origin: object) -> dict[str, Any]:
    """Return what a TOML text holds.

    Raises
    ------
    InputError
        Naming `origin` and the place: for what is not TOML, integers beyond 64 bits (TOML has no
        others), texts with control characters, and tables nested deeper than `NESTING` allows.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{origin}: not TOML ({_said(error, NESTING)}); expected TOML") from None
    _check_values(document, origin)
    return document


def _check_values(document: dict[str, Any], origin: object) -> None:
    waiting: list[tuple[str, Any, int]] = [("", document, 0)]
    most_nested = NESTING.most
    while waiting:
        place, value, depth = waiting.pop()
        if depth > most_nested:
            NESTING.check(depth, f"{origin}: {place[:40]}... is nested")
        if isinstance(value, dict):
            waiting += [
                (f"{place}.{key}".lstrip("."), part, depth + 1) for key, part in value.items()
            ]
        elif isinstance(value, list):
            waiting += [(f"{place}[{at}]", part, depth + 1) for at, part in enumerate(value)]
        elif isinstance(value, str) and value and (fault := name_fault(value, LONGEST_TEXT)):
            raise InputError(f"{origin}: {place}={shown(value)} {fault}")
        elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            raise InputError(f"{origin}: {place}={shown(value)}, expected an integer of 64 bits")
