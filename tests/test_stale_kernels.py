"""A compiled kernel on disk never gives an old number: the sources decide which cache is used."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import sparqsim

SCRIPT = """
import numpy as np, sparqsim
x = np.arange(64, dtype=np.uint8).reshape(4, 16) * 4
w = (np.arange(48, dtype=np.int64) * 5 % 251 - 125).astype(np.int8).reshape(16, 3)
print(sparqsim.__file__, int(sparqsim.get_pe("sysmt-2t").matmul(x, w).sum()))
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
    edit of its file.
    """
    package, cache = tmp_path / "copy" / "sparqsim", tmp_path / "cache"
    shutil.copytree(
        Path(sparqsim.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    first = result_of(package.parent, cache)
    compiled = sorted(cache.rglob("*.nbc"))
    assert compiled
    assert result_of(package.parent, cache) == first
    assert sorted(cache.rglob("*.nbc")) == compiled
    design = package / "pe" / "sysmt.py"
    text = design.read_text()
    assert text.count("> 15") >= 1
    design.write_text(text.replace("> 15", "> 100"))
    assert result_of(package.parent, cache) != first
