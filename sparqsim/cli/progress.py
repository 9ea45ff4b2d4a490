"""Progress with an estimate of the time left, on a terminal's stderr; nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

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


def counted(items: Iterable[Item], total: int, description: str) -> Iterator[Item]:
    """Yield `items`, showing how many of `total` there have been."""
    with progress_bar() as bar:
        yield from bar.track(items, total=total, description=description)
