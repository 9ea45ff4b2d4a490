"""The notebooks run, and give the outputs that are committed: text exactly, figures by their
presence.

pytest tests/test_notebooks.py --update-golden      # writes the outputs anew
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs the extra 'docs'")
nbclient = pytest.importorskip("nbclient", reason="needs the extra 'docs'")
pytest.importorskip("ipykernel", reason="needs the extra 'docs'")

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIGURES = ("image/png", "image/svg+xml")


def outputs(notebook: Any) -> list[list[Any]]:
    """What each cell of code gave: text in the order in which it came, and which figures."""
    return [shown(cell) for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell: Any) -> list[Any]:
    """Printed text in one piece, however the kernel cut it; of a figure its type."""
    printed = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    data = [output.data for output in cell.outputs if "data" in output]
    figures = [kind for one in data for kind in FIGURES if kind in one]
    return [printed, *figures, *(one["text/plain"] for one in data if not set(one) & set(FIGURES))]


def tidied(notebook: Any) -> Any:
    """Leave out what depends on the machine: times, versions, the memory addresses and classes of
    figures.
    """
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            if output.output_type != "stream" and set(output.data) & set(FIGURES):
                output.data.pop("text/plain", None)
            output.pop("metadata", None) if output.output_type == "stream" else output.update(
                metadata={}
            )
    notebook.metadata = {
        "kernelspec": notebook.metadata.kernelspec,
        "language_info": {"name": "python"},
    }
    return notebook


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder beside what ships and notebooks read, as a notebook's own is; the kernel imports
    this package.
    """
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # one order of additions in float
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    (tmp_path / "workloads").mkdir()
    shutil.copy(ROOT / "workloads" / "digits_resnet.safetensors", tmp_path / "workloads")
    shutil.copytree(ROOT / "docs" / "language", tmp_path / "docs" / "language")
    (tmp_path / "notebooks").mkdir()
    return tmp_path / "notebooks"


@pytest.mark.sampled(2)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_the_committed_outputs(path, folder, request):
    text = path.read_text(encoding="utf-8")
    if "import torch" in text:
        pytest.importorskip("torch", reason="needs the extra 'torch'")
    committed = nbformat.reads(text, as_version=4)
    fresh = nbformat.reads(text, as_version=4)
    nbclient.NotebookClient(
        fresh, timeout=300, resources={"metadata": {"path": str(folder)}}
    ).execute()
    if request.config.getoption("--update-golden"):
        path.write_text(nbformat.writes(tidied(fresh)) + "\n", encoding="utf-8")
        committed = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    assert outputs(fresh) == outputs(committed)


def test_there_are_four_notebooks_with_outputs():
    assert [path.stem for path in NOTEBOOKS] == [
        "own_pe",
        "pytorch_to_speedup",
        "where_did_my_cycles_go",
        "which-4-bit-pe",
    ]
    for path in NOTEBOOKS:
        given = outputs(nbformat.reads(path.read_text(encoding="utf-8"), as_version=4))
        assert sum(bool(output[0] or output[1:]) for output in given) >= 3, path
        assert path.stat().st_size < 300_000


def test_outputs_hold_no_paths_and_no_times():
    for path in NOTEBOOKS:
        printed = str(outputs(nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)))
        assert "/home" not in printed
        assert "/tmp" not in printed  # noqa: S108 - looked for, not used
        assert " seconds" not in printed
