"""The traces a worker process holds open: found by their path, or received as bytes."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sparqsim.base.errors import InputError
from sparqsim.trace import Trace, load_trace

Stamp = tuple[int, int, int]


class TraceUnseenError(Exception):
    """The worker that raised it cannot read the trace by its path, or not any more."""


@dataclass(frozen=True)
class HeldTrace:
    """An open trace and the file's stamp when it was checked. received: whether as bytes."""

    trace: Trace
    path: Path
    stamp: Stamp | None
    received: bool = False

    @classmethod
    def at(cls, path: Path, *, received: bool = False) -> Self:
        """Open the trace at `path`. Raises InputError for a file that is no sound trace."""
        stamp = _stamp(
            path
        )  # first: a change while the file is read makes it look changed, not sound
        return cls(load_trace(path), path, stamp, received)

    def check_unchanged(self) -> None:
        """Raise TraceUnseenError where the file has changed: results would be of something else."""
        if self.stamp is None or _stamp(self.path) != self.stamp:
            raise TraceUnseenError(str(self.path))


#: By SHA-256 of their content.
HELD: dict[str, HeldTrace] = {}


def held_trace(path: str, sha256: str, data: bytes | None = None) -> HeldTrace:
    """Return the trace with this content.

    Parameters
    ----------
    path : str
        Where it may be.
    sha256 : str
    data : bytes, optional
        The file, in case it is not there.

    Raises
    ------
    TraceUnseenError
        Where the trace is not at its path, or another one is, and no bytes came.
    InputError
        Where the bytes are those of another file.
    """
    with contextlib.suppress(KeyError, TraceUnseenError):
        HELD[sha256].check_unchanged()
        return HELD[sha256]
    held = _found(path, sha256) or _received(path, sha256, data)
    HELD[sha256] = held
    return held


def _found(path: str, sha256: str) -> HeldTrace | None:
    with contextlib.suppress(InputError, OSError):
        held = HeldTrace.at(Path(path))
        if held.trace.sha256 == sha256:
            return held
    return None


def _received(path: str, sha256: str, data: bytes | None) -> HeldTrace:
    if data is None:
        raise TraceUnseenError(path)
    folder = Path(tempfile.mkdtemp(prefix="sparqsim-trace-"))
    atexit.register(
        shutil.rmtree, folder, ignore_errors=True
    )  # layers are read from the file when they are used
    file = folder / "received.safetensors"
    file.write_bytes(data)
    held = HeldTrace.at(file, received=True)
    if held.trace.sha256 != sha256:
        raise InputError(
            f"{path}: sha256 {held.trace.sha256[:12]}... was sent, expected {sha256[:12]}...; did "
            "the file change?"
        )
    return held


def _stamp(path: Path) -> Stamp | None:
    """Return what changes when a file is written to or replaced, None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
