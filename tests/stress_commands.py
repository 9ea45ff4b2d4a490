"""Kill commands, fill their disk, close their streams: no file is lost, torn or left behind.

    python tests/stress_commands.py kills --times 40     # kill -9 of seven commands, 40 times each
    python tests/stress_commands.py forks --times 40     # the same, without the time of imports
    python tests/stress_commands.py writers --times 10   # two at once that write one file
    python tests/stress_commands.py full --times 10      # a small tmpfs with less or more room (root)
    python tests/stress_commands.py readonly             # a folder that may not be written
    python tests/stress_commands.py descriptors          # streams closed, full, without a reader

Sweeps have `tests/stress_sweep.py`. Prints a table; ends with exit code 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from stress_inputs import (
    KILLED,
    OTHERS,
    Command,
    Forked,
    Start,
    contents,
    ended,
    environment,
    is_whole,
    make_inputs,
    started,
    temporary_files,
    undisturbed,
)

EARLIER = b"earlier"
#: A user who owns nothing.
NOBODY = 65534


@dataclass
class Row:
    """What became of the runs of one command.

    midway: killed while a temporary file was there. placed: killed with a new file in place. torn:
    files that are neither the earlier nor the new one. lost: files that are gone. left: temporary
    files that the next run did not remove. wrong: exit codes, or messages of not one line.
    """

    name: str
    runs: int = 0
    killed: int = 0
    midway: int = 0
    placed: int = 0
    torn: int = 0
    lost: int = 0
    left: int = 0
    wrong: int = 0
    faults: list[str] = field(default_factory=list)

    def look_at(self, command: Command, folder: Path, whole: dict[str, bytes]) -> set[str]:
        """Count what is torn or lost; return the names of the files that are new."""
        new = set()
        for name, content in contents(command, folder).items():
            if is_whole(name, content, whole[name]):
                new.add(name)
            elif content is None:
                self.lost += 1
                self.faults.append(f"{name} is lost")
            elif content != EARLIER:
                self.torn += 1
                self.faults.append(f"{name} is torn: {content[:40]!r}...{content[-40:]!r}")
        return new

    def ends(self, code: int | None, err: str, *, right: bool) -> None:
        """Count an exit code or a message that is not as it must be."""
        if not right:
            self.wrong += 1
            self.faults.append(f"exit code {code}, {err[-500:]!r}")

    def leaves(self, *folders: Path) -> None:
        """Count temporary files that should not be there."""
        names = temporary_files(*folders)
        self.left += len(names)
        self.faults += [f"left behind: {name}" for name in names]

    @property
    def is_right(self) -> bool:
        """Whether nothing was wrong."""
        return not self.faults


def put_earlier(command: Command, folder: Path) -> None:
    """Put an earlier file where each of a command's outputs goes."""
    for name in command.outputs:
        (folder / name).write_bytes(EARLIER)


def kill_when_writing(
    process: subprocess.Popen[bytes] | Forked, folders: set[Path], pause_seconds: float
) -> None:
    """Wait for a temporary file that holds something, then a moment more, and kill."""
    while process.poll() is None and not any(map(is_written, folders)):
        time.sleep(0.0002)  # a file of a few kilobytes is there for about a millisecond
    time.sleep(pause_seconds)
    process.send_signal(signal.SIGKILL)


def is_written(folder: Path) -> bool:
    """Return whether a folder holds a temporary file, or folder, with something in it."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return any(entry.name[0] == "." and entry.stat().st_size for entry in entries)
    return False


def stress_kills(folder: Path, times: int, chance: random.Random) -> Iterator[Row]:
    """Kill each command over an earlier file: at a random moment, and every other time as it
    writes.
    """
    env = environment(folder)
    yield from stress_kills_of(folder, times, chance, lambda words, at: started(words, at, env=env))


def stress_forks(folder: Path, times: int, chance: random.Random) -> Iterator[Row]:
    """Do the same to forks of this process, which have nothing to import: most die at work."""
    yield from stress_kills_of(folder, times, chance, forking(folder))


def forking(folder: Path) -> Start:
    """Load what commands import; return what runs them in forks of this process."""
    for module in ("sparqsim.cli.app", "matplotlib.pyplot", "onnxruntime", "jinja2"):
        importlib.import_module(module)
    env = environment(folder)
    return lambda words, at: Forked(words, at, env)


def stress_kills_of(folder: Path, times: int, chance: random.Random, start: Start) -> Iterator[Row]:
    """Kill the processes that `start` starts."""
    (folder / "inputs").mkdir()
    make_inputs(folder / "inputs")
    for command in KILLED:
        place = folder / command.name
        shutil.copytree(folder / "inputs", place)
        undisturbed(command, place, start)  # the first one fills the caches
        whole, length = undisturbed(command, place, start)
        folders = {(place / name).parent for name in command.outputs}
        row = Row(command.name)
        for number in range(times):
            put_earlier(command, place)
            process = start(command.words, place)
            if number % 2:
                kill_when_writing(process, folders, 0.01 * chance.random() ** 4)
            else:
                time.sleep(chance.uniform(0, length))
                process.send_signal(signal.SIGKILL)
            code, err = ended(process)
            row.runs += 1
            row.killed += code == -signal.SIGKILL
            row.midway += bool(temporary_files(place))
            row.ends(code, err, right=code in {0, -signal.SIGKILL} and not err)
            row.placed += bool(row.look_at(command, place, whole)) and code != 0
        undisturbed(command, place, start)
        row.leaves(place, folder / "temporary")
        yield row


def stress_writers(folder: Path, times: int, _: random.Random) -> Iterator[Row]:
    """Let two commands write one file at once, over an earlier file: forks, which meet at work."""
    start, place = forking(folder), folder / "inputs"
    place.mkdir()
    make_inputs(place)
    for command in (*KILLED, *OTHERS):
        whole, _length = undisturbed(command, place, start)
        row = Row(command.name)
        for _ in range(times):
            put_earlier(command, place)
            pair = [start(command.words, place) for _ in range(2)]
            for code, err in map(ended, pair):
                row.ends(code, err, right=code == 0 and not err)
            row.runs += 1
            if row.look_at(command, place, whole) != set(command.outputs):
                row.faults.append("an earlier file is still there")
            row.leaves(place)
        yield row


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """Mount a tmpfs for the length of a block."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def stress_full(folder: Path, times: int, chance: random.Random) -> Iterator[Row]:
    """Run each command with its output on a disk that has less or more room."""
    start = forking(folder)
    (folder / "inputs").mkdir()
    make_inputs(folder / "inputs")
    for command in (*KILLED, *OTHERS):
        with mounted(folder / "disk", "size=8m") as disk:
            shutil.copytree(folder / "inputs", disk, dirs_exist_ok=True)
            whole, _length = undisturbed(command, disk, start)
            size = sum(map(len, whole.values()))
            row = Row(command.name)
            for number in range(times):
                put_earlier(command, disk)
                # None at all, then up to more than is needed: room for both files at once.
                room = chance.randrange(0, 3 * size) if number else 0
                free = shutil.disk_usage(disk).free
                (disk / "ballast").write_bytes(bytes(max(0, free - room)))
                code, err = ended(start(command.words, disk))
                (disk / "ballast").unlink()
                row.runs += 1
                new = row.look_at(command, disk, whole)
                refused = code == 2 and err.count("\n") == 1 and new < set(command.outputs)
                done = code == 0 and not err and new == set(command.outputs)
                row.ends(code, err, right=refused or done)
                row.midway += refused
                row.leaves(disk)
        yield row


def stress_readonly(folder: Path, _times: int, _: random.Random) -> Iterator[Row]:
    """Let each command write where it may not: as another user, and on a disk mounted read-only."""
    root = os.geteuid() == 0
    with mounted(folder / "place", "mode=755") if root else nothing(folder / "place") as place:
        make_inputs(place)
        (place / "golden").mkdir()
        for path in (place / "golden", place):
            path.chmod(0o555)
        user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        yield from refused_all(place, "as a user", user if root else [])
        if root:
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
            yield from refused_all(place, "read-only disk", [])
        else:
            place.chmod(0o755)


@contextmanager
def nothing(place: Path) -> Iterator[Path]:
    """Make a folder, and that is all."""
    place.mkdir()
    yield place


def refused_all(place: Path, how: str, prefix: list[str]) -> Iterator[Row]:
    """Run each command where it may not write."""
    for command in (*KILLED, *OTHERS):
        row = Row(f"{command.name}, {how}", runs=1)
        code, err = ended(started(command.words, place, prefix=prefix))
        right = code == 2 and "cannot be written" in err and err.count("\n") == 1
        row.ends(code, err, right=right)
        made = [name for name, content in contents(command, place).items() if content is not None]
        row.faults += [f"{name} was written" for name in made]
        row.leaves(place)
        yield row


#: What is done to the standard streams, and the exit code of a command that prints.
ENDS = {
    ">&-": 2,
    ">/dev/full": 2,
    "| true": 0,
    "2>&-": 0,
    "2>/dev/full": 0,
    "<&-": 0,
    "<&- >&- 2>&-": 2,
}


def stress_descriptors(folder: Path, _times: int, _: random.Random) -> Iterator[Row]:
    """Run each command with its streams closed, full or unread: its files are as always."""
    make_inputs(folder)
    for command in (*KILLED, *OTHERS):
        whole, _length = undisturbed(command, folder)
        process = started(command.words, folder, stdout=subprocess.PIPE)
        prints = bool(process.communicate()[0])
        row = Row(command.name)
        for end, code in ENDS.items():
            put_earlier(command, folder)
            line = f"{sys.executable} -m sparqsim {' '.join(command.words)} {end}"
            told = subprocess.run(
                ["bash", "-o", "pipefail", "-c", line],
                cwd=folder,
                env=environment(folder) | {"TMPDIR": tempfile.gettempdir()},
                capture_output=True,
                check=False,
            )
            row.runs += 1
            err = told.stderr.decode(errors="replace")
            expected = code if prints else 0
            lines = 1 if expected and "2>" not in end else 0
            right = told.returncode == expected and err.count("\n") == lines
            row.ends(told.returncode, f"{end}: {err}", right=right)
            if row.look_at(command, folder, whole) != set(command.outputs):
                row.faults.append(f"{end}: a file was not written")
        row.leaves(folder)
        yield row


MODES: dict[str, Callable[[Path, int, random.Random], Iterator[Row]]] = {
    "kills": stress_kills,
    "forks": stress_forks,
    "writers": stress_writers,
    "full": stress_full,
    "readonly": stress_readonly,
    "descriptors": stress_descriptors,
}
COLUMNS = ("runs", "killed", "midway", "placed", "torn", "lost", "left", "wrong")


def main() -> int:
    """Run one mode."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("mode", choices=MODES)
    options.add_argument("--times", type=int, default=40)
    options.add_argument("--only", metavar="NAME", action="append", help="One of the commands.")
    options.add_argument("--seed", type=int, default=int(time.time()))
    given = options.parse_args()
    if given.only:
        KILLED[:] = [command for command in KILLED if command.name in given.only]
        OTHERS[:] = [command for command in OTHERS if command.name in given.only]
    print(f"{given.mode}, seed {given.seed}")
    print(f"{'command':32}" + "".join(f"{name:>8}" for name in COLUMNS), flush=True)
    right = True
    with tempfile.TemporaryDirectory(prefix="sparqsim-stress-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for place in ("temporary", "caches"):
            (folder / place).mkdir()
        chance = random.Random(given.seed)  # noqa: S311 - moments, not secrets
        for row in MODES[given.mode](folder, given.times, chance):
            figures = "".join(f"{getattr(row, name):8}" for name in COLUMNS)
            print(f"{row.name:32}{figures}", flush=True)
            for fault in row.faults:
                print(f"    {fault}", flush=True)
            right &= row.is_right
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
