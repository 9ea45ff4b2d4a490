"""Temporary files beside what is written, and the sweeping of those that nobody owns any more.

Temporary names hold the machine and the process that made them: `.NAME.HOST-PID-RANDOM.part`. A
process that was killed leaves its own behind, and the next writer in the same folder removes those
whose process is gone.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from sparqsim.base.files.place import destination, is_replaceable

#: Of a target's name, what its temporary ones keep: names have at most 255 bytes on most systems.
KEPT_NAME_BYTES = 100
LONGEST_SUFFIX_BYTES = 20
TEMPORARY_NAME = re.compile(r"\..*\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{8}\.(part|spool)")
#: Folders whose left-behind files this process has removed.
_SWEPT: set[Path] = set()


def temporary_path(path: str | Path, kind: str) -> Path:
    """Return an unused name for the work on `path`, in its folder if a rename shall put the work in
    place.

    Parameters
    ----------
    path : str or Path
        Where the finished work goes.
    kind : {'.part', '.spool'}
        A file to be renamed, or a folder for pieces of it.

    Raises
    ------
    OSError
        For a folder, or a path that leads nowhere.
    """
    target = destination(path)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    folder = target.parent if is_replaceable(path) else Path(tempfile.gettempdir())
    sweep_left_behind(folder)
    beginning = os.fsdecode(os.fsencode(target.name)[:KEPT_NAME_BYTES])
    suffix = target.suffix if len(os.fsencode(target.suffix)) <= LONGEST_SUFFIX_BYTES else ""
    owner = f"{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
    return folder / f".{beginning}.{owner}{kind}{suffix}"


def new_temporary(path: str | Path) -> Path:
    """Make the empty temporary file that is to be put at `path`.

    Raises OSError where none can be.
    """
    temporary = temporary_path(path, ".part")
    temporary.touch(mode=0o600, exist_ok=False)
    return temporary


def sweep_left_behind(folder: Path) -> None:
    """Remove temporary files of processes here that are gone; once per folder and process."""
    if folder in _SWEPT:
        return
    _SWEPT.add(folder)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = TEMPORARY_NAME.match(entry.name)
            if name is None or name["host"] != _host() or _is_alive(int(name["pid"])):
                continue
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    Path(entry.path).unlink()


def _host() -> str:
    """Return what tells this machine's processes from those of others that see the same folder."""
    namespace = ""
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{platform.node()} {namespace}".encode()).hexdigest()[:8]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # another user's
    return True
