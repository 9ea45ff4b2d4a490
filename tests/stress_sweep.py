"""Kill sweeps, and Dask workers, at random moments: nothing is lost, nothing is there twice, the
end is the same.

    python tests/stress_sweep.py local --kills 25      # kill -9, Ctrl-C of the sweep process
    python tests/stress_sweep.py dask --kills 25       # kill -9 of Dask workers
    python tests/stress_sweep.py together --kills 25   # two sweeps on one store, one of them killed

Every round starts an empty store and ends when its sweep has completed; rounds go on until there
were enough kills. Ends with exit code 1 and a line that says what was wrong. `--seed` repeats the
moments, as far as a scheduler allows.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import sparqsim  # noqa: E402 - from this checkout, also where another one is installed
from sparqsim.sweep import Store  # noqa: E402

GRID = """
trace = "net.safetensors"
pe = ["mac-8b8b", "mac-4b4b", "sparq-5opt", "sparq-2opt", "sparq-exact"]
array = ["4x4", "4x8", "8x4", "8x8", "8x16", "16x8", "16x16", "16x32"]
dataflow = ["os", "ws", "is"]
overlap = ["off", "on"]
"""
POINTS = 5 * 8 * 3 * 2
#: A fork server that is still loading looks ten times a second; on a busy machine its turn comes
#: late.
ORPHANS_SECONDS = 60


class WrongError(Exception):
    """Something that must not happen did."""


#: Further settings of the environment of subprocesses.
SETTINGS: dict[str, str] = {}


def environment() -> dict[str, str]:
    """Return the environment in which subprocesses find this checkout."""
    return os.environ | {"PYTHONPATH": str(ROOT)} | SETTINGS


def make_inputs(folder: Path, rows: int) -> None:
    """Write a grid and its trace; `rows` decides how long a point takes."""
    rng = np.random.default_rng(7)
    layers = [
        sparqsim.Layer.from_gemm(
            f"layer{at}",
            rng.integers(0, 256, (rows, 96), np.uint8),
            rng.integers(-128, 128, (96, 32), np.int8),
        )
        for at in range(3)
    ]
    sparqsim.Trace(layers, synthetic="uniform").save(folder / "net.safetensors")
    (folder / "grid.toml").write_text(GRID, encoding="utf-8")


def start_sweep(folder: Path, store: str, *options: str) -> subprocess.Popen[str]:
    """Start a sweep of the grid in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "sparqsim", "sweep", "grid.toml", "-o", store, *options],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def table_of(store: Path) -> str:
    """Return what the store exports, as text."""
    from sparqsim.sweep.export import export

    csv = store.with_suffix(".csv")
    with Store(store) as opened:
        export(opened, csv)
    return csv.read_text(encoding="utf-8")


def reports_of(store: Path) -> list[tuple[str, str, str]]:
    """Return every point with its report's bytes."""
    with Store(store) as opened:
        return [(point.key, point.state, point.text) for point in opened.recorded()]


def keys_in(store: Path) -> list[str]:
    """Return the keys recorded so far; none before there is a store."""
    if not store.exists():
        return []
    with contextlib.closing(sqlite3.connect(store, timeout=60)) as connection:
        try:
            return [key for (key,) in connection.execute("SELECT key FROM points")]
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # killed before the store was made
                return []
            raise


def check_sound(store: Path, seen: set[str]) -> None:
    """Check that the store opens, is sound, and holds whatever was seen in it before."""
    if store.exists():
        with contextlib.closing(sqlite3.connect(store)) as connection:
            verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
        if verdict != "ok":
            raise WrongError(f"integrity_check: {verdict}")
    keys = keys_in(store)
    if len(keys) != len(set(keys)):
        raise WrongError("a point is recorded twice")
    if not seen <= set(keys):
        raise WrongError(f"{len(seen - set(keys))} finished results are lost")


def check_same_end(store: Path, expected: list[tuple[str, str, str]]) -> None:
    """Check that the store holds exactly what an undisturbed sweep recorded."""
    if reports_of(store) != expected:
        raise WrongError("the resumed sweep ended with other results than an undisturbed one")


@dataclass(frozen=True)
class Moment:
    """When to kill: after so many seconds, or once so many points are recorded."""

    seconds: float = float("inf")
    points: int = POINTS

    @classmethod
    def of_chance(cls, chance: random.Random, length: float, recorded: int = 0) -> Self:
        """Return a moment in the life of a sweep that finds so many points recorded.

        Every other one while it records, which may be a small part of its life.
        """
        if chance.random() < 0.5:
            return cls(seconds=chance.uniform(0, length))
        return cls(points=chance.randrange(recorded + 1, POINTS))


def watch(process: subprocess.Popen[str], store: Path, moment: Moment, seen: set[str]) -> bool:
    """Note what is recorded until that moment; return whether the process is still running then."""
    until = time.monotonic() + moment.seconds
    while time.monotonic() < until and len(seen) < moment.points and process.poll() is None:
        seen.update(keys_in(store))
        time.sleep(0.02)
    return process.poll() is None


def midway(store: Path, before: int = 0) -> bool:
    """Return whether some points are recorded that were not `before`, and not all."""
    return before < len(keys_in(store)) < POINTS


def descendants_of(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have (Linux; elsewhere
    none).
    """
    try:
        lists = [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    children = [int(child) for text in lists for child in text.split()]
    return [*children, *(below for child in children for below in descendants_of(child))]


def check_no_orphans(pids: Sequence[int]) -> float:
    """Check that workers end when the sweep that started them has been killed; return after how
    many seconds.
    """
    begun = time.monotonic()
    while living := [pid for pid in pids if alive(pid)]:
        if time.monotonic() - begun > ORPHANS_SECONDS:
            commands = [
                Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in living
            ]
            for pid in living:
                os.kill(pid, signal.SIGKILL)
            raise WrongError(f"workers {living} outlive the sweep that started them: {commands}")
        time.sleep(0.05)
    return time.monotonic() - begun


def alive(pid: int) -> bool:
    """Return whether a process runs; a dead one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def kill(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> float:
    """Kill a process of ours, or press Ctrl-C, and see its workers go; return after how many
    seconds.

    One that is killed says nothing, one that is interrupted says so in a line.
    """
    started = descendants_of(process.pid)
    process.send_signal(number)
    process.wait()  # not `communicate`: orphans would hold the pipes open
    seconds = check_no_orphans(started)
    _, stderr = process.communicate()
    if not is_end_by(number, process.returncode, stderr):
        raise WrongError(
            f"a sweep ended by signal {number}, or a process it started, ended with exit code "
            f"{process.returncode} and said: {stderr}"
        )
    return seconds


def is_end_by(number: int, code: int, stderr: str) -> bool:
    """Return whether a sweep that was sent a signal ended as it must, or had just been done."""
    if number == signal.SIGKILL:
        return code in {0, -number} and not stderr
    interrupted = stderr.startswith("sparqsim: interrupted") and stderr.count("\n") == 1
    # Python itself has not begun, or is done, with its own work.
    return (code == 130 and interrupted) or (code in {0, -number} and not stderr)


def ended_well(process: subprocess.Popen[str]) -> None:
    """Wait for a sweep; check that it succeeded."""
    _, stderr = process.communicate()
    if process.returncode:
        raise WrongError(f"a sweep ended with exit code {process.returncode}: {stderr.strip()}")


def undisturbed(folder: Path) -> list[tuple[str, str, str]]:
    """Return what a sweep that nobody kills records."""
    ended_well(start_sweep(folder, "undisturbed.sqlite"))
    expected = reports_of(folder / "undisturbed.sqlite")
    if len(expected) != POINTS:
        raise WrongError(f"{len(expected)} points recorded, expected {POINTS}")
    return expected


def stress_local(folder: Path, kills: int, chance: random.Random) -> str:
    """Kill or interrupt the sweep process, in turns; resume; compare."""
    make_inputs(folder, rows=200)
    begun = time.monotonic()
    expected = undisturbed(folder)
    length, killed, midways, slowest = time.monotonic() - begun, 0, 0, 0.0
    for number in itertools.count():
        store, seen, running = folder / f"round{number}.sqlite", set[str](), True
        while running:
            before = len(keys_in(store))
            process = start_sweep(folder, store.name, "--jobs", "2")
            # A store that is more than half full is completed: the next one has more to lose.
            running = (
                killed < kills
                and before < POINTS // 2
                and watch(process, store, Moment.of_chance(chance, length, before), seen)
            )
            if running:
                ending = (signal.SIGKILL, signal.SIGINT)[killed % 2]
                slowest = max(slowest, kill(process, ending))
                killed += 1
                midways += midway(store, before)
            else:
                ended_well(process)
            check_sound(store, seen)
        check_same_end(store, expected)
        if killed >= kills:
            return (
                f"{killed} sweeps killed or interrupted, {midways} midway through {POINTS} points, "
                f"their workers gone within {slowest:.1f} s, {number + 1} stores completed"
            )
    raise AssertionError


def stress_together(folder: Path, kills: int, chance: random.Random) -> str:
    """Run two sweeps on one store; kill one; compare."""
    make_inputs(folder, rows=200)
    begun = time.monotonic()
    expected = undisturbed(folder)
    length, killed, midways, slowest = time.monotonic() - begun, 0, 0, 0.0
    for number in itertools.count():
        store, seen = folder / f"round{number}.sqlite", set[str]()
        first, second = (start_sweep(folder, store.name, "--jobs", "1") for _ in range(2))
        if watch(first, store, Moment.of_chance(chance, length), seen):
            slowest = max(slowest, kill(first))
            killed += 1
            midways += midway(store)
        else:
            ended_well(first)
        ended_well(second)
        check_sound(store, seen)
        check_same_end(store, expected)
        if killed >= kills:
            return (
                f"{number + 1} pairs of sweeps, each on one store, one of the two killed in "
                f"{killed}, {midways} midway through {POINTS} points, its workers gone within "
                f"{slowest:.1f} s"
            )
    raise AssertionError


@dataclass
class Cluster:
    """A scheduler, its address, its workers, and the folder each of them is in."""

    address: str
    scheduler: subprocess.Popen[str]
    workers: list[subprocess.Popen[str]]
    places: list[Path]

    def replace_worker(self, number: int) -> None:
        """Kill -9 a worker; start another one in its place."""
        self.workers[number].kill()
        self.workers[number].wait()
        self.workers[number] = start_worker(self.places[number], self.address)


@contextlib.contextmanager
def cluster(folder: Path, workers: int, protocol: str = "tcp") -> Iterator[Cluster]:
    """Give a cluster on this machine alone; its first worker is in `folder`, the others in folders
    of their own.
    """
    contact = folder / "scheduler.json"
    contact.unlink(missing_ok=True)
    scheduler = start_dask(
        folder,
        "scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--protocol",
        protocol,
        "--no-dashboard",
        "--scheduler-file",
        str(contact),
    )
    parts = Cluster(
        "",
        scheduler,
        [],
        [folder, *(folder / f"elsewhere{number}" for number in range(1, workers))],
    )
    try:
        parts.address = address_in(contact, scheduler)
        for place in parts.places:
            place.mkdir(exist_ok=True)
            parts.workers.append(start_worker(place, parts.address))
        yield parts
    finally:
        for process in (*parts.workers, scheduler):
            process.kill()
            process.wait()


def start_dask(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a part of a cluster."""
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        cwd=folder,
        env=environment(),
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def start_worker(place: Path, address: str) -> subprocess.Popen[str]:
    """Start a worker with `place` as its current folder."""
    return start_dask(
        place,
        "worker",
        address,
        "--nworkers",
        "1",
        "--nthreads",
        "1",
        "--host",
        "127.0.0.1",
        "--no-nanny",
        "--no-dashboard",
        "--local-directory",
        str(place / "dask"),
    )


def address_in(contact: Path, scheduler: subprocess.Popen[str]) -> str:
    """Wait for the scheduler's address."""
    import json

    until = time.monotonic() + 60
    while time.monotonic() < until and scheduler.poll() is None:
        with contextlib.suppress(OSError, ValueError):
            return str(json.loads(contact.read_text())["address"])
        time.sleep(0.05)
    raise WrongError("the Dask scheduler did not start")


def stress_dask(folder: Path, kills: int, chance: random.Random) -> str:
    """Kill Dask workers, start others; compare."""
    make_inputs(folder, rows=16_000)
    expected, killed, midways = undisturbed(folder), 0, 0
    with cluster(folder, workers=2) as dask:
        for number in itertools.count():
            store, seen = folder / f"round{number}.sqlite", set[str]()
            # The trace's path is relative: it means nothing to workers in other folders.
            process = start_sweep(folder, store.name, "--scheduler", dask.address)
            while watch(process, store, Moment(seconds=chance.uniform(0.2, 4)), seen):
                if killed < kills and seen:
                    dask.replace_worker(chance.randrange(len(dask.workers)))
                    killed += 1
                    midways += midway(store)
                    check_sound(store, seen)
            ended_well(process)
            check_sound(store, seen)
            check_same_end(store, expected)
            if killed >= kills:
                return (
                    f"{killed} workers killed, {midways} midway through {POINTS} points, "
                    f"{number + 1} stores completed"
                )
    raise AssertionError


MODES = {"local": stress_local, "dask": stress_dask, "together": stress_together}


def main() -> int:
    """Run one mode."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("mode", choices=MODES)
    options.add_argument("--kills", type=int, default=25)
    options.add_argument("--seed", type=int, default=int(time.time()))
    given = options.parse_args()
    # A shell lets its background jobs ignore Ctrl-C, and so would the sweeps.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(
        prefix="sparqsim-stress-", ignore_cleanup_errors=True
    ) as folder:
        try:
            chance = random.Random(given.seed)  # noqa: S311 - moments, not secrets
            told = MODES[given.mode](Path(folder), given.kills, chance)
        except WrongError as error:
            print(f"{given.mode}, seed {given.seed}: {error}", file=sys.stderr)
            return 1
    print(f"{given.mode}, seed {given.seed}: {told}: nothing lost, nothing twice, the same end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
