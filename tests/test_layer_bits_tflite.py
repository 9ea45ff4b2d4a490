"""TFLite: weights of 4 bits, two a byte, are stored with their bits."""

from __future__ import annotations

import numpy as np
import pytest

import sparqsim

pytest.importorskip("ai_edge_litert")
from tflite_builder import Builder, schema

from sparqsim.networks.images import Pictures
from sparqsim.networks.modelfiles import dump


def packed(codes):
    """Return the bytes of codes, by the format's rule: the first of two in the low nibble."""
    flat = [int(code) & 15 for code in codes.ravel()]
    flat += [0] * (len(flat) % 2)
    return np.array(
        [low | high << 4 for low, high in zip(flat[::2], flat[1::2], strict=True)], "u1"
    )


@pytest.mark.parametrize("shape", [(5, 12), (3, 7)], ids=["even", "odd"])
def test_packed_weights(shape, tmp_path):
    channels, depth = shape
    rng = np.random.default_rng(2)
    codes = rng.integers(-8, 8, shape)
    codes[0, :2] = -8, 7
    build = Builder(signed=True)
    x = build.tensor("x", (1, depth), [0.02], [0])
    kind = schema.TensorType.INT4
    w = build.tensor("w", shape, [0.5], [0], packed(codes), kind=kind)
    y = build.tensor("y", (1, channels), [0.2], [3])
    build.operator("FULLY_CONNECTED", [x, w], y)
    build.save(tmp_path / "n.tflite", [x], [y])
    values = rng.integers(-128, 128, (2, depth)).astype(np.int8)
    np.save(tmp_path / "x.npy", values)
    pictures = Pictures.open(str(tmp_path / "x.npy"), "", None)
    dump(tmp_path / "n.tflite", pictures, tmp_path / "t.safetensors", calibration=pictures)
    assert sparqsim.check_trace(tmp_path / "t.safetensors") == []
    (layer,) = sparqsim.load_trace(tmp_path / "t.safetensors").layers
    assert (layer.record.weight_bits, layer.record.activation_bits) == (4, 8)
    assert np.array_equal(layer.weights[:, 0], codes)
    assert np.array_equal(layer.activations[0], values)
