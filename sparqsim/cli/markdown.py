"""Markdown as GitHub shows it: cells on one line, text of which nothing else is made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

#: Where a long word of a heading may be parted in a narrow table: shown as '-' there, and nowhere
#: else.
SOFT_HYPHEN = "\u00ad"
#: What Markdown would make something of: an underscore only at the edge of a word.
SPECIAL = re.compile(r"[\\`*\[<&~|$]|(?<![^\W_])_|_(?![^\W_])")
#: What makes a line something else than text: the beginnings of headings, quotes and lists, a line
#: below a heading.
BEGINNING = re.compile(r"^(\d{0,9})(?=[#>+=.)-])", re.MULTILINE)


def markdown_table(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[bool]
) -> str:
    """Return a table: columns of words to the left, of figures to the right."""
    rule = ["---" if left else "---:" for left in words]
    lines = [f"**{escaped(title)}**", "", _line(map(on_one_line, headings))]
    lines.append("| " + " | ".join(rule) + " |")
    return "\n".join([*lines, *(_line(map(_cell, row)) for row in rows)])


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(escaped, cells)) + " |"


def on_one_line(heading: str) -> str:
    """Return a heading of several lines on one; parts of a name stay together."""
    return (
        heading.replace(SOFT_HYPHEN + "\n", "")
        .replace("-\n", "-")
        .replace(":\n", ":")
        .replace(",\n", ",")
        .replace("\n", " ")
    )


def _cell(text: str) -> str:
    """Return a cell on one line: its second line, a range, in parentheses."""
    first, _, second = text.partition("\n")
    return f"{first} ({second})" if second else first


def paragraphs(text: str) -> str:
    """Return lines of text as a paragraph each."""
    lines = (BEGINNING.sub(r"\1\\", escaped(line.strip())) for line in text.split("\n"))
    return "\n\n".join(filter(None, lines))


def escaped(text: str) -> str:
    """Return text of which Markdown makes nothing else."""
    return SPECIAL.sub(lambda found: "&lt;" if found.group() == "<" else "\\" + found.group(), text)
