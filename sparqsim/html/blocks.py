"""What else a comparison holds, design by design: shown as it is, with what its record says of it.

A comparison may carry more than speedups, for instance speedups at equal area. Such a block is a mapping of designs to
records; it gets a table without a word here.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from sparqsim.html.definitions import meaning_in
from sparqsim.html.tables import Cell, Column, Table, count, decimal
from sparqsim.record import Record
from sparqsim.report import Comparison

#: What the page shows in its own way.
KNOWN = frozenset({"schema_", "baseline", "order", "reports", "speedups", "layers"})


def block_tables(comparison: Comparison) -> Iterator[Table]:
    """Yield a table for each mapping of designs to records that a comparison holds besides its reports."""
    for name in (*type(comparison).model_fields, *type(comparison).model_computed_fields):
        block = getattr(comparison, name)
        if name not in KNOWN and isinstance(block, Mapping) and block:
            yield _block_table(name, type(comparison), block)


def _block_table(name: str, holder: type, block: Mapping[str, Any]) -> Table:
    rows = {design: dict(_flat(row, holder, name)) for design, row in block.items()}
    meanings = {field: said for row in rows.values() for field, (_, said) in row.items()}
    columns = [Column(field.rpartition(".")[2].replace("_", " "), field, said=said) for field, said in meanings.items()]
    cells = ((Cell(design), *(_cell(row[field][0] if field in row else None) for field in meanings))
             for design, row in rows.items())
    title = name.replace("_", " ")
    return Table(title[0].upper() + title[1:], (Column("design", "design", text=True), *columns), tuple(cells))


def _flat(row: object, holder: type, name: str) -> Iterator[tuple[str, tuple[Any, str]]]:
    """Yield (field, (value, what it means)), nested records joined by dots."""
    if isinstance(row, Record):
        for part in (*type(row).model_fields, *type(row).model_computed_fields):
            for field, found in _flat(getattr(row, part), type(row), part):
                yield f"{name}.{field}", found
    else:
        yield name, (row, _said(holder, name))


def _said(record: type, name: str) -> str:
    """Return what a field means; the whole docstring of its record where that does not say."""
    try:
        return meaning_in(record, name)
    except LookupError:
        return " ".join((inspect.getdoc(record) or name).split())


def _cell(value: object) -> Cell:
    if isinstance(value, int) and not isinstance(value, bool):
        return count(value)
    if isinstance(value, float):
        return decimal(value)
    return count(None) if value is None else Cell(str(value))
