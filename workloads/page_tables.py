"""Tables in a page, each between `<!-- table NAME -->` and `<!-- end -->`, made by a script."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from accuracy_tables import TABLE

from sparqsim.base.files import write_text


def with_tables(page: str, lines_of: Callable[[str], Sequence[str]]) -> str:
    """Return a page whose tables hold the lines that `lines_of` makes by their names."""
    return TABLE.sub(
        lambda found: f"{found[1]}\n" + "\n".join(lines_of(found[2])) + f"\n\n{found[3]}", page
    )


def write_page(path: Path, rendered: Callable[[str], str]) -> None:
    """Put the tables into the page."""
    write_text(path, rendered(path.read_text(encoding="utf-8")))


def write_or_check(path: Path, rendered: Callable[[str], str]) -> None:
    """Put the tables into the page; with `--check` only end with 1 if it holds others."""
    if "--check" not in sys.argv[1:]:
        write_page(path, rendered)
        return
    page = path.read_text(encoding="utf-8")
    sys.exit(int(rendered(page) != page))
