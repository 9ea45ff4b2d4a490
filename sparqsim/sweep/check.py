"""What a store may hold: looked at before anything in it is used, since a file may come from
anyone.

A SQLite file can hold more than rows: views that never end, triggers that run with every row that
is recorded. So a store has the tables that `sparqsim.sweep.database` makes and nothing else, and
each row is what a sweep records.
"""

from __future__ import annotations

import json
import re
import sqlite3
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparqsim.base.errors import InputError
from sparqsim.sweep.passes import unpacked_pass
from sparqsim.sweep.point import EARLIER, GATHER
from sparqsim.sweep.worker import unpacked

TABLE = (
    "CREATE TABLE points (key TEXT PRIMARY KEY, state TEXT NOT NULL, facts TEXT NOT NULL, "
    "packed BLOB NOT NULL)"
)
PASSES_TABLE = "CREATE TABLE passes (key TEXT PRIMARY KEY, content BLOB NOT NULL)"
#: The tables, by name; stores of format 1 have the first one alone.
TABLES = {"points": TABLE, "passes": PASSES_TABLE}
#: They, and the index that SQLite makes of each primary key.
KNOWN = {("table", name) for name in TABLES} | {
    ("index", f"sqlite_autoindex_{name}_1") for name in TABLES
}
KEY = re.compile(r"[0-9a-f]{64}")
#: What a point's facts hold at least, by type; bool is no int here.
FACTS: Mapping[str, type] = {
    "trace": str,
    "trace_sha256": str,
    "rows": int,
    "cols": int,
    "dataflow": str,
    "coupling": str,
    "overlap": bool,
    "memory": str,
    "memory_config": str,
    "all_layers": bool,
    "kept": str,
    "signed": str,
    "engine": str,
    "pe": str,
    "pe_source_sha256": str,
    "version": str,
    "sources_sha256": str,
}
#: The same of points of gathers.
GATHER_FACTS: Mapping[str, type] = {
    "table": str,
    "table_sha256": str,
    "indices": str,
    "indices_sha256": str,
    "formats": str,
    "layout": str,
    "widths": str,
    "memory": str,
    "memory_config": str,
    "engine": str,
    "version": str,
    "sources_sha256": str,
}
#: What SQLite calls the types of JSON values.
JSON_TYPES: Mapping[type, str] = {str: "'text'", int: "'integer'", bool: "'true', 'false'"}


def _sound(facts: Mapping[str, type], earlier: Collection[str]) -> str:
    """Return the condition that facts are there, by their types; older rows lack `earlier`."""
    return " AND ".join(
        f"COALESCE(json_type(facts, '$.{name}'), '{'text' if name in earlier else ''}') "
        f"IN ({JSON_TYPES[kind]})"
        for name, kind in facts.items()
    )


#: Whether a row is one of gathers.
IS_GATHER = f"COALESCE(json_extract(facts, '$.kind') = '{GATHER}', 0)"
#: The first row that is not what a sweep records, if there is one.
ODD_ROW = (
    "SELECT key, typeof(key), state, typeof(facts), typeof(packed), facts FROM points "  # noqa: S608 - names of ours
    "WHERE NOT (typeof(key) = 'text' AND typeof(state) = 'text' AND typeof(facts) = 'text' "
    "AND typeof(packed) = 'blob' AND state IN ('done', 'refused') AND json_valid(facts) "
    f"AND CASE WHEN {IS_GATHER} THEN {_sound(GATHER_FACTS, ())} ELSE {_sound(FACTS, EARLIER)} END"
    ") LIMIT 1"
)


@dataclass(frozen=True)
class Recorded:
    """A recorded point. facts: see `Point`. text: the report's JSON, or the reason of a refusal."""

    key: str
    state: str
    facts: dict[str, Any]
    text: str = field(repr=False)


def distrust(connection: sqlite3.Connection) -> None:
    """Let nothing that a file's schema holds run; text that is not UTF-8 is read all the same."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")


def check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Raise InputError where a file holds anything but the one table."""
    parts = connection.execute("SELECT type, name, sql FROM sqlite_master LIMIT 100").fetchall()
    for kind, name, sql in parts:
        if (kind, name) not in KNOWN:
            raise InputError(
                f"{path}: holds the {kind} {name!r}, which no sweep makes; expected the "
                "tables 'points' and 'passes' alone"
            )
        if kind == "table" and " ".join(sql.split()) != TABLES[name]:
            raise InputError(
                f"{path}: its table {name!r} is not the one that sweeps make; expected "
                f"{TABLES[name]}"
            )
    if ("table", "points") not in {(kind, name) for kind, name, _ in parts}:
        raise InputError(f"{path}: has no table 'points'; expected a store that a sweep has made")


def check_rows(connection: sqlite3.Connection, path: Path) -> None:
    """Raise InputError naming the first row whose columns or facts are not what a sweep records."""
    odd = connection.execute(ODD_ROW).fetchone()
    if odd is not None:
        raise _odd(path, odd[0], _row_fault(*odd[1:]))


def _row_fault(key_type: str, state: object, facts_type: str, packed_type: str, facts: Any) -> str:
    types = {
        "key": (key_type, "text"),
        "facts": (facts_type, "text"),
        "packed": (packed_type, "blob"),
    }
    for name, (kind, expected) in types.items():
        if kind != expected:
            return f"{name} is {kind}, expected {expected}"
    if state not in {"done", "refused"}:
        return f"state {state!r} is neither 'done' nor 'refused'"
    try:
        _, fault = _facts(facts)
    except (ValueError, RecursionError) as error:
        return f"its facts are no JSON ({error})"
    return fault or "its facts are not those of a point"


def point_of(path: Path, key: str, state: str, facts_text: str, packed: bytes) -> Recorded:
    """Return a row as a point. Raises InputError naming the row and what is wrong with it."""
    try:
        facts, fault = _facts(facts_text)
        text = unpacked(packed)
    except (ValueError, RecursionError, zlib.error) as error:
        raise _odd(path, key, str(error)) from None
    if not KEY.fullmatch(key):
        fault = "its key is no SHA-256"
    if fault:
        raise _odd(path, key, fault)
    return Recorded(key, state, facts, text)


def checked_pass(path: Path, key: object, content: object) -> None:
    """Raise InputError naming a kept pass that cannot be used."""
    where = f"{path}: pass {str(key)[:64]!r}"
    if not isinstance(content, bytes):
        raise InputError(f"{where}: its content is {type(content).__name__}, expected a blob")
    try:
        unpacked_pass(content)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _odd(path: Path, key: object, fault: str) -> InputError:
    return InputError(
        f"{path}: point {str(key)[:64]!r}: {fault}; expected a row that a sweep has recorded"
    )


def _facts(text: str) -> tuple[dict[str, Any], str]:
    """Return a point's facts, and what is wrong with them or ''.

    Raises ValueError for text that is no JSON.

    Older rows are of what could not be chosen then.
    """
    document = json.loads(text)
    if not isinstance(document, dict):
        return {}, "its facts are no JSON object"
    is_gather = document.get("kind") == GATHER
    facts = document if is_gather else EARLIER | document
    expected = GATHER_FACTS if is_gather else FACTS
    faults = (_fact_fault(name, kind, facts) for name, kind in expected.items())
    return facts, next(filter(None, faults), "")


def _fact_fault(name: str, kind: type, facts: Mapping[str, Any]) -> str:
    if name not in facts:
        return f"its facts lack {name!r}"
    if type(facts[name]) is not kind:
        return f"its fact {name}={str(facts[name])[:60]!r} is no {kind.__name__}"
    if name in {"rows", "cols"} and facts[name] < 1:
        return f"its fact {name}={facts[name]} is not at least 1"
    return ""
