"""Gathers as points of a store: computed once, exported row by row, beside simulations or alone."""

from __future__ import annotations

import csv
import json
import sqlite3
import zlib
from pathlib import Path

import numpy as np
import pytest

import sparqsim
from sparqsim import InputError
from sparqsim.results.gather_report import GatherReport
from sparqsim.sweep import Case, Store, load_grid, sweep
from sparqsim.sweep.gather_point import GatherTask, gather_point
from sparqsim.sweep.gathers import GatherCase

GRID = """
[[gather]]
table = "table.npy"
indices = ["zipf:0", "zipf:1"]
lookups = 200
memory = ["edge", "tpu-v1-like"]
format = ["fp32", "int4"]
layout = "padded"
width = [8, 16]
"""


@pytest.fixture
def grid(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("table.npy", np.random.default_rng(3).normal(size=(40, 16)))
    Path("grid.toml").write_text(GRID)
    return tmp_path / "grid.toml"


def rows_of(path: str) -> list[dict[str, str]]:
    with Path(path).open() as file:
        return [*csv.DictReader(file)]


def filled(path: str, cases: list) -> None:
    """Record what a worker makes of cases, without processes."""
    points = [gather_point(case) for case in cases]
    with Store(path, write=True) as store:
        store.record((point, GatherTask.of([point]).done()[0]) for point in points)


def test_a_grid_is_computed_once_and_exported_by_format_and_width(grid, run):
    assert "4 points: 0 known, 4 computed" in run("sweep", grid, "-o", "s.sqlite", "--jobs", 1).out
    assert "4 points: 4 known, 0 computed" in run("sweep", grid, "-o", "s.sqlite").out
    assert "16 rows written" in run("sweep", "export", "s.sqlite", "-o", "s.csv").out
    rows = rows_of("s.csv")
    assert {(row["indices"], row["memory"], row["format"], row["width"]) for row in rows} == {
        (indices, memory, format_, width)
        for indices in ("zipf:0", "zipf:1")
        for memory in ("edge", "tpu-v1-like")
        for format_ in ("fp32", "int4")
        for width in ("8", "16")
    }
    run(
        "gather", "table.npy", "--indices", "zipf:1", "--lookups", 200, "--format", "fp32,int4",
        "--layout", "padded", "--width", "8,16", "-o", "own.json",
    )  # fmt: skip
    own = {(e.format, e.width): e for e in GatherReport.load("own.json").entries}
    for row in rows:
        if (row["indices"], row["memory"]) == ("zipf:1", "edge"):
            each = own[row["format"], int(row["width"])]
            assert (row["cycles"], row["bursts"]) == (str(each.cycles), str(each.bursts))
            assert row["synthetic"].startswith("Zipf")
    assert "trace" not in rows[0]  # nothing of simulations where there are none
    status = run("sweep", "status", "s.sqlite", "--format", "csv").out
    assert status.splitlines()[1].endswith(",done,4")


def test_a_store_holds_both_kinds(grid, small_path):
    cases = [Case(trace=str(small_path), pe="mac-8b8b"), *load_grid(grid)]
    filled("s.sqlite", cases[1:])
    summary = sweep(cases, "s.sqlite", jobs=1)
    assert (summary.known, summary.done) == (4, 1)
    with Store("s.sqlite") as store:
        rows = store.rows()
    simulated = [row for row in rows if row["pe"]]
    assert [row["table"] for row in simulated] == [None]
    assert simulated[0]["speedup"] == 1
    assert len([row for row in rows if row["table"] == "table.npy"]) == 16


def test_what_is_refused_is_recorded_with_the_reason(grid, run):
    grid.write_text(GRID.replace("width = [8, 16]", "width = 17"))
    filled("s.sqlite", load_grid(grid))
    run("sweep", "export", "s.sqlite", "-o", "s.csv")
    rows = rows_of("s.csv")
    assert {row["state"] for row in rows} == {"refused"}
    assert all("expected 1 to 16" in row["reason"] for row in rows)


def test_keys_follow_contents_not_paths(grid, tmp_path):
    case = GatherCase(table="table.npy", indices="rows.txt", format=["int4"])
    Path("rows.txt").write_text("1 2 3")
    key = gather_point(case).key
    (tmp_path / "other").mkdir()
    Path("other/t.npy").write_bytes(Path("table.npy").read_bytes())
    Path("other/r.txt").write_text("1 2 3")
    moved = case.model_copy(update={"table": "other/t.npy", "indices": "other/r.txt"})
    assert gather_point(moved).key == key
    Path("mine.toml").write_text("[gather]\nlanes = 3")
    for change in (
        {"indices": "zipf:1"}, {"format": ["int4:search=none"]}, {"width": [3]}, {"bag": 2},
        {"layout": "packed"}, {"memory": "mine.toml"}, {"energy": "45nm"}, {"engine": "event"},
    ):  # fmt: skip
        assert gather_point(case.model_copy(update=change)).key != key, change
    Path("rows.txt").write_text("1 2 4")
    assert gather_point(case).key != key
    Path("rows.txt").write_text("1 2 3")
    np.save("table.npy", np.zeros((40, 16)))
    assert gather_point(case).key != key


def test_a_network_behind_is_part_of_the_key_and_of_the_rows(grid, run):
    codes = np.random.default_rng(2).integers(-9, 9, (2, 16)).astype(np.int8)
    layer = sparqsim.Layer.linear("first", codes, codes)
    sparqsim.Trace([layer], network="an MLP", provenance={"coverage": {"inputs": 2}}).save(
        "m.safetensors"
    )
    text = GRID.replace("width = [8, 16]", 'trace = "m.safetensors"\npe = ["mac-8b8b", "mac-4b8b"]')
    grid.write_text(text.replace('"zipf:0", ', "").replace('"edge", ', ""))
    filled("s.sqlite", load_grid(grid))
    run("sweep", "export", "s.sqlite", "-o", "s.csv")
    assert all(0 < float(row["gather_share"]) < 1 for row in rows_of("s.csv"))
    assert len({row["key"] for row in rows_of("s.csv")}) == 2


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (('"table.npy"', '"none.npy"'), "none.npy: no such file"),
        (("lookups = 200", "lookups = 0"), "gather[0]: lookups"),
        (("lookups = 200", "lookup = 200"), "gather[0]: lookup"),
        (("lookups = 200", "lookups = []"), "lookups=[]: expected at least one value"),
        (('"int4"', '"int5"'), "row format 'int5' is not known"),
        (('"int4"', '"own.py:Mine"'), "own.py:Mine"),
        (('"tpu-v1-like"', '"edgy"'), "edgy: no such file"),
        (("[[gather]]", "[gather]"), "expected tables, [[gather]]"),
        (("[[gather]]", 'pe = "mac-8b8b"\n[[gather]]'), "trace: Field required"),
        (('"padded"', '["padded", "tight"]'), "layout"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_in_a_line(grid, refused, edit, said):
    grid.write_text(GRID.replace(*edit))
    assert said in refused("sweep", grid, "-o", "s.sqlite")


@pytest.mark.parametrize(
    ("facts", "text", "said"),
    [
        ({"table": 3}, None, "its fact table='3' is no str"),
        ({"formats": None}, None, "its fact formats='None' is no str"),
        ({"kind": "sum"}, None, "its facts lack 'trace'"),
        ({}, "{}", "version: Field required"),
    ],
)
def test_rows_that_no_sweep_has_recorded_are_refused(grid, facts, text, said):
    filled("s.sqlite", load_grid(grid)[:1])
    database = sqlite3.connect("s.sqlite")
    (old,) = database.execute("SELECT facts FROM points").fetchone()
    database.execute("UPDATE points SET facts = ?", (json.dumps(json.loads(old) | facts),))
    if text is not None:
        database.execute("UPDATE points SET packed = ?", (zlib.compress(text.encode()),))
    database.commit()
    database.close()
    with pytest.raises(InputError) as error, Store("s.sqlite") as store:
        store.rows()
    assert said in str(error.value)
