"""Writing a file whole or not at all.

A file is written beside its place under a temporary name, brought to the disk, and renamed: whoever
looks finds the earlier file or the whole new one. A link is followed: what it points at is
replaced, the link stays. What is no regular file (a device, a FIFO) cannot be replaced by a rename
without being destroyed, so it is written into; so is standard output under another name
(`/dev/stdout`), whose place in the file belongs to this process.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from sparqsim.base.files.place import (
    check_permission,
    destination,
    is_replaceable,
    standard_stream,
    unwritable,
)
from sparqsim.base.files.temporary import new_temporary


@contextmanager
def replaced(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file; if the block ends well, put what it holds at `path`.

    It is deleted in any case.

    Raises
    ------
    InputError
        When the place cannot be written, or the disk is full; the earlier file is untouched.
    """
    try:
        temporary = new_temporary(path)
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from None
    try:
        yield temporary
        _put_in_place(temporary, path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def flush_to_disk(path: Path) -> None:
    """Wait until a file's bytes are on the disk.

    Raises OSError where there was no room for them.
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _put_in_place(temporary: Path, path: str | Path) -> None:
    if not is_replaceable(path):
        with temporary.open("rb") as source:
            _write_into(path, source)
        return
    target = destination(path)
    check_permission(target)
    temporary.chmod(_mode_for(target))
    flush_to_disk(temporary)
    temporary.replace(target)


def _write_into(path: str | Path, source: IO[bytes]) -> None:
    """Write a file's content into a device, a FIFO, or a standard stream of this process."""
    stream = standard_stream(Path(path).stat())
    if stream is None:
        with Path(path).open("wb") as device:
            shutil.copyfileobj(source, device)
        return
    stream.flush()
    shutil.copyfileobj(source, stream.buffer)
    stream.buffer.flush()


def _mode_for(target: Path) -> int:
    """Return the mode the file has, or the one a new file would get."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
