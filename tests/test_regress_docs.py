"""What docs/how-to/regress.md gives to copy works as written: the workflow, and the lines for a
suite of one's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from docs_blocks import blocks_of
from regress_cases import PACKAGE, trace_of

from sparqsim.regress import update

PAGE = PACKAGE.parent / "docs" / "how-to" / "regress.md"


def block(language: str) -> str:
    """Return the page's only block in a language."""
    (text,) = (block.text for block in blocks_of(PAGE, PAGE.name) if block.language == language)
    return text


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with the page's list of cases, on a small trace, and their golden reports."""
    (tmp_path / "cases.toml").write_text(block("toml"))
    trace_of(1).save(tmp_path / "digits_resnet.safetensors")
    update(tmp_path / "cases.toml")
    return tmp_path


def ran(home: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        check=False,
        cwd=home,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent), **settings},
    )


@pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not here")
@pytest.mark.parametrize("changed", [False, True])
def test_workflow(home: Path, changed: bool) -> None:
    """Its steps, run as the runner does: all of them where the check passes, those with `if:
    always()` where not.
    """
    workflow: dict[Any, Any] = pytest.importorskip("yaml").safe_load(block("yaml"))
    assert set(workflow) == {"name", True, "permissions", "jobs"}  # YAML 1.1 reads `on` as true
    assert workflow[True] == ["push", "pull_request"]
    steps = workflow["jobs"]["regress"]["steps"]
    assert all(len({"run", "uses"} & set(step)) == 1 for step in steps)
    (home / "bin").mkdir()
    command = home / "bin" / "sparqsim"  # what installing gives
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m sparqsim "$@"\n')
    command.chmod(0o755)
    if changed:
        trace_of(2).save(home / "digits_resnet.safetensors")
    failed = False
    for step in steps:
        line = step.get("run", "")
        if (
            line
            and not line.startswith(("git clone ", "pip install "))
            and (not failed or step.get("if") == "always()")
        ):
            ended = ran(
                home,
                shutil.which("bash") or "sh",
                "-e",
                "-c",
                line,
                GITHUB_STEP_SUMMARY=str(home / "summary"),
                PATH=f"{command.parent}{os.pathsep}{os.environ['PATH']}",
            )
            assert not ended.stderr
            failed |= ended.returncode != 0
    assert failed == changed
    assert f"{0 if changed else 2} of 2 cases unchanged" in (home / "summary").read_text()
    uploaded = next(
        step["with"]["path"] for step in steps if step.get("uses", "").startswith("actions/upload")
    )
    suite = ET.fromstring((home / uploaded).read_text())  # noqa: S314 - our own file
    assert suite.get("failures") == ("2" if changed else "0")


@pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not here")
def test_three_lines_in_a_suite_of_ones_own(home: Path) -> None:
    (home / "test_mine.py").write_text(block("python"))
    suite = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py")
    ended = ran(home, *suite)
    assert ended.returncode == 0, ended.stdout
    assert len(block("python").split("\n\n\n")) == 2, "an import and a test"
    assert len([line for line in block("python").splitlines() if line]) == 3
    trace_of(2).save(home / "digits_resnet.safetensors")
    ended = ran(home, *suite)
    assert ended.returncode == 1
    assert "AssertionError: CHANGED    digits-5opt (sparq-5opt)" in ended.stdout
    assert "trace changed: " in ended.stdout
