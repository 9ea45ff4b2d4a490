"""Writing files so that nothing a user has is lost, and nothing is left behind.

A file is written beside its place under a temporary name, brought to the disk, and renamed: whoever looks finds the
earlier file or the whole new one. A link is followed: what it points at is replaced, the link stays. What is no
regular file (a device, a FIFO) cannot be replaced by a rename without being destroyed, so it is written into; so is
standard output under another name (`/dev/stdout`), whose place in the file belongs to this process.

Temporary names hold the machine and the process that made them: `.NAME.HOST-PID-RANDOM.part`. A process that was
killed leaves its own behind, and the next writer in the same folder removes those whose process is gone.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TextIO

from sparqsim.errors import InputError

#: Of a target's name, what its temporary ones keep: names have at most 255 bytes on most systems.
KEPT_NAME_BYTES = 100
LONGEST_SUFFIX_BYTES = 20
TEMPORARY_NAME = re.compile(r"\..*\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{8}\.(part|spool)")
#: Folders whose left-behind files this process has removed.
_SWEPT: set[Path] = set()
#: Suffixes of the files that are read where a folder is given: arrays, their description, pictures.
READ_FROM_FOLDERS = frozenset(
    {
        ".npy",
        ".csv",
        ".png",
        ".jpg",
        ".jpeg",
        ".bmp",
        ".gif",
        ".webp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
    }
)


@contextmanager
def replaced(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file; if the block ends well, put what it holds at `path`. It is deleted in any case.

    Raises
    ------
    InputError
        When the place cannot be written, or the disk is full; the earlier file is untouched.
    """
    try:
        temporary = temporary_path(path, ".part")
        temporary.touch(mode=0o600, exist_ok=False)
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


def temporary_path(path: str | Path, kind: str) -> Path:
    """Return an unused name for the work on `path`, in its folder if a rename shall put the work in place.

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


def destination(path: str | Path) -> Path:
    """Return where the file itself is, or would be made: links are followed. Raises OSError for links in a circle."""
    with suppress(FileNotFoundError):
        Path(path).stat()
    return Path(os.path.realpath(path))


def is_replaceable(path: str | Path) -> bool:
    """Return whether a rename may put a file at `path`: nothing is there, or a file that is only a file."""
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return True
    return stat.S_ISREG(status.st_mode) and _standard_stream(status) is None


def sweep_left_behind(folder: Path) -> None:
    """Remove temporary files and folders of processes of this machine that are gone; once per folder and process."""
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


def unwritable(path: str | Path, error: Exception) -> InputError:
    """Return what to raise where `path` cannot be written."""
    reason = getattr(error, "strerror", None) or error
    return InputError(
        f"{path}: cannot be written ({reason}); expected a file path in a "
        "folder that exists and may be written, and free space"
    )


def check_writable(path: str | Path) -> None:
    """Raise InputError where `replaced` could not even begin: before work is done for it."""
    try:
        if is_replaceable(path):
            with replaced_nothing(path):
                pass
        elif not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from None


@contextmanager
def replaced_nothing(path: str | Path) -> Iterator[None]:
    """Make and remove the temporary file that `replaced` would begin with; hold a file that may be written as it is."""
    target = destination(path)
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))
    temporary = temporary_path(path, ".part")
    temporary.touch(mode=0o600, exist_ok=False)
    try:
        yield
    finally:
        temporary.unlink()


def cache_folder(name: str) -> Path | None:
    """Return the user's cache folder `name` of sparqsim, made where it was missing.

    Returns
    -------
    Path or None
        None where there is no home, no room, or no permission: then nothing is kept.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # A relative path is to be ignored, as the XDG rules say; a user without a home has no cache.
        home = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
        folder = home / "sparqsim" / name
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError, ValueError):
        return None


def check_outputs(
    outputs: Mapping[str, str | Path | None], inputs: Iterable[str | Path | None] = ()
) -> None:
    """Refuse outputs that cannot be written, or would destroy what is read: before any work is done for them.

    Parameters
    ----------
    outputs : mapping of str to path
        Where results go, by option; None where it is not given.
    inputs : iterable of path
        Files that are read, and folders whose files are; None and what does not exist is passed over.

    Raises
    ------
    InputError
        For a place that cannot be written, two outputs in one file, or an output that is an input, under whatever
        names: paths, links and hard links are told apart by the file they lead to.
    """
    check_distinct(outputs, inputs)
    for path in outputs.values():
        if path is not None:
            check_writable(path)


def check_distinct(
    outputs: Mapping[str, str | Path | None], inputs: Iterable[str | Path | None] = ()
) -> None:
    """Do the part of `check_outputs` that looks at nothing but which file is which."""
    read = [Path(path) for path in inputs if path is not None and _exists(path)]
    files = {_identity(path): path for path in read if not path.is_dir()}
    folders = [_identity_path(path) for path in read if path.is_dir()]
    taken: dict[object, str] = {}
    for option, path in outputs.items():
        if path is None or not _replaceable(path):
            continue
        identity = _identity(path)
        if identity in files:
            raise InputError(
                f"{option} {str(path)!r} is {str(files[identity])!r}, which is read and would be lost; "
                "expected another file"
            )
        if identity in taken:
            raise InputError(
                f"{option} {str(path)!r} is also what {taken[identity]} writes; expected two files"
            )
        target = _identity_path(path)
        if target.suffix.lower() in READ_FROM_FOLDERS and target.parent in folders:
            raise InputError(
                f"{option} {str(path)!r} is in the folder that is read; expected another folder"
            )
        taken[identity] = option


def _exists(path: str | Path) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def _replaceable(path: str | Path) -> bool:
    try:
        return is_replaceable(path)
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from None


def _identity(path: str | Path) -> object:
    """Return what is equal for two names of one file."""
    try:
        status = Path(path).stat()
    except OSError:
        return _identity_path(path)
    return status.st_dev, status.st_ino


def _identity_path(path: str | Path) -> Path:
    return Path(os.path.realpath(path))


def _put_in_place(temporary: Path, path: str | Path) -> None:
    if not is_replaceable(path):
        with temporary.open("rb") as source:
            _write_into(path, source)
        return
    target = destination(path)
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))
    temporary.chmod(_mode_for(target))
    flush_to_disk(temporary)
    temporary.replace(target)


def flush_to_disk(path: Path) -> None:
    """Wait until a file's bytes are on the disk. Raises OSError where there was no room for them."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _write_into(path: str | Path, source: IO[bytes]) -> None:
    """Write a file's content into a device, a FIFO, or a standard stream of this process."""
    stream = _standard_stream(Path(path).stat())
    if stream is None:
        with Path(path).open("wb") as device:
            shutil.copyfileobj(source, device)
        return
    stream.flush()
    shutil.copyfileobj(source, stream.buffer)
    stream.buffer.flush()


def _standard_stream(status: os.stat_result) -> TextIO | None:
    """Return the standard stream of this process that is the file of this status, if one is."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        with suppress(OSError):
            if stream is not None and os.path.samestat(os.fstat(number), status):
                return stream
    return None


def _mode_for(target: Path) -> int:
    """Return the mode the file has, or the one a new file would get."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


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
