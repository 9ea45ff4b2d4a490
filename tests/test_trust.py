"""No file runs code because another file names it: results, stores, grids and lists of cases lead
to no path.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import sparqsim
from sparqsim.base.errors import InputError
from sparqsim.pe.registry import resolve
from sparqsim.regress import load_cases
from sparqsim.sweep import load_grid

DESIGN = """
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from sparqsim.pe.mac import Mac8b8b

Path(__file__).with_name("RAN").touch()

@dataclass(frozen=True)
class Mine(Mac8b8b):
    name: ClassVar[str] = "mine"
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch) -> Path:
    """A design in a file that leaves a trace when it is run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(DESIGN)
    return tmp_path / "RAN"


SPECS = [
    "mine.py:Mine",
    "./mine.py:Mine",
    "mine.py:Mine:k=v",
    "mine.py",
    "mine.py:",
]


@pytest.mark.parametrize("spec", [*SPECS, "a\nb.py:Mine"])
def test_a_name_from_a_file_leads_to_no_path(spec: str, mine: Path) -> None:
    with pytest.raises(InputError, match="is not run because another file names it"):
        resolve(spec)
    assert not mine.exists()


def test_a_name_that_the_user_gives_does(mine: Path) -> None:
    design = resolve("mine.py:Mine", trust_files=True)
    assert mine.exists()
    assert resolve("mine", known=[design]) is design
    with pytest.raises(InputError, match="is not known"):
        resolve("mine")


@pytest.mark.parametrize("in_card", [False, True])
@pytest.mark.parametrize("spec", SPECS)
def test_a_report_runs_nothing(
    spec: str, in_card: bool, mine: Path, run, refused, small_path: Path
) -> None:
    assert run("simulate", small_path, "--pe", "mac-8b8b", "-o", "r.json").code == 0
    report = json.loads(Path("r.json").read_text())
    report["pe"]["spec"] = spec
    if in_card:
        report["card"]["designs"][0]["design"] = spec
    for layer in report["layers"]:
        layer["run_as"] = spec
    Path("r.json").write_text(json.dumps(report))
    words = ("--kind", "utilization", "--trace", small_path, "-o", "u.svg")
    refusals = ("is not run because another file names it", "pe.spec: holds U+000A")
    assert refusals["\n" in spec] in refused("plot", "r.json", *words)
    assert not mine.exists()


def test_a_report_with_a_name_of_two_lines_is_refused(
    mine: Path, run, refused, small_path: Path
) -> None:
    assert run("simulate", small_path, "--pe", "mac-8b8b", "-o", "r.json").code == 0
    report = Path("r.json").read_text().replace('"spec": "mac-8b8b"', '"spec": "a\\nmine.py:Mine"')
    Path("r.json").write_text(report)
    assert "control character" in refused("plot", "r.json", "--kind", "layers", "-o", "u.svg")
    assert not mine.exists()


def test_the_users_own_design_is_drawn_when_it_is_named(mine: Path, run, small_path: Path) -> None:
    own = ("--pe", "mine.py:Mine")
    assert run("simulate", small_path, *own, "-o", "r.json").code == 0
    mine.unlink()
    words = ("--kind", "utilization", "--trace", small_path, "-o", "u.svg")
    ended = run("plot", "r.json", *words)
    assert ended.code == 2
    assert "'mine' is not known" in ended.err
    assert not mine.exists()
    assert run("plot", "r.json", *own, *words).code == 0
    assert mine.exists()
    timeline = run("simulate", small_path, *own, "--config", "edge", "--timeline", "t.json")
    assert timeline.code == 0, timeline.err


def test_a_grid_asks_for_trust(mine: Path, run, refused, small_path: Path) -> None:
    grid = Path("grid.toml")
    grid.write_text(f'trace = "{small_path.name}"\npe = ["mac-8b8b", "mine.py:Mine"]\n')
    words = ("sweep", grid, "-o", "s.sqlite", "--jobs", "1")
    assert "--trust" in refused(*words)
    with pytest.raises(InputError, match="--trust"):
        load_grid(grid)
    assert not mine.exists()
    assert not Path("s.sqlite").exists()
    assert run(*words, "--pe", "mac-4b8b").code == 0
    assert not mine.exists()
    assert run(*words, "--trust").code == 0
    assert mine.exists()


def test_a_design_of_the_command_line_is_the_users_own(mine: Path, run, small_path: Path) -> None:
    Path("grid.toml").write_text(f'trace = "{small_path.name}"\npe = "mac-8b8b"\n')
    words = ("sweep", "grid.toml", "-o", "s.sqlite", "--jobs", "1", "--pe", "mine.py:Mine")
    assert run(*words).code == 0
    assert mine.exists()


def test_a_list_of_cases_asks_for_trust(mine: Path, run, refused, small_path: Path) -> None:
    cases = Path("cases.toml")
    cases.write_text(f'[[case]]\nname = "a"\ntrace = "{small_path.name}"\npe = "mine.py:Mine"\n')
    for command in ("update", "check"):
        assert "--trust" in refused("regress", command, cases)
    assert not mine.exists()
    assert run("regress", "update", cases, "--trust").code == 0
    assert run("regress", "check", cases, "--trust").code == 0
    assert mine.exists()


@pytest.mark.parametrize("folder", ["../outside", "ABSOLUTE", "link", "in/../../outside"])
def test_golden_reports_stay_in_their_folder(
    folder: str, refused, small_path: Path, tmp_path: Path
) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    (home / "in").mkdir(parents=True)
    outside.mkdir()
    (outside / "a.json").write_text("earlier")
    (home / "link").symlink_to(outside)
    folder = str(outside) if folder == "ABSOLUTE" else folder
    cases = home / "cases.toml"
    cases.write_text(f'golden = "{folder}"\n[[case]]\nname = "a"\ntrace = "{small_path}"\n')
    for command in ("update", "check"):
        assert "leads out of the folder of this file" in refused("regress", command, cases)
    assert (outside / "a.json").read_text() == "earlier"


def test_a_golden_report_that_is_a_link_outward_is_refused(
    small_path: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (home / "golden").mkdir(parents=True)
    (tmp_path / "other.json").write_text("earlier")
    (home / "golden" / "a.json").symlink_to(tmp_path / "other.json")
    cases = home / "cases.toml"
    cases.write_text(f'[[case]]\nname = "a"\ntrace = "{small_path}"\n')
    with pytest.raises(InputError, match="leads out of the folder"):
        load_cases(cases)


def test_a_design_that_leaves_python_is_a_design_that_cannot_be_run(
    tmp_path: Path, small_path: Path, refused
) -> None:
    (tmp_path / "leaves.py").write_text("raise SystemExit(1)")
    assert "cannot be run" in refused(
        "simulate", small_path, "--pe", f"{tmp_path / 'leaves.py'}:Mine"
    )


def test_get_pe_takes_what_a_user_types(mine: Path) -> None:
    assert sparqsim.get_pe("mine.py:Mine").name == "mine"


FLOW = """
from pathlib import Path

Path(__file__).with_name("RAN").touch()


class Flow:
    name = "flow"
    roles = "snm"
"""


@pytest.fixture
def flow(tmp_path: Path, monkeypatch) -> Path:
    """A dataflow in a file that leaves a trace when it is run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.py").write_text(FLOW)
    return tmp_path / "RAN"


def test_a_grid_and_a_list_of_cases_run_no_dataflow(flow: Path, small_path: Path) -> None:
    Path("grid.toml").write_text(f'trace = "{small_path}"\ndataflow = "flow.py:Flow"\n')
    with pytest.raises(InputError, match=r"grid.toml: dataflow 'flow.py:Flow' is Python code"):
        load_grid("grid.toml")
    Path("cases.toml").write_text(
        f'[[case]]\nname = "a"\ntrace = "{small_path}"\ndataflow = "flow.py:Flow"\n'
    )
    with pytest.raises(InputError, match=r"case a: dataflow 'flow.py:Flow' is Python code"):
        load_cases("cases.toml")
    assert not flow.exists()


def test_a_report_runs_no_dataflow(flow: Path, run, refused, small_path: Path) -> None:
    assert run("simulate", small_path, "--pe", "mac-8b8b", "-o", "r.json").code == 0
    report = json.loads(Path("r.json").read_text())
    report["array"]["dataflow"] = "flow.py:Flow"
    Path("r.json").write_text(json.dumps(report))
    for words in (
        ("plot", "r.json", "--kind", "utilization", "--trace", small_path, "-o", "u.svg"),
        ("report", "r.json", "-o", "r.html"),
    ):
        assert "expected the name of a dataflow" in refused(*words)
    assert not flow.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no FIFOs")
def test_a_golden_report_that_is_a_pipe_is_not_waited_for(
    tmp_path: Path, run, small_path: Path
) -> None:
    cases = tmp_path / "cases.toml"
    cases.write_text(f'[[case]]\nname = "a"\ntrace = "{small_path}"\n')
    (tmp_path / "golden").mkdir()
    os.mkfifo(tmp_path / "golden" / "a.json")
    ended = run("regress", "check", cases)
    assert ended.code == 1
    assert "no regular file" in ended.out
