"""What the tests of sweeps share: a small trace, a grid, the command line in this process and in
its own.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Self

import numpy as np
import pytest

import sparqsim
from sparqsim.cli import main
from sparqsim.sweep.worker import PassTask, Result, Task, done

ROOT = Path(sparqsim.__file__).parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
AXES = {
    "pe": ["mac-8b8b", "sparq-5opt", "sparq-exact"],
    "array": ["4x4", "3x5"],
    "dataflow": ["os", "ws"],
}

USER_DESIGN = """
from dataclasses import dataclass
from typing import ClassVar
from sparqsim.pe.mac import Mac8b8b

@dataclass(frozen=True)
class Mine(Mac8b8b):
    name: ClassVar[str] = "mine"
    lanes: ClassVar[int] = {lanes}
"""


def save_trace(path: Path, seed: int = 1, *, signed: bool = False) -> None:
    rng = np.random.default_rng(seed)
    x = (
        rng.integers(-128, 128, (9, 11), np.int8)
        if signed
        else rng.integers(0, 256, (9, 11), np.uint8)
    )
    layer = sparqsim.Layer.from_gemm("only", x, rng.integers(-128, 128, (11, 6), np.int8))
    sparqsim.Trace([layer], network="made", synthetic="uniform").save(path)


class Here:
    """Workers that are this process: for what has nothing to do with processes."""

    slots = 1

    def __init__(self) -> None:
        self.tasks: list[Task | PassTask] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        pass

    @property
    def busy(self) -> int:
        return len(self.tasks)

    def submit(self, task: Task | PassTask) -> None:
        self.tasks.append(task)

    def finished(self) -> list[Result]:
        return done(self.tasks.pop(0))


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def ran(*arguments: str, cwd: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, after the Python statements `before`."""
    script = (
        f"import sys\n{before}\nfrom sparqsim.cli import main\nif __name__ == '__main__': "
        "main(sys.argv[1:])"
    )
    (cwd / "command.py").write_text(script)
    return subprocess.run(
        [sys.executable, "command.py", *arguments],
        cwd=cwd,
        env=ENVIRONMENT,
        check=False,
        text=True,
        capture_output=True,
    )


def edited(store: Path, statement: str) -> None:
    connection = sqlite3.connect(store)
    connection.execute(statement)
    connection.commit()
    connection.close()
