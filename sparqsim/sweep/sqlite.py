"""SQLite as the store uses it: whole transactions, the log, and what to do about its errors."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: How long a writer waits for another one, in seconds.
PATIENCE_SECONDS = 60.0


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block does, all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After a full disk SQLite has rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def advice_on(error: sqlite3.Error) -> str:
    """Return what was expected where SQLite fails: the end of a message."""
    text = str(error)
    resumes = "what was recorded is safe, and the same command resumes"
    advice = {
        "full": f"expected free space on the disk; {resumes}",
        "disk I/O": f"expected free space on a disk that can be written; {resumes}",
        "readonly": "expected a file and a folder that may be written",
        "unable to open": (
            "expected a file that may be read, in a folder that may be written and has free space"
        ),
        "not a database": "expected a file that `sparqsim sweep` made, or a new one",
        "locked": (
            f"another process held the store for over {PATIENCE_SECONDS:.0f} s; "
            "expected a local disk"
        ),
    }
    return next((told for words, told in advice.items() if words in text), "expected a sound store")


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """Return a setting of the file that is a whole number."""
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def set_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL; try again where two processes do so at once, which SQLite refuses."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    switched = False
    while not switched:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            switched = True
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
