"""Quantised networks in files: the same integers again, without the method; and hostile files."""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

import copy
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from networks.small import batches, small

from sparqsim import InputError, check_trace, load_trace
from sparqsim.cli import main
from sparqsim.networks import saved as saved_files
from sparqsim.networks.saved import KEY, SavedNetwork
from sparqsim.networks.site import Site
from sparqsim.networks.torch import QuantisedNetwork, dump, evaluate
from sparqsim.quantise.codes import ActivationCodes
from sparqsim.quantise.recipe import Recipe
from sparqsim.trace.header import written_header
from sparqsim.trace.tensorfile import TensorFile

RECIPE = Recipe.model_validate(
    {
        "weights": "lp:2:4",
        "activations": "mse:4",
        "bias_correction": True,
        "accumulator_bits": 24,
        "layers": {"odd": {"weights": "multipoint:3:extra=1"}},
    }
)


@pytest.fixture(scope="module")
def quantised() -> QuantisedNetwork:
    return QuantisedNetwork(small(), batches(), recipe=RECIPE)


@pytest.fixture
def saved(quantised, tmp_path: Path) -> Path:
    quantised.save(tmp_path / "q.safetensors")
    return tmp_path / "q.safetensors"


# The same network again.


def test_a_saved_network_is_the_same_without_calibration(quantised, saved, tmp_path):
    loaded = QuantisedNetwork.load(saved, small(), batches(count=1, size=1, seed=5))
    assert list(loaded.layers) == list(quantised.layers)
    for name in ("before", "after"):
        dump(quantised if name == "before" else loaded, batches(seed=9), tmp_path / name)
    assert (tmp_path / "before").read_bytes() == (tmp_path / "after").read_bytes()
    assert check_trace(tmp_path / "after") == []
    assert load_trace(tmp_path / "after").metadata.provenance["recipe"]["weights"] == "lp:2:4"
    one, other = (evaluate(each, batches(seed=9), "mac-4b8b") for each in (quantised, loaded))
    assert torch.equal(one.logits, other.logits)
    assert loaded.calibrator == "mse:4"
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_the_file_holds_codes_of_few_bits_and_scales(quantised, saved):
    file = TensorFile(saved)
    assert list(file.metadata) == [KEY]
    document = json.loads(file.metadata[KEY])
    assert [layer["weight_bits"] for layer in document["layers"]] == [8, 3, 4, 4, 4, 8]
    assert document["recipe_title"] == RECIPE.title
    assert document["pictures"] == 12
    weights = {name: file.source(name).load() for name in file.names}
    assert weights["stem/weights"].dtype == np.int8
    assert len(weights["odd/column_channels"]) == len(weights["odd/weights"]) > 5
    assert np.abs(weights["pairs/weights"]).max() <= 7
    assert {name.rpartition("/")[2] for name in weights} == {
        "weights",
        "weight_scales",
        "column_channels",
        "bias",
    }
    for name, site in quantised.layers.items():
        assert np.array_equal(weights[f"{name}/weights"], site.weights.codes)
        assert np.array_equal(weights[f"{name}/weight_scales"], site.weights.scales)
        assert np.array_equal(weights[f"{name}/bias"], site.bias)


def test_lists_of_bits_and_products_of_activations_are_saved_too(tmp_path):
    from sparqsim.trace.bitlist import BitList

    class Product(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Linear(6, 6, bias=False)
            self.inner = torch.nn.Module()
            self.inner.forward = lambda x: x @ x.transpose(-1, -2)

        def forward(self, x):
            return self.inner(self.fc(x))

    torch.manual_seed(0)
    model, data = Product(), [torch.randn(2, 3, 6)]
    bits = BitList.of({"fc": 3})
    made = QuantisedNetwork(model, data, matmuls=["inner"], bits=bits, keep_8bit="none")
    made.save(tmp_path / "q")
    loaded = QuantisedNetwork.load(tmp_path / "q", model, data)
    one, other = (evaluate(each, data, "mac-8b8b").logits for each in (made, loaded))
    assert torch.allclose(one, other, rtol=1e-6)
    assert loaded.layers["fc"].weights.bits == 3
    assert loaded.layers["inner.product1"].second == made.layers["inner.product1"].second


def test_another_network_is_refused(saved):
    with pytest.raises(InputError, match=r"was made of Small, whose digest is .*this Small has"):
        QuantisedNetwork.load(saved, small(seed=1), batches())
    same = copy.deepcopy(small())
    QuantisedNetwork.load(saved, same, batches())
    with pytest.raises(InputError, match="loader holds no batch"):
        QuantisedNetwork.load(saved, same, [])


def test_a_trace_is_no_quantised_network(quantised, tmp_path):
    dump(quantised, batches(), tmp_path / "t")
    with pytest.raises(InputError, match="is no quantised network; expected a quantised network"):
        QuantisedNetwork.load(tmp_path / "t", small(), batches())
    (tmp_path / "p").write_bytes(b"\x80\x04N.")
    with pytest.raises(InputError, match="not a readable safetensors file"):
        QuantisedNetwork.load(tmp_path / "p", small(), batches())
    with pytest.raises(InputError, match=r"expected a quantised network \(.safetensors\)"):
        QuantisedNetwork.load(tmp_path / "none", small(), batches())


# Hostile files.


def rewritten(path: Path, change: Any) -> Path:
    """Write the file with its document and tensors changed by `change(document, tensors)`."""
    file = TensorFile(path)
    document = json.loads(file.metadata[KEY])
    tensors = {name: file.source(name).load() for name in file.names}
    change(document, tensors)
    described = [(name, values.shape, values.dtype) for name, values in tensors.items()]
    header, names = written_header(described, {KEY: json.dumps(document)})
    target = path.with_name("changed")
    target.write_bytes(
        header + b"".join(np.ascontiguousarray(tensors[name]).tobytes() for name in names)
    )
    return target


def field(path: str, value: Any) -> Any:
    def change(document: Any, _: Any) -> None:
        *places, last = path.split(".")
        for place in places:
            document = document[int(place) if place.isdigit() else place]
        document[last] = value

    return change


def tensor(name: str, value: Any) -> Any:
    def change(_: Any, tensors: Any) -> None:
        if value is None:
            del tensors[name]
        else:
            tensors[name] = value(tensors[name]) if name in tensors else value(None)

    return change


CHANGES = [
    (field("format", "sparqsim.quantised/2"), "format"),
    (field("layers", []), "layers"),
    (field("layers.0.activation.scale", 0.0), "layers[0].activation.scale"),
    (field("layers.0.activation.scale", "nan"), "layers[0].activation.scale"),
    (field("layers.0.activation.scale", 1e-60), "layers[0].activation.scale"),
    (field("layers.0.activation.scale", 1e39), "layers[0].activation.scale"),
    (field("layers.0.activation.zero_point", -129), "zero_point is -129, expected -128 to 127"),
    (field("layers.0.activation.zero_point", 5), "activation.zero_point is 5, expected 0"),
    (field("layers.1.activation.zero_point", -5), "zero_point is -5, expected 0 to 255"),
    (field("layers.0.weight_bits", 9), "layers[0].weight_bits"),
    (field("layers.0.weight_bits", 2), "expected -2..1, codes of 2 bits"),
    (field("layers.0.weight_bits", None), "is a conv2d of 1 groups without weights"),
    (
        field("layers.0.op", "linear"),
        "is a linear of 1 groups with weights, the network's a conv2d",
    ),
    (
        field("layers.3.groups", 1),
        "is a conv2d of 1 groups with weights, the network's a conv2d of 2",
    ),
    (field("layers.0.name", "stam"), "'stem/bias' is of no layer"),
    (field("layers.1.name", "stem"), "a layer's name stands twice"),
    (field("layers.0.more", 1), "layers[0].more"),
    (field("source_sha256", "0" * 64), "whose digest is 000000000000..."),
    (field("source_sha256", "x"), "source_sha256"),
    (field("matmuls", ["nothing"]), "module 'nothing' is not in the network"),
    (tensor("stem/weights", None), "layer 'stem': tensor 'weights' is missing"),
    (tensor("stem/weights", lambda w: w[:, :1]), "weights are int8 (6, 1, 3), expected int8 (6, 9"),
    (tensor("stem/weights", lambda w: w.astype(np.uint8)), "weights are uint8"),
    (tensor("stem/weight_scales", lambda s: s * np.nan), "weight_scales hold NaN"),
    (tensor("stem/weight_scales", lambda s: -s), "weight_scales hold NaN, infinite or negative"),
    (tensor("stem/weight_scales", lambda s: s[:1]), "weight_scales are float64 (1,)"),
    (tensor("stem/weight_scales", lambda s: s * 1e300), "or some that are too large"),
    (tensor("stem/bias", lambda b: b * np.nan), "layer 'stem': bias holds NaN"),
    (tensor("stem/bias", lambda b: b[:2]), "bias are float32 (2,), expected float32 (6,)"),
    (tensor("odd/column_channels", lambda c: c[::-1].copy()), "column_channels are"),
    (tensor("odd/column_channels", lambda c: c * 0), "expected each of 5 output channels"),
    (tensor("odd/column_channels", lambda c: c[:0]), "expected each of 5 output channels"),
    (tensor("stem/weight_zero_points", lambda _: np.full(6, 999)), "beyond codes of a byte"),
    (
        tensor("stem/weight_zero_points", lambda _: np.full(6, -(2**63))),
        "layer 'stem': weight_zero_points are beyond",
    ),
    (tensor("stray", lambda _: np.zeros(3)), "tensor 'stray' is of no layer"),
    (tensor("stem/other", lambda _: np.zeros(3)), "tensor 'stem/other' is of no layer"),
]


@pytest.mark.parametrize(("change", "part"), CHANGES, ids=[part for _, part in CHANGES])
def test_a_file_that_is_not_sound_ends_in_a_line(saved, change, part):
    changed = rewritten(saved, change)
    with pytest.raises(InputError) as caught:
        QuantisedNetwork.load(changed, small(), batches())
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_layer_that_the_network_has_not_is_named(saved):
    def change(document: Any, tensors: Any) -> None:
        extra = copy.deepcopy(document["layers"][0]) | {"name": "stems"}
        document["layers"].append(extra)

    with pytest.raises(InputError, match=r"layer 'stems' is not in the network \(did you mean st"):
        QuantisedNetwork.load(rewritten(saved, change), small(), batches())
    loaded = SavedNetwork.load(saved)
    with pytest.raises(InputError, match="has no layer 'more'"):
        loaded.check_layers([*loaded.tensors, "more"])


def test_an_unwritable_place_leaves_nothing(quantised, tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        quantised.save(tmp_path / "nowhere" / "q")
    assert list(tmp_path.iterdir()) == []


# The command line, on ONNX.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("onnxruntime", reason="extra 'onnx' is not installed")
    from onnx import helper
    from test_onnx import normal, pictures, save

    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Conv", ["r", "w1"], ["d"], name="grouped", group=2),
        helper.make_node("Relu", ["d"], ["s"]),
        helper.make_node("GlobalAveragePool", ["s"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w2"], ["y"], name="fc", transB=1),
    ]
    constants = {
        "w0": normal(6, 3, 3, 3),
        "b0": normal(6),
        "w1": normal(8, 3, 2, 2),
        "w2": normal(5, 8),
    }
    save(tmp_path / "net.onnx", nodes, constants, ["n", 3, 9, 10])
    pictures(tmp_path / "p.npz")
    (tmp_path / "r.toml").write_text(
        'weights = "lp:2:4"\nbias_correction = true\nkeep_8bit = ["fc"]\n'
        "[calibration]\npictures = 3\n"
    )
    return tmp_path


SHOWN = ["--images", "p.npz", "--preprocess", "scale:1/255,mean:0.5,std:0.25"]


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(folder: Path, capsys, monkeypatch) -> Callable[..., Done]:
    """Return a function that runs the program in the folder."""
    monkeypatch.chdir(folder)

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*arguments, *SHOWN])
        told = capsys.readouterr()
        return Done(int(ended.value.code or 0), told.out, told.err)

    return run


@pytest.fixture
def made(command) -> Done:
    return command("quantise", "net.onnx", "--recipe", "r.toml", "-o", "q.safetensors")


def test_a_file_of_an_onnx_network_gives_what_its_recipe_gives(folder, command, made):
    assert made.returncode == 0, made.stderr
    assert "Recipe: weights lp:2:4" in " ".join(made.stdout.split())
    for how, source in (("recipe", "r.toml"), ("quantised", "q.safetensors")):
        option = [f"--{how}", source]
        dumped = command("trace", "dump", "net.onnx", "-o", how, *option)
        assert dumped.returncode == 0, dumped.stderr
        wanted = ["--pe", "mac-8b8b,mac-4b8b", "-o", f"{how}.json", *option]
        answered = command("accuracy", "net.onnx", *wanted)
        assert answered.returncode == 0, answered.stderr
    assert (folder / "recipe").read_bytes() == (folder / "quantised").read_bytes()
    one, other = (
        json.loads((folder / f"{how}.json").read_text()) for how in ("recipe", "quantised")
    )
    assert one.pop("calibration") == "3 of them"
    assert other.pop("calibration").startswith("not here")
    assert one == other


def test_pictures_that_are_prepared_otherwise_are_told(folder, capsys, monkeypatch, made):
    monkeypatch.chdir(folder)
    given = ["--images", "p.npz", "--preprocess", "scale:1/255"]
    for asked in (
        ["trace", "dump", "net.onnx", "-o", "t"],
        ["accuracy", "net.onnx", "--format", "json"],
    ):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*asked, "--quantised", "q.safetensors", *given])
        assert ended.value.code == 0
        told = " ".join(capsys.readouterr().out.split())
        assert "q.safetensors: scales were found on pictures with --preprocess 'scale:1/2" in told


@pytest.mark.parametrize(
    ("layer", "codes", "part"),
    [
        (0, {"zero_point": 7}, "activation.zero_point is 7, expected 0"),
        (1, {"scale": 1e-60}, "layers[1].activation.scale"),
    ],
)
def test_codes_of_an_onnx_network_that_were_changed_are_told(
    folder, command, made, layer, codes, part
):
    def change(document: Any, _: Any) -> None:
        document["layers"][layer]["activation"] |= codes

    changed = rewritten(folder / "q.safetensors", change)
    for asked in (["trace", "dump", "net.onnx", "-o", "t"], ["accuracy", "net.onnx"]):
        refused = command(*asked, "--quantised", changed.name)
        assert refused.returncode == 2
        assert part in refused.stderr
        assert refused.stderr.count("\n") == 1


def test_a_network_with_codes_of_its_own_keeps_their_zero_points(tmp_path):
    site = Site("a", "linear", ActivationCodes(0.5, 3, signed=False), None)
    about = {"source": "x", "source_sha256": "0" * 64, "calibrator": "max"}
    saved_files.save(tmp_path / "q", [site], **about)
    loaded = SavedNetwork.load(tmp_path / "q")
    (kept,) = loaded.restored([site])
    assert kept.activation == site.activation
    other = replace(site, activation=ActivationCodes(0.5, 4, signed=False))
    with pytest.raises(InputError, match="layer 'a': activation has zero_point 3, signed False"):
        loaded.restored([other])


def test_what_does_not_go_together_is_refused(folder, command, made):
    assert made.returncode == 0
    for option in (["--recipe", "r.toml"], ["--calibrate", "max"], ["--skip", "Gemm"]):
        refused = command(
            "trace", "dump", "net.onnx", "-o", "t", "--quantised", "q.safetensors", *option
        )
        assert refused.returncode == 2
        assert f"{' '.join(option)} beside --quantised q.safetensors" in refused.stderr
    other = (folder / "net.onnx").read_bytes()
    (folder / "other.onnx").write_bytes(other + b"\x12\x01x")
    refused = command("trace", "dump", "other.onnx", "-o", "t", "--quantised", "q.safetensors")
    assert refused.returncode == 2
    assert "q.safetensors: was made of net.onnx" in refused.stderr
    assert not (folder / "t").exists()


def test_a_tflite_network_is_integers_already(folder, command):
    (folder / "n.tflite").write_bytes(b"")
    refused = command("quantise", "n.tflite", "--recipe", "r.toml", "-o", "q")
    assert refused.returncode == 2
    assert "a TFLite network is integers already" in refused.stderr
    refused = command("trace", "dump", "n.tflite", "--quantised", "q", "-o", "t")
    assert refused.returncode == 2


OWN = """
import sys, time
from dataclasses import dataclass, field
from sparqsim.quantise.weights import WeightQuantiser

@dataclass(frozen=True)
class Endless(WeightQuantiser):
    name = "endless"
    bits: int = field(default=4, metadata={"least": 2, "most": 8})
    def quantise(self, layer):
        print("begun", file=sys.stderr, flush=True)
        time.sleep(60)
"""


def test_a_run_that_is_interrupted_leaves_the_earlier_file(folder, made):
    before = (folder / "q.safetensors").read_bytes()
    (folder / "own.py").write_text(OWN)
    (folder / "r.toml").write_text('weights = "own.py:Endless"')
    names = sorted(each.name for each in folder.iterdir())
    options = ["--recipe", "r.toml", "--trust", "-o", "q.safetensors", *SHOWN]
    process = subprocess.Popen(
        [sys.executable, "-B", "-m", "sparqsim", "quantise", "net.onnx", *options],
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "begun\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    process.stderr.close()
    assert (folder / "q.safetensors").read_bytes() == before
    left = {each.name for each in folder.iterdir()} - {"__pycache__"}
    assert sorted(left) == names
