"""Crossbars on layers of real networks, against NumPy alone: products of bit planes, tile by tile."""

from __future__ import annotations

import math

import numpy as np
import pytest

import sparqsim
from sparqsim import ArrayConfig, Layer
from sparqsim.engine.models import Task
from sparqsim.engine.models.reram import Reram

ARRAY = ArrayConfig(16, 16)
ROWS, COLS, READ, CROSSBARS = 128, 128, 8, 8
HEADLINE = (1, 3, 3, 3)


def clipped_sums(layer: Layer, bits: tuple[int, ...]) -> np.ndarray:
    """Return sums on crossbars of the default sides, zero points not corrected."""
    lowered = layer.lower()
    x, w = lowered.rows(), lowered.weights.astype(np.int16)
    assert lowered.groups == 1
    codes, weights = x[0].view(np.uint8), w[0]
    sums = np.zeros((lowered.m, lowered.n))
    for start in range(0, lowered.k, ROWS):
        part = slice(start, start + ROWS)
        for place, converter in enumerate(bits):
            worth = 4.0 ** (3 - place)
            for sign in (1, -1):
                magnitudes = np.maximum(sign * weights[part], 0)
                cells = (magnitudes // int(worth) % 4).astype(np.float32)
                for bit in range(8):
                    applied = (codes[:, part] >> bit & 1).astype(np.float32)
                    negative = layer.signed and bit == 7
                    of_bit = sign * worth * (-(2.0**bit) if negative else 2.0**bit)
                    sums += of_bit * np.minimum(applied @ cells, 2**converter - 1)
    return sums.astype(np.int64)[None]


def closed_form(layer: Layer, bits: tuple[int, ...]) -> int:
    """Return cycles by the formula, written out: a round is one block of weights."""
    shape = layer.gemm
    cycles = 0
    for first_col in range(0, shape.n, COLS):
        columns = min(COLS, shape.n - first_col)
        per_round = max(max(READ, columns * each) for each in bits)
        cycles += math.ceil(shape.k / ROWS) * per_round
    return shape.m * 8 * cycles


def check_layer(layer: Layer) -> None:
    """Expect lossless bits to make the exact product, fewer to clip as NumPy does, and cycles."""
    lowered, task = layer.lower(), Task(layer, ARRAY)
    x = lowered.rows()
    exact = lowered.corrected(
        np.round(x.astype(np.float64) @ lowered.weights.astype(np.float64)).astype(np.int64),
        x,
        lowered.weights,
    )
    lossless = Reram().bound_to(layer)
    assert np.array_equal(lossless.outputs(lowered, x), exact), layer.name
    found = lossless.converter_bits
    assert lossless.time(task).total == closed_form(layer, found)
    sums = clipped_sums(layer, HEADLINE)
    headline = Reram(adc_bits=HEADLINE).bound_to(layer)
    assert np.array_equal(
        headline.outputs(lowered, x), lowered.corrected(sums, x, lowered.weights)
    ), layer.name
    assert headline.time(task).total == closed_form(layer, HEADLINE)


@pytest.mark.parametrize("name", ["layer3.0.conv2", "fc"])
def test_layers_of_the_shipped_trace(digits, name):
    (layer,) = (each for each in digits.layers if each.name == name)
    check_layer(layer)


@pytest.fixture(scope="module")
def resnet20(shared) -> sparqsim.Trace:
    torch = pytest.importorskip("torch")
    from networks import convolutional
    from networks import shared as data

    from sparqsim.networks.torch import QuantisedNetwork
    from sparqsim.networks.torch.dump import trace_of

    torch.set_num_threads(1)
    images, labels = data.cifar10()
    batches = list(zip(images[:20].split(10), labels[:20].split(10), strict=True))
    network = QuantisedNetwork(convolutional.resnet20(), batches)
    return trace_of(network, batches, images=1)


@pytest.mark.slow
def test_every_layer_of_resnet20(resnet20):
    """The first one's activations are int8, in two's complement here."""
    layers = resnet20.layers
    assert len(layers) >= 20
    assert layers[0].signed
    for layer in layers:
        check_layer(layer)


@pytest.mark.slow
def test_a_report_of_resnet20_is_exact(resnet20):
    report = sparqsim.simulate(resnet20, "reram")
    assert report.totals.error.noise == 0
    bits = [layer.found_keys for layer in report.layers]
    assert all(bits)
