"""Bits of a layer, through every design: cycles and values against models written out here."""

from __future__ import annotations

import itertools
import json
import re
from fractions import Fraction

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import sparqsim
from sparqsim.pe import LayerFacts, get_pe
from sparqsim.trace.codebits import checked
from sparqsim.trace.drawn import synthetic_trace
from sparqsim.trace.source import TensorSource
from sparqsim.trace.synthetic import Distribution, LayerShape
from sparqsim.trace.writer import TraceWriter


def code_range(bits: int, *, signed: bool) -> range:
    """Return all codes of some bits."""
    return range(-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else range(2**bits)


def hand_nibble(code: int, bits: int, *, signed: bool, trim: bool) -> int:
    """Return what a conventional 4-bit array keeps of a code: its top four bits, as text.

    The nibble's unit is the bit below which `bits - 4` bits are lost.
    """
    lost = max(0, bits - 4)
    exact = Fraction(code, 2**lost)
    nibble = exact.__floor__() if trim else round(exact)
    ends = (-8, 7) if signed else (0, 15)
    return min(max(nibble, ends[0]), ends[1]) * 2**lost


@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", range(1, 9))
def test_narrow_macs_keep_the_top_bits_of_the_layer(bits, signed, trim):
    """Every code of every width, through the fast form and through `step`."""
    key = ":rounding=trim" if trim else ""
    codes = code_range(bits, signed=signed)
    x = np.array([codes], np.int8 if signed else np.uint8)
    expected = [hand_nibble(code, bits, signed=signed, trim=trim) for code in codes]
    for name, lanes in (("mac-4b8b", 2), ("mac-4b4b", 4)):
        facts = LayerFacts(len(codes), signed, activation_bits=bits)
        pe = get_pe(name + key).for_layer(facts)
        assert pe.used_activations(x)[0].tolist() == expected
        for code, kept in zip(codes, expected, strict=True):
            xs, ws = [code] + [0] * (lanes - 1), [16] * lanes
            assert pe.step(xs, ws, signed).value == 16 * kept
        if bits <= 4:
            assert expected == list(codes)


@pytest.mark.parametrize("bits", range(1, 9))
def test_narrow_weights_are_the_top_bits_of_the_layers_weights(bits):
    codes = code_range(bits, signed=True)
    w = np.array(codes, np.int8)[:, None]
    expected = [hand_nibble(code, bits, signed=True, trim=False) for code in codes]
    pe = get_pe("mac-4b4b").for_layer(LayerFacts(len(codes), weight_bits=bits))
    assert pe.used_weights(w)[:, 0].tolist() == expected
    steps = [pe.step([1 << 4, 0, 0, 0], [code, 0, 0, 0]).value for code in codes]
    assert steps == [16 * kept for kept in expected]
    wide = get_pe("mac-4b8b").for_layer(LayerFacts(len(codes), weight_bits=bits))
    assert wide.used_weights(w) is w


def test_a_layer_of_four_bits_loses_nothing_on_four_bit_macs():
    rng = np.random.default_rng(0)
    for bits, other in itertools.product(range(1, 5), repeat=2):
        x = rng.integers(0, 2**bits, (5, 9)).astype(np.uint8)
        w = rng.integers(-(2 ** (other - 1)), 2 ** (other - 1), (9, 3)).astype(np.int8)
        pe = get_pe("mac-4b4b").for_layer(LayerFacts(9, False, bits, other))
        assert np.array_equal(pe.matmul(x, w), x.astype(int) @ w.astype(int))


def narrow_layer(name="narrow", **changes):
    """Return a small layer of 3-bit activations and 4-bit weights that spans both ranges."""
    x = (np.arange(12, dtype=np.uint8) % 8).reshape(3, 4)
    w = (np.arange(8, dtype=np.int8) * 2 - 8).reshape(4, 2)
    return sparqsim.Layer.from_gemm(
        name, x, w, **{"activation_bits": 3, "weight_bits": 4} | changes
    )


@pytest.fixture
def narrow_path(tmp_path):
    path = tmp_path / "narrow.safetensors"
    wide = sparqsim.Layer.from_gemm("wide", np.full((2, 2), 200, np.uint8), np.eye(2, dtype="i1"))
    sparqsim.Trace([narrow_layer(), wide]).save(path)
    return path


def document_of(path):
    """Return the JSON document of a trace file, by the safetensors format alone."""
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["sparqsim"])


def write_trace(path, document, tensors):
    save_file(tensors, path, {"sparqsim": json.dumps(document)})
    return path


class TestFile:
    def test_bits_make_a_file_of_format_2_and_come_back(self, narrow_path):
        document = document_of(narrow_path)
        assert document["format"] == "sparqsim.trace/2"
        assert [document["layers"][0][f"{each}_bits"] for each in ("activation", "weight")] == [
            3,
            4,
        ]
        assert not {"activation_bits", "weight_bits"} & document["layers"][1].keys()
        assert sparqsim.check_trace(narrow_path) == []
        narrow, wide = sparqsim.load_trace(narrow_path).layers
        assert (narrow.record.activation_bits, narrow.record.weight_bits) == (3, 4)
        assert (wide.record.activation_bits, wide.record.weight_bits) == (8, 8)
        assert np.array_equal(narrow.activations, narrow_layer().activations)

    def test_eight_bits_that_are_said_leave_the_bytes_as_they_were(self, tmp_path):
        plain, said = tmp_path / "plain.safetensors", tmp_path / "said.safetensors"
        x, w = np.ones((2, 3), np.uint8), np.ones((3, 2), np.int8)
        sparqsim.Trace([sparqsim.Layer.from_gemm("a", x, w)]).save(plain)
        explicit = sparqsim.Layer.from_gemm("a", x, w, activation_bits=8, weight_bits=8)
        sparqsim.Trace([explicit]).save(said)
        assert plain.read_bytes() == said.read_bytes()
        assert document_of(plain)["format"] == "sparqsim.trace/1"

    def test_the_shipped_trace_is_written_again_byte_for_byte(self, digits, digits_path, tmp_path):
        digits.save(tmp_path / "again.safetensors")
        assert (tmp_path / "again.safetensors").read_bytes() == digits_path.read_bytes()

    def test_the_writer_writes_the_same_file(self, narrow_path, tmp_path):
        trace = sparqsim.load_trace(narrow_path)
        path = tmp_path / "written.safetensors"
        with TraceWriter(path) as writer:
            for layer in trace.layers:
                writer.add_layer(layer.record, layer.weights)
                writer.append(layer.name, layer.activations)
        assert path.read_bytes() == narrow_path.read_bytes()

    @pytest.mark.parametrize("bits", [4, 8])
    def test_format_1_knows_no_bits(self, tmp_path, bits):
        layer = {"name": "a", "op": "gemm", "weight_bits": bits}
        document = {"format": "sparqsim.trace/1", "layers": [layer]}
        tensors = {"a/activations": np.ones((1, 2, 3), "u1"), "a/weights": np.ones((2, 1, 3), "i1")}
        path = write_trace(tmp_path / "old.safetensors", document, tensors)
        with pytest.raises(sparqsim.InputError, match=f"'a' has weight_bits={bits}.*trace/1"):
            sparqsim.load_trace(path)

    @pytest.mark.parametrize("bits", [0, 9, -1, 2.5, "4", None, True])
    def test_bits_out_of_range(self, tmp_path, bits):
        layer = {"name": "a", "op": "gemm", "activation_bits": bits}
        document = {"format": "sparqsim.trace/2", "layers": [layer]}
        tensors = {"a/activations": np.ones((1, 2, 3), "u1"), "a/weights": np.ones((2, 1, 3), "i1")}
        path = write_trace(tmp_path / "bad.safetensors", document, tensors)
        with pytest.raises(sparqsim.InputError, match=r"layers\[0\]\.activation_bits"):
            sparqsim.load_trace(path)
        assert any("activation_bits" in fault for fault in sparqsim.check_trace(path))
        with pytest.raises(sparqsim.InputError, match="layer 'narrow': activation_bits"):
            narrow_layer(activation_bits=bits)


class TestCodesThatDoNotFit:
    #: tensor, place of the code, code, how it is named
    CASES = (
        ("a/activations", (0, 1, 2), 8, "'a/activations'[0, 1, 2] is 8, expected 0..7"),
        ("a/weights", (1, 0, 0), -9, "'a/weights'[1, 0, 0] is -9, expected -8..7"),
        ("a/weights", (0, 0, 2), 8, "'a/weights'[0, 0, 2] is 8, expected -8..7"),
    )

    def path(self, folder, tensor, place, code):
        document = {
            "format": "sparqsim.trace/2",
            "layers": [{"name": "a", "op": "gemm", "activation_bits": 3, "weight_bits": 4}],
        }
        tensors = {"a/activations": np.ones((1, 2, 3), "u1"), "a/weights": np.ones((2, 1, 3), "i1")}
        tensors[tensor][place] = code
        return write_trace(folder / "over.safetensors", document, tensors)

    @pytest.mark.parametrize("case", CASES)
    def test_check_and_reading_name_the_first_one(self, tmp_path, case):
        *where, told = case
        path = self.path(tmp_path, *where)
        bits = "3 bits" if "activations" in told else "4 bits"
        assert sparqsim.check_trace(path) == [f"layer 'a': tensor {told}, codes of {bits}"]
        with pytest.raises(sparqsim.InputError, match=re.escape(told)) as caught:
            sparqsim.simulate(sparqsim.load_trace(path), "mac-8b8b")
        assert str(caught.value).startswith(f"{path}: layer 'a': tensor ")

    def test_the_command_ends_with_2(self, tmp_path, refused):
        path = self.path(tmp_path, *self.CASES[0][:3])
        assert self.CASES[0][3] in refused("trace", "check", path)

    def test_both_operands_are_told(self, tmp_path):
        path = self.path(tmp_path, *self.CASES[0][:3])
        trace = load_file(path)
        trace["a/weights"][1, 0, 1] = 100
        write_trace(path, document_of(path), trace)
        assert len(sparqsim.check_trace(path)) == 2

    def test_values_in_hand_are_refused_at_once(self):
        x = np.full((2, 3), 8, np.uint8)
        with pytest.raises(sparqsim.InputError, match=r"'a/activations'\[0, 0, 0\] is 8"):
            sparqsim.Layer.from_gemm("a", x, np.ones((3, 1), np.int8), activation_bits=3)

    def test_the_index_is_that_of_the_whole_tensor(self):
        x = np.zeros((40, 3), np.uint8)
        layer = narrow_layer()
        x[33, 1] = 9
        source = checked(TensorSource.of(x[None]), 3, "tensor 'x'")
        with pytest.raises(sparqsim.InputError, match=r"'x'\[0, 33, 1\] is 9"):
            source.read((slice(None), slice(30, 40)))
        assert source.read((slice(None), slice(0, 30))).shape == (1, 30, 3)
        assert layer.lower().rows(1, 3).shape == (1, 2, 4)

    def test_the_writer_refuses_them_with_their_place(self, tmp_path):
        record = narrow_layer().record
        with TraceWriter(tmp_path / "x.safetensors") as writer:
            writer.add_layer(record, np.ones((2, 1, 4), np.int8))
            writer.append("narrow", np.ones((1, 5, 4), np.uint8))
            late = np.ones((1, 5, 4), np.uint8)
            late[0, 2, 3] = 9
            with pytest.raises(
                sparqsim.InputError, match=r"activations'\[0, 7, 3\] is 9, expected"
            ):
                writer.append("narrow", late)

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"activation_zero_point": 8}, r"activation_zero_point=8, expected 0\.\.7"),
            ({"weight_zero_points": (-9,)}, r"weight_zero_points=-9, expected -8\.\.7"),
        ],
    )
    def test_a_zero_point_is_a_code(self, changes, told):
        with pytest.raises(sparqsim.InputError, match=told):
            narrow_layer(zero_point_corrected=True, **changes)

    def test_drawn_values_have_eight_bits(self):
        shape = LayerShape.gemm("a", 2, 3, 4, weight_bits=4)
        with pytest.raises(sparqsim.InputError, match="layer 'a': weights of 4 bits"):
            synthetic_trace([shape], Distribution())


def test_info_shows_bits_only_where_a_layer_has_fewer(narrow_path, small_path, run):
    shown = run("trace", "info", narrow_path).out
    assert "of X, W" in shown
    assert re.search(r"narrow.*uint8\W+3, 4", shown)
    assert re.search(r"wide.*uint8\W+8, 8", shown)
    assert "of X, W" not in run("trace", "info", small_path).out
    rows = sparqsim.load_trace(narrow_path).flat_rows()
    assert [(row["activation_bits"], row["weight_bits"]) for row in rows] == [(3, 4), (8, 8)]
    assert "weight_bits" not in sparqsim.load_trace(small_path).flat_rows()[0]
    html = sparqsim.load_trace(narrow_path)._repr_html_()
    assert "<th>weight bits</th>" in html
    assert "bits</th>" not in sparqsim.load_trace(small_path)._repr_html_()
