"""`--help` of every command at every width."""

from __future__ import annotations

import re

import pytest
import typer

import sparqsim
from sparqsim.analysis.bandwidth import BANDWIDTHS
from sparqsim.cli.app import app
from sparqsim.cli.help import WIDEST, in_users_words
from sparqsim.cost.memory import DEFAULT
from sparqsim.engine.simulation import BASELINE
from sparqsim.quantise.recipe import Recipe

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
        for word in ([each.opts[0], "1"] if each.opts[0].startswith("-") else ["none"])
    ]
    assert "--format 'xml': expected one of table, json, csv, markdown" in refused(
        *path, *needed, "--format", "xml"
    )


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_help_is_in_the_users_words(path, run, monkeypatch):
    """No type of Python, no braces around what a user types, no default in parentheses, no `x` for
    a value.
    """
    monkeypatch.setenv("COLUMNS", "100")
    out = run(*path, "--help").out
    assert not re.search(r"<[a-z]+(\[\w+\])?>|[{}]|default: \(|x>=|<=x", out)
    usage = out.splitlines()[0].replace("[", " ").replace("]", " ")  # around what may be left out
    for each in EVERY[path].params:
        if not each.opts[0].startswith("-"):
            assert each.metavar in usage.split()


def test_names_in_braces_keep_that_they_repeat():
    assert in_users_words("[OPTIONS] {REPORT...}...") == "[OPTIONS] REPORT..."
    assert in_users_words("{A} {B}...") == "A B..."
    assert in_users_words("N. [default: (4x5); 1<=x<=9]") == "N. [default: 4x5; 1 to 9]"
    assert in_users_words("N. [default: 0; x>=0]") == "N. [default: 0; at least 0]"


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_shown_defaults_are_the_programs(path):
    """Where a help text names a default in words of its own, it is what the program takes."""
    silent = sparqsim.ArrayConfig()
    taken = {
        "--array": f"{silent.rows}x{silent.cols}",
        "--dataflow": silent.dataflow,
        "--coupling": silent.coupling,
        "--overlap": "on" if silent.overlap else "off",
        "--bandwidths": "1,2,4,...,512",
        "--baseline": BASELINE,
        "--calibrate": Recipe().activations,
        "--memory-energy": DEFAULT,
    }
    for each in EVERY[path].params:
        shown = getattr(each, "show_default", None)
        if isinstance(shown, str):
            assert shown == (taken[each.opts[0]] if each.default is None else each.default)
    assert [*BANDWIDTHS] == [2.0**power for power in range(10)]
