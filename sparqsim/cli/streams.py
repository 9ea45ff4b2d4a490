"""Standard output and standard error that may be full, closed, or without a reader.

What a command finds does not depend on who listens: its files are written, and its exit code is its
own. So an error of a standard stream is kept until the end. A reader that went away (`| head`) has
what it asked for; of any other error a line on standard error tells, with exit code 2, since the
result did not arrive.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, Self


class Descriptor(io.FileIO):
    """A file descriptor that keeps the first error of writing in `lost`, and then takes no more."""

    def __init__(self, number: int, lost: OSError | None = None) -> None:
        super().__init__(number, "wb", closefd=False)
        self._refused = lost
        self.lost: OSError | None = None

    def write(self, data: Any) -> int:
        """Write what the descriptor takes; return as if it were all of it once it takes nothing."""
        self.lost = self.lost or self._refused
        if self.lost is None:
            try:
                return super().write(data) or 0
            except BlockingIOError:
                raise
            except OSError as error:
                self.lost = error
        return memoryview(data).nbytes


class StandardStreams:
    """`sys.stdout` and `sys.stderr` of a command, for use in a `with` block.

    Parameters
    ----------
    owned : bool
        Whether the process is the command's own; else its streams stay as they are.
    """

    def __init__(self, *, owned: bool) -> None:
        self._owned = owned and os.name == "posix"
        self._output: Descriptor | None = None

    def __enter__(self) -> Self:
        if self._owned:
            closed = _occupied()
            self._before = sys.stdout, sys.stderr
            self._output = Descriptor(1, closed.get(1))
            sys.stdout = _text(self._output, sys.stdout)
            sys.stderr = _text(Descriptor(2, closed.get(2)), sys.stderr, line_buffering=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._owned:
            sys.stderr.flush()
            sys.stdout, sys.stderr = self._before

    def told(self) -> int:
        """Say that standard output was lost, if it was; return the exit code, else 0."""
        if self._output is None:
            return 0
        sys.stdout.flush()
        lost = self._output.lost
        if lost is None or lost.errno == errno.EPIPE:
            return 0
        print(
            f"sparqsim: standard output cannot be written ({lost.strerror}); what was to be shown "
            "is not complete",
            file=sys.stderr,
        )
        return 2


def _occupied() -> dict[int, OSError]:
    """Open the null device where a standard stream is closed: the next file would become it."""
    closed = {}
    for number in range(3):
        try:
            os.fstat(number)
        except OSError as error:
            closed[number] = error
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    return closed


def _text(
    descriptor: Descriptor, like: io.TextIOWrapper | Any, *, line_buffering: bool = False
) -> io.TextIOWrapper:
    """Return a text stream; what its encoding has no bytes for is escaped."""
    return io.TextIOWrapper(
        io.BufferedWriter(descriptor),
        encoding=getattr(like, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=line_buffering or descriptor.isatty(),
    )
