"""Inject the faults of mutations.toml one at a time and record which the RTL suite catches.

    python tests/rtl/run_mutations.py [-o tests/rtl/mutations_result.json] [--only TEXT]

A fault is caught when the tests it names fail on a copy of the package that has it. The unchanged copy must pass
first. Exit code 1 if a fault survives.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparqsim.pe.registry import designs

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TESTS = {
    "units": ["test_units.py"],
    "arrays": ["test_arrays.py", "-k", "smallest_and_ragged or random_shapes"],
    "elastic": ["test_elastic.py"],
}


def load_faults() -> list[dict[str, str]]:
    """Return the faults whose designs this package has."""
    faults = tomllib.loads((HERE / "mutations.toml").read_text())["fault"]
    return [fault for fault in faults if fault.get("needs", "mac-8b8b") in designs()]


@contextmanager
def copied_project() -> Iterator[Path]:
    """Give a copy of the package and the RTL tests, with caches of its own."""
    with tempfile.TemporaryDirectory(prefix="sparqsim-mutations-") as folder:
        root = Path(folder)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "sparqsim", root / "sparqsim", ignore=ignored)
        shutil.copytree(HERE, root / "tests" / "rtl", ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", root)
        yield root


@contextmanager
def injected(root: Path, fault: dict[str, str]) -> Iterator[None]:
    """Make the fault's substitution, which must be possible exactly once; undo it at the end."""
    places = [path for path in root.glob(fault["files"]) if fault["old"] in path.read_text()]
    if len(places) != 1 or places[0].read_text().count(fault["old"]) != 1:
        raise SystemExit(f"fault {fault['name']!r}: {fault['old']!r} stands not exactly once in {fault['files']}")
    text = places[0].read_text()
    places[0].write_text(text.replace(fault["old"], fault["new"]))
    yield
    places[0].write_text(text)


def first_failure(root: Path, tests: str) -> str | None:
    """Run a part of the suite; return the first test that fails, None if all pass."""
    files = [str(root / "tests" / "rtl" / part) if part.endswith(".py") else part for part in TESTS[tests]]
    environment = {**os.environ, "PYTHONPATH": str(root), "XDG_CACHE_HOME": str(root / "cache"),
                   "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-rfE", *files]
    process = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if process.returncode == 0:
        return None
    named = [line.split()[1] for line in process.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if process.returncode != 1 or not named:
        raise SystemExit(f"the tests could not be run:\n{process.stdout[-2000:]}{process.stderr[-2000:]}")
    return named[0].rpartition("/")[2]


def results(only: str = "") -> list[dict[str, str | None]]:
    """Return, for every fault, the test that caught it."""
    found: list[dict[str, str | None]] = []
    with copied_project() as root:
        faults = [fault for fault in load_faults() if only in fault["name"]]
        for tests in sorted({fault["tests"] for fault in faults}):
            if failed := first_failure(root, tests):
                raise SystemExit(f"without any fault, {failed} fails")
        for fault in faults:
            with injected(root, fault):
                caught = first_failure(root, fault["tests"])
            print(f"{'caught  ' if caught else 'SURVIVED'} {fault['name']}", flush=True)
            found.append({"fault": fault["name"], "caught_by": caught})
    return found


def main() -> int:
    """Run all faults, write the result, return 1 if one survives."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--only", default="", help="faults whose name has this text")
    options = parser.parse_args()
    found = results(options.only)
    caught = sum(fault["caught_by"] is not None for fault in found)
    print(f"{caught} of {len(found)} faults caught")
    if options.output:
        options.output.write_text(json.dumps({"caught": caught, "faults": found}, indent=1) + "\n")
    return int(caught < len(found))


if __name__ == "__main__":
    sys.exit(main())
