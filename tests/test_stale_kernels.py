"""A compiled kernel on disk never gives an old number: the sources decide which cache is used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import sparqsim
from sparqsim.base.compiling import _KernelFiles

#: A kernel that is soon compiled; it reads a constant of its module and calls another kernel.
SCRIPT = """
import numpy as np, sparqsim
from sparqsim.quantise.rows.kernels import loss_of
row = np.arange(64, dtype=np.float32)
print(sparqsim.__file__, int(1000 * loss_of(row, np.float32(0), np.float32(63))))
"""


def result_of(folder: Path, cache: Path) -> int:
    """Return what the package in `folder` computes in a new process, its kernels cached in
    `cache`.
    """
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(folder), "XDG_CACHE_HOME": str(cache)},
    )
    where, value = done.stdout.split()
    assert Path(where).is_relative_to(folder)
    return int(value)


def test_an_edited_kernel_gives_the_new_result(tmp_path):
    """Three processes and one cache: the kernel is compiled, found again, and not used after an
    edit of a constant that it reads. The edit leaves the kernel's own code, its file's size and time
    as they were.
    """
    package, cache = tmp_path / "copy" / "sparqsim", tmp_path / "cache"
    shutil.copytree(Path(sparqsim.__file__).parent, package)
    first = result_of(package.parent, cache)
    compiled = sorted(cache.rglob("*.nbc"))
    assert compiled
    assert result_of(package.parent, cache) == first
    assert sorted(cache.rglob("*.nbc")) == compiled
    kernels = package / "quantise" / "rows" / "kernels.py"
    before, text = kernels.stat(), kernels.read_text()
    assert text.count("LEVELS4 = np.float32(15)") == 1
    kernels.write_text(text.replace("LEVELS4 = np.float32(15)", "LEVELS4 = np.float32(14)"))
    os.utime(kernels, ns=(before.st_atime_ns, before.st_mtime_ns))
    for module in kernels.parent.glob("__pycache__/kernels.*"):
        module.unlink()  # Python knows the module's file in the same way
    assert result_of(package.parent, cache) != first


def test_two_processes_that_compile_at_once_keep_their_kernels_apart(tmp_path, monkeypatch):
    """The second one saves between what the first one reads and what it writes: numba's index of
    files gave both one number, and one of them ran the other's code ever after.
    """
    first, second, later = (_KernelFiles(str(tmp_path), "kernel", "stamp") for _ in range(3))
    dumped, others = first._dump, iter([("b", 2)])

    def interrupted(data):
        for key, value in others:
            second.save(key, value)
        return dumped(data)

    monkeypatch.setattr(first, "_dump", interrupted)
    first.save("a", 1)
    assert [later.load(key) for key in ("a", "b", "c")] == [1, 2, None]


def test_a_damaged_kernel_is_compiled_again(tmp_path):
    """The end of its file is missing."""
    files = _KernelFiles(str(tmp_path), "kernel", "stamp")
    files.save("a", list(range(1000)))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:50])
    assert files.load("a") is None
    files.save("a", 7)
    assert files.load("a") == 7


KERNELS = """
import sys
import numpy as np
from sparqsim.base.jit import jit, parallel_jit, prange

@jit
def _doubled(value):
    return 2 * value

@parallel_jit
def fill(values):
    for at in prange(len(values)):
        values[at] = _doubled(at)

@jit
def counted(number):
    return np.arange(number)

assert "numba" not in sys.modules
values = np.zeros(4, np.int64)
fill(values)
print(values.tolist(), counted(3).tolist(), "numba.np.arraymath" in sys.modules)
"""


def test_kernels_from_disk_need_no_compiler(tmp_path):
    """One that calls another, with a loop over the cores, and one that allocates; the process that
    finds them loads numba at its first call, and not what numba compiles with.
    """
    script = tmp_path / "kernels.py"
    script.write_text(KERNELS)
    shown = [
        subprocess.run(
            [sys.executable, str(script)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        ).stdout.strip()
        for _ in range(2)
    ]
    assert shown == ["[0, 2, 4, 6] [0, 1, 2] True", "[0, 2, 4, 6] [0, 1, 2] False"]
