"""The store: other versions, other files, damage, folders that cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep_cases import AXES, command, edited, ran

import sparqsim
from sparqsim.base.errors import InputError
from sparqsim.sweep import Store, sweep
from sparqsim.sweep.grid import cases_of


@pytest.mark.parametrize("write", [False, True])
def test_a_store_of_a_future_version_is_refused_and_left_alone(store: Path, write: bool) -> None:
    edited(store, "PRAGMA user_version = 3")
    before = store.read_bytes()
    with pytest.raises(
        InputError, match="store format 3, this version of sparqsim reads formats 1 and 2"
    ):
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


def test_a_store_outlives_the_version_that_made_it(
    store: Path, trace: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("sweep.point", "cli.show_checks"):
        monkeypatch.setattr(f"sparqsim.{place}.VERSION", "99.0")
    summary = sweep(cases_of({"trace": trace, **AXES}), store)
    assert (summary.known, summary.done) == (
        0,
        12,
    )  # cycles may differ: they are computed again, beside the old ones
    assert command("sweep", "status", str(store)) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first.startswith("24 points (this is sparqsim 99.0); 6 passes over layers kept")
    assert others == [f"sparqsim {STORED_VERSION}: 12 done", "sparqsim 99.0: 12 done"]


STORED_VERSION = sparqsim.__version__

#: Root may write files whatever their mode. Without these capabilities it may not, like anyone
#: else.
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
    ended = ran(
        "sweep", trace, "--pe", "mac-4b4b", "-o", str(read_only), cwd=home, before=AS_ANYONE
    )
    assert ended.returncode == 2
    assert "store.sqlite" in ended.stderr
    assert "expected a file" in ended.stderr
    assert ended.stderr.count("\n") == 1
    exported = ran("sweep", "export", str(read_only), "-o", "out.csv", cwd=home, before=AS_ANYONE)
    assert exported.stdout == "12 rows written to out.csv\n", exported.stderr
    assert read_only.read_bytes() == before
