"""The reference of functions: every command has one, each of them is there and says what it
does.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from sparqsim.cli.app import app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "python.md"
LINE = re.compile(r"^\| `(sparqsim [^`]+)` \| (.*) \|$", re.MULTILINE)
NAME = re.compile(r"`(sparqsim\.[\w.]+)`")


def table() -> dict[str, list[str]]:
    """Return the commands of the page, each with the names of its functions."""
    return {command: NAME.findall(cell) for command, cell in LINE.findall(PAGE.read_text())}


def commands(group: Any = None, words: str = "sparqsim") -> Iterator[str]:
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{words} {name}")
        else:
            yield f"{words} {name}"


def named(path: str) -> Any:
    """Return what a dotted path stands for: the longest module, then attributes."""
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            value = getattr(value, part)
        return value
    raise AssertionError(path)


def test_every_command_is_in_the_table_and_no_other() -> None:
    plain = {command for command in table() if " -" not in command}
    assert plain == set(commands())


def test_every_kind_of_figure_is_in_the_table() -> None:
    from sparqsim.cli.plot_options import OPTIONS

    told = {command.split()[-1] for command in table() if "--kind" in command}
    assert set(OPTIONS) - told <= {"k", "zero-fraction"}, "said beside array-size"
    assert told <= set(OPTIONS)


@pytest.mark.parametrize("path", sorted({path for paths in table().values() for path in paths}))
def test_a_named_function_is_there_with_a_docstring(path: str) -> None:
    if path.startswith("sparqsim.torch"):
        pytest.importorskip("torch")
    function = named(path)
    assert callable(function)
    assert len(inspect.getdoc(function) or "") > 20
    assert not function.__module__.startswith("sparqsim.cli"), "the command line parses and prints"
