"""Golden reports: what moved is found, named, and told apart from what made it move."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from regress_cases import PACKAGE, trace_of

import sparqsim
from sparqsim.base.errors import InputError
from sparqsim.cli import main
from sparqsim.regress import assert_unchanged, check, update
from sparqsim.sweep.case import Case, run, run_together

CASES = """
golden = "pinned"

[[case]]
name = "exact-ws"
trace = "net.safetensors"
pe = "sparq-exact"
array = "4x3"
dataflow = "ws"

[[case]]
name = "window-os"
trace = "net.safetensors"
pe = "sparq-5opt"
array = "4x4"
"""


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """A list of cases whose golden reports are written."""
    trace_of(1).save(tmp_path / "net.safetensors")
    path = tmp_path / "cases.toml"
    path.write_text(CASES)
    update(path)
    return path


def findings(path: Path) -> dict[str, list[tuple[str, str]]]:
    return {
        outcome.case.name: [(finding.kind, finding.layer) for finding in outcome.findings]
        for outcome in check(path)
    }


def edit_golden(path: Path, name: str, change: object) -> None:
    file = path.parent / "pinned" / f"{name}.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_nothing_moved(cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("regress", "check", str(cases)) == 0
    shown = capsys.readouterr()
    assert "2 of 2 cases unchanged" in shown.out
    assert not shown.err


def test_golden_reports_are_those_of_simulate(cases: Path) -> None:
    report = sparqsim.simulate(trace_of(1), "sparq-5opt", sparqsim.ArrayConfig(rows=4, cols=4))
    golden = sparqsim.Report.load(cases.parent / "pinned" / "window-os.json")
    assert golden.layers == report.layers


def test_moved_cycles_are_told_by_layer_class_and_tile(cases: Path) -> None:
    def slower(document: dict) -> None:
        layer = document["layers"][1]
        layer["cycles"]["fill"] -= layer["tiles"]
        layer["bounds"]["gap_cycles"]["fill_drain"] -= layer["tiles"]
        for derived in ("total",):
            del layer["cycles"][derived]
        del document["totals"], layer["utilization"]

    edit_golden(cases, "window-os", slower)
    outcome = next(outcome for outcome in check(cases) if outcome.case.name == "window-os")
    assert [(finding.kind, finding.layer) for finding in outcome.findings] == [
        ("cycles", ""),
        ("cycles", "layer1"),
    ]
    tiles = 3 * 2  # 9 rows on 4, 6 columns on 4
    assert f"fill +{tiles} (+1 on each of {tiles} tiles)" in outcome.findings[1].message


def test_changed_values_without_cycles(cases: Path) -> None:
    def noisier(document: dict) -> None:
        document["layers"][0]["error"]["noise"] += 1
        for part in (document["layers"][0]["error"], document):
            for derived in ("mse", "sqnr_db", "totals"):
                part.pop(derived, None)

    edit_golden(cases, "window-os", noisier)
    assert findings(cases) == {"exact-ws": [], "window-os": [("values", "layer0")]}


def test_engine_of_a_case(cases: Path) -> None:
    """The event engine must find the cycles that the golden reports of the fast one hold."""
    cases.write_text(CASES.replace("array = ", 'engine = "event"\narray = '))
    assert findings(cases) == {"exact-ws": [], "window-os": []}
    cases.write_text(CASES.replace('array = "4x4"', 'array = "4x4"\nengine = "evnt"'))
    with pytest.raises(InputError, match=r"case\[1\].engine.*'fast' or 'event'"):
        findings(cases)


def test_golden_reports_do_not_depend_on_the_engine_being_named(cases: Path) -> None:
    before = (cases.parent / "pinned" / "window-os.json").read_bytes()
    cases.write_text(CASES.replace("array = ", 'engine = "fast"\narray = '))
    update(cases)
    assert (cases.parent / "pinned" / "window-os.json").read_bytes() == before


def test_changed_trace_is_not_changed_cycles(cases: Path) -> None:
    trace_of(2).save(cases.parent / "net.safetensors")
    assert findings(cases) == {
        "exact-ws": [("trace changed", "")],
        "window-os": [("trace changed", "")],
    }


def remove(path: Path) -> None:
    path.unlink()


def replace_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_another(path: Path) -> None:
    trace_of(2).save(path)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    ("harm", "kind", "told"),
    [
        (remove, "trace missing", "net.safetensors: no such file; put it back (sha256 "),
        (
            replace_by_a_folder,
            "trace missing",
            "net.safetensors: is a directory; put it back (sha256 ",
        ),
        (replace_by_another, "trace changed", "net.safetensors has other bytes (sha256 "),
        (truncate, "trace changed", "net.safetensors has other bytes (sha256 "),
    ],
)
def test_trace_that_is_not_there_or_another(
    cases: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    harm: Callable[[Path], None],
    kind: str,
    told: str,
) -> None:
    """In the table, the JUnit file and the summary: what became of the trace, and not that the case
    is refused.
    """
    harm(cases.parent / "net.safetensors")
    junit, markdown = tmp_path / "out.xml", tmp_path / "out.md"
    assert (
        command("regress", "check", str(cases), "--junit", str(junit), "--markdown", str(markdown))
        == 1
    )
    shown = capsys.readouterr()
    assert not shown.err
    assert "0 of 2 cases unchanged" in shown.out
    lines = [line for line in shown.out.splitlines() if line.startswith("  ")]
    assert [line.startswith(f"  {kind}: ") and told in line for line in lines] == [True, True]
    failures = list(ET.fromstring(junit.read_text()).iter("failure"))  # noqa: S314 - our own file
    assert [failure.get("type") for failure in failures] == [kind, kind]
    assert [f"  {failure.text}" for failure in failures] == lines
    for case in ("exact-ws", "window-os"):
        assert f"| {case} | {kind} |  | " in markdown.read_text()


def test_changed_schema_is_neither(cases: Path) -> None:
    edit_golden(cases, "window-os", lambda document: document.update(schema="sparqsim.report/99"))
    assert findings(cases) == {"exact-ws": [], "window-os": [("schema", "")]}


def test_changed_setup_is_told_as_such(cases: Path) -> None:
    cases.write_text(CASES.replace("4x4", "4x5"))
    assert findings(cases)["window-os"] == [("setup", "")]


def test_another_package_version_is_no_change(cases: Path) -> None:
    """It says its own number wherever a report has one, and of itself what it says in other words."""

    def older(document: dict) -> None:
        document["provenance"]["version"] = "0.0.1"
        document["card"]["origin"]["revision"] = "0.0.1"
        for fact in ("accumulators", "outside_array", "clock"):
            document["card"]["hardware"][fact] = f"{fact} as 0.0.1 described them"

    edit_golden(cases, "window-os", older)
    assert findings(cases)["window-os"] == []


def test_another_package_version_wrote_no_card(cases: Path) -> None:
    def older(document: dict) -> None:
        document["provenance"]["version"] = "0.0.1"
        del document["card"]

    edit_golden(cases, "window-os", older)
    assert findings(cases)["window-os"] == []


def test_missing_and_damaged_golden_reports(cases: Path) -> None:
    (cases.parent / "pinned" / "exact-ws.json").unlink()
    (cases.parent / "pinned" / "window-os.json").write_text("{")
    assert findings(cases) == {"exact-ws": [("missing", "")], "window-os": [("golden", "")]}


def test_case_that_is_refused_now(cases: Path) -> None:
    cases.write_text(CASES.replace("sparq-exact", "sparq-exakt"))
    assert findings(cases) == {"exact-ws": [("refused", "")], "window-os": []}


def test_trace_that_is_refused_now(cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes, which this version does not take any more: that is the simulator's doing, not
    the trace's.
    """

    def stricter(path: str) -> None:
        raise InputError(f"{path}: format too old")

    monkeypatch.setattr("sparqsim.regress.cases.load_trace", stricter)
    assert findings(cases) == {"exact-ws": [("refused", "")], "window-os": [("refused", "")]}


def test_simulator_that_breaks_is_a_finding(cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise IndexError("out of bounds")

    monkeypatch.setattr("sparqsim.pe.sparq_exact.SparqExact.step_cycles", broken)
    broken_case, other = check(cases)
    assert [finding.kind for finding in broken_case.findings] == ["failed"]
    assert "IndexError('out of bounds') at test_regress.py:" in broken_case.findings[0].message
    assert not other.findings


def test_update_that_cannot_run_leaves_golden_reports(cases: Path) -> None:
    before = (cases.parent / "pinned" / "exact-ws.json").read_bytes()
    cases.write_text(
        CASES.replace("4x3", "5x5") + '[[case]]\nname = "bad"\ntrace = "none.safetensors"\n'
    )
    with pytest.raises(InputError, match=r"case bad: .*none\.safetensors"):
        update(cases)
    assert (cases.parent / "pinned" / "exact-ws.json").read_bytes() == before


def test_junit_and_markdown(cases: Path, tmp_path: Path) -> None:
    (cases.parent / "pinned" / "exact-ws.json").unlink()
    junit, markdown = tmp_path / "out.xml", tmp_path / "out.md"
    assert (
        command("regress", "check", str(cases), "--junit", str(junit), "--markdown", str(markdown))
        == 1
    )
    suite = ET.fromstring(junit.read_text()).find("testsuite")  # noqa: S314 - our own file
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["exact-ws"]
    assert "1 of 2 cases unchanged" in markdown.read_text()
    assert "| exact-ws | missing |" in markdown.read_text()


def test_a_suite_of_ones_own_fails_where_a_golden_report_has_changed(cases: Path) -> None:
    """As an assertion; `test_regress_docs.py` runs the suite."""
    assert_unchanged(cases)
    edit_golden(cases, "window-os", lambda document: document.update(schema="sparqsim.report/99"))
    with pytest.raises(AssertionError, match=r"window-os(.|\n)*schema 'sparqsim.report/99'"):
        assert_unchanged(cases)


@pytest.mark.slow
def test_three_lines_in_a_users_own_suite(cases: Path) -> None:
    (cases.parent / "test_mine.py").write_text(
        "from sparqsim.regress import assert_unchanged\n\ndef test_cycles():\n    "
        "assert_unchanged('cases.toml')\n"
    )
    run_suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    env = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    assert subprocess.run(run_suite, check=False, cwd=cases.parent, env=env).returncode == 0
    edit_golden(cases, "window-os", lambda document: document.update(schema="sparqsim.report/99"))
    ended = subprocess.run(
        run_suite, check=False, cwd=cases.parent, env=env, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert "schema 'sparqsim.report/99'" in ended.stdout
    with pytest.raises(AssertionError, match="window-os"):
        assert_unchanged(cases)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"lists no case; expected tables \[\[case\]\] or \[\[gather\]\]"),
        ("[[case]]\nname='a/b'\ntrace='x'", r"case\[0\].name"),
        ("[[case]]\nname='a'\ntrace='x'\ncolour=1", r"case\[0\].colour"),
        ("[[case]]\nname='a'\ntrace='x'\n[[case]]\nname='a'\ntrace='x'", "'a' is used twice"),
        ("[[case]", "expected TOML"),
    ],
)
def test_bad_lists_name_the_field(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "cases.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        list(check(path))


def test_cases_that_run_together_give_the_same_bytes() -> None:
    trace = trace_of(3)
    cases = [
        Case(trace="", pe=pe, array="4x4", dataflow="is")
        for pe in ("sparq-exact", "mac-4b4b", "sparq-2opt")
    ]
    together = [report.to_json() for report in run_together(trace, cases)]
    assert together == [run(trace, case).to_json() for case in cases]
    assert together == [
        sparqsim.simulate(trace, case.pe, sparqsim.ArrayConfig(4, 4, "is")).to_json()
        for case in cases
    ]


def test_a_refused_case_does_not_stop_its_neighbours() -> None:
    rng = np.random.default_rng(0)
    signed = sparqsim.Trace(
        [
            sparqsim.Layer.from_gemm(
                "a",
                rng.integers(-128, 128, (3, 4), np.int8),
                rng.integers(-128, 128, (4, 2), np.int8),
            )
        ],
        synthetic="uniform",
    )
    refused, done = run_together(
        signed,
        [Case(trace="", pe="sparq-5opt", signed="refuse"), Case(trace="", pe="mac-8b8b")],
    )
    assert isinstance(refused, InputError)
    assert "layer 'a'" in str(refused)
    assert isinstance(done, sparqsim.Report)
