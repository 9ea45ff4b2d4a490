"""The store: other versions, other files, damage, disks that are full or cannot be written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep_cases import AXES, command, edited, ran

import sparqsim
from sparqsim.errors import InputError
from sparqsim.sweep import Store, sweep
from sparqsim.sweep.grid import cases_of


@pytest.mark.parametrize("write", [False, True])
def test_a_store_of_a_future_version_is_refused_and_left_alone(store: Path, write: bool) -> None:
    edited(store, "PRAGMA user_version = 2")
    before = store.read_bytes()
    with pytest.raises(InputError, match="store format 2, this version of sparqsim reads format 1"):
        Store(store, write=write)
    assert store.read_bytes() == before


@pytest.mark.parametrize("write", [False, True])
def test_another_sqlite_file_is_refused_and_left_alone(tmp_path: Path, write: bool) -> None:
    edited(tmp_path / "other.sqlite", "CREATE TABLE mine (a)")
    before = (tmp_path / "other.sqlite").read_bytes()
    with pytest.raises(InputError, match="not a store of sweeps"):
        Store(tmp_path / "other.sqlite", write=write)
    assert (tmp_path / "other.sqlite").read_bytes() == before


@pytest.mark.parametrize("write", [False, True])
def test_files_that_are_no_database(tmp_path: Path, write: bool) -> None:
    (tmp_path / "text").write_text("this is not a database, and long enough to have a header" * 20)
    with pytest.raises(InputError, match="text: file is not a database"):
        Store(tmp_path / "text", write=write)
    with pytest.raises(InputError, match="unable to open"):
        Store(tmp_path, write=True)
    with pytest.raises(InputError, match="no such f"):
        Store(tmp_path / "none" / "s.sqlite", write=write)


def test_a_damaged_store_is_told(store: Path) -> None:
    edited(store, "PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(store.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    store.write_bytes(data)
    with pytest.raises(InputError, match="malformed"), Store(store) as opened:
        opened.rows()


def test_a_store_outlives_the_version_that_made_it(store: Path, trace: str, monkeypatch: pytest.MonkeyPatch,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sparqsim, "__version__", "99.0")
    summary = sweep(cases_of({"trace": trace, **AXES}), store)
    assert (summary.known, summary.done) == (0, 12)  # cycles may differ: they are computed again, beside the old ones
    assert command("sweep", "status", str(store)) == 0
    assert capsys.readouterr().out == ("24 points (this is sparqsim 99.0)\nsparqsim 0.1.0: 12 done\n"
                                       "sparqsim 99.0: 12 done\n").replace("0.1.0", STORED_VERSION)


STORED_VERSION = sparqsim.__version__

#: Root may write files whatever their mode. Without these capabilities it may not, like anyone else.
AS_ANYONE = """
import ctypes, os
if os.geteuid() == 0:
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.capget(header, data) == 0
    for part in (0, 1, 2):
        data[part] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(header, data) == 0
"""


@pytest.fixture
def read_only(store: Path) -> Iterator[Path]:
    """A store in a folder, neither of which can be written."""
    folder = store.parent / "shelf"
    folder.mkdir()
    shelved = store.rename(folder / "store.sqlite")
    shelved.chmod(0o444)
    folder.chmod(0o555)
    yield shelved
    folder.chmod(0o755)


def test_a_read_only_store_is_told_and_can_be_read(read_only: Path, trace: str) -> None:
    before = read_only.read_bytes()
    home = read_only.parent.parent
    ended = ran("sweep", trace, "--pe", "mac-4b4b", "-o", str(read_only), cwd=home, before=AS_ANYONE)
    assert ended.returncode == 2
    assert "store.sqlite" in ended.stderr
    assert "expected a file" in ended.stderr
    assert ended.stderr.count("\n") == 1
    exported = ran("sweep", "export", str(read_only), "-o", "out.csv", cwd=home, before=AS_ANYONE)
    assert exported.stdout == "12 rows written to out.csv\n", exported.stderr
    assert read_only.read_bytes() == before


def can_mount(folder: Path) -> bool:
    """Return whether a small file system can be made here."""
    if os.geteuid() != 0:
        return False
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)], check=False,
                             capture_output=True)
    return mounted.returncode == 0


def test_a_full_disk_is_told_and_the_store_stays_valid(tmp_path: Path, trace: str) -> None:
    """On a small tmpfs where one can be mounted, else with a limit on the size of files."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if can_mount(disk):
        try:
            check_full_disk(trace, disk, tmp_path, "")
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)
    else:
        check_full_disk(trace, disk, tmp_path, LIMIT)


def test_a_file_that_may_not_grow_is_told_and_the_store_stays_valid(tmp_path: Path, trace: str) -> None:
    check_full_disk(trace, tmp_path, tmp_path, LIMIT)


LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, 80_000))"


def check_full_disk(trace: str, folder: Path, home: Path, before: str) -> None:
    arrays = ",".join(f"{rows}x{cols}" for rows in range(1, 9) for cols in range(1, 9))
    arguments = ["sweep", trace, "--pe", "mac-8b8b", "--array", arrays, "-o", str(folder / "s.sqlite"), "--jobs", "1"]
    ended = ran(*arguments, cwd=home, before=before)
    assert ended.returncode == 2, ended.stdout
    assert "what was recorded is safe" in ended.stderr
    assert ended.stderr.count("\n") == 1
    with Store(folder / "s.sqlite") as opened:
        kept = {point.key: point.text for point in opened.recorded()}
    assert 0 < len(kept) < 64
    # With room again, the same command completes it. The other place: a copy of what the full disk holds.
    for part in folder.glob("s.sqlite*"):
        (home / part.name.replace("s.sqlite", "room.sqlite")).write_bytes(part.read_bytes())
    arguments[-3] = str(home / "room.sqlite")
    resumed = ran(*arguments, cwd=home)
    assert f"64 points: {len(kept)} known, {64 - len(kept)} computed" in resumed.stdout, resumed.stderr
    with Store(home / "room.sqlite") as opened:
        everything = {point.key: point.text for point in opened.recorded()}
    assert len(everything) == 64
    assert kept.items() <= everything.items()
