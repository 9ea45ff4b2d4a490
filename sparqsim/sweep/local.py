"""Workers on this machine: a process per core, each with one thread."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from sparqsim.errors import InputError
from sparqsim.sweep.traces import TraceUnseenError
from sparqsim.sweep.worker import Result, Task, run_task

#: Threads of BLAS and of numba kernels; read when a worker starts. Cores are busy with points, one each.
THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
                   "NUMBA_NUM_THREADS")


class LocalWorkers:
    """A pool of processes, for use in a `with` block; leaving it early stops them at once.

    Parameters
    ----------
    jobs : int
        Processes.
    """

    def __init__(self, jobs: int) -> None:
        self.slots = jobs
        self._futures: dict[Future[list[Result]], Task] = {}

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        lifeline, self._lifeline = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(self.slots, context, initializer=_begin, initargs=(lifeline,))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self._lifeline.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._lifeline.close()

    @property
    def busy(self) -> int:
        """Tasks that were submitted and not returned."""
        return len(self._futures)

    def submit(self, task: Task) -> None:
        """Start a task as soon as a worker is free."""
        with _one_thread():  # a process starts when there is work for it
            try:
                self._futures[self._pool.submit(run_task, task)] = task
            except BrokenProcessPool:
                raise _broken() from None

    def finished(self) -> list[Result]:
        """Wait for a task and return its results. Raises InputError where a worker is gone."""
        done, _ = wait(self._futures, return_when=FIRST_COMPLETED)
        future = done.pop()
        task = self._futures.pop(future)
        try:
            return future.result()
        except BrokenProcessPool:
            raise _broken() from None
        except TraceUnseenError:
            raise InputError(f"{task.trace}: changed or went away while the sweep ran; expected the same "
                             "file") from None


def _broken() -> InputError:
    return InputError("a worker process was killed (was there enough memory? --jobs sets how many run at once); what "
                      "was recorded is safe, and the same command resumes")


def _begin(lifeline: Connection) -> None:
    """Make a worker leave Ctrl-C to its parent, and end when the parent does, even if that was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()


def _end_with_parent(lifeline: Connection) -> None:
    with suppress(EOFError, OSError):
        lifeline.recv()
    os._exit(1)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in THREAD_SETTINGS}
    os.environ.update(dict.fromkeys(THREAD_SETTINGS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
