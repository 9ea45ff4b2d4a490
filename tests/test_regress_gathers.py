"""Golden reports of gathers: unchanged, moved, and every cause that comes first."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

import sparqsim
from sparqsim.gather import recurrence
from sparqsim.results.gather_report import GatherReport

LIST = """
[[gather]]
name = "drawn"
table = "table.npy"
indices = "zipf:1"
lookups = 300
format = ["fp32", "int4"]
layout = "padded"
energy = "45nm"
"""


@pytest.fixture
def cases(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("table.npy", np.random.default_rng(3).normal(size=(40, 64)))
    Path("cases.toml").write_text(LIST)
    return tmp_path / "cases.toml"


@pytest.fixture
def golden(cases, run) -> Path:
    assert run("regress", "update", cases).code == 0
    return cases.parent / "golden" / "drawn.json"


def test_a_golden_report_is_that_of_the_command_and_does_not_move(golden, cases, run):
    words = ("--lookups", "300", "--format", "fp32,int4", "--layout", "padded")
    words += ("--memory-energy", "45nm", "-o", "own.json")
    run("gather", "table.npy", "--indices", "zipf:1", *words)
    assert golden.read_bytes() == Path("own.json").read_bytes()
    ended = run("regress", "check", cases)
    assert (ended.code, ended.out.splitlines()[0]) == (
        0, "unchanged  drawn (gathers from table.npy, zipf:1, fp32, int4, edge)",
    )  # fmt: skip


def test_cycles_that_moved_name_format_and_share(golden, cases, run, monkeypatch):
    play = recurrence.play
    monkeypatch.setattr(recurrence, "play", lambda *a: play(*a[:5], a[5] + 7, *a[6:]))
    ended = run("regress", "check", cases)
    assert ended.code == 1
    before = GatherReport.load(golden).entry("fp32", "padded").cycles
    assert (
        f"cycles: layer fp32, padded, 64 elements: total {before:,} -> {before + 7:,} (+"
        in ended.out
    )
    assert "int4, padded, 64 elements: total" in ended.out


def test_values_that_moved_are_named(golden, cases, run):
    """The record says so itself: an error of rows that another version found."""
    document = json.loads(golden.read_text())
    document["entries"][1]["errors"]["mean"] /= 2
    golden.write_text(json.dumps(document))
    ended = run("regress", "check", cases)
    assert ended.code == 1
    assert "values: layer int4, padded, 64 elements: errors mean=" in ended.out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("table", "table changed: another content of the table (sha256"),
        ("look-ups", "look-ups changed: another content of the look-ups (sha256"),
        ("hardware", "setup: hardware is not that of the golden report"),
        ("energy", "setup: energy is not that of the golden report"),
        ("format", "setup: entries is not that of the golden report"),
        ("gone", "file missing: "),
        ("refused", "refused: case drawn: lookups 300: changes nothing with indices "),
        ("no golden", "missing: "),
        ("other golden", "schema: "),
    ],
)
def test_a_cause_comes_first_and_alone(golden, cases, run, change, said):
    text = cases.read_text()
    if change == "table":
        np.save("table.npy", np.ones((40, 64)))
    elif change == "gone":
        Path("table.npy").unlink()
    elif change == "no golden":
        golden.unlink()
    elif change == "other golden":
        golden.write_text('{"schema": "sparqsim.report/2"}')
    Path("rows.txt").write_text("1 2 3")
    edits = {
        "look-ups": ('"zipf:1"', '"zipf:2"'),
        "hardware": ("energy", 'memory = "tpu-v1-like"\nenergy'),
        "energy": ("45nm", "28nm"),
        "format": ('"fp32", "int4"', '"fp32", "int8"'),
        "refused": ("zipf:1", "rows.txt"),
    }
    if change in edits:
        cases.write_text(text.replace(*edits[change]))
    ended = run("regress", "check", cases)
    assert ended.code == 1
    assert f"  {said}" in ended.out
    assert ended.out.count("\n  ") == 1


def test_cases_of_both_kinds_stand_in_one_list(cases, run, small_path, tmp_path):
    trace = tmp_path / "small.safetensors"
    if not trace.exists():
        trace.write_bytes(Path(small_path).read_bytes())
    cases.write_text(LIST + '[[case]]\nname = "run"\ntrace = "small.safetensors"\n')
    assert run("regress", "update", cases).out.count("written") == 2
    told = json.loads(run("regress", "check", cases, "--format", "json").out)
    assert (told["unchanged"], [each["case"] for each in told["cases"]]) == (2, ["run", "drawn"])
    rows = [*csv.DictReader(io.StringIO(run("regress", "check", cases, "--format", "csv").out))]
    assert [row["case"] for row in rows] == ["run", "drawn"]
    assert rows[1]["indices"] == "zipf:1"
    sparqsim.regress.assert_unchanged(cases)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (('"zipf:1"', '"zipf:1"\nrows = 3'), "gather[0].rows"),
        (("lookups = 300", "lookups = 0"), "gather[0].lookups"),
        (('layout = "padded"', 'layout = "tight"'), "gather[0].layout"),
        (('"fp32", "int4"', '"own.py:Format"'), "own.py:Format"),
        (('"fp32", "int4"', '"int5"'), "case drawn: row format 'int5' is not known"),
        (('energy = "45nm"', 'pe = "mac-8b8b"'), "pe='mac-8b8b': nothing runs on an array"),
        (('energy = "45nm"', 'energy = "46nm"'), "memory energies '46nm'"),
        (('"table.npy"', '"none.npy"'), "none.npy: no such file"),
        (('name = "drawn"\n', 'name = "drawn"\nseed = -1\n'), "gather[0].seed"),
        (("[[gather]]", "[[gathers]]"), "gathers"),
    ],
)
def test_a_list_that_cannot_be_is_refused_in_a_line(cases, refused, edit, said):
    cases.write_text(LIST.replace(*edit))
    assert said in refused("regress", "update", cases)
    assert not (cases.parent / "golden").exists()


def test_a_list_of_nothing_is_refused(cases, refused):
    cases.write_text('golden = "golden"')
    assert "expected tables [[case]] or [[gather]]" in refused("regress", "check", cases)
