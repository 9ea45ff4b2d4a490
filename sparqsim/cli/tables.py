"""What a command has to show, in the formats of `--format`: tables to read, JSON, CSV, Markdown.

On a terminal tables take its width, in a pipe 80 columns. Figures are never cut: where a table is
too wide, names in its first column are shortened in the middle, and then columns move to a further
block below.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable

from sparqsim.base.errors import InputError, csv_cell, printable_lines
from sparqsim.base.files import write_text
from sparqsim.cli.completion import FORMATS
from sparqsim.cli.markdown import SOFT_HYPHEN, markdown_table, paragraphs

#: Names are not made shorter than this, in characters.
SHORTEST_NAME = 12
#: Width of a last column of running text below which it is not made narrower.
NARROWEST_TEXT = 16
#: What a figure looks like: a number, perhaps signed, perhaps more behind it; or none.
FIGURE = re.compile(r"[-+]?\d|[-+]?inf\b|nan\b|-?$")


def console() -> Console:
    """Return the console for results: as wide as the terminal, 80 columns in a pipe."""
    # Names come from files: what looks like markup or an emoji code in them is shown as it is.
    return Console(highlight=False, soft_wrap=False, markup=False, emoji=False)


class Readable(Protocol):
    """What a console and Markdown can show: a table, or several."""

    def print_to(self, out: Console) -> None:
        """Print it within the console's width."""

    def to_markdown(self) -> str:
        """Return it as GitHub shows it."""
        ...


@dataclass
class Table:
    """Rows of text under column headings; a heading may have several lines, a cell a range in a
    second one.

    The first column holds names; with `text` the last one holds running text. Of the others, words
    stand to the left and figures to the right.
    """

    title: str
    columns: Sequence[str]
    text: bool = False
    rows: list[Sequence[str]] = field(default_factory=list)
    #: Numbers of the rows before which a new section starts.
    sections: list[int] = field(default_factory=list)

    def add_row(self, *cells: str) -> None:
        """Add a row, one cell for each column."""
        self.rows.append([printable_lines(cell) for cell in cells])

    def add_section(self) -> None:
        """Start a section: totals, mostly."""
        self.sections.append(len(self.rows))

    def print_to(self, out: Console) -> None:
        """Print the table within the console's width."""
        widths = [self._width(at) for at in range(len(self.columns))]
        for number, block in enumerate(_blocks(widths, out.width, text=self.text)):
            if number:
                out.print()
            out.print(self.title + (" (continued)" if number else ""), style="bold")
            out.print(self._rich(block, out.width, widths))

    def whole_width(self) -> int:
        """Return the columns of a console that the table takes with every name whole."""
        widths = [self._width(at) for at in range(len(self.columns))]
        return sum(widths) + len(widths) - 1

    def to_markdown(self) -> str:
        """Return the table as GitHub shows it."""
        words = [self._holds_words(at) for at in range(len(self.columns))]
        return markdown_table(self.title, self.columns, self.rows, words)

    def _holds_words(self, column: int) -> bool:
        names_or_text = column == 0 or (self.text and column == len(self.columns) - 1)
        return names_or_text or not all(FIGURE.match(row[column]) for row in self.rows)

    def _width(self, column: int) -> int:
        lines = (
            line
            for text in (self.columns[column], *(row[column] for row in self.rows))
            for line in text.split("\n")
        )
        return max(map(cell_len, lines))

    def _rich(self, block: Sequence[int], width: int, widths: Sequence[int]) -> RichTable:
        table = RichTable(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
        text = len(self.columns) - 1 if self.text else 0
        room = width - sum(1 + (widths[at] if at != text else NARROWEST_TEXT) for at in block)
        longest = max(room, min(widths[0], SHORTEST_NAME))
        table.add_column(self.columns[0], no_wrap=True, overflow="ellipsis")
        for at in block:
            flowing = self.text and at == text
            table.add_column(
                self.columns[at].replace(SOFT_HYPHEN, "-"),
                no_wrap=not flowing,
                overflow="fold",
                justify="left" if self._holds_words(at) else "right",
            )
        names = shortened([row[0] for row in self.rows], longest)
        for number, (name, row) in enumerate(zip(names, self.rows, strict=True)):
            if number in self.sections:
                table.add_section()
            table.add_row(name, *(row[at] for at in block))
        return table


def shortened(names: Sequence[str], width: int) -> list[str]:
    """Return names within `width` columns: long ones lose their middle, cut where most of them
    still differ.

    Those that would look alike all the same get their number in front.
    """
    wanted = len(set(names))
    heads = sorted(range(1, max(2, width - 2)), key=lambda head: abs(head - width // 3))
    cuts = ([_cut(name, head, width) for name in names] for head in heads)
    best: list[str] = []
    for cut in cuts:
        best = cut if len(set(cut)) > len(set(best)) else best
        if len(set(best)) == wanted:
            return best
    alike = Counter(best)
    return [
        _cut(f"{number} …{name}", len(str(number)) + 1, width) if alike[cut] > 1 else cut
        for number, (name, cut) in enumerate(zip(names, best, strict=True), 1)
    ]


def _cut(name: str, head: int, width: int) -> str:
    """Return a name within `width` columns; a longer one's `head`, an ellipsis, and its end."""
    if cell_len(name) <= width:
        return name
    tail = max(1, width - 1 - head)
    while (
        tail > 1 and cell_len(name[:head]) + cell_len(name[-tail:]) > width - 1
    ):  # characters two columns wide
        head, tail = (head, tail - 1) if tail >= head else (head - 1, tail)
    return f"{name[:head]}…{name[-tail:]}"


def _blocks(widths: Sequence[int], width: int, *, text: bool) -> list[list[int]]:
    """Return the columns beside the first one, cut into as many blocks as the width asks for."""
    taken = list(widths)
    if text:
        taken[-1] = min(taken[-1], NARROWEST_TEXT)
    room = width - min(widths[0], SHORTEST_NAME)
    blocks: list[list[int]] = [[]]
    for column in range(1, len(widths)):
        if blocks[-1] and sum(1 + taken[at] for at in (*blocks[-1], column)) > room:
            blocks.append([])
        blocks[-1].append(column)
    return blocks


@dataclass(frozen=True)
class Shown:
    """What a command found, ready for every format.

    `heading`: what it is about. `tables` and `notes`: to read. `records`: a flat row of values for
    each thing that was measured, under names that bear units. `to_json`: the text that `-o` writes.
    `names`: those of the records' fields that are there even if there is no record. `lines`,
    `markdown`: what a terminal and what Markdown shows instead of heading, tables and notes, if
    anything.
    """

    heading: str
    tables: Sequence[Readable]
    notes: str
    records: Callable[[], Sequence[Mapping[str, Any]]]
    to_json: Callable[[], str]
    names: Sequence[str] = ()
    lines: str = ""
    markdown: str = ""

    def to_markdown(self) -> str:
        """Return heading, tables and notes; each of their lines is a paragraph."""
        parts = [
            paragraphs(self.heading),
            *(table.to_markdown() for table in self.tables),
            paragraphs(self.notes),
        ]
        return self.markdown or "\n\n".join(filter(None, parts)) + "\n"


def checked_format(name: str) -> str:
    """Return the name of a format if it is one; called before work is done for it."""
    if name not in FORMATS:
        raise InputError(f"--format {name!r}: expected one of {', '.join(FORMATS)}")
    return name


def show(shown: Shown, name: str) -> None:
    """Print what was found in a format; in JSON and CSV that is all that standard output gets."""
    if name == "json":
        write_out(shown.to_json())
    elif name == "csv":
        write_out(as_csv(shown.records(), shown.names))
        if shown.heading:
            print(shown.heading, file=sys.stderr)
    elif name == "markdown":
        write_out(shown.to_markdown())
    elif shown.lines:
        write_out(shown.lines + "\n")
    else:
        _show_tables(shown)


def deliver(shown: Shown, name: str, *writes: Callable[[], None]) -> None:
    """Print what was found, then write files of it: what cannot be written has at least been shown.

    Nor does what goes wrong with one of them keep the others from being written.
    """
    with ExitStack() as stack:
        for write in reversed(writes):
            stack.callback(write)
        show(shown, name)
        sys.stdout.flush()


def saving(path: str | None, text: Callable[[], str]) -> Callable[[], None]:
    """Return what writes a text to a file, if there is to be one."""
    return lambda: None if path is None else write_text(path, text())


def _show_tables(shown: Shown) -> None:
    out = console()
    if shown.heading:
        out.print(shown.heading)
        out.print()
    for number, table in enumerate(shown.tables):
        if number:
            out.print()
        table.print_to(out)
    if shown.notes:
        out.print()
        out.print(shown.notes)


def as_csv(records: Sequence[Mapping[str, Any]], names: Sequence[str] = ()) -> str:
    """Return rows as CSV with a line of names; None is empty, truth is `true` or `false`."""
    text = io.StringIO()
    found = dict.fromkeys([*names, *(name for record in records for name in record)])
    writer = csv.DictWriter(text, list(found), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: csv_cell(value) for name, value in record.items()} for record in records
    )
    return text.getvalue()


def write_out(text: str) -> None:
    """Write text to standard output as it is."""
    sys.stdout.write(text)
    sys.stdout.flush()
