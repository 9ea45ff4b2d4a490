"""A reader of the documentation: has the files that pages speak of, and does what a page says,
block by block.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs_blocks import DATA, OUTPUT, PYTHON, SHELL, Block

from sparqsim.base.errors import InputError
from sparqsim.cli import main

INSTALLING = re.compile(r"python3? -m venv |(\S*/)?pip install |git clone |cd |source |export ")
EXTRA = re.compile(
    r"pip install -e '\.\[(\w+)\]'|needs (Icarus Verilog|pandas)|No module named '(\w+)'"
)
#: Words that stand for what only the reader knows.
WORDS = {"SPEC": "scale:1/255"}


class PageError(AssertionError):
    """A block that does not do what the page says."""


class MissingError(Exception):
    """A block needs something that is not installed here; the text names it."""


class Reader:
    """Runs a page's blocks, one after another, in the current folder."""

    def __init__(self, names: dict[str, Any]) -> None:
        """`names`: what Python blocks may use without making it."""
        self.names: dict[str, Any] = {"__name__": "docs", **names}
        self.printed: set[str] = set()
        self.missing: list[str] = []

    def read(self, block: Block) -> None:
        """Do what a block says. Raises PageError."""
        try:
            with self._listening():
                self._do(block)
        except MissingError as error:
            self.missing.append(f"{block.where} {error}")
        except Exception as error:
            if self.missing:  # it may want what a block before it could not make
                self.missing.append(f"{block.where} follows")
            elif isinstance(error, PageError):
                raise
            else:
                raise PageError(f"{block.where}: {type(error).__name__}: {error}") from error

    def _do(self, block: Block) -> None:
        if block.about("file"):
            Path(block.about("file")).write_text(block.text, encoding="utf-8")
        elif block.about("not run"):
            return
        elif block.language in SHELL:
            for command in commands_of(block):
                self._run(command, block)
        elif block.language in PYTHON:
            self._python(block)
        elif block.language in OUTPUT:
            self._compare(block)
        elif block.language not in DATA:
            raise PageError(
                f"{block.where}: a block of {block.language!r} is neither run nor excused"
            )

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """Note what is printed, and what is missing."""
        out, err = io.StringIO(), io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                yield
        except (PageError, InputError, ModuleNotFoundError) as error:
            # A page's own words, in a PageError, say nothing of what is installed here.
            found = EXTRA.search(
                err.getvalue() if isinstance(error, PageError) else f"{error}\n{err.getvalue()}"
            )
            if found:
                raise MissingError(f"needs {next(filter(None, found.groups()))}") from error
            raise PageError(f"{error}\n{err.getvalue()}") from error
        finally:
            self.printed |= {line.rstrip() for line in out.getvalue().splitlines()}

    def _run(self, command: list[str], block: Block) -> None:
        program, *rest = command
        name = Path(program).name
        if name in {"python", "python3"} and rest[:2] == ["-m", "sparqsim"]:
            name, rest = "sparqsim", rest[2:]
        if name == "sparqsim":
            _sparqsim(rest, block)
        elif name in {"python", "python3"} and rest and rest[0].endswith(".py"):
            self._script(rest)
        else:
            raise PageError(
                f"{block.where}: {shlex.join(command)!r} is neither run nor excused; <!-- "
                "not run: why -->"
            )

    def _script(self, command: list[str]) -> None:
        """Run a script of the reader's; what it defines is there for the blocks that follow."""
        before, sys.argv = sys.argv, command
        sys.path.insert(0, os.fspath(Path(command[0]).parent.resolve()))
        try:
            self.names |= {**runpy.run_path(command[0], run_name="__main__"), "__name__": "docs"}
        finally:
            sys.argv = before
            sys.path.pop(0)

    def _python(self, block: Block) -> None:
        if "__main__" in block.text:  # starts processes of its own: they read the file again
            Path("block.py").write_text(block.text, encoding="utf-8")
            subprocess.run([sys.executable, "block.py"], check=True, capture_output=True, text=True)
            return
        known = set(self.names)
        exec(compile(block.text, block.where, "exec"), self.names)  # noqa: S102 - the documentation's own code
        for name in set(self.names) - known:
            if name.startswith("test_"):
                self.names[name]()

    def _compare(self, block: Block) -> None:
        if block.about("not checked"):
            return
        for line in map(str.rstrip, block.text.splitlines()):
            if line not in self.printed | {"", "..."} and not set(line) <= set("─ "):
                raise PageError(f"{block.where}: no command above prints {line!r}")


def commands_of(block: Block) -> Iterator[list[str]]:
    """Yield the commands of a block, without those that install where the block says that it
    does.
    """
    for line in block.text.replace("\\\n", " ").splitlines():
        for part in line.split("&&"):
            if block.about("installs") and INSTALLING.match(part.strip()):
                continue
            words = [WORDS.get(word, word) for word in shlex.split(part, comments=True)]
            if words:
                yield words


def _sparqsim(arguments: list[str], block: Block) -> None:
    try:
        main(arguments)
    except SystemExit as ended:
        if ended.code not in {0, None}:
            raise PageError(
                f"{block.where}: `{shlex.join(['sparqsim', *arguments])}` ends with {ended.code}"
            ) from None
