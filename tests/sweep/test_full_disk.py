"""Disks that are full: one line that names the disk, a store that opens, and what was recorded in
it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sweep_cases import ran

from sparqsim.base.errors import InputError
from sparqsim.sweep import Store

#: As on a full disk: no file grows beyond this. For where no small file system can be mounted.
#: Nor is bytecode written, which Python would leave cut, for every later process to stumble on.
LIMIT = (
    "import os, resource, sys; sys.dont_write_bytecode = True; "
    "os.environ['PYTHONDONTWRITEBYTECODE'] = '1'; "
    "resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes}, {bytes}))"
)


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[bool]:
    """Mount a file system of so many KiB for the block; give False where that is not possible."""
    folder.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)],
            check=False,
            capture_output=True,
        ).returncode
    )
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def filled(ballast: Path, kib: int) -> Iterator[None]:
    """Let a file take up so many KiB in the block."""
    ballast.write_bytes(bytes(kib * 1024))
    yield
    ballast.unlink()


@contextmanager
def files_limited(kib: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many KiB in the block."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    writes_no_bytecode = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # Python would leave it cut
    resource.setrlimit(resource.RLIMIT_FSIZE, (kib * 1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sys.dont_write_bytecode = writes_no_bytecode


def test_a_full_disk_is_told_and_the_store_stays_valid(tmp_path: Path, trace: str) -> None:
    """On a small tmpfs where one can be mounted, else with a limit on the size of files."""
    with small_disk(tmp_path / "disk", 128) as mounted:
        check_full_disk(
            trace, tmp_path / "disk", tmp_path, "" if mounted else LIMIT.format(bytes=80_000)
        )


def test_a_file_that_may_not_grow_is_told_and_the_store_stays_valid(
    tmp_path: Path, trace: str
) -> None:
    check_full_disk(trace, tmp_path, tmp_path, LIMIT.format(bytes=80_000))


@pytest.mark.parametrize("free_kib", range(0, 52, 4))
def test_a_disk_that_is_full_when_the_store_is_made(tmp_path: Path, free_kib: int) -> None:
    """Whatever is left of it opens, and is empty; with room again it becomes a store."""
    path = tmp_path / "disk" / "s.sqlite"
    with small_disk(path.parent, 64) as mounted:
        with (
            filled(path.with_name("ballast"), 64 - free_kib)
            if mounted
            else files_limited(min(free_kib, 4))
        ):
            with pytest.raises(InputError, match=r"s\.sqlite: .*; expected free space on .*disk"):
                Store(path, write=True)
            with Store(path) as opened:
                assert (opened.counts(), list(opened.recorded())) == ([], [])
        Store(path, write=True).close()
        with Store(path) as opened:
            assert opened.counts() == []


def test_a_store_that_may_not_grow_when_it_is_made(tmp_path: Path, trace: str) -> None:
    arguments = ["sweep", trace, "--pe", "mac-8b8b", "-o", "s.sqlite", "--jobs", "1"]
    ended = ran(*arguments, cwd=tmp_path, before=LIMIT.format(bytes=4096))
    assert ended.returncode == 2, ended.stdout
    assert "free space" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert (tmp_path / "s.sqlite").stat().st_size == 4096
    assert ran("sweep", "status", "s.sqlite", cwd=tmp_path).stdout.startswith("0 points ")
    exported = ran("sweep", "export", "s.sqlite", "-o", "s.csv", cwd=tmp_path)
    assert exported.stderr == (
        "sparqsim: s.sqlite: holds no results yet; expected a store that a sweep has filled\n"
    )
    assert ran(*arguments, cwd=tmp_path).stdout == "1 point: 0 known, 1 computed\n"


def test_kernels_are_compiled_where_the_disk_has_no_room_to_keep_them(
    tmp_path: Path, trace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ended = ran(
        "simulate",
        trace,
        "--pe",
        "sparq-exact",
        cwd=tmp_path,
        before=(
            "from numba.core import caching\ndef full(*_): raise OSError(28, 'No space left on "
            "device')\ncaching.IndexDataCacheFile.save = full"
        ),
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not list((tmp_path / "cache").rglob("*.nbi"))


def test_no_temporary_folder_is_told_in_one_line(tmp_path: Path, trace: str) -> None:
    full = (
        "import tempfile\ndef full(): raise FileNotFoundError(2, 'No usable temporary directory "
        "found')\ntempfile._get_default_tempdir = full"
    )
    ended = ran("sweep", trace, "--pe", "mac-8b8b", "-o", "s.sqlite", cwd=tmp_path, before=full)
    assert ended.returncode == 2
    assert "TMPDIR" in ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr


def check_full_disk(trace: str, folder: Path, home: Path, before: str) -> None:
    arrays = ",".join(f"{rows}x{cols}" for rows in range(1, 9) for cols in range(1, 9))
    arguments = [
        "sweep",
        trace,
        "--pe",
        "mac-8b8b",
        "--array",
        arrays,
        "-o",
        str(folder / "s.sqlite"),
        "--jobs",
        "1",
    ]
    ended = ran(*arguments, cwd=home, before=before)
    assert ended.returncode == 2, ended.stdout
    assert "what was recorded is safe" in ended.stderr
    assert ended.stderr.count("\n") == 1
    with Store(folder / "s.sqlite") as opened:
        kept = {point.key: point.text for point in opened.recorded()}
    assert 0 < len(kept) < 64
    # With room again, the same command completes it. The other place: a copy of what the full disk
    # holds.
    for part in folder.glob("s.sqlite*"):
        (home / part.name.replace("s.sqlite", "room.sqlite")).write_bytes(part.read_bytes())
    arguments[-3] = str(home / "room.sqlite")
    resumed = ran(*arguments, cwd=home)
    assert f"64 points: {len(kept)} known, {64 - len(kept)} computed" in resumed.stdout, (
        resumed.stderr
    )
    with Store(home / "room.sqlite") as opened:
        everything = {point.key: point.text for point in opened.recorded()}
    assert len(everything) == 64
    assert kept.items() <= everything.items()
