"""Sweeps in processes of their own: the same results, killed, interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from sweep_cases import AXES, ENVIRONMENT, USER_DESIGN, ran

from sparqsim.base.errors import InputError
from sparqsim.sweep import Store
from sparqsim.sweep.processes import Start

STRESS = Path(__file__).parent.with_name("stress_sweep.py")


def test_two_processes_record_what_one_does(tmp_path: Path, trace: str, store: Path) -> None:
    ended = ran(
        "sweep",
        trace,
        *(word for axis, values in AXES.items() for word in (f"--{axis}", ",".join(values))),
        "-o",
        "two.sqlite",
        "--jobs",
        "2",
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == "", "progress is for terminals"
    assert ended.stdout == "12 points: 0 known, 12 computed\n"
    with Store(tmp_path / "two.sqlite") as opened, Store(store) as other:
        assert list(opened.recorded()) == list(other.recorded())


def test_workers_that_are_spawned_record_what_forked_ones_do(
    tmp_path: Path, trace: str, store: Path
) -> None:
    (tmp_path / "script.py").write_text(
        "import sys\nfrom sparqsim.sweep import sweep\nfrom sparqsim.sweep.grid import "
        f"cases_of\nif __name__ == '__main__': sweep(cases_of({{'trace': sys.argv[1], **{AXES}}}), "
        "sys.argv[2],\n    start=sys.argv[2])"
    )
    for start in get_args(Start):
        subprocess.run(
            [sys.executable, "script.py", trace, start], cwd=tmp_path, env=ENVIRONMENT, check=True
        )
        with Store(tmp_path / start) as opened, Store(store) as other:
            assert list(opened.recorded()) == list(other.recorded())


def test_kill_9_of_the_sweep() -> None:
    stress("local", kills=1)


@pytest.mark.slow
def test_two_sweeps_on_one_store() -> None:
    stress("together", kills=1)


def stress(mode: str, kills: int) -> None:
    ended = subprocess.run(
        [sys.executable, str(STRESS), mode, "--kills", str(kills)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert "nothing lost, nothing twice, the same end" in ended.stdout


def test_a_killed_worker_is_told_in_one_line(tmp_path: Path, trace: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        USER_DESIGN.format(lanes=1)
        + "    def steps(self, k):\n        import os; os.kill(os.getpid(), 9)\n"
    )
    ended = ran(
        "sweep", trace, "--pe", f"{file}:Mine", "-o", "s.sqlite", "--jobs", "1", cwd=tmp_path
    )
    assert ended.returncode == 2
    assert "a worker process was killed" in ended.stderr
    assert ended.stderr.count("\n") == 1
    with Store(tmp_path / "s.sqlite") as opened:
        assert opened.rows() == []


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let Ctrl-C reach what is started here, though we may have been started to ignore it
    (nohup).
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def slow_sweep(folder: Path, trace: str, seconds: int, **settings: bool) -> subprocess.Popen[str]:
    """Start a sweep of a quick design and one that sleeps."""
    file = folder / "slow.py"
    file.write_text(
        USER_DESIGN.format(lanes=1)
        + f"    def steps(self, k):\n        import time; time.sleep({seconds})\n"
    )
    designs = f"mac-8b8b,{file}:Mine"
    options = ["--pe", designs, "-o", "s.sqlite", "--jobs", "2"]
    return subprocess.Popen(
        [sys.executable, "-m", "sparqsim", "sweep", trace, *options],
        cwd=folder,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **settings,
    )


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_keeps_what_was_recorded(tmp_path: Path, trace: str) -> None:
    process = slow_sweep(tmp_path, trace, 60, start_new_session=True)
    wait_for_rows(tmp_path / "s.sqlite", 1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: every process of the group gets it
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (
        told == "sparqsim: interrupted; what was recorded is safe, and the same command resumes\n"
    )
    with Store(tmp_path / "s.sqlite") as opened:
        assert [row["pe"] for row in opened.rows()] == ["mac-8b8b"]


def test_kill_9_ends_all_processes_without_a_word(tmp_path: Path, trace: str) -> None:
    """Python's resource tracker would warn of semaphores that nobody gave back."""
    process = slow_sweep(tmp_path, trace, 600)
    wait_for_rows(tmp_path / "s.sqlite", 1)
    process.kill()
    assert process.communicate(timeout=60) == (
        "",
        "",
    )  # at the end of the last process that could write there


def test_a_fork_server_that_loads_ends_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import time\nfrom pathlib import Path\nfrom sparqsim.sweep.processes import "
        "ends_with_parent\nwith ends_with_parent():\n    Path('loading').touch()\n    "
        "time.sleep(600)\n"
    )
    (tmp_path / "script.py").write_text(
        "import time\nfrom sparqsim.sweep import processes\nprocesses.LOADED = ['slow']\n"
        "processes.start_server()\ntime.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    while not (tmp_path / "loading").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    process.kill()
    assert process.communicate(timeout=60) == ("", "")


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_workers_load_says_one_line(tmp_path: Path, trace: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", EARLY, "sweep", trace, "--pe", "mac-8b8b", "-o", "s.sqlite"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _, told = process.communicate(timeout=100)
    assert process.returncode == 130
    assert (
        told == "sparqsim: interrupted; what was recorded is safe, and the same command resumes\n"
    )


#: Ctrl-C for the whole group while the fork server loads loads; workers never answer.
EARLY = """
import os, signal, sys, threading
from sparqsim.sweep import processes
from sparqsim.sweep import local

started = processes.start_server
def start_server():
    started()
    threading.Timer(0.5, os.killpg, (0, signal.SIGINT)).start()

processes.start_server = start_server
local.start_server = started
local.LocalWorkers.submit = lambda self, task: threading.Event().wait()
from sparqsim.cli import main
main(sys.argv[1:])
"""


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_a_worker_is_started_says_one_line(tmp_path: Path, trace: str) -> None:
    """The worker, which the fork server starts later, finds its semaphores or is not there."""
    process = subprocess.Popen(
        [sys.executable, "-c", AT_START, "sweep", trace, "--pe", "mac-8b8b", "-o", "s.sqlite"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    _, said = process.communicate()  # ends when the last process that could write there has
    line = "sparqsim: interrupted; what was recorded is safe, and the same command resumes\n"
    assert (process.returncode, said) == (130, line)


#: Ctrl-C when the fork server has been asked for a worker, and before the pool knows of it.
AT_START = """
import os, signal
from multiprocessing import popen_forkserver

launch = popen_forkserver.Popen._launch
def interrupted(self, process):
    launch(self, process)
    os.kill(os.getpid(), signal.SIGINT)

popen_forkserver.Popen._launch = interrupted
from sparqsim.cli import main
main()
"""


@pytest.mark.parametrize("start", get_args(Start))
def test_workers_have_one_thread_however_they_start(tmp_path: Path, trace: str, start: str) -> None:
    (tmp_path / "script.py").write_text(THREADS)
    ended = subprocess.run(
        [sys.executable, "script.py", trace, start],
        cwd=tmp_path,
        env=ENVIRONMENT,
        check=False,
        text=True,
        capture_output=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["1", "1", "before"]


THREADS = """
import os, sys
from sparqsim.sweep.processes import THREAD_SETTINGS
from sparqsim.sweep.local import LocalWorkers

def threads():
    import numba
    return numba.get_num_threads(), {os.environ[name] for name in THREAD_SETTINGS}

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "before"
    with LocalWorkers(1, sys.argv[2]) as workers:
        from sparqsim.sweep.processes import one_thread
        with one_thread():
            asked = workers._pool.submit(threads)
        number, settings = asked.result()
    print(number, *settings, os.environ["OMP_NUM_THREADS"])
"""


def wait_for_rows(store: Path, rows: int, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with Store(store) as opened:
                if sum(count for *_, count in opened.counts()) >= rows:
                    return
        except InputError:
            pass  # not made yet
        time.sleep(0.05)
    raise AssertionError(f"{store}: fewer than {rows} rows after {seconds} s")
