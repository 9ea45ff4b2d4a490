"""Worker processes of one thread each, quick to start: forked from one that has loaded what all of them need.

Loading the package with its compiler takes longer than most points of a sweep. A fork server does it once, while the
command that started it still reads its input. Python's fork server is one per process and stays, so this is for a
command, which owns its process; the library uses 'spawn' unless it is told otherwise.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Start = Literal["spawn", "forkserver"]

#: Threads of BLAS and of numba kernels; read when a process starts. Cores are busy with points, one each.
THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
                   "NUMBA_NUM_THREADS")
#: What the fork server imports.
LOADED = ["sparqsim.sweep.loaded"]


def quickest_start() -> Start:
    """Return how worker processes start soonest on this system."""
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def start_server() -> None:
    """Start the fork server, where there is none yet; return without waiting for it to have loaded."""
    from multiprocessing import forkserver, resource_tracker

    multiprocessing.get_context("forkserver").set_forkserver_preload(LOADED)
    resource_tracker.ensure_running()  # first: it unblocks signals
    with one_thread(), _interrupts_held():
        forkserver.ensure_running()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let processes that are started in the block have one thread each."""
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


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Block Ctrl-C, which a process started in the block inherits: it ends with its parent, and says nothing."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
