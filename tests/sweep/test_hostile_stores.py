"""Stores that no sweep has made: nothing in them runs, and every odd row is named in one line."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from peak_memory import PEAK_KIB
from sweep_cases import ENVIRONMENT, command, edited

from sparqsim.base.errors import InputError
from sparqsim.sweep import Store
from sparqsim.sweep.export import export

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
VIEW = (
    "CREATE VIEW points AS "  # noqa: S608 - a text of this file
    + ENDLESS
    + " SELECT CAST(i AS TEXT) AS key, 'done' AS state, '{}' AS facts, x'00' AS packed FROM n"
)
OTHER_TABLE = (
    "CREATE TABLE points (key TEXT PRIMARY KEY, state TEXT, facts TEXT, packed BLOB, "
    "more TEXT GENERATED ALWAYS AS (upper(facts)))"
)
SCHEMAS = {
    "a view for the table": ["ALTER TABLE points RENAME TO other", VIEW],
    "a second view": [VIEW.replace("points", "more")],
    "a trigger": [
        "CREATE TRIGGER t AFTER INSERT ON points BEGIN DELETE FROM points; END",
    ],
    "a second table": ["CREATE TABLE other (a)"],
    "an index": ["CREATE INDEX i ON points (state)"],
    "no table": ["DROP TABLE points"],
    "another table": [
        "DROP TABLE points",
        OTHER_TABLE,
    ],
}


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("name", SCHEMAS)
def test_a_file_holds_the_table_and_nothing_else(name: str, write: bool, store: Path) -> None:
    for statement in SCHEMAS[name]:
        edited(store, statement)
    with pytest.raises(InputError, match=r"store\.sqlite: .*; expected"):
        Store(store, write=write)


@pytest.mark.parametrize("write", [False, True])
def test_a_schema_that_is_no_text_is_one_line(write: bool, store: Path) -> None:
    """SQLite names the damaged statement in its message, which then is no UTF-8."""
    content = store.read_bytes()
    assert content.count(b"packed BLOB") == 1
    damaged = content.replace(b"packed BLOB", b"packed \x82LOB").replace(
        b"state TEXT", b'state TE"T'
    )
    store.write_bytes(damaged)
    with pytest.raises(InputError, match="schema is damaged"):
        Store(store, write=write)


def facts_with(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda facts: facts | changes


ROWS: dict[str, tuple[str, Any]] = {
    "state": ("state", "maybe"),
    "state, steering a terminal": ("state", "\x1b[2Jdone"),
    "facts, no JSON": ("facts", "{"),
    "facts, no object": ("facts", "[]"),
    "facts, empty": ("facts", "{}"),
    "facts, a number": ("facts", 5),
    "facts, bytes": ("facts", b"\xff\xfe"),
    "facts, rows as text": ("facts", facts_with(rows="4")),
    "facts, rows as truth": ("facts", facts_with(rows=True)),
    "facts, rows below 1": ("facts", facts_with(rows=-4)),
    "facts, no name": ("facts", facts_with(trace=None)),
    "facts, no digest of sources": (
        "facts",
        lambda facts: {name: facts[name] for name in facts if name != "sources_sha256"},
    ),
    "packed, junk": ("packed", b"junk"),
    "packed, cut": ("packed", lambda data: data[:-9]),
    "packed, more behind it": ("packed", lambda data: data + b"more"),
    "packed, not UTF-8": ("packed", zlib.compress(b"\xff\xfe")),
    "packed, text": ("packed", "text"),
    "packed, no JSON": ("packed", zlib.compress(b"{")),
    "packed, too deep": ("packed", zlib.compress(b"[" * 200_000)),
    "packed, no report": (
        "packed",
        zlib.compress(b'{"provenance": {"network": "n"}, "totals": []}'),
    ),
    "key": ("key", "short"),
}


#: Results that unpack: only who reads them sees what they lack.
CONTENTS = {"packed, no JSON", "packed, too deep", "packed, no report"}


@pytest.mark.parametrize("name", ROWS)
def test_an_odd_row_is_named(name: str, store: Path, tmp_path: Path) -> None:
    column, change = ROWS[name]
    key = altered(store, column, change)
    with pytest.raises(InputError) as refused, Store(store) as opened:
        export(opened, tmp_path / "out.csv")
    line = str(refused.value)
    assert line.startswith(f"{store}: point {key!r}"), line
    assert line.isprintable()
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("name", sorted(set(ROWS) - CONTENTS))
def test_a_status_counts_no_damaged_result(
    name: str, store: Path, refused: Callable[..., str]
) -> None:
    column, change = ROWS[name]
    key = altered(store, column, change)
    assert f"point {key!r}" in refused("sweep", "status", store)


def altered(store: Path, column: str, change: Any) -> str:
    """Change a column of the first row that was computed; return the row's key."""
    with closing(sqlite3.connect(store)) as connection:
        key, facts, packed = connection.execute(
            "SELECT key, facts, packed FROM points WHERE state = 'done' ORDER BY key"
        ).fetchone()
        value = change
        if callable(change):
            value = change(packed) if column == "packed" else json.dumps(change(json.loads(facts)))
        statement = f"UPDATE points SET {column} = ? WHERE key = ?"  # noqa: S608 - columns of ours
        connection.execute(statement, (value, key))
        connection.commit()
    return value if column == "key" else key


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("cycles", "total"), -5),
        (("tiles",), -1),
        (("error", "mse"), float("inf")),
        (("=cmd()",), 1),
    ],
)
def test_impossible_totals_are_named(
    path: tuple[str, ...], value: Any, store: Path, tmp_path: Path
) -> None:
    def change(packed: bytes) -> bytes:
        report = json.loads(zlib.decompress(packed))
        place = report["totals"]
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value
        return zlib.compress(json.dumps(report).encode())

    key = altered(store, "packed", change)
    with (
        pytest.raises(InputError, match=f"point '{key}': its report cannot be read"),
        Store(store) as opened,
    ):
        export(opened, tmp_path / "out.csv")


NAMES = {
    "formula": ("=HYPERLINK(A1)", "'=HYPERLINK(A1)"),
    "sum": ("+1+2", "'+1+2"),
    "minus": ("-1", "'-1"),
    "at": ("@SUM(A1)", "'@SUM(A1)"),
    "tab": ("\t=1", "'\\t=1"),
    "escape": ("\x1b[31mred", "\\x1b[31mred"),
    "not UTF-8": (os.fsdecode(b"net\xff"), "net\\udcff"),
    "comma": ('a,"b"', 'a,"b"'),
    "plain": ("net-1=2", "net-1=2"),
}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("name", NAMES)
def test_names_leave_as_text(name: str, suffix: str, store: Path, tmp_path: Path) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    given, in_csv = NAMES[name]
    key = altered(store, "facts", facts_with(trace=given))
    with Store(store) as opened:
        assert export(opened, tmp_path / f"out{suffix}") == 12
    if suffix == ".csv":
        with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
            traces = {row["key"]: row["trace"] for row in csv.DictReader(file)}
        assert traces[key] == in_csv
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
        traces = {row["key"]: row["trace"] for row in rows}
        assert traces[key] == in_csv.removeprefix("'" if given[0] in "=+-@\t" else "")


@pytest.mark.parametrize("path", [":memory:", ""])
def test_a_store_is_a_file(path: str, trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("sweep", trace, "--pe", "mac-8b8b", "-o", path, "--jobs", "1") == 2
    assert "names no file" in capsys.readouterr().err


def fill(store: Path, points: int) -> None:
    """Put copies of the first result that was computed into a store until it holds so many."""
    with closing(sqlite3.connect(store)) as connection:
        facts, packed = connection.execute(
            "SELECT facts, packed FROM points WHERE state = 'done' ORDER BY key"
        ).fetchone()
        (held,) = connection.execute("SELECT COUNT(*) FROM points").fetchone()
        connection.executemany(
            "INSERT INTO points VALUES (?, 'done', ?, ?)",
            ((f"{number:064x}", facts, packed) for number in range(points - held)),
        )
        connection.commit()


EXPORT = """
import sys
from sparqsim.cli import main
try:
    main(["sweep", "export", sys.argv[1], "-o", sys.argv[2]])
finally:
    print(peak_kib() // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in other units elsewhere")
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_export_of_200000_points_takes_little_memory(
    suffix: str, store: Path, tmp_path: Path
) -> None:
    fill(store, 200_000)
    ended = subprocess.run(
        [sys.executable, "-c", PEAK_KIB + EXPORT, store, tmp_path / f"out{suffix}"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    told, mib = ended.stdout.splitlines()
    assert told.startswith("200,000 rows written")
    assert int(mib) < 300
