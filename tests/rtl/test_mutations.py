"""The list of faults; the faults themselves are injected by `-m slow`."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FAULTS = tomllib.loads((HERE / "mutations.toml").read_text())["fault"]


@pytest.mark.no_simulator
@pytest.mark.parametrize("fault", FAULTS, ids=[fault["name"] for fault in FAULTS])
def test_every_fault_can_still_be_injected(fault):
    places = [path for path in HERE.parent.parent.glob(fault["files"]) if fault["old"] in path.read_text()]
    assert [path.read_text().count(fault["old"]) for path in places] == [1]
    assert fault["old"] != fault["new"]


@pytest.mark.slow
def test_every_fault_is_caught():
    command = [sys.executable, HERE / "run_mutations.py"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
