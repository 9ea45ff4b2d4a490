"""Trace files: what is saved is read back, nothing is read before it is used, `check_trace` names
every fault.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from peak_memory import PEAK_KIB

import sparqsim
from sparqsim.cli import main
from sparqsim.trace.reader import trace_remarks


def same_layer(one, other):
    return (
        one.record == other.record
        and np.array_equal(one.activations, other.activations)
        and one.activations.dtype == other.activations.dtype
        and np.array_equal(one.weights, other.weights)
        and (one.bias is other.bias is None or np.array_equal(one.bias, other.bias))
    )


def test_round_trip(small_trace, small_path):
    again = sparqsim.load_trace(small_path)
    assert again.metadata == small_trace.metadata
    assert all(map(same_layer, small_trace.layers, again.layers))
    assert {name: values.tolist() for name, values in again.arrays.items()} == {"labels": [0, 1]}


@given(
    x=arrays(st.sampled_from([np.uint8, np.int8]), array_shapes(min_dims=2, max_dims=2)),
    n=st.integers(1, 4),
    name=st.text(st.characters(codec="utf-8").filter(str.isprintable), min_size=1),
    note=st.text(st.characters(codec="utf-8")),
    scales=st.floats(min_value=1e-30, max_value=1e30),
    keep=st.booleans(),
)
def test_round_trip_of_any_names_and_values(tmp_path_factory, x, n, name, note, scales, keep):
    w = np.full((x.shape[1], n), -3, np.int8)
    layer = sparqsim.Layer.from_gemm(
        name, x, w, note=note, weight_scales=(scales,) * n, activation_scale=scales, keep_8bit=keep
    )
    path = tmp_path_factory.mktemp("trace") / "any.safetensors"
    sparqsim.Trace([layer], network=note).save(path)
    dark = f"layer {name!r}: activations are all zero: all of its products are zero"
    assert sparqsim.check_trace(path) == []
    assert trace_remarks(path) == ([] if x.any() else [dark])
    assert same_layer(layer, sparqsim.load_trace(path).layers[0])


def test_bias_is_kept(tmp_path):
    layer = sparqsim.Layer.linear(
        "fc",
        np.ones((2, 3), np.uint8),
        np.ones((4, 3), np.int8),
        bias=np.arange(4, dtype=np.float32),
    )
    sparqsim.Trace([layer]).save(tmp_path / "bias.safetensors")
    assert same_layer(layer, sparqsim.load_trace(tmp_path / "bias.safetensors").layers[0])


def test_sha256_is_that_of_the_file(small_trace, small_path):
    expected = hashlib.sha256(small_path.read_bytes()).hexdigest()
    assert sparqsim.load_trace(small_path).sha256 == expected
    assert small_trace.sha256 == expected, "of an unsaved trace: of the bytes it would save"


def test_saving_twice_gives_equal_bytes(small_trace, small_path, tmp_path):
    sparqsim.load_trace(small_path).save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == small_path.read_bytes()


def test_a_trace_can_be_saved_over_itself(small_path):
    before = small_path.read_bytes()
    sparqsim.load_trace(small_path).save(small_path)
    assert small_path.read_bytes() == before


def test_arrays_are_a_mapping_of_what_was_stored(digits):
    assert {"labels", "logits_float", "logits_8bit"} <= set(digits.arrays)
    assert len(digits.arrays) == len(dict(digits.arrays))
    with pytest.raises(KeyError):
        digits.arrays["logits"]


def test_the_shipped_trace_is_sound_and_says_how_it_was_made(digits, digits_path):
    assert sparqsim.check_trace(digits_path) == []
    document = digits.metadata
    assert all(
        (
            document.network,
            document.calibrator,
            document.origin,
            document.license_note,
            document.provenance,
        )
    )
    assert not digits.metadata.synthetic, "values of a real network"
    assert sum(layer.op == "conv2d" for layer in digits.layers) >= 8
    assert [layer.name for layer in digits.layers if layer.keep_8bit] == [
        digits.layers[0].name,
        digits.layers[-1].name,
    ]
    assert {layer.activations.dtype for layer in digits.layers} == {np.dtype(np.uint8)}


def test_the_shipped_trace_holds_its_accuracy(digits):
    """At least 97 %, recomputed from logits and labels, and equal to what the metadata says."""
    labels = digits.arrays["labels"]
    correct = {
        kind: int((digits.arrays[f"logits_{kind}"].argmax(axis=1) == labels).sum())
        for kind in ("float", "8bit")
    }
    assert min(correct.values()) >= 0.97 * len(labels)
    text = json.dumps(digits.metadata.provenance)
    assert all(str(count) in text for count in (*correct.values(), len(labels)))


BIG = """
import sys
import numpy as np, sparqsim
def peak(): return peak_kib() // 1024
warm = sparqsim.Layer.from_gemm("warm", np.ones((4, 4), np.uint8), np.ones((4, 4), np.int8))
sparqsim.simulate(sparqsim.Trace([warm]))
trace = sparqsim.load_trace(sys.argv[1])
before = peak()
shapes = [layer.gemm for layer in trace.layers]
opened = peak()
sparqsim.simulate(sparqsim.Trace(trace.layers[:1], digest=lambda: ""), "sparq-5opt")
one = peak()
sparqsim.simulate(trace, "sparq-5opt")
print(opened - before, one - before, peak() - before)
"""


@pytest.fixture(scope="module")
def big_path(tmp_path_factory):
    """A sound trace of 160 MB that takes no room on disk: activations are a hole in the file."""
    path = tmp_path_factory.mktemp("big") / "big.safetensors"
    m, k, layers = 20_000, 1000, 8
    header, records, at = {}, [], 0
    for layer in range(layers):
        records.append({"name": f"l{layer}", "op": "gemm"})
        for tensor, code, shape in (("activations", "U8", [1, m, k]), ("weights", "I8", [1, 1, k])):
            size = int(np.prod(shape))
            header[f"l{layer}/{tensor}"] = {
                "dtype": code,
                "shape": shape,
                "data_offsets": [at, at + size],
            }
            at += size
    document = {"format": "sparqsim.trace/1", "layers": records}
    header["__metadata__"] = {"sparqsim": json.dumps(document)}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)
    return path


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="peaks of memory are read from /proc"
)
def test_a_big_trace_is_not_read_before_use(big_path, root):
    """Growth of peak resident memory, MB: nothing to open the file, and for all eight layers what
    one layer needs.
    """
    ended = subprocess.run(
        [sys.executable, "-c", PEAK_KIB + BIG, str(big_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
    )
    opened, one, everything = map(int, ended.stdout.split())
    layer = (big_path.stat().st_size >> 20) // 8
    assert opened < layer // 2
    assert one < 8 * layer
    assert everything < one + 2 * layer, "six more layers were held at once"


def document(path):
    """The trace's header as JSON, its metadata document parsed, and its data."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    return header, json.loads(header["__metadata__"]["sparqsim"]), content[end:]


@pytest.fixture
def altered(small_path, craft):
    """Write the small trace with its document and header changed by a function."""

    def write(change):
        header, doc, data = document(small_path)
        change(doc, header)
        header["__metadata__"]["sparqsim"] = json.dumps(doc)
        return craft(header, data)

    return write


def of_layer(number, **fields):
    return lambda doc, _: doc["layers"][number].update(fields)


def of_first_geometry(**fields):
    return lambda doc, _: doc["layers"][0]["geometry"].update(fields)


def renamed(tensor, name):
    return lambda _, header: header.update({name: header.pop(tensor)})


FAULTS = {
    "unknown format": (
        lambda doc, _: doc.update(format="sparqsim.trace/9"),
        "format",
        "sparqsim.trace/9",
    ),
    "no layers": (lambda doc, _: doc.update(layers=[]), "layers", "at least one"),
    "unknown field": (lambda doc, _: doc.update(colour="red"), "colour", "red"),
    "wrong type": (of_layer(0, groups="one"), "layers[0].groups", "'one'"),
    "unknown op": (of_layer(2, op="conv9d"), "layers[2].op", "conv9d"),
    "name twice": (of_layer(1, name="first"), "'first'", "2 times"),
    "missing tensor": (renamed("gemm/weights", "arrays/w"), "'gemm'", "gemm/weights"),
    "zero scale": (of_layer(0, activation_scale=0.0), "activation_scale", "0.0"),
    "zero point": (of_layer(0, activation_zero_point=3), "'first'", "activation_zero_point=3"),
    "groups": (of_layer(1, groups=4), "'grouped'", "groups=4"),
    "kernel": (of_first_geometry(kernel=[3, 2]), "'first'", "3x2"),
    "kernel too large": (of_first_geometry(dilation=[9, 9]), "'first'", "does not fit"),
    "no geometry": (of_layer(0, geometry=None), "'first'", "geometry is missing"),
    "geometry of a gemm": (of_layer(2, geometry={"kernel": [1, 1]}), "'gemm'", "geometry is given"),
    "weight scales": (of_layer(0, weight_scales=[1.0]), "'first'", "weight_scales"),
    "stray tensor": (renamed("arrays/labels", "what/ever"), "what/ever", "no layer"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_check_names_the_fault(fault, altered):
    change, *named = FAULTS[fault]
    faults = sparqsim.check_trace(altered(change))
    assert any(all(part in line for part in named) for line in faults), faults
    assert not any("\n" in line for line in faults)


def test_check_names_every_fault(altered):
    def change(doc, header):
        doc["layers"][0].update(activation_zero_point=3, weight_scales=[1.0, 1.0])
        doc["layers"][1].update(groups=4)
        header["what/ever"] = header.pop("arrays/labels")

    faults = sparqsim.check_trace(altered(change))
    for part in ("activation_zero_point=3", "weight_scales has 2", "groups=4", "what/ever"):
        assert sum(part in line for line in faults) == 1, (part, faults)


def test_dead_layers_are_remarked_on_and_no_fault(tmp_path, capsys):
    layers = [
        sparqsim.Layer.from_gemm(name, np.full((2, 2), x, np.uint8), np.full((2, 2), w, np.int8))
        for name, x, w in (("dark", 0, 1), ("untrained", 1, 0))
    ]
    path = tmp_path / "zeros.safetensors"
    sparqsim.Trace(layers).save(path)
    assert sparqsim.check_trace(path) == []
    dark, untrained = trace_remarks(path)
    assert "'dark': activations are all zero" in dark
    assert "'untrained': weights are all zero" in untrained
    with pytest.raises(SystemExit) as ended:
        main(["trace", "check", str(path)])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "a sound trace" in shown
    assert "remark: layer 'dark'" in shown


WIDE = """
import numpy as np, sparqsim
def peak(): return peak_kib() // 1024
def run(m, k, n):
    layer = sparqsim.Layer.from_gemm("l", np.ones((m, k), np.uint8), np.ones((k, n), np.int8))
    sparqsim.simulate(sparqsim.Trace([layer], digest=lambda: ""), "sparq-5opt")
run(4, 4, 4)
before = peak()
run(60_000, 4, 800)
print(peak() - before)
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="peaks of memory are read from /proc"
)
def test_outputs_are_not_held_at_once(root):
    """48 million outputs, 384 MB as int64; the growth of peak resident memory, MB."""
    ended = subprocess.run(
        [sys.executable, "-c", PEAK_KIB + WIDE],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
    )
    assert int(ended.stdout) < 250
