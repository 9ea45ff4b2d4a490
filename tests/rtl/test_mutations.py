"""The list of faults and the kept result; the faults themselves are injected by run_mutations.py,
and by `-m slow`.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
RUNNER = HERE / "run_mutations.py"
spec = importlib.util.spec_from_file_location("run_mutations", RUNNER)
run_mutations = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = run_mutations  # dataclasses look their module up
spec.loader.exec_module(run_mutations)
FAULTS = run_mutations.load_faults()
RESULT = HERE / "mutations_result.json"

pytestmark = pytest.mark.no_simulator


def test_every_fault_can_still_be_injected():
    for fault in FAULTS:
        assert fault.place(HERE.parent.parent).is_file()
        assert fault.old != fault.new, fault.name
        assert fault.tests in run_mutations.TESTS, fault.name


def test_the_list_has_at_least_twenty_faults_in_rtl_and_simulator_each_with_a_name():
    assert len(FAULTS) >= 20
    kinds = Counter(fault.files.startswith("sparqsim/rtl/sv/") for fault in FAULTS)
    assert min(kinds.values()) >= 5
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def test_the_kept_result_is_of_this_list_and_no_fault_survived():
    """Else run `python tests/rtl/run_mutations.py --jobs 2 -o tests/rtl/mutations_result.json`."""
    result = json.loads(RESULT.read_text())
    assert result["list_sha256"] == run_mutations.list_digest(FAULTS)
    assert [entry["fault"] for entry in result["faults"]] == [fault.name for fault in FAULTS]
    assert [entry["fault"] for entry in result["faults"] if not entry["caught_by"]] == []
    assert result["caught"] == len(FAULTS)


def test_tests_that_caught_faults_still_exist():
    for entry in json.loads(RESULT.read_text())["faults"]:
        file, test = entry["caught_by"].split("::")
        path = HERE / file if (HERE / file).exists() else HERE.parent / file
        assert f"def {test.partition('[')[0]}(" in path.read_text(), entry["fault"]


@pytest.mark.slow
def test_every_fault_is_caught():
    command = [sys.executable, RUNNER]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
