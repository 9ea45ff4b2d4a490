"""Tables in pages, each between `<!-- table NAME -->` and `<!-- end -->`, made by a script."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from accuracy_tables import TABLE

from sparqsim.base.files import write_text


def with_tables(page: str, lines_of: Callable[[str], Sequence[str]], *, spaced: bool = True) -> str:
    """Return a page whose tables hold the lines that `lines_of` makes by their names.

    `spaced`: an empty line stands before and behind them.
    """
    space = "\n" if spaced else ""
    return TABLE.sub(
        lambda found: f"{found[1]}{space}" + "\n".join(lines_of(found[2])) + f"\n{space}{found[3]}",
        page,
    )


def write_pages(paths: Iterable[Path], rendered: Callable[[str], str]) -> None:
    """Put the tables into pages."""
    for path in paths:
        write_text(path, rendered(path.read_text(encoding="utf-8")))


def write_or_check(paths: Iterable[Path], rendered: Callable[[str], str]) -> None:
    """Put the tables into pages; with `--check` only end with 1 if one of them holds others."""
    parser = argparse.ArgumentParser(description="Write the tables of pages from their records.")
    parser.add_argument("--check", action="store_true", help="only say whether tables are current")
    if not parser.parse_args().check:
        write_pages(paths, rendered)
        return
    for path in paths:
        page = path.read_text(encoding="utf-8")
        if rendered(page) != page:
            sys.exit(f"{path}: holds other tables; run python {sys.argv[0]}")
