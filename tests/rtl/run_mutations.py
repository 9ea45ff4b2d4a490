"""Inject the faults of mutations.toml one at a time and record which the RTL suite catches.

    python tests/rtl/run_mutations.py --jobs 2 -o tests/rtl/mutations_result.json

A fault is caught when the tests it names fail on a copy of the package that has it. The unchanged
copy must pass first. With -o, what is done is noted in FILE.part: the same command goes on after an
interruption, as long as neither the package nor the tests have changed. The result holds no times:
equal sources give equal bytes. Exit code 1 if a fault survives.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
#: Parts of the suite, and the pytest arguments that run each.
TESTS = {
    "trim units": ["test_units.py", "-k", "trim_unit and (5opt or 2opt)"],
    "exact unit": ["test_units.py", "-k", "exact_unit"],
    "mac units": ["test_units.py", "-k", "conventional"],
    "thread units": ["test_units.py", "-k", "two_threads"],
    "os arrays": ["test_arrays.py", "-k", "random_shapes and -os-"],
    "ws and is arrays": ["test_arrays.py", "-k", "random_shapes and not -os-"],
    "all arrays": ["test_arrays.py", "-k", "random_shapes"],
    "elastic": ["test_elastic.py", "-k", "starts_of_every_step or ragged or waits"],
    "elastic overlap": ["test_elastic.py", "-k", "overlapping"],
    "two stages": ["test_arrays.py", "-k", "random_shapes and stages"],
    "two stages, elastic": ["test_elastic.py", "-k", "stages"],
    "stages": ["../test_stages.py"],
    "bit-scalable": ["test_scalable.py", "-k", "ragged or bits_of_a_layer or largest"],
    "coded units": [
        "test_coded.py",
        "-k",
        "(decoders or products or behind or alone) and not slow",
    ],
    "coded arrays": ["test_coded.py", "-k", "ragged or signed_codes"],
    "large sums": ["test_arrays.py", "-k", "24_bits"],
    "kernels": ["../test_small_forms.py"],
    "footprint": ["../test_memory_footprint.py"],
    "loop orders": ["../test_memory_model.py", "-k", "auto or equal_bytes or curves"],
    "recount": ["../test_recount.py"],
    "own dataflow": ["../test_own_dataflow.py", "-k", "event or exact or roles or smt_sa"],
    "zero points": ["../test_zero_points.py", "-k", "zero_points_meet or shifted"],
    "calibrators": ["../test_calibrate.py"],
    "tflite shapes": ["../test_tflite_shapes.py", "-k", "axes"],
    "onnx alpha": ["../test_onnx_reading.py", "-k", "alpha"],
}
LONGEST_TESTS_S = 1800


@dataclass(frozen=True)
class Fault:
    """`old` becomes `new` where it stands, exactly once, in the files that the pattern `files`
    names.
    """

    name: str
    files: str
    old: str
    new: str
    tests: str

    def place(self, root: Path) -> Path:
        """Return the file that has the faultless text.

        Raises SystemExit if it does not stand exactly once.
        """
        places = [
            path
            for path in sorted(root.glob(self.files))
            for _ in range(path.read_text().count(self.old))
        ]
        if len(places) != 1:
            raise SystemExit(
                f"fault {self.name!r}: {self.old!r} stands {len(places)} times in "
                f"{self.files}, not once"
            )
        return places[0]

    @contextmanager
    def injected(self, root: Path) -> Iterator[None]:
        """Have the fault in the files under `root`."""
        place = self.place(root)
        text = place.read_text()
        place.write_text(text.replace(self.old, self.new))
        try:
            yield
        finally:
            place.write_text(text)


def load_faults() -> list[Fault]:
    """Return the list of faults."""
    return [
        Fault(**fault) for fault in tomllib.loads((HERE / "mutations.toml").read_text())["fault"]
    ]


def list_digest(faults: list[Fault]) -> str:
    """Return a digest of a list of faults, as the kept result names it."""
    return hashlib.sha256(json.dumps([asdict(fault) for fault in faults]).encode()).hexdigest()


def sources_digest() -> str:
    """Return a digest of everything that decides whether a fault is caught."""
    digest = hashlib.sha256()
    sources = [*(ROOT / "sparqsim").rglob("*"), *HERE.parent.glob("*.py")]
    for path in sorted([*sources, *HERE.glob("*.py"), *HERE.glob("*.toml")]):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@contextmanager
def copied_project() -> Iterator[Path]:
    """Give a copy of the package and the tests, with caches of its own."""
    with tempfile.TemporaryDirectory(prefix="sparqsim-mutations-") as folder:
        root = Path(folder)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "sparqsim", root / "sparqsim", ignore=ignored)
        shutil.copytree(HERE.parent, root / "tests", ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", root)
        yield root


def first_failure(root: Path, tests: str) -> str | None:
    """Run a part of the suite; return the first test that fails, None if all pass."""
    files = [
        str(root / "tests" / "rtl" / part) if part.endswith(".py") else part
        for part in TESTS[tests]
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "XDG_CACHE_HOME": str(root / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "-m",
        "not benchmark",
        "-rfE",
        *files,
    ]
    process = subprocess.run(
        command,
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_TESTS_S,
    )
    if process.returncode == 0:
        return None
    named = [
        line.partition(" ")[2].partition(" - ")[0]
        for line in process.stdout.splitlines()
        if line.startswith(("FAILED", "ERROR"))
    ]
    if process.returncode != 1 or not named:
        raise SystemExit(
            f"the tests could not be run:\n{process.stdout[-2000:]}{process.stderr[-2000:]}"
        )
    return named[0].rpartition("/")[2]


class Journal:
    """What is done already, one line each, of the same sources; without a file, nothing is kept."""

    def __init__(self, file: Path | None) -> None:
        self._file, self._sources = file, sources_digest()
        lines = file.read_text().splitlines() if file and file.exists() else []
        entries = [json.loads(line) for line in lines if line.endswith("}")]
        self._done = {
            entry["work"]: entry["found"] for entry in entries if entry["sources"] == self._sources
        }

    def done(self, work: str) -> bool:
        """Return whether a piece of work is done."""
        return work in self._done

    def found(self, work: str) -> str | None:
        """Return what it found."""
        return self._done[work]

    def note(self, work: str, found: str | None) -> None:
        """Keep what a piece of work found."""
        self._done[work] = found
        if self._file:
            with self._file.open("a") as lines:
                lines.write(
                    json.dumps({"sources": self._sources, "work": work, "found": found}) + "\n"
                )


def run_faults(faults: list[Fault], jobs: int, journal: Journal) -> None:
    """Run each part of the suite without a fault, then every fault, `jobs` at a time; note what was
    found.
    """
    for fault in faults:
        fault.place(ROOT)
    parts = sorted({fault.tests for fault in faults})
    with ExitStack() as stack:
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for _ in range(jobs):
            copies.put(stack.enter_context(copied_project()))
        pool = stack.enter_context(ThreadPoolExecutor(jobs))

        def work(part: str, fault: Fault | None) -> None:
            name = f"fault {fault.name}" if fault else f"part {part}"
            if not journal.done(name):
                root = copies.get()
                with fault.injected(root) if fault else ExitStack():
                    journal.note(name, first_failure(root, part))
                copies.put(root)

        list(pool.map(lambda part: work(part, None), parts))
        for part in parts:
            if failed := journal.found(f"part {part}"):
                raise SystemExit(f"without any fault, {failed} fails")
        for fault in pool.map(lambda fault: work(fault.tests, fault) or fault, faults):
            caught = journal.found(f"fault {fault.name}")
            print(f"{'caught  ' if caught else 'SURVIVED'} {fault.name} ({caught})", flush=True)


def main() -> int:
    """Run all faults, write the result, return 1 if one survives."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--jobs", type=int, default=1, help="faults at a time")
    parser.add_argument("--only", default="", help="faults whose name has this text")
    options = parser.parse_args()
    faults = [fault for fault in load_faults() if options.only in fault.name]
    noted = options.output and options.output.with_suffix(".part")
    journal = Journal(noted)
    run_faults(faults, options.jobs, journal)
    found = {fault.name: journal.found(f"fault {fault.name}") for fault in faults}
    caught = sum(test is not None for test in found.values())
    print(f"{caught} of {len(found)} faults caught")
    if options.output:
        result = {
            "caught": caught,
            "list_sha256": list_digest(faults),
            "faults": [{"fault": name, "caught_by": test} for name, test in found.items()],
        }
        options.output.write_text(json.dumps(result, indent=1) + "\n")
        noted.unlink()
    return int(caught < len(found))


if __name__ == "__main__":
    sys.exit(main())
