"""The documentation builds without a warning, from this folder alone; its figures are the same each
time.
"""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest
import typer

from sparqsim.cli.app import app
from sparqsim.pe.registry import designs

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "docs" / "figures"
#: The one command that builds the site, as CONTRIBUTING.md has it.
BUILD = ["-m", "sphinx", "-q", "-W", "--keep-going", "-b"]


def make_figures(folder: Path) -> dict[str, bytes]:
    """Run the one command that makes all figures of the documentation."""
    command = [sys.executable, str(FIGURES / "make.py"), "--into", str(folder)]
    subprocess.run(
        command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return make_figures(tmp_path_factory.mktemp("figures"))


@pytest.mark.slow
def test_two_runs_make_the_same_figures(figures, tmp_path):
    again = make_figures(tmp_path)
    assert figures.keys() == again.keys()
    assert [name for name in figures if figures[name] != again[name]] == []


@pytest.mark.slow
def test_committed_figures_are_those_that_are_made(figures):
    committed = {path.name: path.read_bytes() for path in FIGURES.glob("*.svg")}
    assert committed.keys() == figures.keys(), (
        "docs/figures/make.py makes every figure of docs/figures, and no other"
    )
    version = f"Matplotlib v{mpl.__version__},".encode()
    same = [
        name for name in figures if version in committed[name]
    ]  # other versions draw other bytes
    changed = [name for name in same if committed[name] != figures[name]]
    assert changed == [], "run python docs/figures/make.py"


def test_every_figure_is_shown_and_every_shown_figure_exists():
    pages = [
        path.read_text(encoding="utf-8")
        for path in (ROOT / "README.md", *(ROOT / "docs").glob("**/*.md"))
    ]
    shown = {
        name for page in pages for name in re.findall(r"\]\((?:\S*/)?figures/([\w.-]+)\)", page)
    }
    assert shown == {path.name for path in FIGURES.glob("*.svg")}


def built(builder: str, folder: Path, *options: str) -> Path:
    """Build the site; any warning is an error."""
    for module, extra in (
        ("sphinx", "docs"),
        ("furo", "docs"),
        ("myst_parser", "docs"),
        ("torch", "torch"),
    ):
        pytest.importorskip(module, reason=f"needs the extra '{extra}'")
    ended = subprocess.run(
        [sys.executable, *BUILD, builder, *options, str(ROOT / "docs"), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("html", tmp_path_factory.mktemp("site"))


def test_every_page_is_read_and_every_reference_resolved_without_a_warning(tmp_path):
    """All that can go wrong in a page; writing what was read is as long again."""
    built("dummy", tmp_path, "-D", "smartquotes=0")  # nobody sees the quotes
    pages = {
        path.relative_to(ROOT / "docs").with_suffix(".doctree")
        for path in (ROOT / "docs").glob("**/*.md")
    }
    read = tmp_path / ".doctrees"
    assert pages <= {path.relative_to(read) for path in read.glob("**/*.doctree")}


@pytest.mark.slow
def test_every_page_is_in_the_site(site):
    pages = {
        path.relative_to(ROOT / "docs").with_suffix(".html")
        for path in (ROOT / "docs").glob("**/*.md")
    }
    assert pages <= {path.relative_to(site) for path in site.glob("**/*.html")}


@pytest.mark.slow
def test_pages_ask_for_nothing_outside(site):
    resource = re.compile(
        r"""<(?:script|img|link|iframe)\b[^>]*?\b(?:src|href)=["'](?:https?:)?//[^"']+"""
    )
    for page in site.glob("**/*.html"):
        assert resource.findall(page.read_text(encoding="utf-8")) == [], page


def test_the_reference_holds_every_command_option_and_design():
    pages = runpy.run_path(str(ROOT / "docs" / "generated.py"))["PAGES"]
    commands = pages["command line"]()
    for name, command in leaves(typer.main.get_command(app), "sparqsim"):
        assert name in commands
        for parameter in command.params:
            option = parameter.opts[0]
            assert (option if option.startswith("-") else parameter.metavar) in commands, (
                name,
                parameter.name,
            )
    of_designs = pages["pe designs"]()
    assert all(f"`{name}`" in of_designs for name in designs())


def leaves(command, name):
    """Yield every command that does something."""
    for child in getattr(command, "commands", {}).values():
        yield from leaves(child, f"{name} {child.name}")
    if not hasattr(command, "commands"):
        yield name, command
