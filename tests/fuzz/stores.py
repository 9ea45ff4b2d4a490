"""Stores of sweeps: rows that hold something else, tables and views of another make, pages."""

from __future__ import annotations

import json
import random
import sqlite3
import tempfile
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from _mutate import altered, flipped, json_text
from _sound import trace_bytes

from sparqsim.sweep.case import Case
from sparqsim.sweep.point import Planner
from sparqsim.sweep.store import Store
from sparqsim.sweep.worker import Task, run_task

COMMANDS = (
    ("sweep", "status", "{file}"),
    ("sweep", "export", "{file}", "-o", "{folder}/rows.csv"),
    ("plot", "{file}", "--kind", "array-size", "-o", "{folder}/a.svg"),
)
STATEMENTS = (
    "UPDATE points SET key = NULL",
    "UPDATE points SET key = x'00ff' WHERE rowid = 1",
    "UPDATE points SET state = 'odd'",
    "UPDATE points SET state = 7",
    "UPDATE points SET packed = 'text'",
    "UPDATE points SET packed = 12",
    "UPDATE points SET packed = zeroblob(100)",
    "UPDATE points SET facts = '{}'",
    "UPDATE points SET facts = '[1]'",
    "UPDATE points SET facts = x'ff00'",
    "UPDATE points SET facts = 3.5",
    "DELETE FROM points",
    "ALTER TABLE points ADD COLUMN more TEXT",
    "ALTER TABLE points RENAME COLUMN packed TO other",
    "PRAGMA user_version = 2",
    "PRAGMA application_id = 7",
    "CREATE TABLE more (a)",
    "CREATE TRIGGER t AFTER INSERT ON points BEGIN DELETE FROM points; END",
)


@cache
def _sound() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.safetensors"
        path.write_bytes(trace_bytes())
        with Store(Path(folder) / "s.sqlite", write=True) as store:
            for array in ("2x3", "4x4"):
                designs = ("mac-8b8b", "sparq-5opt")
                cases = [Case(trace=str(path), pe=pe, array=array) for pe in designs]
                points = Planner().points(cases)
                results = run_task(Task.of(points))
                store.record(zip(points, results, strict=True))
        return (Path(folder) / "s.sqlite").read_bytes()


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    rng = random.Random(seed)
    yield "sound.sqlite", _sound()
    for number in range(1, count):
        content = flipped(rng, _sound()) if rng.random() < 0.3 else _with_altered_rows(rng)
        yield f"m{number}.sqlite", content


def _with_altered_rows(rng: random.Random) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.sqlite"
        path.write_bytes(_sound())
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode = DELETE")
        if rng.random() < 0.5:
            connection.execute(rng.choice(STATEMENTS))
        else:
            _alter_row(rng, connection)
        connection.commit()
        connection.close()
        return path.read_bytes()


def _alter_row(rng: random.Random, connection: sqlite3.Connection) -> None:
    rows = connection.execute("SELECT key, facts, packed FROM points").fetchall()
    key, facts, packed = rng.choice(rows)
    if rng.random() < 0.5:
        facts = json_text(altered(rng, json.loads(facts))).decode()
        connection.execute("UPDATE points SET facts = ? WHERE key = ?", (facts, key))
        return
    report = json_text(altered(rng, json.loads(zlib.decompress(packed))))
    connection.execute("UPDATE points SET packed = ? WHERE key = ?", (zlib.compress(report), key))
