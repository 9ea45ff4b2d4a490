"""The command line does what it says: tables, JSON, exit codes.

What it refuses is in test_bad_input.py.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest

import sparqsim
from sparqsim.base.keys import keys_of
from sparqsim.cli.options import split_designs
from sparqsim.pe.registry import designs
from sparqsim.results.comparison import Comparison
from sparqsim.results.report import Report

MINE = '''
"""A PE of somebody else's."""
from dataclasses import dataclass
from sparqsim.pe.mac import Mac8b8b

@dataclass(frozen=True)
class Mine(Mac8b8b):
    """Exact."""
    name = "mine"
    level: int = 3
'''


def test_simulate_prints_a_table_and_writes_the_same_report(run, small_path, small_trace, tmp_path):
    options = ["--pe", "sparq-5opt", "--array", "4x3", "--overlap", "on", "-o", tmp_path / "r.json"]
    ended = run("simulate", small_path, *options)
    assert (ended.code, ended.err) == (0, "")
    report = sparqsim.simulate(small_trace, "sparq-5opt", sparqsim.ArrayConfig(4, 3, overlap=True))
    assert (tmp_path / "r.json").read_text() == report.to_json()
    assert all(layer.name in ended.out for layer in report.layers)
    assert f"{report.cycles.total:,}" in ended.out
    assert "array 4x3" in ended.out
    assert "overlap on" in ended.out


def test_compare_prints_tables_and_writes_the_same_comparison(
    run, small_path, small_trace, tmp_path
):
    ended = run(
        "compare",
        small_path,
        "--pe",
        "sparq-5opt,sparq-exact",
        "--baseline",
        "mac-4b8b",
        "--dataflow",
        "ws",
        "-o",
        tmp_path / "c.json",
    )
    assert (ended.code, ended.err) == (0, "")
    both = sparqsim.compare(
        small_trace,
        ["sparq-5opt", "sparq-exact"],
        sparqsim.ArrayConfig(dataflow="ws"),
        baseline="mac-4b8b",
    )
    assert (tmp_path / "c.json").read_text() == both.to_json()
    assert Comparison.load(tmp_path / "c.json") == both
    assert all(f"{both.reports[name].cycles.total:,}" in ended.out for name in both.order)


def test_compare_runs_seven_designs_by_default(run, small_path, tmp_path):
    run("compare", small_path, "-o", tmp_path / "c.json")
    assert Comparison.load(tmp_path / "c.json").order == (
        "mac-8b8b",
        "mac-4b8b",
        "mac-4b4b",
        "sparq-5opt",
        "sparq-3opt",
        "sparq-2opt",
        "sparq-exact",
    )


def test_the_tables_say_whose_cycles_cannot_depend_on_values(run, small_path):
    text = " ".join(run("compare", small_path).out.split())
    fixed = "mac-8b8b, mac-4b8b, mac-4b4b, sparq-5opt, sparq-3opt, sparq-2opt"
    assert re.search(rf"Values cannot change cycles[^.]*: {fixed}\.", text)
    assert re.search(r"Cycles depend on values: sparq-exact\.", text)


def test_layers_kept_at_8_bits_are_named_and_can_be_included(run, small_path, tmp_path):
    kept = run("simulate", small_path, "--pe", "sparq-2opt")
    assert "first*" in kept.out
    assert "--all-layers" in kept.out
    everything = run(
        "simulate", small_path, "--pe", "sparq-2opt", "--all-layers", "-o", tmp_path / "r.json"
    )
    assert "first*" not in everything.out
    assert {layer.run_as for layer in Report.load(tmp_path / "r.json").layers} == {"sparq-2opt"}


def test_nothing_is_wider_than_80_columns_in_a_pipe(digits_path, root):
    command = [sys.executable, "-m", "sparqsim", "compare", str(digits_path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out
    assert "…" not in out, "nothing is cut off"


def test_trace_info(run, digits, digits_path):
    ended = run("trace", "info", digits_path)
    assert ended.code == 0
    assert digits.sha256 in ended.out
    assert all(layer.name in ended.out for layer in digits.layers)
    assert digits.metadata.network.split()[0] in ended.out


def test_trace_info_shows_a_line_for_each_entry_of_what_a_trace_says_of_itself(run, tmp_path):
    layer = sparqsim.Layer.from_gemm("only", np.zeros((2, 4), np.uint8), np.zeros((4, 2), np.int8))
    made = {"versions": {"torch": "2.5", "python": "3.11"}, "skipped": {}, "seed": 0}
    sparqsim.Trace([layer], provenance=made).save(tmp_path / "t.safetensors")
    told = run("trace", "info", tmp_path / "t.safetensors").out.splitlines()
    at = told.index("versions:")
    assert sorted(told[at + 1 : at + 3]) == ["  python: 3.11", "  torch: 2.5"]
    assert {"skipped: none", "seed: 0"} <= set(told)


def test_the_legend_names_only_columns_that_are_there(run, small_path):
    """Readers looked for 'PEs used' in a comparison, which has no such column."""
    one, several = (
        " ".join(run(*command).out.split())
        for command in (("simulate", small_path, "--pe", "sparq-5opt"), ("compare", small_path))
    )
    for told in ("PEs used:", "eff. (effective)"):
        assert told in one
        assert told not in several
    assert "array = MACs" in several


def test_trace_check_of_a_sound_trace(run, digits_path):
    ended = run("trace", "check", digits_path)
    assert (ended.code, ended.err) == (0, "")
    assert "sound" in ended.out


def test_trace_check_lists_every_fault(run, craft, tmp_path):
    """Two layers without their tensors: each tensor is a fault of its own."""
    import numpy as np
    from safetensors import safe_open

    layers = [
        sparqsim.Layer.from_gemm(name, np.ones((2, 2), np.uint8), np.ones((2, 2), np.int8))
        for name in "ab"
    ]
    sparqsim.Trace(layers).save(tmp_path / "sound.safetensors")
    with safe_open(tmp_path / "sound.safetensors", "numpy") as sound:
        header = {"__metadata__": sound.metadata()}
    ended = run("trace", "check", craft(header))
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "4 faults" in ended.err
    assert ended.out.count("\n") == 4
    assert all(
        f"layer '{name}'" in line and tensor in line
        for line, (name, tensor) in zip(
            sorted(ended.out.splitlines()),
            [(name, tensor) for name in "ab" for tensor in ("activations", "weights")],
            strict=True,
        )
    )


def test_trace_check_remarks_on_layers_of_zeros(run, tmp_path):
    """They are odd, and no fault."""
    import numpy as np

    layer = sparqsim.Layer.from_gemm("a", np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.int8))
    sparqsim.Trace([layer]).save(tmp_path / "zeros.safetensors")
    ended = run("trace", "check", tmp_path / "zeros.safetensors")
    assert (ended.code, ended.err) == (0, "")
    assert "remark: layer 'a': activations are all zero" in ended.out


def test_pe_list(run):
    ended = run("pe", "list")
    assert ended.code == 0
    assert all(name in ended.out for name in designs())


@pytest.mark.parametrize("name", sorted(designs()))
def test_pe_show(name, run):
    ended = run("pe", "show", name)
    assert ended.code == 0
    assert ended.out.startswith(f"{name}: ")
    assert "Source:" in ended.out
    assert all(f"{key.name}=" in ended.out for key in keys_of(designs()[name]))


def test_version(run):
    assert run("--version").out == f"sparqsim {sparqsim.__version__}\n"


def test_help_names_every_command(run):
    text = run("--help").out
    assert all(command in text for command in ("simulate", "compare", "trace", "pe"))


def test_designs_of_a_file(run, small_path, tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    spec = f"{tmp_path / 'mine.py'}:Mine"
    ended = run("simulate", small_path, "--pe", f"{spec}:level=5", "-o", tmp_path / "r.json")
    assert ended.code == 0
    assert Report.load(tmp_path / "r.json").pe.spec == "mine:level=5"
    assert run("compare", small_path, "--pe", f"{spec},sparq-5opt").code == 0


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a,b", ["a", "b"]),
        ("a:k=v,l=w,b", ["a:k=v,l=w", "b"]),
        (" a , b ", ["a", "b"]),
        ("a:k=v,b:l=w", ["a:k=v", "b:l=w"]),
        (
            "sparq-5opt:rounding=trim,pairing=off,mac-8b8b",
            ["sparq-5opt:rounding=trim,pairing=off", "mac-8b8b"],
        ),
    ],
)
def test_designs_in_one_option(text, parts):
    assert split_designs(text) == parts


def test_an_interrupted_reader_is_not_an_error(digits_path, root):
    """`sparqsim compare ... | head -1` ends quietly."""
    command = f"{sys.executable} -m sparqsim compare {digits_path} | head -1"
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_json_has_sorted_keys_and_is_the_same_each_time(run, small_path, tmp_path):
    texts = []
    for name in ("one.json", "two.json"):
        run("simulate", small_path, "--pe", "sparq-5opt", "-o", tmp_path / name)
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]
    assert texts[0] == json.dumps(json.loads(texts[0]), sort_keys=True, indent=1) + "\n"
