"""Frozen records that turn into JSON and back; derived values are written out, and checked on the way in."""

from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from sparqsim.errors import InputError, unreadable


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
        try:
            record = cls.model_validate_json(text, extra="ignore")
        except ValidationError as error:
            raise InputError(f"{origin}: {faults_of(error)[0]}") from None
        try:
            difference = _first_difference(
                record.model_dump(mode="json", by_alias=True), json.loads(text)
            )
        except (
            ArithmeticError,
            LookupError,
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
        return cls.from_json(read_text(path), str(path))


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
        raise ValueError(f"{path}={_shown(value)}: expected at least 0, and finite")


def read_text(path: str | Path, expected: str = "a text file") -> str:
    """Return the text of a file. Raises InputError naming it and what was expected."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{unreadable(path, error)}; expected {expected}") from None


def toml_of(text: str, origin: object) -> dict[str, Any]:
    """Return what a TOML text holds. Raises InputError naming `origin` and the place."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{origin}: not TOML ({error}); expected TOML") from None


def faults_of(error: ValidationError) -> list[str]:
    """Return one line per fault that validation found: field, what is wrong, the value found."""
    return [_fault_line(fault["loc"], fault["msg"], fault["input"]) for fault in error.errors()]


def _fault_line(location: tuple[int | str, ...], message: str, value: object) -> str:
    field = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in location
    ).lstrip(".")
    return f"{field or 'document'}: {message} (found {_shown(value)})"


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


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
        return f"{path[:-1]}: found {_shown(found)}, but the fields it derives from give {_shown(expected)}"
    return next(filter(None, (_first_difference(*part) for part in parts)), None)
