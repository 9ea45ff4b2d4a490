"""Workers on this machine: a process per core, each with one thread."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from sparqsim.base.errors import InputError
from sparqsim.sweep.processes import (
    Start,
    one_thread,
    room_for_processes,
    start_server,
    stops_put_off,
)
from sparqsim.sweep.traces import TraceUnseenError
from sparqsim.sweep.worker import Result, Work, done


class LocalWorkers:
    """A pool of processes, for use in a `with` block; leaving it early stops them at once.

    Parameters
    ----------
    jobs : int
        Processes.
    start : {'spawn', 'forkserver'}
        How they start: see `sparqsim.sweep.processes`.
    """

    def __init__(self, jobs: int, start: Start = "spawn") -> None:
        self.slots = jobs
        self._start = start
        self._futures: dict[Future[list[Result]], Work] = {}

    def __enter__(self) -> Self:
        if self._start == "forkserver":
            start_server()
        context = multiprocessing.get_context(self._start)
        lifeline, self._lifeline = context.Pipe(duplex=False)
        with room_for_processes():
            self._pool = ProcessPoolExecutor(
                self.slots, context, initializer=_begin, initargs=(lifeline,)
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._lifeline.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._lifeline.close()

    @property
    def busy(self) -> int:
        """Tasks that were submitted and not returned."""
        return len(self._futures)

    def submit(self, task: Work) -> None:
        """Start a task as soon as a worker is free."""
        with one_thread(), stops_put_off():  # a process starts when there is work for it
            try:
                self._futures[self._pool.submit(done, task)] = task
            except BrokenProcessPool:
                raise _broken() from None

    def finished(self) -> list[Result]:
        """Wait for a task and return its results. Raises InputError where a worker is gone."""
        ended, _ = wait(self._futures, return_when=FIRST_COMPLETED)
        future = ended.pop()
        task = self._futures.pop(future)
        try:
            return future.result()
        except BrokenProcessPool:
            raise _broken() from None
        except TraceUnseenError:
            raise InputError(
                f"{task.file}: changed or went away while the sweep ran; expected the same file"
            ) from None


def _broken() -> InputError:
    return InputError(
        "a worker process was killed (was there enough memory? --jobs sets how many run at once); "
        "what was recorded is safe, and the same command resumes"
    )


def _begin(lifeline: Connection) -> None:
    """Make a worker leave Ctrl-C to its parent, and end with it, even if that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()


def _end_with_parent(lifeline: Connection) -> None:
    with suppress(EOFError, OSError):
        lifeline.recv()
    os._exit(1)
