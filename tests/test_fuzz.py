"""Mutated files of every kind the program reads: right, or refused in one line.

See `tests/fuzz/run.py` for the same by hand, with other seeds and more inputs.
"""

from __future__ import annotations

import importlib.util
import resource
import sys
from pathlib import Path

import pytest

from sparqsim.memory import scalesim
from sparqsim.trace import tensorfile

FOLDER = Path(__file__).parent / "fuzz"
#: Inputs of each kind: in every run, and in the slow one.
FEW, MANY = 3, 280


def loaded():
    spec = importlib.util.spec_from_file_location("fuzz_run", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


driver = loaded()
#: Modules that a kind needs, beside the program's own.
NEEDED = {"onnx": "onnx", "tflite": "ai_edge_litert", "pictures": "PIL"}


@pytest.fixture
def fuzz(monkeypatch):
    """The driver; what its kinds are made of is found beside it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (driver.MOST_BYTES, hard))
    yield driver
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def skip_without(kind):
    for word, module in NEEDED.items():
        if word in kind:
            pytest.importorskip(module)


@pytest.mark.parametrize("kind", driver.kinds())
def test_a_few_inputs_of_every_kind(kind, fuzz):
    skip_without(kind)
    found = [fuzz.tried(kind, name, content) for _, name, content in fuzz.inputs(kind, 1, FEW)]
    assert len(found) == FEW
    assert [each for each in found if each.outcome in fuzz.BAD] == []
    assert found[0].outcome == "right", "the first input is the sound one"
    assert all(each.outcome == "right" for each in found if "sound" in each.name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", driver.kinds())
def test_many_inputs_of_every_kind(kind, fuzz):
    skip_without(kind)
    found = fuzz.run_kind(kind, 2, MANY, None)
    assert len(found) == MANY
    assert fuzz.faults({kind: found}) == []


def test_equal_seeds_give_equal_inputs(fuzz):
    for kind in ("traces", "topologies", "reports"):
        once, again, other = (list(fuzz.inputs(kind, seed, 30)) for seed in (3, 3, 4))
        assert once == again != other


def test_a_guard_that_is_gone_is_seen(fuzz, monkeypatch):
    """The rule for numbers, replaced by what it was made for: Python's own, and its limit."""
    monkeypatch.setattr(scalesim, "whole_number", lambda text, low, high: int(text))
    content = b"[architecture_presets]\nArrayHeight = " + b"9" * 5_000
    found = fuzz.tried("scalesim_configs", "a.cfg", content)
    assert found.outcome == "traceback"
    assert "ValueError" in found.place


def test_a_wrong_exit_code_and_a_second_line_are_seen(fuzz):
    def saying(text, code):
        def call():
            print(text, file=sys.stderr)
            sys.exit(code)

        return call

    assert fuzz._ended(saying("sparqsim: a: no", 2), (0, 2))[0] == "refused"
    assert fuzz._ended(saying("sparqsim: a\nsparqsim: b", 2), (0, 2))[0] == "wrong exit"
    assert fuzz._ended(saying("a: no", 2), (0, 2))[0] == "wrong exit"
    assert fuzz._ended(saying("sparqsim: \x1b[31m", 2), (0, 2))[0] == "wrong exit"
    assert fuzz._ended(saying("", 1), (0, 2))[0] == "wrong exit"
    assert fuzz._ended(saying("", 1), (0, 1, 2))[0] == "right"


def test_memory_beyond_the_bound_is_seen(fuzz, monkeypatch):
    def greedy(*_):
        return bytearray(1 << 50)

    monkeypatch.setattr(tensorfile, "parsed_header", greedy)
    _, name, content = next(fuzz.inputs("traces", 1, 1))
    assert fuzz.tried("traces", name, content).outcome == "over memory"


def test_an_input_without_end_is_seen(fuzz, monkeypatch):
    monkeypatch.setattr(fuzz, "MOST_SECONDS", 1)

    def endless():
        while True:
            pass

    found = fuzz._bounded(lambda: fuzz.Found("", "", fuzz._ended(endless, (0, 2))[0]))
    assert found.outcome == "hang"


def test_a_process_that_dies_costs_one_input(fuzz, monkeypatch, tmp_path):
    """A kind made for this: of three inputs, the second ends its process."""
    for file in FOLDER.glob("*.py"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "deadly.py").write_text(
        "import os, signal\n"
        "def mutations(seed, count):\n"
        "    yield from [('a', b'0'), ('b', b'1'), ('c', b'0')][:count]\n"
        "def run(file):\n"
        "    if file.read_bytes() == b'1':\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    monkeypatch.setattr(fuzz, "HERE", tmp_path)
    monkeypatch.setattr(fuzz, "__file__", str(tmp_path / "run.py"))
    found = fuzz.run_kind("deadly", 1, 3, None)
    assert [each.outcome for each in found] == ["right", "traceback", "right"]
