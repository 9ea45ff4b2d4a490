"""Is commit B slower than commit A? Exit code 1 if it is.

    python benchmarks/compare_commits.py A B [--repeats 7] [--threshold 0.1] [--only simulate,sweep]

Both are checked out into a temporary folder, and the same commands run with each, in turn, so that
a busy spell hits both. What counts is processor time, user and system, of a command and what it
starts, which depends little on what else the machine does; of the repeats the least, since other
work only ever adds. A first run of each, which compiles kernels and sources, does not count. Spread: how far
the median is above the least, of the worse commit. B is slower where

    least(B) / least(A) > 1 + threshold + spread

so on a noisy machine only a large slowdown is told. More repeats help.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TRACE = str(ROOT / "workloads" / "digits_resnet.safetensors")
#: Arguments of `sparqsim`; {out} is a file that does not exist.
COMMANDS = {
    "help": ["--help"],
    "compare": ["compare", TRACE],
    "elastic": [
        "simulate",
        TRACE,
        "--pe",
        "sparq-exact",
        "--dataflow",
        "ws",
        "--coupling",
        "elastic:2",
    ],
    "overlap": [
        "simulate",
        TRACE,
        "--pe",
        "sparq-exact",
        "--dataflow",
        "is",
        "--coupling",
        "elastic:2",
        "--overlap",
        "on",
    ],
    "memory": ["simulate", TRACE, "--pe", "sparq-5opt", "--config", "edge"],
    "sweep": [
        "sweep",
        TRACE,
        "--pe",
        "mac-8b8b,sparq-5opt,sparq-exact",
        "--array",
        "8x8,16x16,32x32",
        "-o",
        "{out}",
        "--jobs",
        "1",
    ],
}


@dataclass(frozen=True)
class Verdict:
    """Processor seconds of one command with both commits, the least and the spread of each."""

    ratio: float
    spread: float
    slower: bool


def verdict(of_a: list[float], of_b: list[float], threshold: float) -> Verdict:
    """Judge repeats of one command, in seconds, as the module says."""
    ratio = min(of_b) / min(of_a)
    spread = max(statistics.median(times) / min(times) - 1 for times in (of_a, of_b))
    return Verdict(ratio, spread, ratio > 1 + threshold + spread)


@contextmanager
def checkout(repository: Path, commit: str, folder: Path) -> Iterator[Path]:
    """Give the files of a commit in `folder`."""
    git = ["git", "-C", str(repository), "worktree"]
    subprocess.run([*git, "add", "-q", "--detach", str(folder), commit], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def processor_seconds(checked_out: Path, arguments: list[str]) -> float | None:
    """Return what a command takes with these sources, None where they refuse it."""
    with tempfile.TemporaryDirectory() as folder:
        words = [word.replace("{out}", f"{folder}/out") for word in arguments]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "sparqsim", *words],
            check=False,
            cwd=folder,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(checked_out), "PYTHONDONTWRITEBYTECODE": ""},
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        print(f"{' '.join(words)}: {done.stderr.strip()}", file=sys.stderr)
        return None
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def repeated(
    both: tuple[Path, Path], arguments: list[str], repeats: int
) -> tuple[list[float], list[float]] | None:
    """Return the seconds of both commits, run in turn; None where one of them refuses the
    command.
    """
    if any(processor_seconds(sources, arguments) is None for sources in both):
        return None
    pairs = [
        [processor_seconds(sources, arguments) or 0.0 for sources in both] for _ in range(repeats)
    ]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def compared(both: tuple[Path, Path], names: list[str], repeats: int, threshold: float) -> bool:
    """Print a line per command; return whether B is slower in any."""
    print(f"{'command':10}{'A, s':>9}{'B, s':>9}{'B/A':>7}{'spread':>8}")
    slower = False
    for name in names:
        found = repeated(both, COMMANDS[name], repeats)
        if found is None:
            print(f"{name:10}does not run with both")
            continue
        judged = verdict(*found, threshold)
        slower |= judged.slower
        print(
            f"{name:10}{min(found[0]):9.3f}{min(found[1]):9.3f}{judged.ratio:7.2f}{judged.spread:8.1%}{'  SLOWER' if judged.slower else ''}",
            flush=True,
        )
    return slower


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("a", help="a commit, as git names it")
    parser.add_argument("b", help="another")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--threshold", type=float, default=0.1, help="how much slower is tolerated (0.1: a tenth)"
    )
    parser.add_argument(
        "--only", default=",".join(COMMANDS), help="commands to run, separated by commas"
    )
    parser.add_argument("--repository", type=Path, default=ROOT)
    return parser.parse_args()


def main() -> int:
    options = parsed()
    names = options.only.split(",")
    if unknown := set(names) - set(COMMANDS):
        print(
            f"--only {','.join(sorted(unknown))}: expected some of {', '.join(COMMANDS)}",
            file=sys.stderr,
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="sparqsim-commits-") as folder:
        try:
            with (
                checkout(options.repository, options.a, Path(folder, "a")) as a,
                checkout(options.repository, options.b, Path(folder, "b")) as b,
            ):
                return int(compared((a, b), names, options.repeats, options.threshold))
        except subprocess.CalledProcessError as error:
            failed = " ".join(map(str, error.cmd))
            print(
                f"`{failed}` failed; expected two commits of {options.repository}", file=sys.stderr
            )
            return 2


if __name__ == "__main__":
    sys.exit(main())
