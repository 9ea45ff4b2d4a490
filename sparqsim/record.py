"""Frozen records that turn into JSON and back; derived values are written out, and checked on the way in."""

from __future__ import annotations

import json
import math
import os
import tomllib
from collections import Counter
from pathlib import Path
from typing import IO, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from sparqsim.errors import InputError, printable, shown, unreadable
from sparqsim.limits import NESTING, RESULT_BYTES, TEXT_BYTES, Limit
from sparqsim.parse import name_fault

#: Characters of a text in a TOML file: a path, at most.
LONGEST_TEXT = 4096


def _name(value: str) -> str:
    fault = name_fault(value)
    if fault:
        raise ValueError(fault)
    return value


def _text(value: object) -> object:
    return printable(value, kept="\n\t") if isinstance(value, str) else value


#: What identifies something: shown everywhere, so refused unless it is printable.
Name = Annotated[str, AfterValidator(_name)]
#: What describes something: made printable, line breaks kept.
Text = Annotated[str, BeforeValidator(_text)]


class Record(BaseModel):
    """A frozen record that refuses unknown keys and wrong types."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        populate_by_name=True,
        json_schema_serialization_defaults_required=True,
    )

    def to_json(self) -> str:
        """Return JSON with sorted keys and a final newline: equal records give equal bytes."""
        return (
            json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True, indent=1) + "\n"
        )

    @classmethod
    def from_json(cls, text: str, origin: str = "JSON") -> Self:
        """Return the record that `to_json` wrote.

        Raises
        ------
        InputError
            Naming `origin`, the field and the value; also for derived values that disagree with their sources.
        """
        document = json_of(text, origin, "a result of sparqsim")
        try:
            record = cls.model_validate_json(text, extra="ignore")
        except ValidationError as error:
            raise InputError(f"{origin}: {faults_of(error)[0]}") from None
        try:
            difference = _first_difference(record.model_dump(mode="json", by_alias=True), document)
        except (
            ArithmeticError,
            LookupError,
            MemoryError,
            RecursionError,
            ValueError,
        ) as error:  # nothing can be derived from such fields
            raise InputError(f"{origin}: fields that do not belong together: {error}") from None
        if difference:
            raise InputError(f"{origin}: {difference}")
        return record

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read the record saved at `path`."""
        return cls.from_json(read_text(path, limit=RESULT_BYTES), str(path))


def check_counts(record: BaseModel, path: str = "") -> None:
    """Raise ValueError naming a field of `record`, or of a record in it, that is no count and no finite number."""
    for name in type(record).model_fields:
        _check_count(getattr(record, name), f"{path}{name}")


def _check_count(value: object, path: str) -> None:
    if isinstance(value, BaseModel):
        check_counts(value, f"{path}.")
    elif isinstance(value, dict):
        for name, part in value.items():
            _check_count(part, f"{path}.{name}")
    elif isinstance(value, tuple):
        for at, part in enumerate(value):
            _check_count(part, f"{path}[{at}]")
    elif isinstance(value, int | float) and not 0 <= value < math.inf:
        raise ValueError(f"{path}={shown(value)}: expected at least 0, and finite")


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


def json_of(text: str | bytes, origin: object, expected: str = "JSON") -> Any:
    """Return what a JSON text holds.

    Raises
    ------
    InputError
        Naming `origin`, for what is not JSON; for a key that stands twice in an object, for NaN
        and infinite numbers, and for what is nested too deeply to be read.
    """
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_no_number,
            parse_float=_finite,
        )
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{origin}: not JSON ({_said(error)}); expected {expected}") from None


def _said(error: Exception) -> str:
    """Return why a text cannot be read; what Python says of its own limits is put in other words."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
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
        raise InputError(f"{origin}: not TOML ({_said(error)}); expected TOML") from None
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


def faults_of(error: ValidationError) -> list[str]:
    """Return one line per fault that validation found: field, what is wrong, the value found."""
    return [
        _fault_line(fault["loc"], fault["msg"].removeprefix("Value error, "), fault["input"])
        for fault in error.errors()
    ]


def _fault_line(location: tuple[int | str, ...], message: str, value: object) -> str:
    field = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in location
    ).lstrip(".")
    return f"{field or 'document'}: {message} (found {shown(value)})"


def _first_difference(expected: Any, found: Any, path: str = "") -> str | None:
    """Return where `found` differs from what its own fields derive, or None."""
    if isinstance(expected, dict) and isinstance(found, dict):
        unknown = sorted(found.keys() - expected.keys())
        if unknown:
            return f"{path}{unknown[0]}: unknown field, expected one of {', '.join(expected)}"
        parts = [(expected[key], found[key], f"{path}{key}.") for key in expected if key in found]
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            return f"{path[:-1]}: {len(found)} entries, but the fields it derives from give {len(expected)}"
        pairs = zip(expected, found, strict=True)
        parts = [(one, other, f"{path}{index}.") for index, (one, other) in enumerate(pairs)]
    elif expected == found:
        return None
    else:
        return f"{path[:-1]}: found {shown(found)}, but the fields it derives from give {shown(expected)}"
    return next(filter(None, (_first_difference(*part) for part in parts)), None)
