"""What is built and published: wheel, source distribution, their metadata, links, the citation."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
import yaml

import sparqsim

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)#\s]+)")
NAMED = re.compile(r"`([\w./-]+\.(?:md|toml|cff))`")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a build, without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def tracked() -> list[str]:
    command = ["git", "ls-files", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a clone")
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).exists()]


def metadata(built: Path) -> Message:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith("METADATA")]
        return message_from_bytes(archive.read(name))


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = {name for name in tracked() if name.startswith("sparqsim/")}
    assert package <= held
    assert not {name for name in held if not name.startswith("sparqsim/")}
    assert not {name for name in held if "__pycache__" in name}


def test_the_source_distribution_holds_what_a_clone_holds(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    forge = (".github/",)
    missing = [name for name in tracked() if name not in held and not name.startswith(forge)]
    assert missing == []


def test_metadata(built: Path) -> None:
    told = metadata(built)
    assert told["Version"] == sparqsim.__version__
    assert told["Author"] == "The sparqsim developers"
    assert told["License-Expression"] == "MIT"
    assert told.get_all("Project-URL") is None, "no home is known; see CONTRIBUTING.md, Release"
    assert told["Description-Content-Type"] == "text/markdown"
    assert "docs/tutorial.md" in told.get_payload()


def test_what_a_package_index_shows_has_no_link_that_leads_nowhere_there() -> None:
    text = (ROOT / PROJECT["readme"]).read_text()
    assert [link for link in LINK.findall(text) if not link.startswith("https://")] == []
    named = NAMED.findall(text)
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
def test_relative_links_of_a_page_lead_to_files(page: str) -> None:
    links = [link for link in LINK.findall((ROOT / page).read_text()) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_citation_is_of_this_version_and_sound() -> None:
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert told["cff-version"] == "1.2.0"
    assert told["version"] == sparqsim.__version__
    assert told["license"] == PROJECT["license"]
    assert {each["name"] for each in told["authors"]} == {
        each["name"] for each in PROJECT["authors"]
    }
    assert told["title"].startswith(PROJECT["name"])
    assert told["message"]
    for reference in told["references"]:
        assert reference["type"] == "conference-paper"
        assert reference["title"]
        assert all(author.keys() >= {"family-names"} for author in reference["authors"])


def test_what_scripts_of_developers_import_is_in_an_extra() -> None:
    extra = " ".join(PROJECT["optional-dependencies"]["lint"])
    script = (ROOT / "docs" / "structure.py").read_text()
    imported = set(re.findall(r"^import (grimp|networkx)", script, re.MULTILINE))
    assert imported == {"grimp", "networkx"}
    assert all(name in extra for name in imported)
