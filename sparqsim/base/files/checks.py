"""Checks of outputs before any work is done for them: writable, distinct, and none that is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from sparqsim.base.errors import InputError
from sparqsim.base.files.place import check_permission, destination, is_replaceable, unwritable
from sparqsim.base.files.temporary import new_temporary

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


def check_outputs(
    outputs: Mapping[str, str | Path | None], inputs: Iterable[str | Path | None] = ()
) -> None:
    """Refuse outputs that cannot be written, or would destroy what is read: before any work is done
    for them.

    Parameters
    ----------
    outputs : mapping of str to path
        Where results go, by option; None where it is not given.
    inputs : iterable of path
        Files that are read, and folders whose files are; None and what does not exist is passed
        over.

    Raises
    ------
    InputError
        For a place that cannot be written, two outputs in one file, or an output that is an input,
        under whatever names: paths, links and hard links are told apart by the file they lead to.
    """
    check_distinct(outputs, inputs)
    for path in outputs.values():
        if path is not None:
            check_writable(path)


def check_writable(path: str | Path) -> None:
    """Raise InputError where `replaced` could not even begin: before work is done for it."""
    try:
        if is_replaceable(path):
            check_permission(destination(path))
            new_temporary(path).unlink()
        else:
            check_permission(path)
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from None


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
                f"{option} {str(path)!r} is {str(files[identity])!r}, which is read and would be "
                "lost; expected another file"
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
