"""Tables in pages, each between `<!-- table NAME -->` and `<!-- end -->`, made by a script."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparqsim.base.files import write_text

ROOT = Path(__file__).resolve().parent.parent
TABLE = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def markdown_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return ["| " + " | ".join(row) + " |" for row in (names, ["---"] * len(names), *rows)]


@dataclass(frozen=True)
class Pages:
    """Pages, and what makes the lines of their tables.

    paths: the pages that there are. lines_of: a table's lines, by its name. spaced: whether an
    empty line stands before and behind a table.
    """

    paths: Callable[[], Sequence[Path]]
    lines_of: Callable[[str], Sequence[str]]
    spaced: bool = True

    def rendered(self, page: str) -> str:
        """Return the text of a page with its tables made anew."""
        space = "\n" if self.spaced else ""

        def table(found: str) -> str:
            """Return a table as it stands between its markers."""
            return space + "".join(f"{line}\n" for line in self.lines_of(found)) + space

        return TABLE.sub(lambda found: found[1] + table(found[2]) + found[3], page)

    def write(self) -> None:
        """Put the tables into the pages."""
        for path in self.paths():
            write_text(path, self.rendered(path.read_text(encoding="utf-8")))

    def write_or_check(self) -> None:
        """Do so; with `--check` only end with 1 if a page holds others."""
        parser = argparse.ArgumentParser(description="Write tables of pages from their records.")
        parser.add_argument(
            "--check", action="store_true", help="only say whether they are current"
        )
        if not parser.parse_args().check:
            self.write()
            return
        for path in self.paths():
            page = path.read_text(encoding="utf-8")
            if self.rendered(page) != page:
                sys.exit(f"{path}: holds other tables; run python {sys.argv[0]}")
