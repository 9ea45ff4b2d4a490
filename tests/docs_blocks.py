"""The blocks of code in a page of the documentation, and what its author says of each in an HTML
comment before it.

<!-- not run: REASON -->      the block is not run
<!-- installs: WHAT -->       lines that install (venv, pip, git clone, cd, source) are passed over, the rest is run
<!-- file: NAME -->           the block is the content of a file that the reader saves
<!-- not checked: REASON -->  a `text` block that need not be what the commands before it print
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

SHELL, PYTHON, OUTPUT = {"sh", "bash", "shell", "console"}, {"python"}, {"text"}
#: Read by people or by programs, never run.
DATA = {"", "toml", "yaml", "json", "csv", "systemverilog"}
COMMENT = re.compile(r"<!--\s*(not run|installs|file|not checked):\s*(.+?)\s*-->", re.DOTALL)
#: An indented block that begins with one of these is a command all the same.
COMMANDS = re.compile(r"\s*(\S*/)?(sparqsim|python3?|pip|pytest|dask|git|cd) ")


@dataclass(frozen=True)
class Block:
    """A block of code: where it stands, its language ('' for none), its text, what is said of
    it.
    """

    page: str
    line: int
    language: str
    text: str
    said: tuple[tuple[str, str], ...] = ()

    def about(self, what: str) -> str:
        """Return what the comment before the block says: the reason, the file's name; '' if it says
        nothing.
        """
        return dict(self.said).get(what, "")

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(path: Path, page: str) -> list[Block]:
    """Return the blocks of a page in order; directives of the site's generator ({toctree} and the
    like) are none.
    """
    return list(_blocks(path.read_text(encoding="utf-8"), page))


def _blocks(text: str, page: str) -> Iterator[Block]:
    said: list[tuple[str, str]] = []
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "html_block":
            said += COMMENT.findall(token.content)
            continue
        if token.type in {"fence", "code_block"}:
            language = (
                token.info.split(" ")[0] if token.type == "fence" else _guessed(token.content)
            )
            if not language.startswith("{"):
                yield Block(page, (token.map or [0])[0] + 1, language, token.content, tuple(said))
        said = []


def _guessed(text: str) -> str:
    return "sh" if COMMANDS.match(text) else ""


def inline_commands(path: Path) -> list[str]:
    """Return the `sparqsim ...` commands within the text of a page."""
    inlines = [
        token
        for token in MarkdownIt("commonmark").parse(path.read_text(encoding="utf-8"))
        if token.children
    ]
    codes = [
        child.content
        for token in inlines
        for child in token.children or []
        if child.type == "code_inline"
    ]
    return [code for code in codes if code.startswith("sparqsim ")]
