"""How a command ends: 1 is the answer "no" and nothing else, whatever becomes of its streams and
its process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sparqsim
from sparqsim import cli
from sparqsim.cli import app
from sparqsim.cli.app import INTERNAL_ERROR

ROOT = Path(sparqsim.__file__).parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
SPARQSIM = f"{sys.executable} -m sparqsim"
pytestmark = pytest.mark.skipif(os.name != "posix", reason="shells and signals of POSIX")


def shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.replace("sparqsim", SPARQSIM, 1)],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def suite(run, small_path: Path, tmp_path: Path) -> Path:
    """A list of cases of which one has changed."""
    cases = tmp_path / "cases.toml"
    cases.write_text(f'[[case]]\nname = "a"\ntrace = "{small_path.name}"\n')
    assert run("regress", "update", cases).code == 0
    golden = tmp_path / "golden" / "a.json"
    golden.write_text(golden.read_text().replace('"tiles": ', '"tiles": 1'))
    return cases


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("sparqsim pe list", 0),
        ("sparqsim pe list | head -1", 0),
        ("sparqsim pe list --format json | true", 0),
        ("sparqsim pe list >&-", 2),
        ("sparqsim pe list >/dev/full", 2),
        ("sparqsim pe list --format csv >/dev/full", 2),
        ("sparqsim pe list 2>&-", 0),
        ("sparqsim pe list >&- 2>&- <&-", 2),
        ("sparqsim simulate none --pe mac-8b8b 2>/dev/full", 2),
        ("sparqsim simulate none --pe mac-8b8b 2>&-", 2),
        ("sparqsim nonsense", 2),
    ],
)
def test_streams_do_not_decide(command: str, code: int, tmp_path: Path) -> None:
    ended = shell(command, tmp_path)
    assert ended.returncode == code, ended
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("\n") == (1 if code and "2>" not in command else 0), ended.stderr


@pytest.mark.sampled(2)
@pytest.mark.parametrize("end", ["", " 2>&-", " | true", " >/dev/null"])
def test_the_answer_no_is_1_whoever_listens(end: str, suite: Path) -> None:
    ended = shell(f"sparqsim regress check cases.toml{end}", suite.parent)
    assert ended.returncode == 1, ended


def test_files_are_written_though_nobody_listens(small_path: Path) -> None:
    command = f"sparqsim simulate {small_path.name} --pe mac-8b8b -o out.json"
    for end, code in ((" | true", 0), (" >&-", 2), (" >/dev/full", 2)):
        assert shell(command + end, small_path.parent).returncode == code
        report = small_path.parent / "out.json"
        assert sparqsim.Report.load(report).pe.name == "mac-8b8b"
        report.unlink()


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (TypeError("odd"), INTERNAL_ERROR, "internal error: TypeError: odd: a fault of sparqsim"),
        (KeyError("odd"), INTERNAL_ERROR, "internal error: KeyError"),
        (MemoryError(), 2, "out of memory"),
        (RecursionError("deep"), 2, "nested too deeply"),
        (OSError(28, "No space left on device", "/somewhere/x"), 2, "/somewhere/x: No space left"),
        (BrokenPipeError(32, "Broken pipe"), 2, "Broken pipe"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_whatever_is_raised_is_one_line_and_never_1(error, code, line, run, monkeypatch) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("sparqsim.pe.registry.designs", fails)
    monkeypatch.delenv("SPARQSIM_DEBUG", raising=False)
    ended = run("pe", "list")
    assert ended.code == code
    assert line in ended.err
    assert ended.err.count("\n") == 1


def test_the_traceback_is_shown_when_asked_for(run, monkeypatch) -> None:
    def fails(*_: object) -> None:
        raise TypeError("odd")

    monkeypatch.setattr("sparqsim.pe.registry.designs", fails)
    monkeypatch.setenv("SPARQSIM_DEBUG", "1")
    ended = run("pe", "list")
    assert ended.code == INTERNAL_ERROR
    assert ended.err.startswith("Traceback (most recent call last)")
    assert ended.err.splitlines()[-1].startswith("sparqsim: internal error: TypeError: odd")


SLEEPING_DESIGN = """
import pathlib, time
pathlib.Path("begun").touch()
time.sleep(60)
"""


def started(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """Start a command in which Ctrl-C has its usual meaning, wherever these tests run."""
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from sparqsim.cli import main\nmain()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=cwd,
        # What Python keeps beside a design's file is no file of ours.
        env={**ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_in_the_middle_is_one_line(number, code, word, small_path: Path) -> None:
    folder = small_path.parent
    (folder / "slow.py").write_text(SLEEPING_DESIGN)
    process = started(
        "simulate", small_path.name, "--pe", "slow.py:Slow", "-o", "out.json", cwd=folder
    )
    until = time.monotonic() + 60
    while not (folder / "begun").exists() and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, "", f"sparqsim: {word}\n")
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "begun",
        "slow.py",
        small_path.name,
    ]


@pytest.mark.parametrize("module", ["typer", "rich.console", "sparqsim.cli.app"])
def test_a_signal_while_the_command_is_imported_is_one_line(module: str, tmp_path: Path) -> None:
    script = f"""
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Interrupting:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from sparqsim.cli import main
main()
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, "pe", "list"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (130, "sparqsim: interrupted\n")


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    """As `nohup` and a shell's `&` leave it to the command."""
    script = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN)\nfrom "
        "sparqsim.cli.signals import Signals\nwith Signals(owned=True) as signals, "
        "signals.raised(): os.kill(os.getpid(), signal.SIGINT)\nsys.exit(signals.told())"
    )
    ended = subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, check=False)
    assert ended.returncode == 0


def test_a_signal_that_cannot_be_raised_ends_the_command_too() -> None:
    """In a destructor Python only prints what was raised."""
    script = (
        "import os, signal, time; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from sparqsim.cli.signals import Signals\n"
        "class Odd:\n"
        "    def __del__(self): os.kill(os.getpid(), signal.SIGINT); time.sleep(1)\n"
        "with Signals(owned=True) as signals, signals.raised(): Odd()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], env=ENVIRONMENT, check=False, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (130, "sparqsim: interrupted\n")


def test_a_user_without_a_home(small_path: Path, tmp_path: Path) -> None:
    """No HOME, and no entry in the list of users: results all the same, and no litter in the
    temporary folder.
    """
    environment = {name: value for name, value in ENVIRONMENT.items() if not name.startswith("XDG")}
    environment.pop("HOME", None)
    environment.pop("MPLCONFIGDIR", None)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    script = (
        "import pwd\ndef unknown(uid): raise KeyError(uid)\npwd.getpwuid = unknown\n"
        "from sparqsim.cli import main\nmain()"
    )
    for words in (
        ["simulate", small_path.name, "--pe", "sparq-exact", "-o", "out.json"],
        ["plot", "out.json", "--kind", "layers", "-o", "f.svg"],
    ):
        ended = subprocess.run(
            [sys.executable, "-c", script, *words],
            env=environment | {"TMPDIR": str(temporary)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    assert list(temporary.iterdir()) == []


def test_the_command_can_be_called_from_both_places() -> None:
    """Programs that drive the command import `main` from `sparqsim.cli.app`, too."""
    assert app.main is cli.main


def test_ctrl_c_in_a_command_that_a_script_calls_is_one_line(run, monkeypatch) -> None:
    """Typer makes an exit code of it, without a word."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sparqsim.pe.registry.designs", interrupted)
    ended = run("pe", "list")
    assert (ended.code, ended.out, ended.err) == (130, "", "sparqsim: interrupted\n")


def test_a_design_of_ones_own_that_fails_is_told_by_its_line(run, small_path, tmp_path):
    """Not as a fault of sparqsim."""
    design = tmp_path / "mine.py"
    design.write_text(
        "from sparqsim import PEDesign\nfrom sparqsim.pe import Step\n"
        "class Mine(PEDesign):\n    name = 'mine'\n    lanes = 1\n"
        "    def step(self, xs, ws, signed=False):\n        return Step(0)\n"
        "    def used_activations(self, x):\n        return x // nothing\n"
    )
    ended = run("simulate", small_path, "--pe", f"{design}:Mine")
    assert ended.code == 2
    assert f"{design}:9: NameError: name 'nothing' is not defined" in ended.err
    assert ended.err.count("\n") == 1
