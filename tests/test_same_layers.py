"""One model from PyTorch and from ONNX: the same layers, names apart."""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")
pytest.importorskip("onnxruntime", reason="extra 'onnx' is not installed")

from networks import real
from torch import nn
from torch.nn import functional

from sparqsim import load_trace
from sparqsim.networks.torch import dump

ROOT = Path(__file__).parent.parent


class Transformer(nn.Module):
    """Patches, an encoder, a head."""

    def __init__(self, encoder, width=32):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.encoder, self.head = encoder, nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.encoder(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


def pytorchs_own(width=32):
    layer = nn.TransformerEncoderLayer(width, 4, 64, batch_first=True)
    return Transformer(nn.TransformerEncoder(layer, 2))


def fused(width=32):
    return Transformer(nn.Sequential(*(real.Encoder(width, 4, first=True) for _ in range(2))))


class Functions(nn.Module):
    """Layers that are no Conv2d or Linear modules; products as they are written by hand."""

    def __init__(self, width=16):
        super().__init__()
        self.line = nn.Conv1d(3, width, 3, padding=1)
        self.kernel = nn.Parameter(torch.randn(8, 3, 3, 3))
        self.tied = nn.Parameter(torch.randn(10, width))
        self.mixing = nn.Parameter(torch.randn(5, 32))

    def forward(self, x):
        rows = self.line(x.flatten(2)[..., :32]).transpose(1, 2)
        made = torch.bmm(rows, rows.transpose(1, 2)).softmax(-1)
        mixed = torch.matmul(self.mixing, made @ rows)
        pixels = functional.conv2d(x, self.kernel, stride=2).mean((2, 3))
        return functional.linear(mixed, self.tied).mean(1) + pixels.sum(1, keepdim=True)


def shipped():
    """The vision transformer whose trace ships."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from digits_vit import DigitsVit

    return DigitsVit()


PICTURE = (3, 32, 32)
MODELS = {
    "nn.MultiheadAttention": (pytorchs_own, 1, PICTURE),
    "scaled_dot_product_attention": (fused, 2, PICTURE),
    "functions": (Functions, 2, PICTURE),
    "shipped": (shipped, 1, (1, 16, 16)),
}


@pytest.mark.parametrize("kind", MODELS)
def test_pytorch_and_onnx_give_the_same_layers(kind, tmp_path, run):
    make, batch, picture = MODELS[kind]
    torch.manual_seed(0)
    model, pictures = make().eval(), torch.rand(2, *picture)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, pictures, tmp_path / "net.onnx", dynamo=False, opset_version=17,
            input_names=["x"], dynamic_axes={"x": {0: "n"}},
        )  # fmt: skip
    np.save(tmp_path / "x.npy", pictures.numpy())
    one, other = tmp_path / "torch.safetensors", tmp_path / "onnx.safetensors"
    report = dump(model, list(pictures.split(batch)), one, calibrate="max", keep_8bit="none")
    assert report.skipped == ()
    ended = run("trace", "dump", tmp_path / "net.onnx", "--images", tmp_path / "x.npy",
        "--calibrate", "max", "-o", other)  # fmt: skip
    assert ended.code == 0, ended
    here, there = (load_trace(path).layers for path in (one, other))
    assert len(here) == len(there) >= 6
    for mine, theirs in zip(here, there, strict=True):
        assert_same(mine, theirs)
    coverages = [load_trace(path).metadata.provenance["coverage"] for path in (one, other)]
    assert coverages[0] == coverages[1]


def assert_same(mine, theirs):
    """The same product of nearly the same real numbers, at a scale of their own."""
    assert (mine.op, mine.gemm, mine.signed) == (theirs.op, theirs.gemm, theirs.signed), mine.name
    operands = [(real_x(layer), real_w(layer)) for layer in (mine, theirs)]
    for here, there in zip(*operands, strict=True):
        assert here.shape == there.shape
        # The exporter shares the scores' scale out between queries and keys.
        apart = here / np.abs(here).max() - there / np.abs(there).max()
        assert np.abs(apart).max() <= 0.05, mine.name


def real_x(layer):
    return layer.activations * layer.record.activation_scale


def real_w(layer):
    return layer.weights * np.reshape(layer.record.weight_scales, (-1, 1, 1))
