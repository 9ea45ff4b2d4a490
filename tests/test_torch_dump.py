"""Dumping PyTorch networks."""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from networks.shared import NO_SHARED, ROOT
from networks.small import batches, small
from peak_memory import PEAK_KIB
from torch import nn

from sparqsim import InputError, Layer, check_trace, compare, load_trace, simulate
from sparqsim.networks.torch import dump
from sparqsim.trace.pairs import pair_counts

needs_shared = pytest.mark.skipif(not ROOT.exists(), reason=NO_SHARED)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def test_a_dump_is_a_sound_trace_that_simulates(path):
    report, trace = dump(small(), batches(), path), load_trace(path)
    assert check_trace(path) == []
    names = ["stem", "odd", "grouped", "pairs", "last", "fc"]
    assert (
        [layer.name for layer in trace.layers] == [layer.name for layer in report.layers] == names
    )
    assert [layer.keep_8bit for layer in trace.layers] == [True, False, False, False, False, True]
    assert [layer.activations.shape[0] for layer in trace.layers[:5]] == [12] * 5
    assert trace.layers[5].gemm.m == report.pictures == 12
    assert np.array_equal(trace.arrays["labels"], torch.cat([labels for _, labels in batches()]))
    assert trace.arrays["logits_8bit"].shape == trace.arrays["logits_float"].shape == (12, 10)
    assert trace.metadata.calibrator == "mean-max"
    assert simulate(trace, pe="mac-4b8b").cycles.total > 0


def test_the_report_says_which_layers_are_signed_and_why(path):
    report = dump(small(), batches(), path)
    signed = {layer.name: layer.signed for layer in report.layers}
    assert signed == {
        "stem": True,
        "odd": False,
        "grouped": False,
        "pairs": False,
        "last": True,
        "fc": False,
    }
    assert {layer.name: layer.signed for layer in load_trace(path).layers} == signed
    for layer in report.layers:
        assert re.search(
            "lowest calibration value -" if layer.signed else "no negative value", layer.why
        )
    assert report.folded == (("stem", "stem_norm"), ("grouped", "grouped_norm"))
    assert report.unfolded == ("alone",)
    assert "batch norm computed in float: alone" in str(report)
    assert "int8 activations in 1 of these layers: sparq-* designs take" in str(
        report
    )  # 'stem' is kept at 8 bits
    assert load_trace(path).metadata.provenance["signedness"]["stem"] == report.layers[0].why


def test_the_model_is_left_as_it_was(path):
    model = small().train()
    before = copy.deepcopy(model.state_dict())
    dump(model, batches(), path)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(
        module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module)
        for module in model.modules()
    )


def test_batches_do_not_matter(path, tmp_path):
    data, other = batches(), tmp_path / "other.safetensors"
    dump(small(), data, path)
    dump(
        small(),
        [(torch.cat([x for x, _ in data]), torch.cat([y for _, y in data]))],
        other,
        calibration_loader=data,
    )
    for one, two in zip(load_trace(path).layers, load_trace(other).layers, strict=True):
        assert np.array_equal(one.activations, two.activations)


def test_images_limits_what_is_dumped_not_what_calibrates(path, tmp_path):
    whole, report = (
        dump(small(), batches(), tmp_path / "all.safetensors"),
        dump(small(), batches(), path, images=4),
    )
    assert report.pictures == 4
    assert load_trace(path).layers[0].activations.shape[0] == 4
    assert [a.activation_scale for a in report.layers] == [b.activation_scale for b in whole.layers]


def test_values_outside_the_range_are_counted(path):
    calibration, data = batches(), [(4 * x, y) for x, y in batches()]
    report = dump(small(), data, path, calibration_loader=calibration, calibrate="max")
    stem, layer = report.layers[0], load_trace(path).layers[0]
    outside = sum(
        int((torch.round(x.double() / stem.activation_scale).abs() > 127).sum()) for x, _ in data
    )
    assert stem.clipped_share == outside / layer.activations.size > 0
    assert dump(small(), calibration, path, calibrate="max").layers[0].clipped_share == 0


@pytest.mark.parametrize("calibrate", ["max", "percentile:99", "mse:4", "lp:3"])
def test_calibrators_are_written_down(path, calibrate):
    dump(small(), batches(), path, calibrate=calibrate)
    assert load_trace(path).metadata.calibrator == calibrate


def test_zero_pair_shares_are_those_of_the_lowered_layer(path):
    report, trace = dump(small(), batches(), path), load_trace(path)
    for layer, told in zip(trace.layers, report.layers, strict=True):
        x = layer.lower().rows()
        zeros = np.pad(x, ((0, 0), (0, 0), (0, x.shape[2] % 2))).reshape(-1, 2) == 0
        assert told.zero_pair_share == zeros.any(axis=1).mean()
        assert told.lone_share == (zeros.sum(axis=1) == 1).mean()


def test_pair_counts_of_even_channels_count_padding():
    layer = Layer.conv2d(
        "one line of two pixels: a lone pair, a pair",
        np.array([[[[0, 1], [2, 3]]]], np.uint8),
        np.ones((1, 9, 2), np.int8),
        kernel=(3, 3),
        padding=(1, 1, 1, 1),
    )
    # Two output pixels of nine positions; each sees both pixels, and seven positions of padding.
    assert pair_counts(layer) == (18, 14 + 2, 2)


# Streaming
# ---------------------------------------------------------------------------------------------------------

STREAM = """
import sys, torch
from torch import nn
from sparqsim.torch import dump
class Batches:
    def __iter__(self):
        for number in range(int(sys.argv[1])):
            torch.manual_seed(number)
            yield torch.rand(2, 8, 128, 128)
torch.set_num_threads(1)
model = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.Flatten(2), nn.Linear(16384, 4))
dump(model, Batches(), sys.argv[2], keep_8bit="none", calibration_loader=[torch.rand(2, 8, 128, 128)])
print(peak_kib())
"""


def peak_kib(number, path):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    run = subprocess.run(
        [sys.executable, "-c", PEAK_KIB + STREAM, str(number), str(path)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return int(run.stdout)


@pytest.mark.slow
def test_memory_does_not_grow_with_pictures(path):
    few, many = peak_kib(2, path), peak_kib(150, path)
    stored_kib = path.stat().st_size >> 10
    assert stored_kib > 100_000
    assert many - few < stored_kib / 4


# What cannot be dumped is named
# --------------------------------------------------------------------------------------


class Strange(nn.Module):
    """Layers and operations that hold products and are no layers of a trace."""

    def __init__(self):
        super().__init__()
        self.conv, self.up = nn.Conv2d(2, 4, 3), nn.ConvTranspose2d(4, 4, 2)
        self.cube, self.idle = nn.Conv3d(1, 1, 1), nn.Linear(3, 3)
        self.rnn = nn.LSTM(4, 4, batch_first=True)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        x = self.up(self.conv(x))
        # What no input reaches is no work of a run; complex numbers are.
        x = x * torch.tensordot(self.fc.weight, self.fc.bias, ([0], [0])).sum()
        x = x * (x.cfloat() @ x.cfloat().mT).real.mean()
        x = self.cube(x[:, None])[:, 0].flatten(2).transpose(1, 2)
        return self.fc(self.rnn(x)[0].mean(dim=1))


def test_what_is_not_dumped_is_named(path):
    report = dump(Strange(), [torch.rand(2, 2, 5, 5)], path)
    assert [layer.name for layer in report.layers] == ["conv", "fc"]
    found = {skipped.name: skipped.reason for skipped in report.skipped}
    assert set(found) == {
        "up",
        "(the network itself)",
        "cube",
        "rnn",
        "idle",
    }
    assert "ConvTranspose2d" in found["up"]
    assert "Conv3d" in found["cube"]
    assert "LSTM" in found["rnn"]
    assert "not called" in found["idle"]
    assert "left out: up: convolution of ConvTranspose2d" in str(report)
    assert set(load_trace(path).metadata.provenance["skipped"]) == set(found)


def test_a_network_without_layers_is_refused_with_what_it_has(path):
    with pytest.raises(InputError, match=r"no layer ran.*convolution of Conv3d"):
        dump(nn.Sequential(nn.Conv3d(2, 2, 1)), [torch.rand(1, 2, 4, 4, 4)], path)
    assert not path.exists()


def test_a_bare_layer_which_has_no_name_is_refused(path):
    with pytest.raises(InputError, match=r"a bare Linear.*expected a network that holds it"):
        dump(nn.Linear(4, 3), [torch.rand(2, 4)], path)
    assert not path.exists()


class Bad(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.first, self.second, self.value = nn.Linear(4, 4), nn.Linear(4, 2), value

    def forward(self, x):
        return self.second(self.first(x) + self.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_stop_with_the_layers_name(path, value):
    good = [torch.rand(2, 4)]
    with pytest.raises(InputError, match=r"layer 'second': activations hold NaN or infinite"):
        dump(Bad(value), good, path)
    with pytest.raises(InputError, match=r"layer 'first': activations hold NaN or infinite"):
        dump(Bad(0), [torch.full((2, 4), value)], path, calibration_loader=good)
    broken = Bad(0)
    broken.first.weight.data[0, 0] = value
    with pytest.raises(InputError, match=r"layer 'second': activations|layer 'first': weights"):
        dump(broken, good, path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": 0}, "images=0"),
        ({"keep_8bit": "first"}, "keep_8bit='first'"),
        ({"keep_8bit": ["stam"]}, r"layer 'stam'.*did you mean stem"),
        ({"matmuls": ["pair"]}, r"module 'pair'.*did you mean pairs"),
        ({"calibrate": "maxi"}, "calibrator 'maxi'"),
        ({"loader": []}, "holds no batch"),
        ({"loader": [], "calibration_loader": batches()}, "holds no batch"),
        ({"loader": (batch for batch in batches())}, "read more than once"),
        ({"loader": torch.rand(1, 3, 8, 8)}, "expected a list of batches"),
        ({"loader": [{"x": 1}]}, "a batch is dict"),
    ],
)
def test_bad_arguments_are_refused(path, arguments, message):
    with pytest.raises(InputError, match=message):
        dump(small(), **({"loader": batches(), "path": path} | arguments))
    assert not path.exists()


def test_names_choose_the_kept_layers(path):
    dump(small(), batches(), path, keep_8bit=["odd"])
    assert [layer.name for layer in load_trace(path).layers if layer.keep_8bit] == ["odd"]
    assert not any(
        layer.keep_8bit for layer in dump(small(), batches(), path, keep_8bit="none").layers
    )


def test_without_pytorch_the_extra_is_named():
    code = "import sys; sys.modules['torch'] = None; import sparqsim.torch"
    run = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert run.stderr.splitlines()[-1] == (
        "sparqsim.base.errors.InputError: sparqsim.torch needs PyTorch: `pip install -e "
        "'.[torch]'` in your clone of sparqsim"
    )


# The language model
# ---------------------------------------------------------------------------------------------


@needs_shared
def test_the_language_model_goes_through_as_matrix_products(path):
    from networks.llama import LAYERS, stories260k, story, text

    model = stories260k()
    tokens = story(model, 48)
    assert text(tokens).startswith(
        "Once upon a time, there was a little girl named Lily. She loved to play outside in "
        "the park."
    )
    attentions = [f"layers.{number}.attention" for number in range(LAYERS)]
    report = dump(model, [(tokens[:, :-1], tokens[:, 1:])], path)
    trace = load_trace(path)
    assert report.skipped == ()
    assert len(trace.layers) == 9 * LAYERS + 1
    # Only the attention weights (after softmax) are never negative.
    assert {layer.name for layer in trace.layers if not layer.signed} == {
        f"{name}.product2" for name in attentions
    }
    designs = ["mac-8b8b", "mac-4b8b", "mac-4b4b", "sparq-5opt:signed=magnitude"]
    assert compare(trace, designs).speedup("sparq-5opt:signed=magnitude") > 1
    with pytest.raises(InputError, match=r"layer 'layers\.0\.attention\.wk'.*signed=magnitude"):
        simulate(trace, pe="sparq-5opt", signed="refuse")


@needs_shared
def test_fused_attention_gives_the_same_layers(path, tmp_path):
    from networks.llama import stories260k, story

    tokens, other = story(stories260k(), 12), tmp_path / "fused.safetensors"
    dump(stories260k(), [tokens], path, matmuls=["layers.0.attention"])
    dump(stories260k(fused=True), [tokens], other, matmuls=["layers.0.attention"])
    for one, two in zip(load_trace(path).layers[:5], load_trace(other).layers[:5], strict=True):
        assert one.name == two.name
        assert one.gemm == two.gemm
