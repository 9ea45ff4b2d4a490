"""Workers of a Dask cluster (extra `dask`). Same tasks, same results, byte for byte.

A worker reads the trace by its path where it finds the right content there. Where it does not, the
task says so, and the trace's bytes follow it to that worker, once.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sparqsim.base.errors import InputError
from sparqsim.base.wording import install_hint
from sparqsim.sweep.traces import TraceUnseenError
from sparqsim.sweep.worker import Result, Work

ADDRESS = re.compile(r"(tcp|tls|ws|wss)://\S+")
CONNECT_SECONDS = 10
WORKERS_SECONDS = 60
POLL_SECONDS = 0.01
#: How often a task is handed out again after Dask has given it up (each time it has outlived
#: several workers).
MOST_ATTEMPTS = 5
#: One simulation at a time in a process: kernels that use several threads must not run side by side
#: in it.
ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Unseen:
    """The worker at `address` needs the trace's bytes."""

    address: str


@dataclass(frozen=True)
class Handed:
    """A task on the cluster and how often it has been handed out."""

    task: Work
    attempts: int = 1


def run_remotely(task: Work, file_bytes: bytes | None = None) -> list[Result] | Unseen:
    """Do the task in a Dask worker."""
    from distributed import get_worker

    try:
        with ONE_AT_A_TIME:
            return task.done(file_bytes)
    except TraceUnseenError:
        return Unseen(get_worker().address)


class DaskWorkers:
    """The workers of a scheduler, for use in a `with` block.

    Parameters
    ----------
    address : str
        The scheduler, e.g. 'tcp://host:8786'.

    Raises
    ------
    InputError
        Where Dask is not installed, the scheduler does not answer or goes away, has no workers, or
        a worker's sparqsim is not this one.
    """

    def __init__(self, address: str) -> None:
        if not ADDRESS.fullmatch(address):
            raise InputError(
                f"--scheduler {address!r}: expected an address, e.g. tcp://127.0.0.1:8786"
            )
        self._address = address
        self._handed: dict[Any, Handed] = {}
        self._files: dict[str, Any] = {}

    def __enter__(self) -> Self:
        distributed = _distributed()
        self._check_certificate(distributed.Security())
        self._quiet = _quiet()
        self._quiet.__enter__()
        try:
            self._client = distributed.Client(
                self._address, timeout=CONNECT_SECONDS, set_as_default=False
            )
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            # TypeError: what Dask raises for tls:// without a certificate.
            self._quiet.__exit__(None, None, None)
            raise InputError(
                f"--scheduler {self._address!r}: no answer ({_line(error)}); expected the address "
                "of a Dask scheduler that runs, e.g. tcp://127.0.0.1:8786 (for tls:// with Dask's "
                "settings distributed.comm.tls)"
            ) from None
        try:
            self._client.wait_for_workers(1, timeout=WORKERS_SECONDS)
        except (OSError, ValueError):
            self.__exit__(None, None, None)
            raise InputError(
                f"--scheduler {self._address!r}: no worker within {WORKERS_SECONDS} s; expected at "
                f"least one (`dask worker {self._address}`)"
            ) from None
        self.slots = max(1, sum(self._client.nthreads().values()))
        return self

    def _check_certificate(self, security: Any) -> None:
        """Raise InputError for an encrypted address where Dask has been given no certificate."""
        if self._address.startswith(("tls:", "wss:")) and not security.tls_client_cert:
            raise InputError(
                f"--scheduler {self._address!r}: Dask has no certificate to show; expected its "
                "settings distributed.comm.tls (ca-file, client cert and key)"
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        with suppress(Exception):  # the scheduler may be gone
            self._client.cancel(list(self._handed))
        self._handed.clear()
        self._files.clear()
        with suppress(Exception):
            self._client.close(timeout=2)
        self._quiet.__exit__(None, None, None)

    @property
    def busy(self) -> int:
        """Tasks that were submitted and not returned."""
        return len(self._handed)

    def submit(self, task: Work) -> None:
        """Hand a task to the cluster."""
        self._hand(Handed(task))

    def finished(self) -> list[Result]:
        """Wait for a task and return its results. Raises InputError as the class says."""
        while True:
            future = self._ended_future()
            handed = self._handed.pop(future)
            results = self._outcome(future, handed)
            if results is not None:
                return results

    def _ended_future(self) -> Any:
        while True:
            if self._client.status != "running":
                raise self._gone()
            ended = next((future for future in self._handed if future.status != "pending"), None)
            if ended is not None:
                return ended
            time.sleep(POLL_SECONDS)

    def _outcome(self, future: Any, handed: Handed) -> list[Result] | None:
        """Return a task's results, or None after handing it out again."""
        if future.status == "finished":
            outcome = self._asked(future.result)
            if not isinstance(outcome, Unseen):
                return list(outcome)
            self._hand(handed, near=outcome.address)
            return None
        if future.status == "error":
            self._check_worth_repeating(future.exception(), handed)
        # Cancelled or lost: the only worker that held the trace's bytes is gone, or the scheduler
        # is.
        if self._client.status != "running":
            raise self._gone()
        self._files.pop(handed.task.file_sha256, None)
        self._hand(replace(handed, attempts=handed.attempts + 1))
        return None

    def _check_worth_repeating(self, error: BaseException, handed: Handed) -> None:
        if isinstance(error, InputError):
            raise InputError(f"--scheduler {self._address!r}: {error}") from None
        if not isinstance(error, _distributed().KilledWorker):
            raise InputError(
                f"--scheduler {self._address!r}: a worker failed ({_line(error)}); expected "
                "workers with the same sparqsim as here"
            ) from None
        if handed.attempts >= MOST_ATTEMPTS:
            raise InputError(
                f"--scheduler {self._address!r}: workers die of {handed.task.words} (is there "
                "enough memory?); what was recorded is safe, and the same command resumes"
            ) from None

    def _hand(self, handed: Handed, near: str | None = None) -> None:
        """Hand out a task; with the trace's bytes to the worker at `near`, which needs them."""
        bytes_of_file = None if near is None else self._scattered(handed.task)
        where = {} if near is None else {"workers": [near], "allow_other_workers": True}
        future = self._asked(
            lambda: self._client.submit(
                run_remotely, handed.task, bytes_of_file, pure=False, **where
            )
        )
        self._handed[future] = handed

    def _scattered(self, task: Work) -> Any:
        if task.file_sha256 not in self._files:
            try:
                data = Path(task.file).read_bytes()
            except OSError as error:
                raise InputError(
                    f"{task.file}: cannot be read any more ({error.strerror})"
                ) from None
            self._files[task.file_sha256] = self._asked(
                lambda: self._client.scatter(data, hash=False)
            )
        return self._files[task.file_sha256]

    def _asked(self, request: Any) -> Any:
        """Return what the scheduler answers. Raises InputError where it does not."""
        try:
            return request()
        except InputError:
            raise
        except Exception as error:
            if self._client.status != "running" or isinstance(error, OSError):
                raise self._gone() from None
            raise

    def _gone(self) -> InputError:
        return InputError(
            f"--scheduler {self._address!r}: went away; what was recorded is safe, and the same "
            "command resumes when it is back"
        )


def _distributed() -> Any:
    try:
        import distributed
    except ModuleNotFoundError:
        raise InputError(
            "--scheduler needs Dask, which is not installed; expected " + install_hint("dask")
        ) from None
    return distributed


def _line(error: object) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's log off stderr: what the user needs to know is said in one line."""
    loggers = [
        logging.getLogger(name)
        for name in ("distributed", "distributed.client", "distributed.core", "tornado")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
