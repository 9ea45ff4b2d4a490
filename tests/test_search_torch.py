"""`sparqsim search` of PyTorch networks: the same trials as of the same network in ONNX."""
# ruff: noqa: E402 - what needs extras is imported after the lines that skip without them

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="extra 'onnx' is not installed")
torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from search_networks import ARRAY, three_products

from sparqsim import InputError
from sparqsim.cli import main
from sparqsim.networks.images import Pictures
from sparqsim.networks.torch import QuantisedNetwork, evaluate
from sparqsim.results.search_report import SearchReport
from sparqsim.search.run import Found, Search, search

STRIPES = Search(pe="stripes:lanes=2", keep_8bit=("last",), least_bits=3)
SOURCE = """
import onnx
import torch
from onnx import numpy_helper
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        stored = {{each.name: numpy_helper.to_array(each) for each in onnx.load({path!r}).graph.initializer}}
        self.first, self.mid, self.last = map(self._linear, (stored[n] for n in ("first.w", "mid.1.w", "last.w")))

    def _linear(self, matrix):
        made = nn.Linear(*matrix.shape, bias=False)
        made.weight.data = torch.from_numpy(matrix.T.copy())
        return made

    def forward(self, x):
        return self.last(self.mid(self.first(x).relu()).relu())


def net():
    return Net()


def number():
    return 3


def fails():
    raise KeyError("no weights")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = three_products(tmp_path_factory.mktemp("torch"))
    (place / "net.py").write_text(SOURCE.format(path=str(place / "net.onnx")))
    return place


def found(folder: Path, model: str, asked: Search, trials: Path) -> Found:
    return search(str(folder / model), Pictures.open(folder / "x.npz"), None, asked, ARRAY, trials)


@pytest.fixture(scope="module")
def hago(folder: Path) -> Found:
    return found(folder, "net.py:net", STRIPES, folder / "t.jsonl")


def test_trials_are_those_of_the_same_network_in_onnx(folder: Path, hago: Found) -> None:
    of_onnx = found(folder, "net.onnx", STRIPES, folder / "onnx.jsonl").report
    assert hago.report.trials == of_onnx.trials
    assert hago.report.best == of_onnx.best
    assert len(hago.report.trials) > 8
    assert [edge.kind for edge in hago.report.edges] == [edge.kind for edge in of_onnx.edges]


def test_a_trial_is_the_recipes_network(folder: Path, hago: Found) -> None:
    """Mixed networks are put together from uniform ones: the recipe's own gives the same."""
    images = torch.from_numpy(np.load(folder / "x.npz")["images"])
    count = hago.report.calibration_pictures
    names: dict[str, object] = {}
    exec((folder / "net.py").read_text(), names)  # noqa: S102 - the file above
    own = QuantisedNetwork(names["net"](), [images[:count]], recipe=hago.recipe)
    pe = hago.report.design
    assert evaluate(own, [images[count:]], pe).agreement == hago.report.best.agree
    assert len(set(hago.report.best.bits)) > 1, "all edges alike: nothing mixed was tested"


def test_the_command_takes_a_function_of_a_file(folder: Path, tmp_path: Path) -> None:
    command = ["search", f"{folder}/net.py:net", "--images", str(folder / "x.npz")]
    command += ["--pe", "mac-8b8b", "--keep-8bit", "last", "--least-bits", "7", "--array", "4x4"]
    command += ["--energy", "osu018", "-o", str(tmp_path / "s.json")]
    with pytest.raises(SystemExit) as left:
        main(command)
    assert left.value.code == 0
    report = SearchReport.load(tmp_path / "s.json")
    assert report.network == "Net"
    assert all(trial.energy_pj for trial in report.trials)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("net.py:ned", "no class 'ned'"),
        ("net.py:number", "gives 'int', expected a torch.nn.Module"),
        ("net.py:fails", "cannot be called ("),
        ("net.py", "unknown kind of network, expected a network of real weights"),
        ("none.py:net", "is not a file"),
        ("net.tflite", "a TFLite network is integers already; expected a network of real"),
    ],
)
def test_what_is_no_network_is_refused(folder: Path, tmp_path: Path, model: str, says: str) -> None:
    with pytest.raises(InputError) as refused:
        found(folder, model, STRIPES, tmp_path / "t")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_trials_of_a_changed_file_are_refused(folder: Path, hago: Found, tmp_path: Path) -> None:
    source = (folder / "net.py").read_text()
    (folder / "changed.py").write_text(source.replace(".relu()", ".abs()"))
    with pytest.raises(InputError, match="no trials of this search"):
        found(folder, "changed.py:net", STRIPES, folder / "t.jsonl")


def test_kept_layers_have_no_edges(folder: Path, tmp_path: Path) -> None:
    asked = replace(STRIPES, keep_8bit="first-last", least_bits=7)
    report = found(folder, "net.py:net", asked, tmp_path / "t").report
    assert {edge.layers for edge in report.edges} == {("mid",)}
