"""Accuracy records as tables, read loosely: whatever fields a design has, with what its class says of them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from sparqsim.html.definitions import meaning_in
from sparqsim.html.tables import ABSENT, Cell, Column, Table, count, decimal
from sparqsim.record import Record

#: Where the records of accuracy are defined; one that is not there any more is passed over.
MODULES = ("sparqsim.accuracy_report", "sparqsim.accuracy_table", "sparqsim.accuracy_record")
#: Lists of designs, under the names they have had.
ROWS = ("designs", "rows")


def accuracy_table(document: Mapping[str, Any]) -> Table:
    """Return one row for each design of an accuracy record."""
    rows = [dict(_flat(row)) for name in ROWS for row in document.get(name) or () if isinstance(row, Mapping)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = tuple(Column(_label(name), f"accuracy.{name}", _is_text(name, rows), _said(name)) for name in names)
    cells = (tuple(_cell(row.get(name)) for name in names) for row in rows)
    return Table(f"Accuracy of {document.get('network') or 'a network'}", columns, tuple(cells))


def accuracy_settings(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what else the record says: single values, and short lists of them."""
    settings = dict(_flat({name: value for name, value in document.items() if name not in (*ROWS, "schema")}))
    return [(_label(name), ABSENT if value is None else str(value)) for name, value in settings.items()]


def _said(name: str) -> str:
    """Return what a column means, in the words of the first record that explains it."""
    name = name.rpartition(".")[2]
    for record in _records():
        try:
            return meaning_in(record, name)
        except LookupError:
            continue
    return _sentence_with(name)


def _sentence_with(name: str) -> str:
    """Return the docstring's first paragraph that mentions `name`."""
    paragraphs = [part for record in _records() for part in (inspect.getdoc(record) or "").split("\n\n")]
    found = next((part for part in paragraphs if f"`{name}`" in part), "")
    return " ".join(found.replace("`", "").split()) or f"{_label(name)}, as the accuracy record says."


@cache
def _records() -> tuple[type[Record], ...]:
    found: list[type[Record]] = []
    for module_name in MODULES:
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError:
            continue
        found += [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Record)]
    return tuple(found)


@cache
def _field_names() -> frozenset[str]:
    return frozenset(name for record in _records() for name in record.model_fields)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield single values, nested names joined by a dot; tables by layer are left to the JSON."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            if value.keys() <= _field_names():
                yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            if value and all(isinstance(inner, str) for inner in value):
                yield prefix + name, ", ".join(value)
        else:
            yield prefix + name, value


def _label(name: str) -> str:
    return name.rpartition(".")[2].replace("_", " ")


def _is_text(name: str, rows: list[dict[str, Any]]) -> bool:
    return any(isinstance(row.get(name), str | bool) for row in rows)


def _cell(value: object) -> Cell:
    if isinstance(value, bool):
        return Cell("yes" if value else "no")
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return decimal(value, 3)
    return count(None) if value is None else Cell(str(value))
