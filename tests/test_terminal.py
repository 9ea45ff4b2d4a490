"""What a terminal shows: tables that fit it, the four formats, completion, and the first words of
`sparqsim` alone.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

import sparqsim
from sparqsim.base.wording import counted
from sparqsim.cli.joined import Joined
from sparqsim.cli.show import report_shown
from sparqsim.cli.tables import Table, as_csv, shortened
from sparqsim.cli.welcome import SHIPPED, TRANSFORMER
from sparqsim.pe.registry import designs
from sparqsim.results.comparison import Comparison
from sparqsim.results.report import Report

LONG = "backbone.stages.{}.blocks.{}.residual_function.depthwise_separable.conv"
FORMATS = ("table", "json", "csv", "markdown")


@pytest.fixture
def long_names(tmp_path):
    """A trace whose layers' names are far longer than a terminal is wide enough for."""
    layers = [
        sparqsim.Layer.from_gemm(
            LONG.format(i, j), np.full((40, 30), 3, np.uint8), np.ones((30, 20), np.int8)
        )
        for i in range(2)
        for j in range(2)
    ]
    path = tmp_path / "long.safetensors"
    sparqsim.Trace(
        [
            *layers,
            sparqsim.Layer.from_gemm("fc", np.ones((2, 4), np.uint8), np.ones((4, 2), np.int8)),
        ],
        network="long names",
    ).save(path)
    return path


def lines_of(text):
    return [line.rstrip() for line in text.splitlines()]


MANY = ",".join([*sorted(designs()), "sparq-5opt:rounding=trim,pairing=off"])
COMMANDS = {
    "simulate": ("simulate", "TRACE", "--pe", "sparq-exact", "--config", "edge"),
    "compare": ("compare", "TRACE"),
    "compare many": ("compare", "TRACE", "--pe", MANY),
    "bandwidth": ("bandwidth", "TRACE", "--config", "edge", "--bandwidths", "1,2"),
    "info": ("trace", "info", "TRACE"),
    "pe list": ("pe", "list"),
    "area": ("rtl", "area"),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("width", [80, 100, 250])
def test_nothing_is_wider_than_the_terminal_and_no_figure_is_cut(
    name, width, run, long_names, monkeypatch
):
    monkeypatch.setenv("COLUMNS", str(width))
    ended = run(*(long_names if word == "TRACE" else word for word in COMMANDS[name]))
    assert ended.code == 0, ended.err
    assert max(map(cell_len, lines_of(ended.out))) <= width
    for line in ended.out.splitlines():
        beside_the_name = re.sub(r"^\S+( …\S+)?", "", line)
        assert "…" not in beside_the_name, f"a figure is cut: {line}"


@pytest.mark.parametrize("width", [80, 100])
def test_long_layer_names_are_shortened_so_that_they_differ(width, run, long_names, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    out = run("simulate", long_names, "--pe", "sparq-5opt", "--all-layers").out
    table = out.partition("Cycles and where they went")[2].partition("total")[0]
    names = [line.split("  ")[0] for line in table.splitlines() if "…" in line]
    assert len(names) == 4, "one line for each layer"
    assert len({" ".join(name.split()[:1]) for name in names}) == 4


def test_wide_terminals_show_whole_names(run, long_names, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    out = run("simulate", long_names, "--pe", "sparq-5opt").out
    assert "…" not in out
    assert all(LONG.format(i, j) in out for i in range(2) for j in range(2))


@pytest.mark.parametrize(
    "command", [("simulate", "--pe", "sparq-exact", "--config", "edge"), ("compare",)]
)
def test_layer_names_of_the_shipped_trace_stand_on_one_line(
    command, run, digits_path, digits, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "80")
    out = run(command[0], digits_path, *command[1:]).out
    first_table = out.partition("\nSpeedup")[0].partition("\nIdeal")[0]
    assert "continued" not in first_table
    assert max(map(cell_len, lines_of(out))) <= 80
    numbers = [line for line in first_table.splitlines() if re.match(r"\S+ +[\d,]+ ", line)]
    assert len(numbers) == (1 + len(digits.layers) if command[0] == "simulate" else 7)


@given(
    st.lists(
        st.text(
            st.characters(
                min_codepoint=33, max_codepoint=0x30FF, exclude_categories=("C", "M", "Z")
            ),
            min_size=1,
            max_size=60,
        ),
        min_size=1,
        max_size=12,
        unique=True,
    ),
    st.integers(12, 40),
)
def test_shortened_names_fit_and_short_ones_stay(names, width):
    short = shortened(names, width)
    assert all(cell_len(name) <= width for name in short)
    assert all(
        one == other for one, other in zip(names, short, strict=True) if cell_len(one) <= width
    )
    assert all(
        "…" in other for one, other in zip(names, short, strict=True) if cell_len(one) > width
    )


def test_names_that_differ_nowhere_near_their_ends_get_their_number():
    names = ["a" * 40 + middle + "b" * 40 for middle in "xyz"]
    assert len(set(shortened(names, 16))) == 3
    assert [name.split()[0] for name in shortened(names, 16)] == ["1", "2", "3"]


def test_columns_that_do_not_fit_go_below(capsys, monkeypatch):
    from sparqsim.cli.tables import console

    monkeypatch.setenv("COLUMNS", "40")
    table = Table("numbers", ["name", *(f"column {at}" for at in range(8))])
    table.add_row("row", *(str(1000 + at) for at in range(8)))
    table.print_to(console())
    out = capsys.readouterr().out
    assert out.count("numbers (continued)") == 1
    assert all(str(1000 + at) in out for at in range(8))
    assert max(map(cell_len, lines_of(out))) <= 40


def test_wide_terminals_show_speedup_and_sqnr_in_one_table(run, small_path, monkeypatch):
    outputs = {}
    for width in ("80", "200"):
        monkeypatch.setenv("COLUMNS", width)
        outputs[width] = run("compare", small_path).out
    rows = {
        width: [line.split() for line in out.splitlines() if line.startswith("grouped")]
        for width, out in outputs.items()
    }
    speedups, errors = rows["80"]
    (joined,) = rows["200"]
    assert joined == [*speedups, *errors[1:]]
    assert "layer by layer; SQNR of the outputs" in outputs["200"]
    units = next(line for line in outputs["200"].splitlines() if line.split()[:1] == ["x"])
    assert units.split() == ["x"] * 7 + ["dB"] * 7


def test_joined_tables_take_the_room_there_is():
    first = Table("first", ["name", "one"])
    second = Table("second", ["name", "two"])
    for table, more in ((first, ()), (second, ("last",))):
        for name in ("a", "b", *more):
            table.add_row(name, table.title)
    joined = Joined([first, second])
    assert [table.title for table in joined.within(15)] == ["first", "second"]
    (both,) = joined.within(16 + 1)
    assert both.whole_width() == 17
    assert [list(row) for row in both.rows] == [
        ["a", "first", "second"],
        ["b", "first", "second"],
        ["last", "", "second"],
    ]
    assert joined.to_markdown().count("| name |") == 2


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 layers"), (1, "1 layer"), (2, "2 layers"), (1234, "1,234 layers")],
)
def test_counts_agree_with_their_nouns(count, text):
    assert counted(count, "layer") == text
    assert counted(count, "entry", "entries").split()[1] == ("entry" if count == 1 else "entries")


ONE_OF_MANY = re.compile(r"(?<![\d.,x-])1 (?!of |cycles per |kB )([a-z]{3,}s)\b")


def test_of_one_nothing_is_in_the_plural(run, tmp_path, monkeypatch):
    """Commands that count, given one of everything."""
    monkeypatch.chdir(tmp_path)
    x, w = np.full((2, 2), 3, np.uint8), np.ones((2, 2), np.int8)
    coverage = {"coverage": {"inputs": 1, "left_out": []}}
    trace = sparqsim.Trace([sparqsim.Layer.from_gemm("only", x, w)], provenance=coverage)
    trace.save("one.safetensors")
    (tmp_path / "cases.toml").write_text('[[case]]\nname = "c"\ntrace = "one.safetensors"\n')
    (tmp_path / "one.csv").write_text("Layer, M, N, K,\nfc, 2, 2, 2,\n")
    outputs = []
    for command in (
        ("simulate", "one.safetensors", "--pe", "mac-8b8b"),
        ("compare", "one.safetensors", "--pe", "mac-8b8b"),
        ("regress", "update", "cases.toml"),
        ("regress", "check", "cases.toml"),
        ("regress", "check", "cases.toml", "--format", "markdown"),
        ("sweep", "one.safetensors", "--pe", "mac-8b8b", "-o", "s.sqlite", "--jobs", "1"),
        ("sweep", "status", "s.sqlite"),
        ("sweep", "export", "s.sqlite", "-o", "s.csv"),
        ("rtl", "area", "--array", "1x1"),
        ("trace", "import", "one.csv", "-o", "imported.safetensors"),
        ("trace", "info", "one.safetensors"),
    ):
        ended = run(*command)
        assert ended.code == 0, (command, ended.err)
        outputs.append(ended.out + ended.err)
    text = "\n".join(outputs)
    assert not ONE_OF_MANY.findall(text)
    assert {"1 input", "1 case", "1 point", "1 row", "1 layer"} <= set(
        re.findall(r"\b1 [a-z]+", text)
    )


def test_cells_stand_under_their_headings(small_trace):
    from sparqsim.cli.show import bounds_table, cycles_table, totals_table

    both = sparqsim.compare(
        small_trace, ["mac-8b8b", "mac-4b4b", "sparq-exact"], sparqsim.ArrayConfig(4, 3)
    )
    report = both.reports["sparq-exact"]
    cycles, use, bounds = report.cycles, report.totals.utilization, report.totals.bounds
    assert use.effective < use.array < use.used_pes
    shares = [f"{100 * share:.1f}" for share in (use.used_pes, use.array, use.effective)]
    parts = (cycles.compute, cycles.fill, cycles.drain, cycles.pe_stall)
    assert list(cycles_table(report).rows[-1][1:-1]) == [
        *(f"{part:,}" for part in (cycles.total, *parts)),
        *shares,
    ]
    gap = bounds.gap_cycles
    assert list(bounds_table(report).rows[-1]) == [
        "total",
        *(
            f"{figure:,}"
            for figure in (
                cycles.total,
                bounds.busiest_pe_cycles,
                bounds.work_cycles,
                gap.ragged_tiles,
                gap.fill_drain,
                gap.pe_waiting,
            )
        ),
    ]
    assert list(totals_table(both).rows[-1][1:-1]) == [
        f"{cycles.total:,}",
        *(f"{100 * part / cycles.total:.1f}" for part in parts),
        f"{100 * use.array:.1f}",
        *(
            f"{both.reports[name].cycles.total / cycles.total:.2f}"
            for name in ("mac-8b8b", "mac-4b4b")
        ),
    ]


def test_json_is_what_o_writes(run, small_path, tmp_path):
    for command in (("simulate", "--pe", "sparq-5opt"), ("compare",)):
        ended = run(
            command[0], small_path, *command[1:], "--format", "json", "-o", tmp_path / "r.json"
        )
        assert ended.out == (tmp_path / "r.json").read_text()
        assert ended.err == ""
    ended = run(
        "bandwidth", small_path, "--config", "edge", "--format", "json", "-o", tmp_path / "b.json"
    )
    assert ended.out == (tmp_path / "b.json").read_text()
    ended = run("rtl", "area", "--format", "json", "-o", tmp_path / "a.json")
    assert ended.out == (tmp_path / "a.json").read_text()


def rows_of(ended):
    assert ended.code == 0, ended.err
    return list(csv.DictReader(io.StringIO(ended.out)))


def test_csv_of_a_report_has_a_row_per_layer(run, small_path, tmp_path):
    ended = run(
        "simulate",
        small_path,
        "--pe",
        "sparq-5opt",
        "--config",
        "edge",
        "--format",
        "csv",
        "-o",
        tmp_path / "r.json",
    )
    rows, report = rows_of(ended), Report.load(tmp_path / "r.json")
    *rows, total = rows
    assert [row["layer"] for row in rows] == [layer.name for layer in report.layers]
    assert {row["row"] for row in rows} == {"layer"}
    assert (total["row"], total["layer"]) == ("total", "")
    assert float(total["utilization_array"]) == report.utilization.array
    assert total["error_sqnr_db"] == str(report.totals.error.sqnr_db)
    added = [
        name
        for name in total
        if name.startswith(("cycles_", "bounds_", "actions_")) or name.endswith(("_bytes", "macs"))
    ]
    added.remove("cycles_per_input")
    assert len(added) >= 50
    for name in added:
        assert int(total[name]) == sum(int(row[name] or 0) for row in rows), name
    for row, layer in zip(rows, report.layers, strict=True):
        assert int(row["cycles_total"]) == layer.cycles.total
        assert int(row["cycles_memory_stall"]) == layer.cycles.memory_stall
        assert int(row["traffic_weights_dram_read_bytes"]) == layer.traffic.weights.dram_read_bytes
        assert float(row["utilization_array"]) == layer.utilization.array
        assert row["error_sqnr_db"] == (
            "" if layer.error.sqnr_db is None else str(layer.error.sqnr_db)
        )
        counted = layer.actions["array.right_hops"].count
        assert int(row["actions_array_right_hops"]) == counted
        assert (row["run_as"], row["kept_8bit"]) == (layer.run_as, str(layer.kept_8bit).lower())
        parts = ("compute", "fill", "drain", "pe_stall", "memory_stall")
        assert int(row["cycles_total"]) == sum(int(row[f"cycles_{part}"]) for part in parts)
    assert "three small layers: sparq-5opt, array 16x16" in ended.err


def test_csv_of_a_comparison_has_a_row_per_design_and_layer(run, small_path, tmp_path):
    rows = rows_of(run("compare", small_path, "--format", "csv", "-o", tmp_path / "c.json"))
    both = Comparison.load(tmp_path / "c.json")
    layers = both.reports[both.baseline].layers
    totals = [row for row in rows if row["row"] == "total"]
    assert [row["pe"] for row in totals] == list(both.order)
    assert [float(row["speedup"]) for row in totals] == [both.speedup(name) for name in both.order]
    rows = [row for row in rows if row["row"] == "layer"]
    assert [(row["pe"], row["layer"]) for row in rows] == [
        (name, layer.name) for name in both.order for layer in layers
    ]
    speedups = [both.layer_speedup(name, at) for name in both.order for at in range(len(layers))]
    assert [float(row["speedup"]) for row in rows] == speedups


def test_csv_of_the_other_tables(run, small_path, digits_path, digits):
    assert [row["pe"] for row in rows_of(run("pe", "list", "--format", "csv"))] == list(designs())
    traced = rows_of(run("trace", "info", digits_path, "--format", "csv"))
    assert [(row["layer"], int(row["macs"])) for row in traced] == [
        (each.name, each.gemm.macs) for each in digits.layers
    ]
    curves = rows_of(
        run(
            "bandwidth",
            small_path,
            "--config",
            "edge",
            "--pe",
            "sparq-5opt",
            "--bandwidths",
            "1,inf",
            "--format",
            "csv",
        )
    )
    assert [
        (row["pe"], row["memory_modelled"], row["dram_bandwidth_bytes_per_cycle"]) for row in curves
    ] == [
        (name, modelled, bandwidth)
        for name in ("mac-8b8b", "sparq-5opt")
        for modelled, bandwidth in (("true", "1.0"), ("true", "inf"), ("false", ""))
    ]
    areas = rows_of(run("rtl", "area", "--format", "csv"))
    assert {row["pe"]: row["relative_pe_area_median"] for row in areas}["mac-8b8b"] == "1.0"
    assert {row["pe"] for row in areas} >= set(designs()), "a row for those without an area, too"
    without = {row["pe"] for row in areas if not row["relative_pe_area_median"]}
    assert without == {row["pe"] for row in areas if row["left_out"]}
    text = " ".join(run("rtl", "area").out.split())
    assert "Left out, no RTL here: " in text
    left_out = text.partition("Left out, ")[2]
    assert without == {
        name for name in designs() if re.search(rf": ([^.]*, )?{name}[,.]", left_out)
    }


@pytest.mark.parametrize("text", ["1,x", "1,2,1.0", ","])
def test_bandwidths_are_numbers_each_once(run, small_path, text):
    ended = run("bandwidth", small_path, "--config", "edge", "--bandwidths", text)
    assert (ended.code, ended.out) == (2, "")
    assert f"--bandwidths {text!r}: expected numbers of bytes per cycle, each once" in ended.err


def test_csv_quotes_what_would_break_it():
    rows = [{"a": 'one, "two"\nthree', "b": True, "c": None}]
    assert list(csv.reader(io.StringIO(as_csv(rows)))) == [
        ["a", "b", "c"],
        [r'one, "two"\nthree', "true", ""],
    ]


def test_markdown_is_a_table_with_as_many_cells_in_every_line(run, small_path):
    out = run("compare", small_path, "--format", "markdown").out
    tables = [block.splitlines() for block in out.split("\n\n") if block.startswith("|")]
    assert len(tables) == 3
    for names, rule, *rows in tables:
        assert re.fullmatch(r"\| --- (\| ---: )+\|", rule)
        assert {line.count("|") for line in rows} == {names.count("|")}
    assert "| first\\* |" in out, "a star is a star"
    assert "**All layers of the trace: cycles" in out


def test_markdown_makes_nothing_of_names_from_a_file():
    table = Table("t", ["name", "b"])
    table.add_row("<b>|*x*", "1")
    assert table.to_markdown().splitlines()[-1] == r"| &lt;b>\|\*x\* | 1 |"


@pytest.mark.parametrize(
    "command",
    [
        ("simulate", "no.safetensors", "--pe", "mac-8b8b"),
        ("compare", "no.safetensors"),
        ("bandwidth", "no.safetensors", "--config", "edge"),
        ("pe", "list"),
        ("trace", "info", "no.safetensors"),
        ("rtl", "area"),
        ("rtl", "energy", "no.safetensors"),
        ("accuracy", "no.onnx", "--images", "no"),
    ],
)
def test_another_format_is_refused_before_anything_else(command, refused):
    assert "--format 'xml': expected one of table, json, csv, markdown" in refused(
        *command, "--format", "xml"
    )


def completed(words, root):
    """What the shell offers for the last of `words`."""
    ended = subprocess.run(
        [sys.executable, "-m", "sparqsim"],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        env=os.environ
        | {
            "_SPARQSIM_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
        },
    )
    return ended.stdout.split()


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["sparqsim", "sim"], ["simulate"]),
        (["sparqsim", "simulate", "x", "--pe", "sparq-5"], ["sparq-5opt"]),
        (
            ["sparqsim", "compare", "x", "--pe", "mac-8b8b,sysmt-"],
            ["mac-8b8b,sysmt-2t", "mac-8b8b,sysmt-4t"],
        ),
        (["sparqsim", "simulate", "x", "--config", "ed"], ["edge"]),
        (["sparqsim", "compare", "x", "--format", ""], list(FORMATS)),
        (["sparqsim", "pe", "show", "smt"], ["smt-sa-2t", "smt-sa-4t"]),
    ],
)
def test_completion(words, expected, root):
    assert completed(words, root) == expected


def test_help_tells_of_completion(run):
    assert "--install-completion" in run("--help").out


def told_commands(text):
    """The commands of the welcome, as words."""
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("  sparqsim ")]


@pytest.mark.parametrize("folder", [".", "docs/how-to"])
def test_sparqsim_alone_says_what_to_do_next(folder, run, root, monkeypatch):
    monkeypatch.chdir(root / folder)
    ended = run()
    assert (ended.code, ended.err) == (0, "")
    assert 10 <= ended.out.count("\n") <= 20
    assert max(map(len, lines_of(ended.out))) <= 82
    commands = told_commands(ended.out)
    assert len(commands) == 5
    traces = {word for words in commands for word in words if word.endswith(".safetensors")}
    shipped = (root / SHIPPED, (root / SHIPPED).with_name(TRANSFORMER))
    assert traces == {os.path.relpath(path) for path in shipped}


def test_the_told_commands_work(run, root, tmp_path, monkeypatch):
    """From a folder outside the checkout, too."""
    monkeypatch.chdir(tmp_path)
    for words in told_commands(run().out):
        assert run(*words).code == 0
    assert (tmp_path / "speedup.svg").stat().st_size > 1000


def test_without_the_shipped_trace_the_told_commands_make_one(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sparqsim.cli.welcome.shipped_trace", lambda: None)
    text = run().out
    assert "is not\nhere" in text
    made = next(line for line in text.splitlines() if "printf" in line)
    subprocess.run(["bash", "-c", made.strip()], check=True, cwd=tmp_path)
    for words in told_commands(text):
        assert run(*words).code == 0, words


def test_trace_info_as_json(run, digits_path, digits):
    told = json.loads(run("trace", "info", digits_path, "--format", "json").out)
    assert told["sha256"] == digits.sha256
    assert [layer["layer"] for layer in told["layers"]] == [layer.name for layer in digits.layers]
    assert told["network"] == digits.metadata.network


def test_a_table_adds_the_layers_up_once(monkeypatch):
    """Once for each row took most of the time of a trace of 2,000 layers."""
    x, w = np.ones((2, 3), np.uint8), np.ones((3, 2), np.int8)
    layers = [sparqsim.Layer.from_gemm(f"layer{number}", x, w) for number in range(20)]
    report = sparqsim.simulate(sparqsim.Trace(layers), "mac-8b8b")
    added, asked = Report.cycles.fget, []
    monkeypatch.setattr(Report, "cycles", property(lambda self: asked.append(1) or added(self)))
    report_shown(report)
    assert 0 < len(asked) < 20
