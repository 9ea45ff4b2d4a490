"""Results that agree with themselves and cannot be: refused when they are read.

And names, printable at every exit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparqsim
from sparqsim.analysis.bandwidth import BandwidthCurves
from sparqsim.analysis.heatmap import heatmap
from sparqsim.base.errors import InputError, csv_cell
from sparqsim.regress import Finding, Outcome, as_junit, as_markdown, as_text
from sparqsim.regress.golden import GoldenCase

DERIVED = ("totals", "utilization", "macs")


def stored_fields(value: Any) -> Any:
    """Return a document without what derives from the rest, so that nothing contradicts itself."""
    if isinstance(value, dict):
        return {
            name: stored_fields(part) for name, part in value.items() if name not in DERIVED
        } | ({"macs": value["macs"]} if "macs_nonzero" in value else {})
    return [stored_fields(part) for part in value] if isinstance(value, list) else value


def set_at(*path: str | int) -> Callable[[Any, Any], None]:
    def change(document: Any, value: Any) -> None:
        for name in path[:-1]:
            document = document[name]
        document[path[-1]] = value

    return change


LAYER = ("layers", 1)
IMPOSSIBLE = {
    "columns of 2^63": (("array", "cols"), 2**63),
    "no rows": (("array", "rows"), 0),
    "a dataflow in a file": (("array", "dataflow"), "./xs.py:Flow"),
    "a coupling of its own": (("array", "coupling"), "elastic:0"),
    "negative windows": ((*LAYER, "windows", "0"), -1),
    "negative tiles": ((*LAYER, "tiles"), -3),
    "negative pairs": ((*LAYER, "pairs", "both_zero"), -3),
    "negative slack": ((*LAYER, "bounds", "busiest_pe_cycles"), -1),
    "negative waiting": ((*LAYER, "bounds", "gap_cycles", "pe_waiting"), -1),
    "more MACs than the product has": ((*LAYER, "counts", "macs"), 10**9),
    "more MACs that are not zero than MACs": ((*LAYER, "counts", "macs_nonzero"), 10**9),
    "more used PEs than PEs": ((*LAYER, "counts", "used_pe_cycles"), 10**12),
    "an error beyond the noise": ((*LAYER, "error", "max_abs"), 10**9),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_reports_are_refused(name: str, small_trace: sparqsim.Trace) -> None:
    path, value = IMPOSSIBLE[name]
    document = stored_fields(json.loads(sparqsim.simulate(small_trace, "sparq-5opt").to_json()))
    sparqsim.Report.from_json(json.dumps(document), "sound")
    set_at(*path)(document, value)
    with pytest.raises(InputError, match=r"^odd: .*expected"):
        sparqsim.Report.from_json(json.dumps(document), "odd")


FIRST, OTHER = 0, 1
#: Of a report of sparq-5opt, whose first layer is kept: the layer, what is edited, what is said.
RUNS = {
    "an unknown design": (
        OTHER,
        {"run_as": "unknown"},
        "layer 'grouped': run_as='unknown', expected sparq-5opt",
    ),
    "a kept layer on an unknown design": (
        FIRST,
        {"run_as": "sparq-6opt"},
        "layer 'first': run_as='sparq-6opt', expected sparq-5opt or mac-8b8b",
    ),
    "kept by its words only": (
        FIRST,
        {"kept_8bit": False},
        (
            "layer 'first': kept_mode='one MAC per PE and cycle through the lone path', "
            "expected kept_8bit=True with it"
        ),
    ),
    "on the circuit of kept layers": (
        OTHER,
        {"run_as": "mac-8b8b"},
        "layer 'grouped': run_as='mac-8b8b', expected sparq-5opt",
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_layers_run_on_what_the_setting_says(name: str, small_trace: sparqsim.Trace) -> None:
    at, changes, says = RUNS[name]
    document = stored_fields(json.loads(sparqsim.simulate(small_trace, "sparq-5opt").to_json()))
    document["layers"][at].update(changes)
    with pytest.raises(InputError) as refused:
        sparqsim.Report.from_json(json.dumps(document), "edited")
    assert str(refused.value).startswith(f"edited: document: {says} (found")


@pytest.mark.parametrize(
    ("kept", "changes", "says"),
    [
        ("ideal", {"run_as": "sparq-5opt"}, "run_as='sparq-5opt', expected mac-8b8b"),
        ("honest", {"run_as": "mac-4b8b"}, "run_as='mac-4b8b', expected sparq-5opt or mac-8b8b"),
    ],
)
def test_kept_layers_run_as_kept_says(kept, changes, says, small_trace) -> None:
    report = sparqsim.simulate(small_trace, "sparq-5opt", kept=kept)
    document = stored_fields(json.loads(report.to_json()))
    document["layers"][FIRST].update(changes)
    with pytest.raises(InputError, match=rf"^edited: document: layer 'first': {says} \(f"):
        sparqsim.Report.from_json(json.dumps(document), "edited")


def test_no_layer_is_kept_where_the_report_keeps_none(small_trace: sparqsim.Trace) -> None:
    report = sparqsim.simulate(small_trace, "sparq-5opt", keep_8bit=False)
    document = stored_fields(json.loads(report.to_json()))
    document["layers"][OTHER]["kept_8bit"] = True
    with pytest.raises(InputError, match="kept_8bit=True, expected False, as keep_8bit of the"):
        sparqsim.Report.from_json(json.dumps(document), "edited")


@pytest.mark.parametrize(
    ("at", "changes", "says"),
    [
        (OTHER, {"run_as": "mac-8b8b"}, "run_as='mac-8b8b', expected sparq-5opt"),
        (
            OTHER,
            {"kept_8bit": True},
            "kept_8bit=True, expected False: a rule gives it to sparq-5opt",
        ),
        (2, {"run_as": "sparq-5opt"}, "run_as='sparq-5opt', expected mac-4b8b"),
    ],
)
def test_layers_of_an_assignment_run_as_its_rules_say(at, changes, says, small_trace) -> None:
    mixed = sparqsim.Assignment("mac-4b8b", [("group*", "sparq-5opt")], "mixed")
    document = stored_fields(json.loads(sparqsim.simulate(small_trace, mixed).to_json()))
    sparqsim.Report.from_json(json.dumps(document), "sound")
    document["layers"][at].update(changes)
    with pytest.raises(InputError, match=says):
        sparqsim.Report.from_json(json.dumps(document), "edited")


def test_a_heat_map_sees_that_a_kept_layer_was_edited(small_trace: sparqsim.Trace) -> None:
    document = stored_fields(json.loads(sparqsim.simulate(small_trace, "sparq-5opt").to_json()))
    document["layers"][FIRST].update(kept_8bit=False)
    del document["layers"][FIRST]["kept_mode"]
    edited = sparqsim.Report.from_json(json.dumps(document), "edited")
    with pytest.raises(InputError, match="kept_8bit=False, the trace makes it True; expected"):
        heatmap(edited, small_trace)


CURVES = {
    "a bandwidth without figures": lambda curves: curves["bandwidths"].append(99.0),
    "a bandwidth of nothing": lambda curves: curves["bandwidths"].__setitem__(0, 0.0),
    "a design without figures": lambda curves: curves["order"].append("sparq-2opt"),
    "figures without a design": lambda curves: curves["array_cycles"].update(other=1),
    "a design twice": lambda curves: curves["order"].append(curves["order"][0]),
    "no cycles": lambda curves: curves["cycles"]["mac-8b8b"].__setitem__(0, 0),
    "negative cycles": lambda curves: curves["array_cycles"].__setitem__("mac-8b8b", -1),
    "a baseline of others": lambda curves: curves.__setitem__("baseline", "other"),
}


@pytest.mark.parametrize("name", CURVES)
def test_impossible_curves_are_refused(name: str, run, small_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    command = (
        "bandwidth",
        small_path,
        "--config",
        "edge",
        "--pe",
        "mac-4b8b",
        "--bandwidths",
        "1,2",
    )
    assert run(*command, "-o", path).code == 0
    document = json.loads(path.read_text())
    del document["speedup"], document["array_speedup"]
    BandwidthCurves.from_json(json.dumps(document))
    CURVES[name](document)
    path.write_text(json.dumps(document))
    ended = run("plot", path, "--kind", "bandwidth", "-o", tmp_path / "b.svg")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert ended.err.startswith(f"sparqsim: {path}: ")


@pytest.mark.parametrize("golden", ["[" * 100_000, '{"schema": ' * 5000, "[" * 500 + "]" * 500])
def test_golden_reports_that_are_too_deep_are_told(
    golden: str, run, small_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden" / "a.json").write_text(golden)
    cases = tmp_path / "cases.toml"
    cases.write_text(f'[[case]]\nname = "a"\ntrace = "{small_path.name}"\n')
    ended = run("regress", "check", cases)
    assert ended.code == 1
    assert "golden: " in ended.out


ODD = "a\x1b[2J\x07\u202e\udcff=1"
SHOWN = "a\\x1b[2J\\x07\\u202e\\udcff=1"


def test_findings_are_printable_in_every_format() -> None:
    case = GoldenCase(name="a", trace="t", pe=ODD)
    outcome = Outcome(case, (Finding("values", ODD, f"{ODD} | <b>"),))
    for text in (as_text(outcome), as_junit([outcome], ODD), as_markdown([outcome], ODD)):
        assert SHOWN in text
        assert all(line.isprintable() for line in text.split("\n"))
        text.encode()


def test_layer_names_are_printable_in_a_waveform(run, tmp_path: Path) -> None:
    name = "a $end $scope module evil $end \u4e2d"
    layer = sparqsim.Layer.from_gemm(name, np.ones((2, 3), np.uint8), np.ones((3, 2), np.int8))
    sparqsim.Trace([layer]).save(tmp_path / "t.safetensors")
    wave = tmp_path / "w.vcd"
    command = (
        "simulate",
        tmp_path / "t.safetensors",
        "--pe",
        "mac-8b8b",
        "--array",
        "2x2",
        "--wave",
        wave,
    )
    ended = run(*command)
    assert ended.code == 0, ended.err
    text = wave.read_bytes().decode("ascii")
    assert all(line.isprintable() for line in text.replace("\t", " ").split("\n"))
    comment = text.partition("$comment")[2].partition("$end")[0]
    assert "\\u4e2d" in comment
    assert "module evil" in comment


#: In CSV a spreadsheet must take it for text; in Markdown brackets would be a link.
SHOWN_AS = {
    "table": "=1+[red]2[/red]",
    "csv": "'=1+[red]2[/red]",
    "markdown": r"=1+\[red]2\[/red]",
    "json": '"=1+[red]2[/red]"',
}


@pytest.mark.parametrize("form", SHOWN_AS)
def test_layer_names_are_text_on_the_terminal(form: str, run, tmp_path: Path) -> None:
    """Names with control characters are refused at the door (`test_layer_names.py`)."""
    layer = sparqsim.Layer.from_gemm(
        "=1+[red]2[/red]", np.ones((2, 3), np.uint8), np.ones((3, 2), np.int8)
    )
    sparqsim.Trace([layer], network="[bold]net[/bold]").save(tmp_path / "t.safetensors")
    for command in (
        ("trace", "info"),
        ("simulate", "--pe", "mac-8b8b"),
        ("compare", "--pe", "mac-4b8b"),
    ):
        group = 2 if command[0] == "trace" else 1
        ended = run(
            *command[:group], tmp_path / "t.safetensors", *command[group:], "--format", form
        )
        assert ended.code == 0, ended.err
        for text in (ended.out, ended.err):
            assert all(line.isprintable() for line in text.split("\n")), text
        assert SHOWN_AS[form] in ended.out


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (-1, -1),
        (-1.5, -1.5),
        (None, None),
        (True, "true"),
        ("-1", "'-1"),
        ("\r=1", "'\\r=1"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_cells_of_csv(value: object, cell: object) -> None:
    assert csv_cell(value) == cell
