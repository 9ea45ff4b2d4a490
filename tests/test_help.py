"""`--help` of every command at every width."""

from __future__ import annotations

import pytest
import typer

from sparqsim.cli.app import app
from sparqsim.cli.help import WIDEST

ROOT = typer.main.get_command(app)


def every_command(command=ROOT, path=()):
    """Every command and group with the words that call it."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from every_command(below, (*path, name))


EVERY = dict(every_command())


@pytest.mark.parametrize("width", [50, 80, 140])
@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_help_is_whole(path, width, run, monkeypatch):
    """Every word of every description is there in order and unbroken, and no line is too long."""
    monkeypatch.setenv("COLUMNS", str(width))
    ended = run(*path, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert max(map(len, ended.out.splitlines())) <= min(width, WIDEST)
    assert "…" not in ended.out
    shown, command = " ".join(ended.out.split()), EVERY[path]
    described = [command.help, *(each.help for each in command.params if each.help)]
    described += [
        below.help.partition("\n\n")[0] for below in getattr(command, "commands", {}).values()
    ]
    for text in described:
        assert " ".join(text.split()) in shown
    for each in command.params:
        assert all(
            name in shown.split() or f"{name}," in shown.split()
            for name in each.opts
            if name.startswith("-")
        )


def test_help_uses_the_room_there_is(run, monkeypatch):
    lines = {}
    for width in (50, 80, 140):
        monkeypatch.setenv("COLUMNS", str(width))
        lines[width] = len(run("simulate", "--help").out.splitlines())
    assert lines[50] > lines[80] > lines[140]


@pytest.mark.parametrize(
    "group", [path for path, command in EVERY.items() if path and hasattr(command, "commands")]
)
def test_a_group_alone_shows_its_commands(group, run):
    ended = run(*group)
    assert ended.code == 2
    assert ended.out.strip() == run(*group, "--help").out.strip()
    assert ended.err.count("\n") == 1
    assert all(name in ended.err for name in EVERY[group].commands)


@pytest.mark.parametrize(
    "path",
    [
        path
        for path, command in EVERY.items()
        if any("--format" in each.opts for each in command.params)
    ],
    ids=" ".join,
)
def test_another_format_is_refused_before_anything_else(path, refused):
    needed = [
        word
        for each in EVERY[path].params
        if each.required
        for word in ([each.opts[0], "none"] if each.opts[0].startswith("-") else ["none"])
    ]
    assert "--format 'xml': expected one of table, json, csv, markdown" in refused(
        *path, *needed, "--format", "xml"
    )
