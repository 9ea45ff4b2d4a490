"""Ctrl-C, and the signals that ask a process to end: one line, exit code 128 + signal, nothing left
behind.

While the command is imported nothing has been done yet, so a signal ends the process at once. Later
it is raised as KeyboardInterrupt, so that whatever is being written is taken back; a second one
does not wait for that.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TYPE_CHECKING = False  # not of `typing`: it takes long to load
if TYPE_CHECKING:
    from typing import Self

#: What each signal is called in the line, by name: not all systems have all of them.
WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "terminated: hung up"}
#: What a user may want to know of a command that was stopped; set by the command.
_ADVICE: list[str] = []


def advise(line: str) -> None:
    """Add to what is said if this command is stopped: what became of its work."""
    _ADVICE[:] = [line]


class Signals:
    """The handlers of a command, for use in a `with` block.

    Parameters
    ----------
    owned : bool
        Whether the process is the command's own; else its handlers are put back in the end, and
        only Ctrl-C is taken.
    """

    def __init__(self, *, owned: bool) -> None:
        self._owned = owned
        self._raises = False
        self._received: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        _ADVICE.clear()
        for name in WORDS if self._owned else ():
            number = getattr(signal, name, None)
            # One that is ignored, by `nohup` or a shell's `&`, stays so.
            default = (signal.default_int_handler, signal.SIG_DFL)
            if number is not None and signal.getsignal(number) in default:
                self._before[number] = signal.signal(number, self._handle)
        if self._owned:
            sys.unraisablehook = self._handle_unraisable
        return self

    def __exit__(self, *_: object) -> None:
        # Nothing is left to be undone: while Python takes its modules down, a signal would only
        # make noise.
        for number in self._before:
            with suppress(ValueError):
                signal.signal(number, signal.SIG_IGN)

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Let a signal be raised as KeyboardInterrupt in the block, which ends there."""
        self._raises = True
        try:
            yield
        except KeyboardInterrupt:
            if self._received is None:
                self._received = signal.SIGINT
        finally:
            self._raises = False

    def told(self) -> int:
        """Say which signal ended the command, if one did; return the exit code, else 0."""
        if self._received is None:
            return 0
        _say(self._received)
        return 128 + self._received

    def _handle(self, number: int, frame: object) -> None:
        if not self._raises or self._received is not None:
            _end_now(self._received or number)
        self._received = number
        raise KeyboardInterrupt

    def _handle_unraisable(self, unraisable: sys.UnraisableHookArgs) -> None:
        """End where Python could not raise it: in a callback of C code, or a destructor."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            _end_now(self._received or signal.SIGINT)
        sys.__unraisablehook__(unraisable)


def _say(number: int) -> None:
    line = "; ".join([WORDS[signal.Signals(number).name], *_ADVICE])
    with suppress(Exception):
        print(f"sparqsim: {line}", file=sys.stderr, flush=True)


def _end_now(number: int) -> None:
    line = "; ".join([WORDS[signal.Signals(number).name], *_ADVICE])
    with suppress(OSError):
        os.write(2, f"sparqsim: {line}\n".encode())
    os._exit(128 + number)
