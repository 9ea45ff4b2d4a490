"""Progress with an estimate of the time left, on a terminal's stderr; nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sparqsim.base.errors import printable

Item = TypeVar("Item")

DESCRIPTION = "{task.description}"


@contextmanager
def progress_bar(*columns: str | ProgressColumn) -> Iterator[Progress]:
    """Give a progress bar that is silent in a pipe.

    Without `columns` it shows how many there have been, and how long it took and will take.
    """
    counting = (DESCRIPTION, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(
        *(columns or (*counting, "left", TimeRemainingColumn())),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        yield bar


@contextmanager
def steps_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Give what is told of a long method's steps: what it works on, steps done, steps in all."""
    with progress_bar() as bar:
        task = bar.add_task("", total=None, visible=False)

        def told(what: str, done: int, steps: int) -> None:
            shown = escape(printable(what))
            bar.update(task, description=shown, completed=done, total=steps, visible=True)

        yield told


def counted(items: Iterable[Item], total: int, description: str) -> Iterator[Item]:
    """Yield `items`, showing how many of `total` there have been."""
    with progress_bar() as bar:
        yield from bar.track(items, total=total, description=description)
