"""The database of a store: one SQLite file in WAL mode.

Why SQLite and not Parquet files committed by rename: results come one at a time, from two sweeps at
once if need be. A primary key makes 'none recorded twice' the database's business, a commit per
task makes 'no finished result lost' so, and ten thousand points are one file and not ten thousand.
WAL lets others read (status, export) while a sweep writes, and a torn write at the log's end is
dropped when the file is next opened. With synchronous=FULL a commit is on disk before it counts as
done, also when the power fails; at a few milliseconds per task that is cheap. Not for network
drives: WAL needs shared memory between its users.

A file says what it is: `application_id`, and `user_version` = the format of this file. Version 1
has the first of two tables, and gets the second one when a sweep records into it:

    points(key, state, facts, packed)
    passes(key, content)

Of points, key: see `sparqsim.sweep.point`. state: 'done' or 'refused'. facts: JSON, what the key is
made of. packed: the report's JSON, or why the case is refused, compressed with zlib. Of passes:
see `sparqsim.sweep.passes`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from sparqsim.base.errors import InputError
from sparqsim.sweep.check import (
    IS_GATHER,
    PASSES_TABLE,
    TABLE,
    Recorded,
    check_rows,
    check_schema,
    checked_pass,
    distrust,
    point_of,
)
from sparqsim.sweep.point import EARLIER, Point
from sparqsim.sweep.sqlite import PATIENCE_SECONDS, advice_on, pragma, set_wal, transaction
from sparqsim.sweep.worker import Result

APPLICATION_ID = 0x53505351  # 'SPSQ'
#: 1: without the table of passes.
FORMATS = (1, 2)
#: Sorted by what a point is, with paths and the order of arrival left out.
ORDER = ", ".join(
    f"COALESCE(json_extract(facts, '$.{name}'), '{EARLIER.get(name, '')}')"
    for name in (
        "trace",
        "trace_sha256",
        "rows",
        "cols",
        "dataflow",
        "coupling",
        "overlap",
        "memory",
        "memory_config",
        "all_layers",
        "kept",
        "signed",
        "engine",
        "energy",
        "pe",
        "pe_source_sha256",
        "table",
        "indices",
        "formats",
        "version",
    )
)


class Database:
    """Recorded results, for use in a `with` block or as it is.

    Parameters
    ----------
    path : str or Path
    write : bool
        Whether results will be recorded: the file is made where it does not exist. Else it must be
        there, and only needs to be readable.

    Raises
    ------
    InputError
        For a file that is missing, no store, of a later format, or not writable although `write` is
        set; and, from every method, for what SQLite reports: a full disk, a read-only file, a
        damaged one.
    """

    def __init__(self, path: str | Path, *, write: bool = False) -> None:
        self.path = Path(path)
        with self._told():
            self._connection = self._writable() if write else self._readable()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def known(self, keys: Iterable[str]) -> set[str]:
        """Return those of `keys` that are recorded."""
        with self._told():
            return {
                key
                for key in keys
                if self._connection.execute("SELECT 1 FROM points WHERE key = ?", (key,)).fetchone()
            }

    def record(self, results: Iterable[tuple[Point, Result]]) -> None:
        """Commit results; a key that is there already keeps what it has."""
        rows = [
            (point.key, result.state, json.dumps(point.facts, sort_keys=True), result.packed)
            for point, result in results
        ]
        with self._told(), transaction(self._connection):
            self._connection.executemany("INSERT OR IGNORE INTO points VALUES (?, ?, ?, ?)", rows)

    def known_passes(self, keys: Iterable[str]) -> set[str]:
        """Return those of the keys of passes that are kept; for a store that is open to write."""
        held = "SELECT 1 FROM passes WHERE key = ?"
        with self._told():
            return {key for key in keys if self._connection.execute(held, (key,)).fetchone()}

    def passes(self, keys: Iterable[str]) -> list[bytes] | None:
        """Return the contents of passes, None where one is not there."""
        held = "SELECT content FROM passes WHERE key = ? AND typeof(content) = 'blob'"
        with self._told():
            rows = [self._connection.execute(held, (key,)).fetchone() for key in keys]
        return None if None in rows else [content for (content,) in rows]

    def keep_passes(self, results: Iterable[Result]) -> None:
        """Commit passes; a key that is there already keeps what it has."""
        rows = [(result.key, result.packed) for result in results]
        with self._told(), transaction(self._connection):
            self._connection.executemany("INSERT OR IGNORE INTO passes VALUES (?, ?)", rows)

    def recorded(self) -> Iterator[Recorded]:
        """Yield every recorded simulation, in an order that does not depend on when it was
        computed.

        One point at a time is in memory. Raises InputError naming a row that no sweep has recorded.
        """
        return self._recorded(f"NOT {IS_GATHER}")

    def gathers(self) -> Iterator[Recorded]:
        """Yield every recorded point of gathers, as `recorded` does those of simulations."""
        return self._recorded(IS_GATHER)

    def _recorded(self, condition: str) -> Iterator[Recorded]:
        # One statement that is open from the first point to the last: what a sweep records
        # meanwhile is not seen.
        numbers = self._cursor(
            f"SELECT rowid FROM points WHERE {condition} ORDER BY {ORDER}, key"  # noqa: S608 - names of ours
        )
        while True:
            with self._told():
                number = numbers.fetchone()
            if number is None:
                return
            row = "SELECT key, state, facts, packed FROM points WHERE rowid = ?"
            with self._told():
                fields = self._connection.execute(row, number).fetchone()
            yield point_of(self.path, *fields)

    def _cursor(self, statement: str) -> sqlite3.Cursor:
        with self._told():
            return self._connection.execute(statement)

    def check_results(self) -> None:
        """Unpack every recorded result. Raises InputError naming the first one that is damaged.

        What a result says is checked where it is read: by `rows`, and by an export.
        """
        points = self._cursor("SELECT key, state, facts, packed FROM points")
        with self._told():
            for fields in points:
                point_of(self.path, *fields)
        with self._told():
            for key, content in self._passes():
                checked_pass(self.path, key, content)

    def _passes(self) -> Iterator[tuple[object, object]]:
        """Yield keys and contents of all passes; none of a store of format 1."""
        if pragma(self._connection, "user_version") == FORMATS[-1]:
            yield from self._connection.execute("SELECT key, content FROM passes")

    def passes_kept(self) -> tuple[int, int]:
        """Return how many passes are kept, and their bytes."""
        with self._told():
            sizes = [len(content) for _, content in self._passes() if isinstance(content, bytes)]
        return len(sizes), sum(sizes)

    def counts(self) -> list[tuple[str, str, int]]:
        """Return (package version, state, points) for what is recorded."""
        sql = (
            "SELECT json_extract(facts, '$.version'), state, COUNT(*) FROM points GROUP BY 1, 2 "
            "ORDER BY 1, 2"
        )
        with self._told():
            return [
                (str(version), str(state), int(count))
                for version, state, count in self._connection.execute(sql)
            ]

    def _writable(self) -> sqlite3.Connection:
        if str(self.path) in {":memory:", "."}:
            raise InputError(
                f"{str(self.path)!r} names no file, so what is computed would be lost; "
                "expected a store's path"
            )
        if not self.path.parent.is_dir():
            raise InputError(
                f"{self.path}: no such folder; expected a store in a folder that exists"
            )
        connection = sqlite3.connect(
            self.path.absolute(), timeout=PATIENCE_SECONDS, isolation_level=None
        )
        try:
            self._is_made(connection)  # first: a file that is something else stays as it is
            set_wal(connection)
            connection.execute("PRAGMA synchronous = FULL")
            with transaction(connection):
                self._make_table(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_table(self, connection: sqlite3.Connection) -> None:
        """Make a new file a store, or one of an earlier format one of this, all in one transaction;
        in an old one, touch the log, to learn that it can grow.
        """
        if not self._is_made(connection):
            connection.execute(TABLE)
        if pragma(connection, "user_version") != FORMATS[-1]:
            connection.execute(PASSES_TABLE.replace("TABLE", "TABLE IF NOT EXISTS"))
            connection.execute(f"PRAGMA user_version = {FORMATS[-1]}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    def _readable(self) -> sqlite3.Connection:
        if not self.path.is_file():
            raise InputError(
                f"{self.path}: no such file; expected a store that `sparqsim sweep` made"
            )
        try:
            return self._opened_to_read("mode=ro")
        except sqlite3.OperationalError:
            # In a folder that cannot be written there is no room for WAL's shared memory. Without a
            # log nothing can be missing from the file itself.
            log = self.path.with_name(self.path.name + "-wal")
            if log.exists() and log.stat().st_size:
                raise
            return self._opened_to_read("immutable=1")

    def _opened_to_read(self, mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.resolve().as_uri()}?{mode}",
            uri=True,
            timeout=PATIENCE_SECONDS,
            isolation_level=None,
        )
        try:
            made = self._is_made(connection)
        except BaseException:
            connection.close()
            raise
        if made:
            return connection
        connection.close()
        return _empty()

    def _is_made(self, connection: sqlite3.Connection) -> bool:
        """Return whether the file is a store; False for one with nothing in it.

        Raises InputError for any other.

        Nothing in it: new, or all that a full disk or a kill let be made of a store.
        """
        distrust(connection)
        application, version = (
            pragma(connection, "application_id"),
            pragma(connection, "user_version"),
        )
        tables = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        if not (application or version or tables):
            return False
        if application != APPLICATION_ID:
            raise InputError(
                f"{self.path}: a SQLite file, but not a store of sweeps (application_id="
                f"{application:#x}); expected a file that `sparqsim sweep` made, or a new one"
            )
        if version not in FORMATS:
            raise InputError(
                f"{self.path}: store format {version}, this version of sparqsim reads formats "
                f"{' and '.join(map(str, FORMATS))}; expected a newer sparqsim, or another file"
            )
        check_schema(connection, self.path)
        check_rows(connection, self.path)
        return True

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise InputError(f"{self.path}: {error}; {advice_on(error)}") from None
        except UnicodeDecodeError:
            # SQLite names what is damaged in its message, and the name need not be text.
            raise InputError(
                f"{self.path}: its schema is damaged (not UTF-8); expected a file that "
                "`sparqsim sweep` made"
            ) from None


def _empty() -> sqlite3.Connection:
    """Return a store with nothing in it."""
    connection = sqlite3.connect(":memory:")
    connection.execute(TABLE)
    return connection
