"""Frozen records that turn into JSON and back; derived values are checked when read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from sparqsim.base.errors import LONGEST_SHOWN, InputError, printable, shown
from sparqsim.base.files import write_text
from sparqsim.base.limits import RESULT_BYTES
from sparqsim.base.parse import name_fault
from sparqsim.base.textfile import json_of, read_text


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


#: Characters of a record's `repr`, and entries of a value in it that are written out.
LONGEST_REPR, MOST_SHOWN_ENTRIES = 200, 8


class Record(BaseModel):
    """A frozen record that refuses unknown keys and wrong types."""

    # Validators are built when they are needed: a command needs few of all records.
    model_config = ConfigDict(
        defer_build=True,
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
            Naming `origin`, the field and the value; also for derived values that disagree with
            their sources.
        """
        written = json_of(text, origin, "a result of sparqsim")
        document = cls.upgraded(written) if isinstance(written, dict) else written
        current = text if document is written else json.dumps(document)
        try:
            record = cls.model_validate_json(current, extra="ignore")
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
    def upgraded(cls, document: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON of an older version as this one writes it; any other as it is."""
        return document

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read the record saved at `path`."""
        return cls.from_json(read_text(path, limit=RESULT_BYTES), str(path))

    def save(self, path: str | Path) -> None:
        """Write what `load` reads: the JSON of `to_json`, whole or not at all.

        Raises
        ------
        InputError
            When the path cannot be written, naming it.
        """
        write_text(path, self.to_json())

    def __repr__(self) -> str:
        text = super().__repr__()
        return text if len(text) <= LONGEST_REPR else text[: LONGEST_REPR - 4] + "...)"

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        """Yield what `repr` shows: what is stored, long values by their kind and size alone."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            text = _brief(value)
            yield name, value if text is None else _Written(text)


class Summed(Record):
    """A record whose fields are counts, or records of counts: several add up, field by field."""

    @classmethod
    def sum_of(cls, parts: Iterable[Self]) -> Self:
        """Return the sum of every field, None where one part has None."""
        parts = list(parts)
        columns = {name: [getattr(part, name) for part in parts] for name in cls.model_fields}
        return cls(**{name: _sum(values) for name, values in columns.items()})


def _sum(values: list[Any]) -> Any:
    if values and isinstance(values[0], Summed):
        return type(values[0]).sum_of(values)
    return None if None in values else sum(values)


class _Written:
    """A value that is shown as a text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _brief(value: object) -> str | None:
    """Return what stands for a value that is too long for a line; None for a short one."""
    if isinstance(value, tuple | dict) and len(value) > MOST_SHOWN_ENTRIES:
        return f"<{len(value)} entries>"
    text = repr(value)
    if len(text) <= LONGEST_SHOWN:
        return None
    if isinstance(value, str):
        return shown(value)
    return (
        f"<{len(value)} entries>"
        if isinstance(value, tuple | dict)
        else f"<{type(value).__name__}>"
    )


def check_counts(record: BaseModel) -> None:
    """Raise ValueError naming a field of `record`, or of one in it, that is no finite count."""
    if not _holds_counts(record):  # most do: only then are places worked out
        _check_count(record, "")


def _holds_counts(value: object) -> bool:
    """Return whether a value, and all in it, is known to be a finite count, text or nothing."""
    kind = type(value)
    if kind is int or kind is float:
        return 0 <= value < math.inf  # type: ignore[operator]
    if kind is str or kind is bool or value is None:
        return True
    if kind is dict:
        return all(map(_holds_counts, value.values()))  # type: ignore[attr-defined]
    if kind is tuple:
        return all(map(_holds_counts, value))  # type: ignore[call-overload]
    return isinstance(value, BaseModel) and all(map(_holds_counts, vars(value).values()))


def _check_count(value: object, path: str) -> None:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            _check_count(vars(value)[name], f"{path}.{name}".lstrip("."))
    elif isinstance(value, dict):
        for name, part in value.items():
            _check_count(part, f"{path}.{name}")
    elif isinstance(value, tuple):
        for at, part in enumerate(value):
            _check_count(part, f"{path}[{at}]")
    elif isinstance(value, int | float) and not 0 <= value < math.inf:
        raise ValueError(f"{path}={shown(value)}: expected at least 0, and finite")


def faults_of(error: ValidationError) -> list[str]:
    """Return one line per fault that validation found: field, what is wrong, the value found."""
    return [
        _fault_line(fault["loc"], fault["msg"].removeprefix("Value error, "), fault["input"])
        for fault in error.errors()
    ]


def key_shown(key: str) -> str:
    """Return a key as it stands in a field's place: quoted where it is empty or not printable."""
    return key if key and key.isprintable() else shown(key)


def _fault_line(location: tuple[int | str, ...], message: str, value: object) -> str:
    # What is wrong with a key is told of the key itself.
    parts = location[:-1] if location[-1:] == ("[key]",) else location
    field = "".join(
        f"[{part}]" if isinstance(part, int) else f".{key_shown(part)}" for part in parts
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
            return (
                f"{path[:-1]}: {len(found)} entries, but the fields it derives from give "
                f"{len(expected)}"
            )
        pairs = zip(expected, found, strict=True)
        parts = [(one, other, f"{path}{index}.") for index, (one, other) in enumerate(pairs)]
    elif expected == found:
        return None
    else:
        return (
            f"{path[:-1]}: found {shown(found)}, but the fields it derives from give "
            f"{shown(expected)}"
        )
    return next(filter(None, (_first_difference(*part) for part in parts)), None)
