"""Worker processes of one thread each, quick to start: forked from one that has loaded what all of
them need.

Loading the package with its compiler takes longer than most points of a sweep. A fork server does
it once, while the command that started it still reads its input. Python's fork server is one per
process and stays, so this is for a command, which owns its process; the library uses 'spawn' unless
it is told otherwise.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from sparqsim.base.environment import environment
from sparqsim.base.errors import InputError

Start = Literal["spawn", "forkserver"]

#: Threads of BLAS and of numba kernels; read when a process starts. Cores are busy with points, one
#: each.
THREAD_SETTINGS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)
#: Signals that ask a process to end; not all systems have all of them.
STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
#: What the fork server imports.
LOADED = ["sparqsim.sweep.loaded"]
#: The setting that names the process which started the fork server.
PARENT = "SPARQSIM_FORK_SERVER_OF"
#: How often a fork server that is still loading looks whether its parent lives.
LOOK_SECONDS = 0.1


def quickest_start() -> Start:
    """Return how worker processes start soonest on this system."""
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def start_server() -> None:
    """Start the fork server, if there is none; return without waiting for it to have loaded."""
    from multiprocessing import forkserver

    multiprocessing.get_context("forkserver").set_forkserver_preload(LOADED)
    start_tracker()  # first: it unblocks signals
    with (
        room_for_processes(),
        one_thread(),
        environment({PARENT: str(os.getpid())}),
        _interrupts_held(),
    ):
        forkserver.ensure_running()


def start_tracker() -> None:
    """Start Python's resource tracker, where there is none yet and this system has one.

    It unlinks the semaphores of a process that was killed, as it should, and would warn of each
    time it does.
    """
    if os.name == "posix":
        from multiprocessing import resource_tracker

        with environment({"PYTHONWARNINGS": "ignore"}):
            resource_tracker.ensure_running()


@contextmanager
def room_for_processes() -> Iterator[None]:
    """Tell in one line what the system refuses: sockets in its temporary folder, semaphores."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"worker processes cannot be started ({error}); expected free space in the folder for "
            "temporary files (TMPDIR names one) and in /dev/shm"
        ) from None


@contextmanager
def ends_with_parent() -> Iterator[None]:
    """End this process, a fork server that cannot see it yet, when its starter ends."""

    def look(*_: object) -> None:
        if str(os.getppid()) != os.environ.get(PARENT):
            os._exit(1)

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS, LOOK_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def stops_put_off() -> Iterator[None]:
    """Let what stops this process, Ctrl-C or a signal, do so only after the block.

    For starting a process: one that is started by half is known to nobody who would wait for it,
    and finds that what it shares with this one is gone.
    """
    received: list[int] = []
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in STOPS:
            # None: a handler that Python could not put back.
            if signal.getsignal(number) is not None:
                before[number] = signal.signal(number, lambda given, _: received.append(given))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in received[:1]:
            signal.raise_signal(number)


def one_thread() -> AbstractContextManager[None]:
    """Let processes that are started in the block have one thread each."""
    return environment(dict.fromkeys(THREAD_SETTINGS, "1"))


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Block Ctrl-C, as does a process started in the block: it ends with its parent, in silence."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
