"""The file under a trace: its header is read once, tensors by their place, whatever its size."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save, save_file

import sparqsim
from sparqsim.trace import tensorfile
from sparqsim.trace.tensorfile import TensorFile


@st.composite
def parts(draw):
    """A shape, and slices of its first axes."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    slices = []
    for size in shape[: draw(st.integers(0, len(shape)))]:
        start = draw(st.integers(0, size))
        slices.append(slice(start, draw(st.integers(start, size + 2))))
    return shape, tuple(slices)


@settings(max_examples=150)
@given(case=parts(), dtype=st.sampled_from(["u1", "i1", "i4", "f4", "i8", "?"]))
def test_any_part_of_a_tensor_is_that_of_the_array(case, dtype, tmp_path_factory):
    shape, part = case
    values = (np.arange(np.prod(shape)) % 251).reshape(shape).astype(dtype)
    path = tmp_path_factory.mktemp("part") / "a.safetensors"
    save_file({"first": np.ones(3, "u1"), "x": values, "zz": np.ones(2, "f8")}, path)
    read = TensorFile(path).source("x").read(part)
    assert read.dtype == values.dtype
    assert np.array_equal(read, values[part])


def test_saved_bytes_are_those_of_the_formats_own_writer(small_trace, small_path):
    tensors = load_file(small_path)
    text = json.dumps(small_trace.metadata.model_dump(mode="json"), sort_keys=True)
    assert small_path.read_bytes() == save(tensors, metadata={"sparqsim": text})


def test_the_header_is_read_once_however_many_tensors_are(small_path, monkeypatch):
    read = []
    parsed = tensorfile.parsed_header
    monkeypatch.setattr(tensorfile, "parsed_header", lambda *a: read.append(1) or parsed(*a))
    trace = sparqsim.load_trace(small_path)
    for layer in trace.layers:
        assert layer.activations.size + layer.weights.size > 0
        assert layer.lower().rows(0, 2).size > 0
    assert (len(trace.sha256), len(read)) == (64, 1)


def test_reads_touch_only_the_bytes_that_are_asked_for(small_path, monkeypatch):
    trace = sparqsim.load_trace(small_path)
    counts = []
    fill = TensorFile._fill
    monkeypatch.setattr(
        TensorFile, "_fill", lambda self, view, at: counts.append(len(view)) or fill(self, view, at)
    )
    layer = trace.layers[2]
    layer.activations_source.read((slice(None), slice(1, 3)))
    assert counts == [2 * 11]


def test_a_file_that_is_replaced_stays_what_it_was(small_path, tmp_path):
    trace = sparqsim.load_trace(small_path)
    before = trace.layers[0].weights
    other = tmp_path / "other.safetensors"
    sparqsim.Trace([trace.layers[2]]).save(other)
    digest = sparqsim.load_trace(other).sha256
    other.replace(small_path)
    assert np.array_equal(trace.layers[0].weights, before)
    assert trace.sha256 != digest
    assert sparqsim.load_trace(small_path).sha256 == digest


def test_a_file_that_is_written_to_is_refused(small_path):
    trace = sparqsim.load_trace(small_path)
    with small_path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x55")
    os.utime(small_path, ns=(1, 1))  # whatever the clock's resolution
    for use in (lambda: trace.layers[0].weights, lambda: trace.sha256):
        with pytest.raises(sparqsim.InputError, match=r"small\.safetensors: was written to"):
            use()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_refused_not_waited_for(tmp_path, refused):
    os.mkfifo(tmp_path / "pipe.safetensors")
    assert "is no regular file" in refused("trace", "info", tmp_path / "pipe.safetensors")


def test_a_name_that_no_file_can_have():
    with pytest.raises(sparqsim.InputError, match=r"a.x00b: cannot be read"):
        sparqsim.load_trace("a\0b")


def test_keys_that_stand_twice_in_the_header(tmp_path, refused):
    entry = '{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
    header = f'{{"a":{entry},"a":{entry}}}'.encode()
    path = tmp_path / "twice.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    assert "key 'a' stands twice" in refused("trace", "check", path)


LARGE = """
import resource, sys
import sparqsim
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
trace = sparqsim.load_trace(sys.argv[1])
print(sum(len(layer.lower().rows(0, 1000)[0]) for layer in trace.layers))
trace.save(sys.argv[2])
print(sparqsim.load_trace(sys.argv[2]).layers[-1].activations.shape)
"""


@pytest.mark.slow
def test_a_file_larger_than_the_address_space(tmp_path):
    """3.3 GB within 2 GB: 33 layers of 100 MB, a sparse file."""
    layers, rows, k = 33, 100_000, 1_000
    entries, end = {}, 0
    document = {"format": "sparqsim.trace/1", "layers": []}
    for at in range(layers):
        for kind, dtype, shape in (
            ("activations", "U8", [1, rows, k]),
            ("weights", "I8", [2, 1, k]),
        ):
            size = int(np.prod(shape))
            entries[f"l{at}/{kind}"] = {
                "dtype": dtype,
                "shape": shape,
                "data_offsets": [end, end + size],
            }
            end += size
        document["layers"].append({"name": f"l{at}", "op": "gemm"})
    header = json.dumps({"__metadata__": {"sparqsim": json.dumps(document)}} | entries).encode()
    path = tmp_path / "large.safetensors"
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + end)
    ended = subprocess.run(
        [sys.executable, "-c", LARGE, path, tmp_path / "copy.safetensors"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.split("\n")[:2] == ["33000", "(1, 100000, 1000)"], ended.stderr


def test_many_layers_cost_as_many_reads(tmp_path, monkeypatch):
    """Bytes read for `info` grow with the layers, not with their square."""
    read = []
    fill = TensorFile._fill
    monkeypatch.setattr(
        TensorFile, "_fill", lambda self, view, at: read.append(len(view)) or fill(self, view, at)
    )
    total = {}
    for count in (20, 40):
        layer = sparqsim.Layer.from_gemm("x", np.ones((2, 3), "u1"), np.ones((3, 2), "i1"))
        records = [layer.record.model_copy(update={"name": f"n{at:02}"}) for at in range(count)]
        sources = layer.activations_source, layer.weights_source
        path = tmp_path / f"{count}.safetensors"
        sparqsim.Trace([sparqsim.Layer(record, *sources) for record in records]).save(path)
        read.clear()
        assert sparqsim.check_trace(path) == []
        total[count] = sum(read)
    assert total[40] < 2.2 * total[20]
