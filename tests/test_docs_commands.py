"""Every command shown in the README and the documentation is run, or its page says why not."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from docs_blocks import Block, blocks_of, inline_commands
from docs_reader import PageError, Reader

import sparqsim
from sparqsim.cli.app import app
from sparqsim.regress import update

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in (ROOT / "README.md", ROOT / "PACKAGE.md", *sorted(ROOT.glob("docs/**/*.md")))
}

#: Pages whose blocks take seconds; what they name exists all the same, see below.
LONG = {
    "docs/accuracy.md",
    "docs/how-to/crossbar.md",
    "docs/how-to/own-dataflow.md",
    "docs/how-to/rtl.md",
    "docs/how-to/search.md",
    "docs/how-to/see.md",
    "docs/validation.md",
}

CASES = """[[case]]
name = "small"
trace = "SMALL"
"""
GRID = """trace = ["SMALL"]
pe = ["mac-8b8b", "sparq-5opt"]
"""
TOPOLOGY = "name, h, w, fh, fw, c, n, s,\nconv, 8, 8, 3, 3, 4, 8, 1,\n"


@pytest.fixture(scope="session")
def reader_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone's files that pages use, and stand-ins for files that only the reader has."""
    folder = tmp_path_factory.mktemp("reader")
    for name in (
        "workloads/digits_resnet.safetensors",
        "workloads/digits_vit.safetensors",
        "docs/examples/five_bit_pe.py",
        "docs/examples/transposed_outputs.py",
        "docs/examples/vector_unit.py",
        "docs/accuracy/resnet20.json",
        "docs/trainers/bsq-0.5-seed-0.bits.json",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.copy(ROOT / "workloads/digits_resnet.safetensors", folder)
    random = np.random.default_rng(5)
    for name in ("TRACE", "SMALL", "net.safetensors", "other.safetensors"):
        _small_trace(random).save(folder / name)
    (folder / "cases.toml").write_text(CASES)
    list(update(folder / "cases.toml"))  # golden reports, for pages that only check
    (folder / "grid.toml").write_text(GRID)
    (folder / "topology.csv").write_text(TOPOLOGY)
    (folder / "recipe.toml").write_text('weights = "nearest:4"\n')
    np.save(folder / "table.npy", random.normal(size=(100, 64)).astype(np.float32))
    _pictures(folder, random)
    return folder


def _small_trace(random: np.random.Generator) -> sparqsim.Trace:
    sizes = [(20, 18, 8), (9, 24, 4)]
    return sparqsim.Trace(
        [
            sparqsim.Layer.from_gemm(
                f"layer{number}",
                random.integers(0, 256, (m, k), np.uint8)
                * (random.random((m, k)) < 0.6).astype(np.uint8),
                random.integers(-128, 128, (k, n), np.int8),
            )
            for number, (m, k, n) in enumerate(sizes)
        ],
        network="small",
    )


def _pictures(folder: Path, random: np.random.Generator) -> None:
    """Write pictures in DIR, their classes, and net.onnx for them; without the extra, a file that
    nothing opens.
    """
    from PIL import Image

    (folder / "DIR").mkdir()
    for number in range(3):
        Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(
            folder / "DIR" / f"{number}.png"
        )
    (folder / "labels.csv").write_text(
        "file,class\n" + "".join(f"{number}.png,{number}\n" for number in range(3))
    )
    try:
        import onnx
    except ModuleNotFoundError:
        (folder / "net.onnx").write_bytes(b"")
    else:
        onnx.save(_network(random), str(folder / "net.onnx"))


def _network(random: np.random.Generator) -> Any:
    """Return two convolutions and a classifier, as an ONNX model."""
    from onnx import TensorProto, helper, numpy_helper

    weights = {"w0": (4, 3, 3, 3), "w1": (6, 4, 3, 3), "w2": (6 * 16, 5)}
    nodes = [
        ("Conv", ["x", "w0"], "a"),
        ("Relu", ["a"], "b"),
        ("Conv", ["b", "w1"], "c"),
        ("Relu", ["c"], "d"),
        ("Flatten", ["d"], "e"),
        ("MatMul", ["e", "w2"], "y"),
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], name=output) for kind, inputs, output in nodes],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
        [
            numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)
            for name, shape in weights.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _names(page: Path) -> dict[str, Any]:
    """Return what the Python blocks of a page use without making it: operands, a PyTorch model and
    its batches.
    """
    random = np.random.default_rng(6)
    names: dict[str, Any] = {
        "x": random.integers(0, 256, (8, 6), np.uint8),
        "w": random.integers(-128, 128, (6, 4), np.int8),
    }
    if "sparqsim.torch" not in page.read_text(encoding="utf-8"):
        return names
    try:
        import torch
    except ModuleNotFoundError:
        return names
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.ReLU(),
        torch.nn.Conv2d(4, 6, 3),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(96, 5),
    )
    batches = [(torch.rand(2, 3, 8, 8), torch.tensor([0, 1])) for _ in range(2)]
    return names | {"model": model, "loader": batches, "calibration_loader": batches}


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.slow) if page in LONG else page for page in PAGES],
)
def test_every_block_of_a_page_is_run_or_excused(page, reader_files, tmp_path, monkeypatch):
    folder = tmp_path / "clone"
    shutil.copytree(reader_files, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    reader = Reader(_names(PAGES[page]))
    for block in blocks_of(PAGES[page], page):
        reader.read(block)
    if reader.missing:
        pytest.skip("; ".join(reader.missing))


def test_pages_are_found_and_hold_commands():
    blocks = [block for page, path in PAGES.items() for block in blocks_of(path, page)]
    run = [block for block in blocks if block.language == "sh" and not block.about("not run")]
    assert len(PAGES) > 10
    assert len(run) > 20


@cache
def _application() -> Any:
    """Return all commands; making them takes a tenth of a second."""
    return typer.main.get_command(app)


def _option_names(words: list[str]) -> tuple[Any, list[str]]:
    command, words = _application(), words[1:]
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("page", PAGES)
def test_commands_within_the_text_exist(page):
    for text in inline_commands(PAGES[page]):
        command, words = _option_names(text.replace("|", " ").split())
        if hasattr(command, "commands"):
            assert (
                not words
                or words[0] in {"-h", "--help", "...", "TRACE..."}
                or command.name == "sweep"
            ), text
            continue
        known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        assert {word for word in words if word.startswith("-")} <= known, text


@pytest.mark.parametrize(
    ("language", "text", "said", "told"),
    [
        ("sh", "sparqsim simulate TRACE --pe no-such-design", (), "ends with 2"),
        ("sh", "rm -rf everything", (), "neither run nor excused"),
        ("sh", "pip install sparqsim", (), "neither run nor excused"),
        ("fortran", "PRINT *, 1", (), "neither run nor excused"),
        ("python", "assert 1 == 2", (), "AssertionError"),
        ("text", "never printed", (), "no command above prints"),
    ],
)
def test_a_page_that_is_wrong_is_told(language, text, said, told, reader_files, monkeypatch):
    monkeypatch.chdir(reader_files)
    with pytest.raises(PageError, match=told):
        Reader({}).read(Block("page.md", 1, language, text, said))


def test_excuses_and_indented_commands_are_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- not run: why -->\n```sh\ngit push\n```\n\nText:\n\n    sparqsim pe "
        "list\n\n```sh\nls\n```\n"
    )
    first, second, third = blocks_of(page, "page.md")
    assert (first.about("not run"), second.language, third.about("not run")) == ("why", "sh", "")


def test_what_is_not_installed_is_named_and_its_followers_are_let_off(reader_files, monkeypatch):
    monkeypatch.chdir(reader_files)
    reader = Reader({})
    reader.read(Block("page.md", 1, "python", "import no_such_package"))
    reader.read(Block("page.md", 5, "sh", "sparqsim trace info made_by_it.safetensors"))
    assert reader.missing == ["page.md:1 needs no_such_package", "page.md:5 follows"]
