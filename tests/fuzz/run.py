"""Mutated files of every kind, each given to what reads it; what became of them, counted.

    python tests/fuzz/run.py --count 200 --kind topologies --seed 7 --save failed

A kind is a module of this folder whose name has no underscore in front, found by looking:

    mutations(seed, count) -> Iterator[(file name, content)]     the inputs; equal for equal seeds
    COMMANDS    tuples of arguments; {file} is the input, {folder} a folder of its own
    EXIT_CODES  those that are right (default 0 and 2; 1 is an answer of `regress check` alone)
    prepare(folder)     writes what must stand beside the input
    run(file)           instead of commands: raises InputError for what it refuses

Inputs run in a process of their own with bounds on memory and time, in batches: whatever takes
that process down is found out, counted, and the next batch goes on behind it.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
OUTCOMES = ("right", "refused", "traceback", "wrong exit", "over memory", "hang")
BAD = OUTCOMES[2:]
#: Processor time of an input, and its time by the clock on a machine that does other things, too.
MOST_SECONDS, MOST_WAITING_SECONDS = 20, 240
#: Address space of a process that runs inputs; the frameworks map several gigabytes at once.
MOST_BYTES = 12 << 30
BATCH = 200
#: EX_SOFTWARE of sysexits.h: how a command ends by an error that no one has foreseen.
INTERNAL_ERROR = 70


@dataclass(frozen=True)
class Found:
    """What became of one input. place: the end of the traceback, or the line that was not right."""

    kind: str
    name: str
    outcome: str
    command: str = ""
    place: str = ""


def kinds() -> list[str]:
    """Return the kinds of files there are."""
    return sorted(path.stem for path in HERE.glob("[!_]*.py") if path.stem != Path(__file__).stem)


def module_of(kind: str) -> ModuleType:
    """Return a kind's module."""
    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))
    return importlib.import_module(kind)


def inputs(kind: str, seed: int, count: int) -> Iterator[tuple[int, str, bytes]]:
    """Yield (number, file name, content) of a kind's inputs."""
    made = module_of(kind).mutations(seed, count)
    for number, (name, content) in enumerate(islice(made, count)):
        yield number, Path(name).name, content


def tried(kind: str, name: str, content: bytes) -> Found:
    """Give one input to whatever reads its kind, within a folder of its own."""
    module = module_of(kind)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
        folder = Path(temporary)
        if hasattr(module, "prepare"):
            module.prepare(folder)
        file = folder / name
        file.write_bytes(content)
        refused = False
        for label, call in _calls(module, file, folder):
            outcome, place = _ended(call, getattr(module, "EXIT_CODES", (0, 2)))
            if outcome in BAD:
                return Found(kind, name, outcome, label, place.replace(temporary, "FOLDER"))
            refused = refused or outcome == "refused"
    return Found(kind, name, "refused" if refused else "right")


def _calls(module: ModuleType, file: Path, folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    if hasattr(module, "run"):
        yield "run", lambda: _as_a_command(module.run, file)
        return
    from sparqsim.cli import main

    for command in module.COMMANDS:
        arguments = [part.format(file=file, folder=folder) for part in command]
        yield " ".join(command), lambda arguments=arguments: main(arguments)


def _as_a_command(run: Callable[[Path], object], file: Path) -> None:
    """End as a command does, for a reader that is called as a function."""
    from sparqsim import InputError

    try:
        run(file)
    except InputError as error:
        print(f"sparqsim: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(0)


class HangError(BaseException):
    """An input took too long."""


def _ended(call: Callable[[], Any], codes: Sequence[int]) -> tuple[str, str]:
    """Return the outcome of one call, and where it went wrong."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            call()
    except SystemExit as ended:
        err.flush()
        said = err.buffer.getvalue().decode()  # type: ignore[attr-defined]
        return _judged(ended.code, codes, said)
    except MemoryError:
        return "over memory", _last_place()
    except HangError:
        return "hang", _last_place()
    except BaseException:  # noqa: BLE001 - whatever a user would see as a traceback
        return "traceback", _last_place()
    return "wrong exit", "no exit"


def _judged(code: object, codes: Sequence[int], said: str) -> tuple[str, str]:
    """Return the outcome of a command by its exit code and what it wrote to stderr."""
    if code == INTERNAL_ERROR:
        return "traceback", said[-300:]
    if code not in codes:
        return "wrong exit", f"exit code {code}: {said[-200:]}"
    if code == 2 and "out of memory (" in said:
        return "over memory", said[-200:]
    if code == 2 and not _is_one_line(said):
        return "wrong exit", f"not one printable line of a refusal: {said[-200:]!r}"
    return ("refused" if code == 2 else "right"), ""


def _is_one_line(said: str) -> bool:
    line = said.removesuffix("\n")
    return said.endswith("\n") and line.startswith("sparqsim: ") and line.isprintable()


def _last_place() -> str:
    error = sys.exc_info()[1]
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "sparqsim" in frame.filename] or frames
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
    return f"{type(error).__name__} at {place}: {str(error)[:120]}"


def _bounded(run: Callable[[], Found]) -> Found:
    """Run within the bounds on time: an alarm first, then the end of the process."""

    def raise_hang(*_: object) -> None:
        raise HangError

    before = {each: signal.signal(each, raise_hang) for each in (signal.SIGPROF, signal.SIGALRM)}
    faulthandler.dump_traceback_later(MOST_WAITING_SECONDS + MOST_SECONDS, exit=True)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    signal.alarm(MOST_WAITING_SECONDS)
    try:
        return run()
    except HangError:
        return Found("", "", "hang")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        for each, handler in before.items():
            signal.signal(each, handler)


def work(kind: str, seed: int, count: int, first: int, target: Path) -> None:
    """Run a kind's inputs from number `first`; a line of JSON before and after each of them."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, resource.RLIM_INFINITY))
    _, name, content = next(inputs(kind, seed, 1))
    tried(kind, name, content)  # whatever is compiled at first use counts for no input
    with target.open("a", encoding="utf-8") as log:
        for number, name, content in inputs(kind, seed, count):
            if not first <= number < first + BATCH:
                continue
            print(json.dumps({"begun": number, "name": name}), file=log, flush=True)
            found = _bounded(lambda name=name, content=content: tried(kind, name, content))
            entry = asdict(found) | {"kind": kind, "name": name, "number": number}
            print(json.dumps(entry), file=log, flush=True)


def fuzzed(kind: str, seed: int, count: int) -> Iterator[tuple[int, Found]]:
    """Yield (number, what became of it) for `count` inputs of a kind."""
    first = 0
    while first < count:
        entries, code = _batch(kind, seed, count, first)
        last = {"begun": first - 1, "name": ""}
        for entry in entries:
            if "begun" in entry:
                last = entry
            else:
                yield entry.pop("number"), Found(**entry)
        ended = [entry for entry in entries if "begun" not in entry]
        if code == 0:
            if not entries:
                return
            first = last["begun"] + 1
        elif len(ended) < sum("begun" in entry for entry in entries):
            outcome = "over memory" if code == -signal.SIGKILL else "hang"
            outcome = "traceback" if code in {-signal.SIGSEGV, -signal.SIGABRT} else outcome
            yield last["begun"], Found(kind, last["name"], outcome, place=f"process ended: {code}")
            first = last["begun"] + 1
        else:
            raise RuntimeError(f"{kind}: the process that runs inputs ended with {code}")


def _batch(kind: str, seed: int, count: int, first: int) -> tuple[list[dict[str, Any]], int]:
    with tempfile.TemporaryDirectory(prefix="fuzz-log-") as folder:
        log = Path(folder) / "log"
        log.touch()
        words = [kind, seed, count, first, log]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        ended = subprocess.run(
            [sys.executable, __file__, "--work", *map(str, words)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        if ended.returncode and not entries:
            print(ended.stderr.decode(errors="replace")[-2000:], file=sys.stderr)
        return entries, ended.returncode


def run_kind(kind: str, seed: int, count: int, save: Path | None) -> list[Found]:
    """Run a kind; inputs that show a fault are saved."""
    found = list(fuzzed(kind, seed, count))
    bad = {number: each for number, each in found if each.outcome in BAD}
    if save is not None and bad:
        save.mkdir(parents=True, exist_ok=True)
        for number, name, content in inputs(kind, seed, count):
            if number in bad:
                (save / f"{kind}-{seed}-{number}-{name}").write_bytes(content)
    return [each for _, each in found]


def table(results: dict[str, list[Found]]) -> str:
    """Return counts, kinds down and outcomes across."""
    lines = [f"{'kind':20}" + "".join(f"{name:>13}" for name in OUTCOMES)]
    total: Counter[str] = Counter()
    for kind, found in results.items():
        counts = Counter(each.outcome for each in found)
        total += counts
        lines.append(f"{kind:20}" + "".join(f"{counts[name]:13}" for name in OUTCOMES))
    lines.append(f"{'total':20}" + "".join(f"{total[name]:13}" for name in OUTCOMES))
    return "\n".join(lines)


def faults(results: dict[str, list[Found]]) -> list[str]:
    """Return a line for each place at which inputs went wrong, the most frequent first."""
    places = Counter(
        f"{each.kind}: {each.outcome}: {each.place} (`{each.command}`, e.g. {each.name})"
        if each.outcome == "hang"
        else f"{each.kind}: {each.outcome}: {each.place}"
        for found in results.values()
        for each in found
        if each.outcome in BAD
    )
    return [f"{count:4} x {place}" for place, count in places.most_common()]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=40, help="inputs of each kind")
    parser.add_argument("--kind", action="append", help="default: all of them", choices=kinds())
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=Path, help="folder for inputs that show a fault")
    parser.add_argument("--work", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        kind, *numbers, target = options.work
        work(kind, *map(int, numbers), Path(target))
        return
    results = {}
    for kind in options.kind or kinds():
        results[kind] = run_kind(kind, options.seed, options.count, options.save)
        print(table({kind: results[kind]}).splitlines()[1], file=sys.stderr)
    print(table(results))
    print("\n".join(faults(results)))
    sys.exit(any(each.outcome in BAD for found in results.values() for each in found))


if __name__ == "__main__":
    main()
