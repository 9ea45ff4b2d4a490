"""Work on another core while this one goes on: for what lets go of the interpreter's lock.

Parallel kernels may not run on two threads at once: whoever hands one to another thread must not
run one beside it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def core_count() -> int:
    """Return how many cores kernels use: numba's setting, which workers of a sweep have at 1."""
    from sparqsim.base.compiling import kernel_threads

    return kernel_threads()


def one_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield items, the next of which is made by another thread while this one is worked on."""
    with ThreadPoolExecutor(1) as worker:
        coming = worker.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = worker.submit(next, items, None)
            yield item


def all_done(calls: Iterable[tuple[Callable[..., object], tuple[Any, ...]]], threads: int) -> None:
    """Make calls on so many threads. Arguments are asked for here, a few ahead of the calls."""
    with ThreadPoolExecutor(threads) as workers:
        waiting: deque[Future[object]] = deque()
        for function, arguments in calls:
            if len(waiting) == 2 * threads:
                waiting.popleft().result()
            waiting.append(workers.submit(function, *arguments))
        for each in waiting:
            each.result()
