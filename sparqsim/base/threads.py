"""Work on another core while this one goes on: for what lets go of the interpreter's lock.

Parallel kernels may not run on two threads at once: whoever hands one to another thread must not
run one beside it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import pairwise, starmap
from typing import Any, TypeVar

T = TypeVar("T")


def core_count() -> int:
    """Return how many cores kernels use: numba's setting, which workers of a sweep have at 1."""
    from sparqsim.base.compiling import kernel_threads

    return kernel_threads()


def shares(length: int, least: int = 1) -> list[tuple[int, int]]:
    """Return (start, stop) of as many parts of range(length) as there are cores, none of them
    shorter than `least`.
    """
    count = max(1, min(core_count(), length // least))
    ends = [length * number // count for number in range(count + 1)]
    return list(pairwise(ends))


def side_by_side(function: Callable[..., object], arguments: Sequence[tuple[Any, ...]]) -> None:
    """Call `function` with each of a few tuples of arguments at once, the first of them here.

    The function must not do the same in its turn.
    """
    # A kernel is compiled once, not by each thread that needs it first.
    function = getattr(function, "compiled", function)
    here, *beside = arguments
    waiting = [_helpers().submit(function, *each) for each in beside]
    function(*here)
    for each in waiting:
        each.result()


@cache
def _helpers() -> ThreadPoolExecutor:
    """Return threads that wait for work: starting one takes longer than what it is given."""
    return ThreadPoolExecutor(core_count())


if hasattr(os, "register_at_fork"):  # a fork has none of the threads
    os.register_at_fork(after_in_child=_helpers.cache_clear)


def one_ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield items, the next of which is made by another thread while this one is worked on."""
    with ThreadPoolExecutor(1) as worker:
        coming = worker.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = worker.submit(next, items, None)
            yield item


def in_order(
    function: Callable[..., T], arguments: Iterable[tuple[Any, ...]], threads: int | None = None
) -> Iterator[T]:
    """Yield what `function` returns for each tuple of arguments, on so many threads, by default
    one for each core. Arguments are asked for here, a few ahead of the calls.
    """
    threads = core_count() if threads is None else threads
    if threads == 1:
        yield from starmap(function, arguments)
        return
    function = getattr(function, "compiled", function)
    waiting: deque[Future[T]] = deque()
    for each in arguments:
        if len(waiting) == 2 * threads:
            yield waiting.popleft().result()
        waiting.append(_helpers().submit(function, *each))
    for done in waiting:
        yield done.result()
