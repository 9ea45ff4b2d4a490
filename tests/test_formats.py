"""Every command that shows a table, in every format of `--format`, read back and compared with the
others.
"""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from html import unescape

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from safetensors import safe_open
from safetensors.numpy import save_file

import sparqsim
from sparqsim.cli import main
from sparqsim.cli.markdown import escaped, paragraphs
from sparqsim.cli.tables import Table
from sparqsim.pe import contract

#: Checks that `pe check` runs here: five that take no time, of which one has every step taken.
SHOWN = {
    contract.check_declaration,
    contract.check_frozen,
    contract.check_spec,
    contract.check_windows,
    contract.check_products,
}
GFM = MarkdownIt("commonmark").enable("table").enable("strikethrough")
BROKEN_PE = """
from sparqsim.pe.registry import designs
class Broken(designs()["mac-8b8b"]):
    name = "broken"
    def step(self, xs, ws, signed):
        raise ValueError("a | b")
"""
CASES = """
[[case]]
name = "os"
trace = "small.safetensors"
array = "4x3"

[[case]]
name = "ws"
trace = "small.safetensors"
pe = "sparq-exact"
dataflow = "ws"
"""
TWO_GRIDS = ("--pe", "mac-8b8b,sparq-5opt", "--array", "4x4,8x8", "--dataflow", "os,ws")


def ended_with(*arguments):
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


def with_faults(sound, target, count):
    """Save a trace with `count` tensors that belong to no layer: a fault each."""
    with safe_open(sound, "numpy") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118 - the file is no mapping
    strays = {f"stray{number}": np.zeros(1, np.uint8) for number in range(count)}
    save_file(tensors | strays, target, metadata)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with one of everything: sound and faulty traces, cases of which one changed, a
    store, a design.
    """
    folder = tmp_path_factory.mktemp("formats")
    random = np.random.default_rng(3)
    sparqsim.Trace(
        [
            sparqsim.Layer.from_gemm(
                name,
                random.integers(0, 256, (m, 11), np.uint8) * (random.random((m, 11)) < 0.6),
                random.integers(-128, 128, (11, 6), np.int8),
                keep_8bit=name == "first",
            )
            for name, m in (("first", 9), ("second", 5))
        ]
    ).save(folder / "small.safetensors")
    with_faults(folder / "small.safetensors", folder / "one.safetensors", 1)
    with_faults(folder / "small.safetensors", folder / "four.safetensors", 4)
    (folder / "cases.toml").write_text(CASES)
    assert ended_with("regress", "update", folder / "cases.toml") == 0
    (folder / "same.toml").write_text(CASES.partition('\n[[case]]\nname = "ws"')[0])
    (folder / "golden" / "ws.json").write_text("no report")
    store = folder / "store.sqlite"
    assert (
        ended_with("sweep", folder / "small.safetensors", *TWO_GRIDS, "-o", store, "--jobs", "1")
        == 0
    )
    (folder / "broken.py").write_text(BROKEN_PE)
    return folder


@pytest.fixture
def folder(made, monkeypatch):
    """That folder as the present one, with a few quick checks of designs: tables show no more of the
    others.
    """
    quick = {name: check for name, check in contract.CHECKS.items() if check in SHOWN}
    monkeypatch.setattr(contract, "CHECKS", quick)
    monkeypatch.chdir(made)
    return made


@dataclass(frozen=True)
class Parsed:
    """What a command printed in each format: rows by CSV, the document, tables by Markdown; and its
    exit code.
    """

    code: int
    rows: list[dict[str, str]]
    names: list[str]
    document: object
    tables: list[list[list[str]]]
    lines: str
    errors: dict[str, str]


@pytest.fixture
def parsed(run):
    def command(*arguments):
        ended = {
            name: run(*arguments, "--format", name) for name in ("table", "json", "csv", "markdown")
        }
        (code,) = {each.code for each in ended.values()}
        reader = csv.DictReader(io.StringIO(ended["csv"].out), strict=True)
        rows = list(reader)
        assert all(None not in row and None not in row.values() for row in rows), (
            "as many cells as names"
        )
        return Parsed(
            code,
            rows,
            list(reader.fieldnames or ()),
            json.loads(ended["json"].out),
            tables_of(ended["markdown"].out),
            ended["table"].out,
            {name: each.err for name, each in ended.items()},
        )

    return command


def tables_of(text):
    """Every table of a Markdown text, its heading first, as a reader of Markdown finds them."""
    tables = []
    for token in GFM.parse(text):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "inline" and tables and token.level >= 3:
            tables[-1][-1].append("".join(child.content for child in token.children))
    assert len(re.findall(r"^\| ?---", text, re.MULTILINE)) == len(tables), (
        "Markdown takes all for tables"
    )
    return tables


def test_trace_check_of_a_sound_trace(parsed, folder):
    got = parsed("trace", "check", "small.safetensors")
    assert (got.code, got.rows, got.names, got.tables) == (0, [], ["trace", "fault"], [])
    assert got.document == {
        "trace": "small.safetensors",
        "sound": True,
        "faults": [],
        "remarks": [],
    }
    assert set(got.errors.values()) == {""}


@pytest.mark.parametrize(
    ("name", "faults"), [("one.safetensors", 1), ("four.safetensors", 4), ("no.safetensors", 1)]
)
def test_trace_check_of_faults(name, faults, parsed, folder):
    got = parsed("trace", "check", name)
    assert got.code == 2
    assert [row["trace"] for row in got.rows] == [name] * faults
    told = [row["fault"] for row in got.rows]
    assert got.document == {"trace": name, "sound": False, "faults": told, "remarks": []}
    (table,) = got.tables
    assert table == [["", "fault"], *([str(number), fault] for number, fault in enumerate(told, 1))]
    assert got.lines.splitlines() == ([] if faults == 1 else [f"{name}: {fault}" for fault in told])
    for line in got.errors.values():
        assert line.startswith("sparqsim: ")
        assert line.count("\n") == 1
        assert told[0] in line


@pytest.mark.parametrize("name", ["mac-8b8b", "sparq-5opt", "smt-sa-2t"])
def test_pe_show(name, parsed, run):
    got, listed = parsed("pe", "show", name), run("pe", "list", "--format", "csv").out
    assert got.code == 0
    assert got.rows == [row for row in csv.DictReader(io.StringIO(listed)) if row["pe"] == name]
    (row,) = got.rows
    keys = got.document["keys"]
    assert {f"{key}={what['accepts']}" for key, what in keys.items()} == set(
        filter(None, row["keys"].split("; "))
    )
    assert [str(got.document[each]) for each in ("lanes", "multipliers", "most_step_cycles")] == [
        row[each] for each in ("lanes", "multipliers", "most_step_cycles")
    ]
    assert "Source:" in got.document["circuit"] + got.document["family"]
    assert got.tables[0][1][:3] == [row["pe"], row["lanes"], row["multipliers"]]
    assert {
        key: {"accepts": accepted, "default": default}
        for table in got.tables[1:]
        for key, accepted, default in table[1:]
    } == keys
    assert {
        f"{key}={what['accepts']} (default {what['default']})" for key, what in keys.items()
    } == {line for line in got.lines.splitlines() if line.partition("=")[0] in keys}


@pytest.mark.parametrize(("name", "code"), [("mac-4b8b", 0), ("broken.py:Broken", 1)])
def test_pe_check(name, code, parsed, folder):
    got = parsed("pe", "check", name)
    failed = [row for row in got.rows if row["passed"] == "false"]
    assert got.code == code == int(bool(failed))
    assert len(got.rows) > 4
    assert got.document == {
        "failed": len(failed),
        "checks": [{**row, "passed": row["passed"] == "true"} for row in got.rows],
    }
    (table,) = got.tables
    assert table[1:] == [
        [row["pe"], row["check"], "ok" if row["passed"] == "true" else "FAILED", row["failure"]]
        for row in got.rows
    ]
    in_lines = re.findall(r"^  (ok|FAILED) +([^:\n]+)", got.lines, re.MULTILINE)
    assert [(verdict == "ok", check) for verdict, check in in_lines] == [
        (row["passed"] == "true", row["check"]) for row in got.rows
    ]
    assert set(got.errors.values()) == {""}


def test_sweep_status(parsed, folder):
    got = parsed("sweep", "status", "store.sqlite")
    assert (got.code, set(got.errors.values())) == (0, {""})
    assert got.rows == [{"version": sparqsim.__version__, "state": "done", "points": "8"}]
    assert got.document == {
        "store": "store.sqlite",
        "points": 8,
        "this_version": sparqsim.__version__,
        "recorded": [{**row, "points": int(row["points"])} for row in got.rows],
        "passes": got.document["passes"],
    }
    assert got.tables == [[["sparqsim", "state", "points"], *([*row.values()] for row in got.rows)]]
    assert got.lines.splitlines()[1:] == [
        f"sparqsim {row['version']}: {row['points']} {row['state']}" for row in got.rows
    ]


def test_sweep_status_of_an_empty_store_has_a_heading(parsed, tmp_path):
    from sparqsim.sweep import Store

    Store(tmp_path / "empty.sqlite", write=True).close()
    got = parsed("sweep", "status", tmp_path / "empty.sqlite")
    assert (got.code, got.rows, got.names) == (0, [], ["version", "state", "points"])
    assert got.document["points"] == 0


def test_regress_check(parsed, run, folder):
    got = parsed("regress", "check", "cases.toml")
    assert got.code == 1
    cases = got.document["cases"]
    assert [(case["case"], case["changed"]) for case in cases] == [("os", False), ("ws", True)]
    assert (got.document["unchanged"], got.document["changed"]) == (1, 1)
    assert [(case["pe"], case["dataflow"]) for case in cases] == [
        ("sparq-5opt", None),
        ("sparq-exact", "ws"),
    ]
    found = [
        (row["case"], row["changed"], row["kind"], row["layer"], row["message"]) for row in got.rows
    ]
    (finding,) = cases[1]["findings"]
    assert found == [
        ("os", "false", "", "", ""),
        ("ws", "true", finding["kind"], "", finding["message"]),
    ]
    assert got.tables == [
        [
            ["case", "kind", "layer", "what moved"],
            ["ws", finding["kind"], "", finding["message"].replace("`", "")],
        ]
    ], "code is code"
    assert f"  {finding['kind']}: {finding['message']}" in got.lines.splitlines()
    assert "1 of 2 cases unchanged" in got.lines
    assert {name: "regress update" in text for name, text in got.errors.items()} == {
        "table": False,
        "json": True,
        "csv": True,
        "markdown": True,
    }
    markdown = run(
        "regress", "check", "cases.toml", "--format", "markdown", "--markdown", "m.md"
    ).out
    assert markdown == (folder / "m.md").read_text()


def test_regress_check_where_nothing_changed(parsed, folder):
    got = parsed("regress", "check", "same.toml")
    assert (got.code, got.tables, set(got.errors.values())) == (0, [], {""})
    assert [row["changed"] for row in got.rows] == ["false"]
    assert got.document["changed"] == 0


def test_trace_dump(folder, capsys):
    """Shown as `trace dump` shows it, without a network to run."""
    from sparqsim.cli.dumping import dump_shown
    from sparqsim.cli.tables import show
    from sparqsim.trace.dumpreport import DumpedLayer, DumpReport

    layers = (
        DumpedLayer("a|b", "conv2d", "unsigned: relu", True, 40, 10, 20, 8, 40, 3),
        DumpedLayer("fc", "linear", "signed: input", False, 8, 0, 0, 0),
    )
    out = {}
    for name in ("table", "json", "csv", "markdown"):
        show(dump_shown(DumpReport(layers, ("skipped",), 3), "t.safetensors"), name)
        out[name] = capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO(out["csv"])))
    document = json.loads(out["json"])
    assert (document["pictures"], document["left_out"]) == (3, ["skipped"])
    for row, told, layer in zip(rows, document["layers"], layers, strict=True):
        assert (row["layer"], int(row["activations"]), int(row["zero_activations"])) == (
            layer.name,
            layer.values,
            layer.zeros,
        )
        assert {
            name: ""
            if value is None
            else str(value).lower()
            if value is True or value is False
            else str(value)
            for name, value in told.items()
        } == row
    (table,) = tables_of(out["markdown"])
    assert table[1:] == [
        ["a|b", "conv2d", "25.0", "40.0", "7.500", "yes", "unsigned"],
        ["fc", "linear", "0.0", "-", "-", "", "signed"],
    ]
    assert re.search(r"^a\|b +conv2d +25\.0 +40\.0 +7\.500 +yes", out["table"], re.MULTILINE)
    assert [layer["clipped"] for layer in document["layers"]] == [3, None]
    assert "warning: 1 layer clips more than 0.2% of the activations, 'a|b' 7.5%" in out["table"]


COMMANDS = {
    "simulate": ("simulate", "small.safetensors", "--pe", "sparq-exact", "--config", "edge"),
    "compare": ("compare", "small.safetensors", "--iso", "area"),
    "bandwidth": ("bandwidth", "small.safetensors", "--config", "edge", "--bandwidths", "1,2"),
    "predict": ("predict", "small.safetensors", "--config", "edge"),
    "info": ("trace", "info", "small.safetensors"),
    "pe list": ("pe", "list"),
    "pe show": ("pe", "show", "sparq-5opt"),
    "pe check": ("pe", "check", "mac-8b8b"),
    "area": ("rtl", "area"),
    "status": ("sweep", "status", "store.sqlite"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_markdown_tables_are_whole(name, run, folder):
    """No cell is wrapped, no word of a heading is broken, words stand to the left and figures to
    the right.
    """
    text = run(*COMMANDS[name], "--format", "markdown").out
    tables = tables_of(text)
    rules = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| ---")]
    assert tables
    for (headings, *rows), rule in zip(tables, rules, strict=True):
        assert all(len(row) == len(headings) == len(rule) for row in rows)
        assert not any(
            "- " in heading or "\u00ad" in heading or "multi-" in heading for heading in headings
        )
        assert all(row[0] for row in rows), "every row says what it is of"
        for column, side in enumerate(rule[1:], 1):
            letters = any(re.match("[a-z]", row[column]) for row in rows)
            last = column == len(rule) - 1 and not any(
                re.match(r"[-+\d]", row[column]) for row in rows
            )
            assert side.strip() == ("---" if letters or last else "---:"), headings[column]


@pytest.mark.parametrize("name", COMMANDS)
def test_markdown_says_the_same_at_every_width(name, run, folder, monkeypatch):
    texts = set()
    for width in (40, 80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        texts.add(run(*COMMANDS[name], "--format", "markdown").out)
    assert len(texts) == 1


def words_of(text) -> set[str]:
    """Return the words of a text; a semicolon joins titles in a wide console."""
    return {word.removesuffix(";") for word in text.split()}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("width", [60, 80, 140])
def test_tables_lose_nothing_at_any_width(name, width, run, folder, monkeypatch):
    """Every word of the widest table is in the narrow one; one longer than a line is on several.

    Where tables stand together in a wide console, their titles do, and a unit is above each column.
    """
    monkeypatch.setenv("COLUMNS", "400")
    wide = run(*COMMANDS[name]).out
    monkeypatch.setenv("COLUMNS", str(width))
    narrow = run(*COMMANDS[name]).out
    shown, joined = words_of(narrow), "".join(narrow.split())
    words = words_of(wide) - {"x"}
    lost = {word for word in words if not set(word) <= set("─")} - shown
    assert {word for word in lost if len(word) <= width or word not in joined} == set()


@given(
    st.text(
        st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("C", "Z"))
        | st.just(" "),
        min_size=1,
        max_size=30,
    )
    .map(str.strip)
    .filter(bool)
)
@example("<b>|*x*")
@example(r"a\|b")
@example("_x_")
@example("`x`")
@example("[x](y)")
@example("~~x~~")
@example("&lt;")
@example("# x")
@example("1. x")
@example("- x")
@example("[x]: y")
@example("===")
def test_markdown_makes_nothing_of_any_text(text):
    table = Table("t", ["name", text])
    table.add_row(text, "1")
    ((headings, row),) = tables_of(table.to_markdown())
    assert [headings[1], row] == [text, [text, "1"]]
    assert unescape(GFM.render(paragraphs(text))) == f"<p>{text}</p>\n"
    assert GFM.renderInline(escaped(text)) is not None


def test_a_dollar_in_a_name_begins_no_formula():
    assert escaped(r"price$x$") == r"price\$x\$"  # GitHub takes $x$ for a formula
