"""HAQ's published lists, in network order, on layers of the shapes of MobileNet-V2 and ResNet-50.

Values are drawn: no network of these shapes with codes around 0 is at hand. What is shown is that
every layer gets the bits that stand for it in the list, and keeps its shape.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import sparqsim
from sparqsim.analysis.network import layer_timing
from sparqsim.trace.bitlist import BitList
from sparqsim.trace.schema import ConvGeometry
from sparqsim.trace.synthetic import Distribution, LayerShape

NOT_QUANTISED = -1
#: Expansion, channels out, blocks, stride of the first: MobileNet-V2's table.
MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
RESNET_50 = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))


def conv(name: str, side: int, channels: int, filters: int, kernel: int, **fields) -> LayerShape:
    stride = fields.pop("stride", 1)
    geometry = ConvGeometry(
        kernel=(kernel, kernel), stride=(stride, stride), padding=(kernel // 2,) * 4
    )
    return LayerShape.conv2d(name, (side, side), channels, filters, geometry, **fields)


def mobilenet_v2(side: int) -> Iterator[LayerShape]:
    yield conv("features.0", side, 3, 32, 3, stride=2)
    side, channels, number = side // 2, 32, 0
    for expansion, filters, blocks, first in MOBILENET_V2:
        for block in range(blocks):
            number += 1
            stride, wide = first if block == 0 else 1, channels * expansion
            if expansion > 1:
                yield conv(f"features.{number}.expand", side, channels, wide, 1)
            yield conv(
                f"features.{number}.depthwise", side, wide, wide, 3, stride=stride, groups=wide
            )
            side = -(-side // stride)
            yield conv(f"features.{number}.project", side, wide, filters, 1)
            channels = filters
    yield conv("features.18", side, channels, 1280, 1)
    yield LayerShape.gemm("classifier", 1, 1280, 1000)


def resnet_50(side: int) -> Iterator[LayerShape]:
    yield conv("conv1", side, 3, 64, 7, stride=2)
    side, channels = side // 4, 64
    for stage, (width, blocks, first) in enumerate(RESNET_50, 1):
        for block in range(blocks):
            stride, name = first if block == 0 else 1, f"layer{stage}.{block}"
            yield conv(f"{name}.conv1", side, channels, width, 1)
            yield conv(f"{name}.conv2", side, width, width, 3, stride=stride)
            out = -(-side // stride)
            yield conv(f"{name}.conv3", out, width, 4 * width, 1)
            if block == 0:
                yield conv(f"{name}.downsample.0", side, channels, 4 * width, 1, stride=stride)
            side, channels = out, 4 * width
    yield LayerShape.gemm("fc", 1, 2048, 1000)


@pytest.fixture
def bit_lists(shared: Path) -> Path:
    folder = shared / "data" / "bitlists"
    if not folder.exists():
        pytest.skip(f"shared data not found at {folder} (set SPARQSIM_SHARED)")
    return folder


def drawn(shapes: Iterator[LayerShape]) -> sparqsim.Trace:
    layers = [shape.drawn(Distribution(), at) for at, shape in enumerate(shapes)]
    return sparqsim.Trace(layers, synthetic="drawn")


def weights_and_activations(entry: int | list[int]) -> tuple[int, int]:
    """Return the bits that an entry of the file stands for."""
    pair = entry if isinstance(entry, list) else [entry, NOT_QUANTISED]
    weights, activations = (8 if bits == NOT_QUANTISED else bits for bits in pair)
    return weights, activations


@pytest.mark.parametrize(
    ("scheme", "shapes", "macs"),
    [
        ("mobilenetv2", mobilenet_v2, 300_774_272),
        pytest.param("resnet50", resnet_50, 4_089_184_256, marks=pytest.mark.slow),
    ],
)
def test_every_layer_gets_its_bits(run, bit_lists, tmp_path, scheme, shapes, macs):
    """The command, on whole networks: names, shapes and order stay; codes fit their bits."""
    trace = drawn(shapes(224))
    assert sum(layer.gemm.macs for layer in trace.layers) == macs
    before, after = tmp_path / "before.safetensors", tmp_path / "after.safetensors"
    trace.save(before)
    file = bit_lists / "haq.json"
    made = run("trace", "requantise", before, "--bits", file, "--scheme", scheme, "-o", after)
    assert made.code == 0, made.err
    entries = json.loads(file.read_text())["networks"][scheme]["bits"]
    found = sparqsim.load_trace(after).layers
    assert [layer.name for layer in found] == [layer.name for layer in trace.layers]
    assert len(found) == len(entries)
    for layer, old, entry in zip(found, trace.layers, entries, strict=True):
        assert layer.gemm == old.gemm
        weights, activations = weights_and_activations(entry)
        assert (layer.record.weight_bits, layer.record.activation_bits) == (weights, activations)
        codes = layer.lower().weights
        assert np.abs(codes.astype(np.int16)).max() < 1 << (weights - 1), layer.name
    pe, array = sparqsim.get_pe("bitfusion"), sparqsim.ArrayConfig(16, 16)
    fewer, whole = (
        sum(layer_timing(layer, pe, array).total for layer in layers)
        for layers in (found, trace.layers)
    )
    assert fewer < whole


def test_lists_in_order_have_the_layers_of_their_networks(bit_lists):
    """53 and 54 layers; HAWQ's list of ResNet-50 names the same ones as are drawn here."""
    names = {
        "mobilenetv2": [shape.record.name for shape in mobilenet_v2(224)],
        "resnet50": [shape.record.name for shape in resnet_50(224)],
    }
    assert {scheme: len(each) for scheme, each in names.items()} == {
        "mobilenetv2": 53,
        "resnet50": 54,
    }
    for scheme, each in names.items():
        assert len(BitList.load(bit_lists / "haq.json", scheme).of_layers(each)) == len(each)
    hawq = json.loads((bit_lists / "hawq_resnet50.json").read_text())["schemes"]["bops_0.5"]
    assert set(hawq["layers"]) == set(names["resnet50"])


def test_a_network_whose_codes_have_zero_points_is_refused(run, shared, bit_lists, tmp_path):
    """The MobileNet-V2 that is at hand has the list's 53 layers, and weights around 37 and so
    on.
    """
    pytest.importorskip("ai_edge_litert", reason="needs the extra 'tflite'")
    model = shared / "data" / "imagenet_mobilenet_int8" / "mobilenet_v2_1.0_224_quant.tflite"
    if not model.exists():
        pytest.skip(f"shared data not found at {model} (set SPARQSIM_SHARED)")
    pictures, trace = tmp_path / "x.npy", tmp_path / "net.safetensors"
    rng = np.random.default_rng(0)
    np.save(pictures, rng.integers(0, 256, (1, 224, 224, 3)).astype(np.uint8))
    made = run("trace", "dump", model, "--images", pictures, "-o", trace)
    assert made.code == 0, made.err
    layers = sparqsim.load_trace(trace).layers
    shapes = list(mobilenet_v2(224))
    # One class more than elsewhere, background, and a last layer that is a convolution.
    assert [layer.gemm.macs for layer in layers[:-1]] == [
        shape.drawn(Distribution(), 0).gemm.macs for shape in shapes[:-1]
    ]
    said = run(
        *("trace", "requantise", trace, "--bits", bit_lists / "haq.json"),
        *("--scheme", "mobilenetv2", "-o", tmp_path / "new.safetensors"),
    )
    assert said.code == 2
    assert "requantise takes codes around 0 only, expected 0" in said.err
