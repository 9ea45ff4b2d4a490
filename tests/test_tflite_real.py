"""Published int8 networks of keyword spotting, anomaly detection and vision: every tensor is the
interpreter's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparqsim import get_pe
from sparqsim.networks.images import Pictures
from sparqsim.networks.tflite.interpreter import Interpreter
from sparqsim.pe.arithmetic import layer_sums

pytest.importorskip("ai_edge_litert", reason="needs the extra 'tflite'")

from sparqsim.networks.tflite.execute import Executor
from sparqsim.networks.tflite.macs import read_operators
from sparqsim.networks.tflite.model import Model
from sparqsim.networks.tflite.network import prepared

EXACT = get_pe("mac-8b8b")
#: Network, layers with products, tensors computed again.
NETWORKS = [
    ("ad01_int8", 10, 11),
    ("kws_ref_model", 10, 13),
    ("resnet8_large_int8", 10, 16),
    ("vww_96_int8", 28, 31),
]


def inputs_of(model: Model, path: Path, count: int) -> Pictures:
    shape = model.tensors[model.inputs[0]].shape[1:]
    np.save(path, np.random.default_rng(0).integers(-128, 128, (count, *shape)).astype(np.int8))
    return Pictures.open(path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layers", "tensors"), NETWORKS)
def test_every_tensor_is_the_interpreters(
    shared: Path, tmp_path: Path, name: str, layers: int, tensors: int
) -> None:
    """Exact arithmetic on the trace's operands, requantised, gives every integer of the
    interpreter.
    """
    file = shared / "data" / "mlperf_tiny_int8" / f"{name}.tflite"
    if not file.exists():
        pytest.skip(f"shared data not found at {file} (set SPARQSIM_SHARED)")
    model = Model(file)
    macs = read_operators(model)
    fed = list(prepared(model, inputs_of(model, tmp_path / "x.npy", 2)))
    values = Executor(model, macs).run(np.stack(fed), {mac.name: EXACT for mac in macs})
    assert (len(macs), len(values)) == (layers, tensors)
    interpreter = Interpreter(model)
    for at, one in enumerate(fed):
        own = interpreter.run(one, list(values))
        for index, value in values.items():
            assert np.array_equal(value[at], own[index][0]), model.tensors[index].name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ad01_int8", "kws_ref_model"])
def test_sums_are_plain_sums(shared: Path, tmp_path: Path, name: str) -> None:
    """Sums of every fully connected and 1x1 layer: int64 products of the interpreter's own input
    tensor.
    """
    file = shared / "data" / "mlperf_tiny_int8" / f"{name}.tflite"
    if not file.exists():
        pytest.skip(f"shared data not found at {file} (set SPARQSIM_SHARED)")
    model = Model(file)
    plain = 0
    interpreter = Interpreter(model)
    (one,) = prepared(model, inputs_of(model, tmp_path / "x.npy", 1))
    for mac in read_operators(model):
        filters = model.tensors[mac.operator.inputs[1]]
        if mac.operator.kind == "DEPTHWISE_CONV_2D" or filters.shape[1:-1] not in ((), (1, 1)):
            continue
        value = interpreter.run(one, [mac.source.index])[mac.source.index]
        x = value.reshape(-1, filters.shape[-1]).astype(np.int64) - mac.source.zero_point
        w = filters.value.reshape(len(filters.value), -1).astype(np.int64)
        assert np.array_equal(
            layer_sums(mac.site().layer([mac.operands(value)]), EXACT), x @ w.T
        ), mac.name
        plain += 1
    assert plain >= 5
