"""The benchmark scripts: the page is what the JSON file says, and a slower commit is found."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FAKE = """
import time
begun = time.process_time()
while time.process_time() - begun < {seconds}:
    pass
"""


@pytest.fixture
def scripts(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(root / "benchmarks")
    return root / "benchmarks"


@pytest.fixture
def compare(scripts: Path) -> ModuleType:
    return importlib.import_module("compare_commits")


def test_the_page_is_what_the_json_file_says(root: Path, scripts: Path) -> None:
    page = importlib.import_module("page")
    result = json.loads((root / "docs" / "benchmarks.json").read_text())
    assert set(page.SECTIONS) <= set(result), "a part was not measured"
    text = page.text_of(result)
    assert (root / "docs" / "benchmarks.md").read_text() == text, (
        "python benchmarks/run.py --only '' writes it"
    )
    assert result["machine"]["cpu"] in text
    for ratio in (
        *result["gemm"]["matmul_over_gemm"].values(),
        result["sweep"]["one_core_over_two"],
        *result["startup"]["cold_over_warm"].values(),
    ):
        assert f"| {ratio} |" in text


def test_nothing_names_the_machine(root: Path) -> None:
    machine = json.loads((root / "docs" / "benchmarks.json").read_text())["machine"]
    assert sorted(machine) == [
        "architecture",
        "cores",
        "cpu",
        "memory_gib",
        "numba",
        "numpy",
        "python",
        "sparqsim",
        "system",
    ]


@pytest.mark.parametrize(
    ("of_a", "of_b", "slower"),
    [
        ([1.0, 1.0, 1.0], [1.1, 1.1, 1.1], False),  # as slow as tolerated
        ([1.0, 1.0, 1.0], [1.125, 1.125, 1.125], True),
        (
            [1.0, 1.25, 2.0],
            [1.25, 1.25, 1.25],
            False,
        ),  # beyond the threshold, not beyond the spread
        ([1.0, 1.0, 9.0], [1.25, 1.25, 9.0], True),  # a busy spell
        ([1.0, 1.0, 1.0], [0.5, 0.5, 0.5], False),
    ],
)
def test_verdict(compare: ModuleType, of_a: list[float], of_b: list[float], slower: bool) -> None:
    assert compare.verdict(of_a, of_b, threshold=0.1).slower is slower


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits of a package: the second takes four times as long."""
    for number, seconds in enumerate((0.1, 0.4)):
        (tmp_path / "sparqsim").mkdir(exist_ok=True)
        (tmp_path / "sparqsim" / "__init__.py").touch()
        (tmp_path / "sparqsim" / "__main__.py").write_text(FAKE.format(seconds=seconds))
        settings = [
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@example.org",
            "-c",
            "commit.gpgsign=false",
        ]
        for words in (["init", "-q"], ["add", "."], [*settings, "commit", "-q", "-m", str(number)]):
            subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.slow
def test_a_slower_commit_is_found_and_a_quicker_one_is_fine(
    scripts: Path, repository: Path
) -> None:
    def compared(a: str, b: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                sys.executable,
                str(scripts / "compare_commits.py"),
                a,
                b,
                "--repository",
                str(repository),
                "--repeats",
                "3",
                "--only",
                "help",
            ],
            check=False,
            capture_output=True,
            text=True,
        )

    ended = compared("HEAD~1", "HEAD")
    assert (ended.returncode, "SLOWER" in ended.stdout) == (1, True), ended
    assert compared("HEAD", "HEAD~1").returncode == 0
    assert compared("HEAD", "none").returncode == 2
    left = subprocess.run(
        ["git", "worktree", "list"], cwd=repository, check=True, capture_output=True, text=True
    )
    assert left.stdout.count("\n") == 1, "checkouts are removed"


def test_the_page_of_growth_is_what_its_json_file_says(root: Path, scripts: Path) -> None:
    page = importlib.import_module("growth_page")
    result = json.loads((root / "docs" / "growth.json").read_text())
    assert (root / "docs" / "growth.md").read_text() == page.text_of(result), (
        "python benchmarks/bench_growth.py --page writes it"
    )


def test_an_exponent_is_that_of_a_power(scripts: Path) -> None:
    """y = 3 x^1.5 exactly; and a value off the line shows as an error."""
    page = importlib.import_module("growth_page")
    sizes = [2, 4, 8, 16]
    slope, error = page.fitted(sizes, [3 * size**1.5 for size in sizes])
    assert slope == pytest.approx(1.5)
    assert error == pytest.approx(0, abs=1e-6)
    # By hand: logarithms to base 2 are 0, 1, 2, 4; slope 1.3, residuals .2 -.1 -.4 .3.
    slope, error = page.fitted(sizes, [1, 2, 4, 16])
    assert slope == pytest.approx(1.3)
    assert error == pytest.approx((0.3 / 2 / 5) ** 0.5)


def test_shapes_of_resnet50_are_its_own(scripts: Path) -> None:
    """54 layers, 4.09 G MACs and 25.5 M weights: those of torchvision's, biases left out."""
    shapes = list(importlib.import_module("networks_drawn").resnet50())
    weights = [each.kernel**2 * each.inside * each.outside for each in shapes]
    pixels = [(each.size // each.stride) ** 2 for each in shapes]
    assert len(shapes) == 54
    assert sum(weights) == 25_502_912
    assert sum(w * p for w, p in zip(weights, pixels, strict=True)) == 4_089_184_256
