"""A trace written batch by batch is the trace written at once."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from sparqsim import InputError, Layer, Trace, check_trace, load_trace
from sparqsim.trace.schema import ConvGeometry, LayerRecord
from sparqsim.trace.writer import TraceWriter

RANDOM = np.random.default_rng(4)


def integers(dtype, *shape):
    limits = np.iinfo(dtype)
    return RANDOM.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def example_trace():
    """A trace with every kind of layer, tensors of several types and a name that is not ASCII."""
    conv = Layer.conv2d(
        "conv é 1",
        integers(np.uint8, 6, 5, 5, 3),
        integers(np.int8, 4, 9, 3),
        kernel=(3, 3),
        padding=(1, 1, 1, 1),
        bias=np.ones(4, np.float32),
        weight_scales=[0.25] * 4,
        keep_8bit=True,
    )
    linear = Layer.linear("fc", integers(np.int8, 6, 7), integers(np.int8, 3, 7))
    record = LayerRecord(name="scores", op="gemm", groups=6, weight_scales=(0.5,) * 12)
    stacked = Layer(
        record,
        *[
            Layer.from_gemm(
                "x", integers(np.int8, 2, 2), integers(np.int8, 2, 2)
            ).activations_source.of(values)
            for values in (integers(np.int8, 6, 4, 5), integers(np.int8, 12, 1, 5))
        ],
    )
    arrays = {"labels": np.arange(6), "logits": RANDOM.normal(size=(6, 2)).astype(np.float32)}
    return Trace(
        [conv, linear, stacked],
        arrays=arrays,
        network="n",
        calibrator="max",
        provenance={"z": 1, "a": "ü"},
    )


def stream(trace, path, batch):
    fields = {"network": "n", "calibrator": "max", "provenance": {"z": 1, "a": "ü"}}
    with TraceWriter(path, **fields) as writer:
        for layer in trace.layers[:2]:
            writer.add_layer(layer.record, layer.weights, layer.bias)
        writer.add_layer(
            trace.layers[2].record.model_copy(update={"groups": 1, "weight_scales": (0.5,)})
        )
        for start in range(0, 6, batch):
            stop = start + batch
            conv, linear, stacked = trace.layers
            writer.append(conv.name, conv.activations[start:stop])
            writer.append(linear.name, linear.activations[:, start:stop])
            writer.append(
                stacked.name, stacked.activations[start:stop], stacked.weights[2 * start : 2 * stop]
            )
            for name, values in trace.arrays.items():
                writer.append_array(name, values[start:stop])


@pytest.mark.parametrize("batch", [1, 2, 6])
def test_bytes_equal_those_of_save(tmp_path, batch):
    trace = example_trace()
    trace.save(tmp_path / "at_once.safetensors")
    stream(trace, tmp_path / "streamed.safetensors", batch)
    assert (tmp_path / "streamed.safetensors").read_bytes() == (
        tmp_path / "at_once.safetensors"
    ).read_bytes()
    assert check_trace(tmp_path / "streamed.safetensors") == []
    assert load_trace(tmp_path / "streamed.safetensors").sha256 == trace.sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "at_once.safetensors",
        "streamed.safetensors",
    ]


def record(**fields):
    geometry = ConvGeometry(kernel=(1, 1))
    return LayerRecord(**({"name": "a", "op": "conv2d", "geometry": geometry} | fields))


def write(
    path,
    batches=((np.uint8, (1, 2, 2, 4)),),
    *,
    times_announced=1,
    to="a",
    fields=None,
    document=None,
):
    """Write one layer of four input channels from batches given as (dtype, shape)."""
    with TraceWriter(path, **document or {}) as writer:
        for _ in range(times_announced):
            writer.add_layer(record(**fields or {}), integers(np.int8, 2, 1, 4))
        for dtype, shape in batches:
            writer.append(to, integers(dtype, *shape))


def test_memory_is_one_batch(tmp_path):
    batch = integers(np.uint8, 1, 64, 64, 128)
    tracemalloc.start()
    with TraceWriter(tmp_path / "t.safetensors") as writer:
        writer.add_layer(record(), integers(np.int8, 2, 1, 128))
        for _ in range(40):
            writer.append("a", batch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "t.safetensors").stat().st_size > 40 * batch.nbytes
    assert peak < 4 * batch.nbytes


def test_a_failure_leaves_the_earlier_file_and_no_rest(tmp_path):
    path = tmp_path / "t.safetensors"
    path.write_bytes(b"earlier")
    with pytest.raises(KeyError):
        write(path, to="b")
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("batches", "fields", "message"),
    [
        ([(np.uint8, (1, 2, 2, 4)), (np.int8, (1, 2, 2, 4))], {}, "a batch is int8"),
        (
            [(np.uint8, (1, 2, 2, 4)), (np.uint8, (1, 3, 2, 4))],
            {},
            r"a batch is uint8 \(1, 3, 2, 4\)",
        ),
        ([], {}, "'a/activations' was given no values"),
        ([(np.uint8, (1, 2, 2, 4))], {"groups": 2}, "activations have 4 channels"),
        ([(np.uint8, (1, 2, 2, 4))], {"weight_scales": (1.0,)}, "weight_scales has 1 entries"),
        ([(np.uint8, (2, 2, 4))], {"op": "linear", "geometry": None}, "axes before it: size 1"),
    ],
)
def test_faults_are_named(tmp_path, batches, fields, message):
    with pytest.raises(InputError, match=message):
        write(tmp_path / "t.safetensors", batches, fields=fields)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("t.safetensors", {"document": {"nonsense": 1}}, "nonsense"),
        ("no/t.safetensors", {}, "no/t.safetensors: cannot be written"),
        ("t.safetensors", {"times_announced": 2}, "'a' is used twice"),
        ("t.safetensors", {"times_announced": 0, "batches": ()}, "layers is empty"),
    ],
)
def test_faults_of_the_whole(tmp_path, path, arguments, message):
    with pytest.raises(InputError, match=message):
        write(tmp_path / path, **arguments)
    assert list(tmp_path.iterdir()) == []
