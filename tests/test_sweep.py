"""Sweeps: the grid, the keys, the store, what is computed and what is not, and how results leave."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pytest

import sparqsim
from sparqsim.case import Case
from sparqsim.cli import main
from sparqsim.errors import InputError
from sparqsim.sweep import Store, load_grid, run, sweep
from sparqsim.sweep.export import export
from sparqsim.sweep.grid import cases_of
from sparqsim.sweep.point import Planner
from sparqsim.sweep.traces import HELD, TraceUnseenError
from sparqsim.sweep.worker import Result, Task, run_task

ROOT = Path(sparqsim.__file__).parent.parent
STRESS = Path(__file__).with_name("stress_sweep.py")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
AXES = {"pe": ["mac-8b8b", "sparq-5opt", "sparq-exact"], "array": ["4x4", "3x5"], "dataflow": ["os", "ws"]}


def save_trace(path: Path, seed: int = 1, *, signed: bool = False) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (9, 11), np.int8) if signed else rng.integers(0, 256, (9, 11), np.uint8)
    layer = sparqsim.Layer.from_gemm("only", x, rng.integers(-128, 128, (11, 6), np.int8))
    sparqsim.Trace([layer], network="made", synthetic="uniform").save(path)


class Here:
    """Workers that are this process: for what has nothing to do with processes."""

    slots = 1

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        pass

    @property
    def busy(self) -> int:
        return len(self.tasks)

    def submit(self, task: Task) -> None:
        self.tasks.append(task)

    def finished(self) -> list[Result]:
        return run_task(self.tasks.pop(0))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_workers", lambda *args: Here())


@pytest.fixture(autouse=True)
def nothing_held() -> None:
    HELD.clear()


@pytest.fixture
def trace(tmp_path: Path) -> str:
    save_trace(tmp_path / "net.safetensors")
    return str(tmp_path / "net.safetensors")


@pytest.fixture
def store(tmp_path: Path, trace: str, here: None) -> Path:
    """A store with every point of AXES."""
    sweep(cases_of({"trace": trace, **AXES}), tmp_path / "store.sqlite")
    return tmp_path / "store.sqlite"


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def ran(*arguments: str, cwd: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, after the Python statements `before`."""
    script = f"import sys\n{before}\nfrom sparqsim.cli import main\nif __name__ == '__main__': main(sys.argv[1:])"
    (cwd / "command.py").write_text(script)
    return subprocess.run([sys.executable, "command.py", *arguments], cwd=cwd, env=ENVIRONMENT, check=False, text=True,
                          capture_output=True)


# The grid


def test_grid_is_the_product_of_its_axes(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(
        'trace = ["a", "b"]\npe = ["p", "q", "r"]\narray = "8x8"\noverlap = ["on", "off"]\nall_layers = [true, false]')
    cases = load_grid(tmp_path / "grid.toml")
    assert len(cases) == len(set(cases)) == 2 * 3 * 2 * 2
    assert {case.trace for case in cases} == {str(tmp_path / "a"), str(tmp_path / "b")}
    assert [case.pe for case in cases[:3]] == ["p", "q", "r"]
    assert {case.array for case in cases} == {"8x8"}
    assert {case.dataflow for case in cases} == {None}


def test_tables_make_grids_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(
        'trace = "t"\npe = ["p", "q"]\n'
        '[[grid]]\narray = ["8x8", "4x4"]\n'
        '[[grid]]\npe = "e"\ncoupling = ["elastic:1", "lockstep"]')
    cases = load_grid(tmp_path / "grid.toml")
    assert [(case.pe, case.array, case.coupling) for case in cases] == [
        ("p", "8x8", None), ("q", "8x8", None), ("p", "4x4", None), ("q", "4x4", None),
        ("e", None, "elastic:1"), ("e", None, "lockstep")]


def test_the_command_line_replaces_axes_and_its_files_are_found_from_here(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "grids").mkdir()
    (tmp_path / "grids" / "grid.toml").write_text(
        'trace = "t"\npe = ["p", "q"]\narray = ["8x8", "4x4"]\nmemory = ["edge", "my.toml"]')
    monkeypatch.chdir(tmp_path)
    cases = load_grid("grids/grid.toml", {"trace": ["u"], "pe": ["mine.py:Mine", "r"]})
    assert {case.trace for case in cases} == {str(tmp_path / "u")}
    assert {case.pe for case in cases} == {str(tmp_path / "mine.py:Mine"), "r"}
    assert {case.memory for case in cases} == {"edge", str(Path("grids/my.toml"))}
    assert len(cases) == 8


@pytest.mark.parametrize(("text", "told"), [
    ('pe = "p"', "trace: Field required"),
    ('trace = "t"', "pe: Field required"),
    ('trace = "t"\npe = []', "pe: .* at least 1"),
    ('trace = "t"\npe = "p"\nsize = 3', "size: Extra"),
    ('trace = "t"\npe = 3', r"pe\[0\]"),
    ('trace = "t"\npe = "p"\noverlap = "maybe"', r"overlap\[0\].*'on' or 'off'"),
    ('trace = "t"\npe = "p"\ngrid = 3', r"grid=3: expected tables"),
    ("trace =", "expected TOML"),
])
def test_bad_grids_name_the_axis(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "grid.toml").write_text(text)
    with pytest.raises(InputError, match=rf"grid\.toml.*{told}"):
        load_grid(tmp_path / "grid.toml")


# The key


def key(case: Case) -> str:
    return Planner().point(case).key


def test_key_is_of_content_not_of_names(tmp_path: Path, trace: str) -> None:
    save_trace(tmp_path / "copy.safetensors")
    case = Case(trace=trace)
    assert key(case) == key(Case(trace=str(tmp_path / "copy.safetensors")))
    for same in ({"pe": "sparq-5opt:rounding=nearest-even"}, {"array": "16x16"}, {"coupling": "lockstep"},
                 {"overlap": "off"}):
        assert key(case) == key(case.model_copy(update=same))
    assert key(Case(trace=trace, coupling="elastic")) == key(Case(trace=trace, coupling="elastic:2"))


def test_key_changes_with_whatever_decides_a_result(tmp_path: Path, trace: str,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    save_trace(tmp_path / "other.safetensors", seed=2)
    case = Case(trace=trace)
    changes = [{"trace": str(tmp_path / "other.safetensors")}, {"pe": "sparq-3opt"},
               {"pe": "sparq-5opt:rounding=trim"}, {"array": "16x17"}, {"dataflow": "ws"},
               {"coupling": "elastic:3"}, {"overlap": "on"}, {"all_layers": True}]
    keys = {key(case), *(key(case.model_copy(update=change)) for change in changes)}
    monkeypatch.setattr(sparqsim, "__version__", "99")
    keys.add(key(case))
    monkeypatch.undo()
    monkeypatch.setattr("sparqsim.sweep.point.package_digest", lambda: "edited")
    keys.add(key(case))
    assert len(keys) == len(changes) + 3


USER_DESIGN = """
from dataclasses import dataclass
from typing import ClassVar
from sparqsim.pe.mac import Mac8b8b

@dataclass(frozen=True)
class Mine(Mac8b8b):
    name: ClassVar[str] = "mine"
    lanes: ClassVar[int] = {lanes}
"""


def test_key_follows_the_source_of_a_users_design(tmp_path: Path, trace: str) -> None:
    keys = set()
    for folder, lanes in (("a", 1), ("b", 2), ("c", 1)):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "mine.py"
        file.write_text(USER_DESIGN.format(lanes=lanes))
        keys.add(key(Case(trace=trace, pe=f"{file}:Mine")))
    assert len(keys) == 2


# What is computed


def test_reports_are_those_of_simulate(store: Path, trace: str) -> None:
    loaded = sparqsim.load_trace(trace)
    with Store(store) as opened:
        points = list(opened.recorded())
    assert len(points) == 12
    for point in points:
        array = sparqsim.ArrayConfig(point.facts["rows"], point.facts["cols"], point.facts["dataflow"])
        assert point.text == sparqsim.simulate(loaded, point.facts["pe"], array).to_json()


def test_a_second_run_computes_only_what_is_missing(store: Path, trace: str) -> None:
    more = cases_of({"trace": trace, **AXES, "dataflow": ["os", "ws", "is"]})
    summary = sweep(more, store)
    assert (summary.points, summary.known, summary.done) == (18, 12, 6)
    again = sweep(more, store)
    assert (again.points, again.known, again.done) == (18, 18, 0)


def test_equal_cases_are_computed_once(tmp_path: Path, trace: str, here: None) -> None:
    summary = sweep([Case(trace=trace), Case(trace=trace, pe="sparq-5opt:pairing=on")], tmp_path / "store.sqlite")
    assert (summary.points, summary.done) == (1, 1)


def test_progress_counts_every_point(tmp_path: Path, trace: str, here: None) -> None:
    calls: list[tuple[int, int]] = []
    sweep(cases_of({"trace": trace, **AXES}), tmp_path / "s.sqlite",
          progress=lambda done, total: calls.append((done, total)))
    assert calls[0] == (0, 12)
    assert calls[-1] == (12, 12)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_refused_points_are_recorded_with_the_reason(tmp_path: Path, here: None,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    save_trace(tmp_path / "signed.safetensors", signed=True)
    arguments = ["sweep", str(tmp_path / "signed.safetensors"), "--pe", "mac-8b8b,sparq-5opt",
                 "-o", str(tmp_path / "s.sqlite")]
    assert command(*arguments) == 0
    assert "refused (1): layer 'only'" in capsys.readouterr().out
    with Store(tmp_path / "s.sqlite") as opened:
        reasons = {row["pe"]: (row["state"], row["reason"]) for row in opened.rows()}
    assert reasons["mac-8b8b"] == ("done", None)
    assert reasons["sparq-5opt"][0] == "refused"
    assert "layer 'only'" in str(reasons["sparq-5opt"][1])
    assert command(*arguments) == 0
    assert "2 points: 2 known, 0 computed" in capsys.readouterr().out


def test_a_design_that_raises_is_told_and_not_recorded(tmp_path: Path, trace: str, here: None,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.py"
    file.write_text(USER_DESIGN.format(lanes=1) + "    def steps(self, k):\n        return k // 0\n")
    assert command("sweep", trace, "--pe", f"mac-8b8b,{file}:Mine", "-o", str(tmp_path / "s.sqlite")) == 2
    told = capsys.readouterr().err
    assert "1 points failed and were not recorded" in told
    assert "ZeroDivisionError" in told
    with Store(tmp_path / "s.sqlite") as opened:
        assert [row["pe"] for row in opened.rows()] == ["mac-8b8b"]


@pytest.mark.parametrize(("axes", "told"), [
    ({"pe": ["sparq-9opt"]}, "did you mean"),
    ({"array": ["16"]}, "ROWSxCOLS"),
    ({"dataflow": ["xs"]}, "expected one of os, ws, is"),
    ({"coupling": ["loose"]}, "coupling='loose'"),
    ({"trace": ["none.safetensors"]}, "none.safetensors"),
])
def test_names_that_are_not_there_stop_before_anything_is_computed(
        tmp_path: Path, trace: str, axes: dict[str, list[str]], told: str) -> None:
    with pytest.raises(InputError, match=told):
        sweep(cases_of({"trace": [trace], "pe": ["mac-8b8b"]} | axes), tmp_path / "s.sqlite")
    assert not (tmp_path / "s.sqlite").exists()


def test_a_worker_refuses_another_setup_than_the_keys_were_made_with(trace: str) -> None:
    point = Planner().point(Case(trace=trace))
    task = Task.of([point])
    assert run_task(task)[0].key == point.key
    with pytest.raises(InputError, match="another version of sparqsim"):
        run_task(Task(task.trace, task.trace_sha256, task.cases, ("0" * 64,)))


def test_a_worker_takes_a_trace_it_cannot_see_as_bytes(tmp_path: Path, trace: str) -> None:
    seen = Task.of([Planner().point(Case(trace=trace))])
    elsewhere = str(tmp_path / "nowhere.safetensors")
    cases = tuple(case.model_copy(update={"trace": elsewhere}) for case in seen.cases)
    unseen = Task(elsewhere, seen.trace_sha256, cases, seen.keys)
    with pytest.raises(TraceUnseenError):
        run_task(unseen)
    save_trace(tmp_path / "nowhere.safetensors", seed=5)  # another trace under the same name is none
    with pytest.raises(TraceUnseenError):
        run_task(unseen)
    expected = run_task(seen)
    HELD.clear()
    with pytest.raises(InputError, match="was sent"):
        run_task(unseen, (tmp_path / "nowhere.safetensors").read_bytes())
    assert run_task(unseen, Path(trace).read_bytes()) == expected
    assert run_task(unseen) == expected  # the bytes stay with the process


@pytest.mark.parametrize("replaced", [False, True])
def test_a_trace_that_changes_during_the_simulation_gives_no_result(trace: str, monkeypatch: pytest.MonkeyPatch,
                                                                    replaced: bool) -> None:
    task = Task.of([Planner().point(Case(trace=trace))])

    def overtaken(*args: object) -> list[InputError]:
        if replaced:
            save_trace(Path(trace), seed=9)
        else:
            Path(trace).unlink()
        return [InputError("the trace cannot be read")]

    monkeypatch.setattr("sparqsim.sweep.worker.run_together", overtaken)
    with pytest.raises(TraceUnseenError):
        run_task(task)


# Processes


def test_two_processes_record_what_one_does(tmp_path: Path, trace: str, store: Path) -> None:
    ended = ran("sweep", trace, *(word for axis, values in AXES.items() for word in (f"--{axis}", ",".join(values))),
                "-o", "two.sqlite", "--jobs", "2", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == "", "progress is for terminals"
    assert ended.stdout == "12 points: 0 known, 12 computed\n"
    with Store(tmp_path / "two.sqlite") as opened, Store(store) as other:
        assert list(opened.recorded()) == list(other.recorded())


def test_kill_9_of_the_sweep() -> None:
    stress("local", kills=2)


def test_two_sweeps_on_one_store() -> None:
    stress("together", kills=1)


def stress(mode: str, kills: int) -> None:
    ended = subprocess.run([sys.executable, str(STRESS), mode, "--kills", str(kills)], check=False,
                           capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "nothing lost, nothing twice, the same end" in ended.stdout


def test_a_killed_worker_is_told_in_one_line(tmp_path: Path, trace: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(USER_DESIGN.format(lanes=1)
                    + "    def steps(self, k):\n        import os; os.kill(os.getpid(), 9)\n")
    ended = ran("sweep", trace, "--pe", f"{file}:Mine", "-o", "s.sqlite", "--jobs", "1", cwd=tmp_path)
    assert ended.returncode == 2
    assert "a worker process was killed" in ended.stderr
    assert ended.stderr.count("\n") == 1
    with Store(tmp_path / "s.sqlite") as opened:
        assert opened.rows() == []


def test_ctrl_c_keeps_what_was_recorded(tmp_path: Path, trace: str) -> None:
    file = tmp_path / "slow.py"
    file.write_text(USER_DESIGN.format(lanes=1) + "    def steps(self, k):\n        import time; time.sleep(60)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "sparqsim", "sweep", trace, "--pe", f"mac-8b8b,{file}:Mine", "-o", "s.sqlite",
         "--jobs", "2"],
        cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True)
    wait_for_rows(tmp_path / "s.sqlite", 1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: every process of the group gets it
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert told == "sparqsim: interrupted; what was recorded is safe, and the same command resumes\n"
    with Store(tmp_path / "s.sqlite") as opened:
        assert [row["pe"] for row in opened.rows()] == ["mac-8b8b"]


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


# The store


def edited(store: Path, statement: str) -> None:
    connection = sqlite3.connect(store)
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize("write", [False, True])
def test_a_store_of_a_future_version_is_refused_and_left_alone(store: Path, write: bool) -> None:
    edited(store, "PRAGMA user_version = 2")
    before = store.read_bytes()
    with pytest.raises(InputError, match="store format 2, this version of sparqsim reads format 1"):
        Store(store, write=write)
    assert store.read_bytes() == before


@pytest.mark.parametrize("write", [False, True])
def test_another_sqlite_file_is_refused_and_left_alone(tmp_path: Path, write: bool) -> None:
    edited(tmp_path / "other.sqlite", "CREATE TABLE mine (a)")
    before = (tmp_path / "other.sqlite").read_bytes()
    with pytest.raises(InputError, match="not a store of sweeps"):
        Store(tmp_path / "other.sqlite", write=write)
    assert (tmp_path / "other.sqlite").read_bytes() == before


@pytest.mark.parametrize("write", [False, True])
def test_files_that_are_no_database(tmp_path: Path, write: bool) -> None:
    (tmp_path / "text").write_text("this is not a database, and long enough to have a header" * 20)
    with pytest.raises(InputError, match="text: file is not a database"):
        Store(tmp_path / "text", write=write)
    with pytest.raises(InputError, match="unable to open"):
        Store(tmp_path, write=True)
    with pytest.raises(InputError, match="no such f"):
        Store(tmp_path / "none" / "s.sqlite", write=write)


def test_a_damaged_store_is_told(store: Path) -> None:
    edited(store, "PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(store.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    store.write_bytes(data)
    with pytest.raises(InputError, match="malformed"), Store(store) as opened:
        opened.rows()


def test_a_store_outlives_the_version_that_made_it(store: Path, trace: str, monkeypatch: pytest.MonkeyPatch,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sparqsim, "__version__", "99.0")
    summary = sweep(cases_of({"trace": trace, **AXES}), store)
    assert (summary.known, summary.done) == (0, 12)  # cycles may differ: they are computed again, beside the old ones
    assert command("sweep", "status", str(store)) == 0
    assert capsys.readouterr().out == ("24 points (this is sparqsim 99.0)\nsparqsim 0.1.0: 12 done\n"
                                       "sparqsim 99.0: 12 done\n").replace("0.1.0", STORED_VERSION)


STORED_VERSION = sparqsim.__version__

#: Root may write files whatever their mode. Without these capabilities it may not, like anyone else.
AS_ANYONE = """
import ctypes, os
if os.geteuid() == 0:
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.capget(header, data) == 0
    for part in (0, 1, 2):
        data[part] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(header, data) == 0
"""


@pytest.fixture
def read_only(store: Path) -> Iterator[Path]:
    """A store in a folder, neither of which can be written."""
    folder = store.parent / "shelf"
    folder.mkdir()
    shelved = store.rename(folder / "store.sqlite")
    shelved.chmod(0o444)
    folder.chmod(0o555)
    yield shelved
    folder.chmod(0o755)


def test_a_read_only_store_is_told_and_can_be_read(read_only: Path, trace: str) -> None:
    before = read_only.read_bytes()
    home = read_only.parent.parent
    ended = ran("sweep", trace, "--pe", "mac-4b4b", "-o", str(read_only), cwd=home, before=AS_ANYONE)
    assert ended.returncode == 2
    assert "store.sqlite" in ended.stderr
    assert "expected a file" in ended.stderr
    assert ended.stderr.count("\n") == 1
    exported = ran("sweep", "export", str(read_only), "-o", "out.csv", cwd=home, before=AS_ANYONE)
    assert exported.stdout == "12 rows written to out.csv\n", exported.stderr
    assert read_only.read_bytes() == before


def can_mount(folder: Path) -> bool:
    """Return whether a small file system can be made here."""
    if os.geteuid() != 0:
        return False
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)], check=False,
                             capture_output=True)
    return mounted.returncode == 0


def test_a_full_disk_is_told_and_the_store_stays_valid(tmp_path: Path, trace: str) -> None:
    """On a small tmpfs where one can be mounted, else with a limit on the size of files."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if can_mount(disk):
        try:
            check_full_disk(trace, disk, tmp_path, "")
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)
    else:
        check_full_disk(trace, disk, tmp_path, LIMIT)


def test_a_file_that_may_not_grow_is_told_and_the_store_stays_valid(tmp_path: Path, trace: str) -> None:
    check_full_disk(trace, tmp_path, tmp_path, LIMIT)


LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, 80_000))"


def check_full_disk(trace: str, folder: Path, home: Path, before: str) -> None:
    arrays = ",".join(f"{rows}x{cols}" for rows in range(1, 9) for cols in range(1, 9))
    arguments = ["sweep", trace, "--pe", "mac-8b8b", "--array", arrays, "-o", str(folder / "s.sqlite"), "--jobs", "1"]
    ended = ran(*arguments, cwd=home, before=before)
    assert ended.returncode == 2, ended.stdout
    assert "what was recorded is safe" in ended.stderr
    assert ended.stderr.count("\n") == 1
    with Store(folder / "s.sqlite") as opened:
        kept = {point.key: point.text for point in opened.recorded()}
    assert 0 < len(kept) < 64
    # With room again, the same command completes it. The other place: a copy of what the full disk holds.
    for part in folder.glob("s.sqlite*"):
        (home / part.name.replace("s.sqlite", "room.sqlite")).write_bytes(part.read_bytes())
    arguments[-3] = str(home / "room.sqlite")
    resumed = ran(*arguments, cwd=home)
    assert f"64 points: {len(kept)} known, {64 - len(kept)} computed" in resumed.stdout, resumed.stderr
    with Store(home / "room.sqlite") as opened:
        everything = {point.key: point.text for point in opened.recorded()}
    assert len(everything) == 64
    assert kept.items() <= everything.items()


# How results leave


def test_csv_rows_are_the_reports_totals(store: Path, trace: str, tmp_path: Path) -> None:
    with Store(store) as opened:
        assert export(opened, tmp_path / "out.csv") == 12
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    row = next(row for row in rows if [row[name] for name in ("pe", "rows", "dataflow")] == ["sparq-exact", "3", "ws"])
    report = sparqsim.simulate(sparqsim.load_trace(trace), "sparq-exact", sparqsim.ArrayConfig(3, 5, "ws"))
    assert int(row["cycles_total"]) == report.cycles.total
    assert int(row["cycles_pe_stall"]) == report.cycles.pe_stall
    assert float(row["utilization_array"]) == report.utilization.array
    assert float(row["error_mse"]) == report.totals.error.mse == 0
    assert (row["network"], row["trace"], row["version"]) == ("made", "net.safetensors", sparqsim.__version__)


def test_csv_parquet_and_frame_agree(store: Path, tmp_path: Path) -> None:
    pandas, parquet = pytest.importorskip("pandas"), pytest.importorskip("pyarrow.parquet")
    with Store(store) as opened:
        rows, frame = opened.rows(), opened.frame()
        export(opened, tmp_path / "out.parquet")
    assert parquet.read_table(tmp_path / "out.parquet").to_pylist() == rows
    assert list(frame.columns) == list(rows[0])
    pandas.testing.assert_series_equal(frame["cycles_total"], pandas.Series([row["cycles_total"] for row in rows]),
                                       check_names=False)


def test_order_of_rows_does_not_depend_on_the_order_of_arrival(store: Path, trace: str, tmp_path: Path,
                                                               here: None) -> None:
    for case in reversed(cases_of({"trace": trace, **AXES})):
        sweep([case], tmp_path / "one-by-one.sqlite")
    with Store(store) as opened, Store(tmp_path / "one-by-one.sqlite") as other:
        assert opened.rows() == other.rows()


def test_exports_that_cannot_be(store: Path, tmp_path: Path, trace: str, monkeypatch: pytest.MonkeyPatch,
                                capsys: pytest.CaptureFixture[str]) -> None:
    assert command("sweep", "export", str(store), "-o", str(tmp_path / "out.xls")) == 2
    assert "expected one of .csv, .parquet" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert command("sweep", "export", str(store), "-o", str(tmp_path / "out.parquet")) == 2
    assert "sparqsim[parquet]" in capsys.readouterr().err
    assert not (tmp_path / "out.parquet").exists()
    with Store(store) as opened, pytest.raises(InputError, match="pip install pandas"):
        opened.frame()
    Store(tmp_path / "empty.sqlite", write=True).close()
    assert command("sweep", "export", str(tmp_path / "empty.sqlite"), "-o", str(tmp_path / "out.csv")) == 2
    assert "holds no results yet" in capsys.readouterr().err


def test_reports_in_the_store_are_reports(store: Path) -> None:
    with Store(store) as opened:
        for point in opened.recorded():
            report = sparqsim.Report.from_json(point.text)
            assert json.loads(point.text)["totals"]["cycles"]["total"] == report.cycles.total
