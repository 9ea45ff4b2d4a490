"""What tests share: where things are, every PE design there is, the command line in process,
crafted files.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from every_design import COMBINED, SPECS
from hypothesis import settings

import sparqsim
from sparqsim.cli import main

ROOT = Path(__file__).parent.parent
DIGITS = ROOT / "workloads" / "digits_resnet.safetensors"
VIT = ROOT / "workloads" / "digits_vit.safetensors"
SHARED = Path(os.environ.get("SPARQSIM_SHARED", ROOT.parent / "shared"))
NO_SHARED = f"shared data not found at {SHARED} (set SPARQSIM_SHARED)"

# Hardly anything that tests make is garbage in circles: looking for it after every 700 objects, as
# Python does, took a tenth of the time.
gc.set_threshold(20_000, 20, 20)

settings.register_profile("default", deadline=None, max_examples=30)
settings.register_profile("ci", deadline=None, max_examples=20, derandomize=True, print_blob=True)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "default")
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to the slow run: designs with several keys off their defaults, and cases of sampled
    tests.

    The default run has each key changed alone, here and in the contract suite; of a test that is
    marked `sampled(n)` it has one case in n, the first among them: see `diagonal`.
    """
    seen: dict[tuple[str, str], list[tuple[int, ...]]] = {}
    for item in items:
        sampled = item.get_closest_marker("sampled")
        if sampled is not None and diagonal(item, seen) % sampled.args[0]:
            item.add_marker(pytest.mark.slow)
        params = getattr(getattr(item, "callspec", None), "params", {})
        named = [params.get(name) for name in ("spec", "pe")]
        if any(isinstance(name, str) and name in COMBINED for name in named):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what collecting has made: it stays to the end, and every
    full collection would go through it again.
    """
    gc.collect()
    gc.freeze()


def diagonal(item: pytest.Item, seen: dict[tuple[str, str], list[tuple[int, ...]]]) -> int:
    """Return the sum of the places of a case's values in its lists of parameters.

    Of two lists, the cases whose sum is divisible by n are a Latin square: each value of one list
    meets every n-th of the other, so that none is left out that has n partners. `seen`: what each
    list has had in the cases so far, as identities of the values that belong together.
    """
    values = dict(getattr(item, "callspec").params)  # noqa: B009 - of functions with parameters
    lists = [mark.args[0] for mark in item.iter_markers("parametrize")]
    together = [each.split(",") if isinstance(each, str) else each for each in lists]
    by_fixture = [[name] for name in values.keys() - {name for names in together for name in names}]
    total = 0
    for names in (*together, *by_fixture):
        found = tuple(id(values[name.strip()]) for name in names)
        before = seen.setdefault((item.nodeid.partition("[")[0], names[0]), [])
        if found not in before:
            before.append(found)
        total += before.index(found)
    return total


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """With SPARQSIM_FAIL_ON_SKIP=1 a skipped test fails, unless shared data is what it lacks."""
    report = (yield).get_result()
    forbidden = os.environ.get("SPARQSIM_FAIL_ON_SKIP") == "1"
    if forbidden and report.skipped and "shared data not found" not in str(report.longrepr):
        report.outcome, report.longrepr = (
            "failed",
            f"skipped where nothing may be: {report.longrepr}",
        )


@pytest.fixture(params=SPECS, scope="session")
def pe(request: pytest.FixtureRequest) -> sparqsim.PEDesign:
    """Every shipped design, every combination of its keys."""
    return sparqsim.get_pe(request.param)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def digits_path() -> Path:
    return DIGITS


@pytest.fixture(scope="session")
def digits() -> sparqsim.Trace:
    """The trace that ships."""
    return sparqsim.load_trace(DIGITS)


@pytest.fixture(scope="session")
def vit() -> sparqsim.Trace:
    """The transformer's trace that ships."""
    return sparqsim.load_trace(VIT)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data that is never copied into the repository."""
    if not SHARED.is_dir():
        pytest.skip(NO_SHARED)
    return SHARED


@pytest.fixture
def small_trace() -> sparqsim.Trace:
    """A convolution kept at 8 bits, a convolution in two groups and a GEMM: a few kilobytes."""
    rng = np.random.default_rng(7)

    def integers(low: int, high: int, shape: tuple[int, ...], dtype: type) -> Any:
        return rng.integers(low, high, shape).astype(dtype)

    sparse = integers(0, 256, (2, 6, 5, 4), np.uint8) * (rng.random((2, 6, 5, 4)) < 0.6)
    layers = [
        sparqsim.Layer.conv2d(
            "first",
            integers(0, 256, (2, 6, 5, 3), np.uint8),
            integers(-128, 128, (4, 9, 3), np.int8),
            kernel=(3, 3),
            padding=(1, 1, 1, 1),
            keep_8bit=True,
        ),
        sparqsim.Layer.conv2d(
            "grouped",
            sparse.astype(np.uint8),
            integers(-128, 128, (6, 6, 2), np.int8),
            kernel=(2, 3),
            stride=(2, 1),
            padding=(0, 1, 1, 1),
            groups=2,
            weight_scales=(0.5,) * 6,
        ),
        sparqsim.Layer.from_gemm(
            "gemm", integers(0, 256, (5, 11), np.uint8), integers(-128, 128, (11, 3), np.int8)
        ),
    ]
    return sparqsim.Trace(layers, network="three small layers", arrays={"labels": np.arange(2)})


@pytest.fixture
def small_path(small_trace: sparqsim.Trace, tmp_path: Path) -> Path:
    """The small trace, saved."""
    path = tmp_path / "small.safetensors"
    small_trace.save(path)
    return path


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run `sparqsim ARGUMENTS` in this process; any exception but SystemExit is a traceback a user
    would see.
    """

    def command(*arguments: object) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        code = ended.value.code
        return Ended(code if isinstance(code, int) else int(code is not None), *capsys.readouterr())

    return command


@pytest.fixture
def refused(run: Callable[..., Ended]) -> Callable[..., str]:
    """Run a command that must be refused: exit code 2, nothing but one line on stderr.

    Return the line.
    """

    def command(*arguments: object) -> str:
        ended = run(*arguments)
        assert ended.code == 2, ended
        assert ended.err.count("\n") == 1, ended.err
        assert ended.err.startswith("sparqsim: "), ended.err
        assert ended.err[:-1].isprintable(), ended.err
        return ended.err

    return command


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pages hold no figures of runs, which take longer than all else: for tests of what pages
    say.
    """
    pytest.importorskip("jinja2", reason="needs Jinja2 (extra `report`)")
    monkeypatch.setattr("sparqsim.html.page.drawings", lambda *_: iter(()))


@pytest.fixture
def craft(tmp_path: Path) -> Callable[..., Path]:
    """Write a safetensors file byte by byte: any header (bytes, or a JSON value), any announced
    header length.
    """

    def write(
        header: Any,
        data: bytes = b"",
        *,
        length: int | None = None,
        name: str = "crafted.safetensors",
    ) -> Path:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        announced = len(text) if length is None else length
        path = tmp_path / name
        path.write_bytes(announced.to_bytes(8, "little") + text + data)
        return path

    return write
