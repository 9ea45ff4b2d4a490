"""SCALE-Sim topologies: what they say, and what a user is told about how they were read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sparqsim import InputError, check_trace, load_trace
from sparqsim.trace.drawn import save_synthetic
from sparqsim.trace.synthetic import Distribution
from sparqsim.trace.topology import Topology, read_topology

SHARED = Path(os.environ.get("SPARQSIM_SHARED", Path(__file__).parents[2] / "shared"))
HEADER = (
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, "
    "Strides,\n"
)


@pytest.fixture
def read(tmp_path: Path):
    def from_text(text: str) -> Topology:
        (tmp_path / "net.csv").write_text(text)
        return read_topology(tmp_path / "net.csv")

    return from_text


def test_a_convolution(read) -> None:
    (layer,) = read(HEADER + "\nConv1, 13, 12, 5, 3, 6, 16, 2,\n").layers
    assert layer.record.geometry.kernel == (5, 3)
    assert layer.record.geometry.stride == (2, 2)
    assert layer.activations == (1, 13, 12, 6)
    assert layer.weights == (16, 15, 6)


def test_products_are_m_n_k(read) -> None:
    (layer,) = read("Layer,M,N,K,\r\nqkv, 128, 1536, 512,\r\n").layers
    assert layer.activations == (1, 128, 512)
    assert layer.weights == (1536, 1, 512)


def test_depthwise_by_name(read) -> None:
    topology = read(HEADER + "Conv2-DP,14,14,3,3,8,1,1,\n")
    assert (topology.layers[0].record.groups, topology.layers[0].weights) == (8, (8, 9, 1))
    assert "'DP': a depthwise convolution of 8 channels" in topology.notes[0]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (
            HEADER + "a,8,8,3,3,4,4,1\n",
            "line 2, layer 'a': no comma at the end: SCALE-Sim loses the last field ('1')",
        ),
        (
            HEADER + "a,56,56,1,1,4,4,2,\n",
            "line 2, layer 'a': SCALE-Sim has 29x29 output pixels (rounded up), here 28x28",
        ),
        (HEADER + "a,8,8,3,3,4,1,1,\n", "line 2, layer 'a': one filter of 4 channels, as written"),
        (HEADER + "a,8,8,3,3,4,4,1,2:4,\n", "line 2, layer 'a': sparsity 2:4 is not applied"),
        (
            HEADER + ",,,,,,,,\na,8,8,3,3,4,4,1,\n",
            "line 2: 9 empty fields, skipped (SCALE-Sim stops here: field 'ifmap height')",
        ),
        (
            HEADER + "a,8,8,3,3,4,4,1,,110,7\n",
            "line 2, layer 'a': 2 more fields after the last one known (110, 7) left out",
        ),
        (
            HEADER + "a,8,8,3,3,4,4,1,\na,8,8,3,3,4,4,1,\n",
            "line 2, layer 'a': the name is used 2 times: renamed to a#2",
        ),
        (
            "a,8,8,3,3,4,4,1,\nb,8,8,3,3,4,4,1,\n",
            "line 1 (a, 8, 8, 3, ...) reads like a layer, but is the header",
        ),
    ],
)
def test_quirks_are_reported(read, text: str, note: str) -> None:
    assert any(found.startswith(note) for found in read(text).notes)


def test_a_plain_file_has_no_notes(read) -> None:
    assert read(HEADER + "a,8,8,3,3,4,4,1,\nb,6,6,1,1,4,4,1,\n").notes == ()


def test_the_last_value_counts_without_a_comma(read) -> None:
    assert read(HEADER + "a,9,9,3,3,4,4,2\n").layers[0].record.geometry.stride == (2, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            HEADER + "a,8,8,3,x,4,4,1,\n",
            ("line 2", "layer 'a'", "filter width is 'x'", "whole number"),
        ),
        (HEADER + "a,8,8,3,3,4,4,\n", ("line 2", "stride is ''")),
        (HEADER + "a,8,8,3,3,4,0,1,\n", ("filters is '0'",)),
        (HEADER + "a,8,8,9,3,4,4,1,\n", ("line 2", "filter height is 9", "at most the input's 8")),
        (HEADER + ",8,8,3,3,4,4,1,\n", ("line 2", "the name is empty")),
        (HEADER + "a,99999999999,8,3,3,4,4,1,\n", ("ifmap height is '99999999999'",)),
        (HEADER, ("no layers after the header line",)),
        ("Layer,M,N,K,\nq,1,2.5,3,\n", ("line 2", "N is '2.5'")),
    ],
)
def test_what_cannot_be_read_is_named(read, text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert all(word in str(caught.value) for word in ("net.csv", *words))


def test_a_missing_or_foreign_file_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("a.csv", "b.csv"):
        with pytest.raises(InputError, match=name):
            read_topology(tmp_path / name)


def test_the_trace_says_that_values_are_drawn(read, tmp_path: Path) -> None:
    topology = read(HEADER + "a,8,8,3,3,4,4,1,\nb-DP,6,6,3,3,4,1,1,\n")
    save_synthetic(
        tmp_path / "t.safetensors", topology.layers, Distribution(seed=3), network="net.csv"
    )
    trace = load_trace(tmp_path / "t.safetensors")
    assert check_trace(tmp_path / "t.safetensors") == []
    assert "seed=3" in trace.metadata.synthetic
    assert [layer.gemm.macs for layer in trace.layers] == [36 * 36 * 4, 16 * 9 * 4]


@pytest.mark.parametrize(
    ("name", "kind", "layers"),
    [
        ("Resnet18", "convolutions", 21),
        ("Resnet50", "convolutions", 54),
        ("Googlenet", "convolutions", 58),
        ("alexnet", "convolutions", 5),
        ("alexnet_full", "convolutions", 5),
        ("mobilenet", "convolutions", 27),
        ("yolo_tiny", "convolutions", 9),
        ("AlphaGoZero", "convolutions", 8),
        ("gpt2", "products", 6),
        ("vit_b", "products", 5),
        ("vit_s", "products", 5),
    ],
)
def test_shipped_topologies(name: str, kind: str, layers: int) -> None:
    file = SHARED / "scalesim" / "topologies" / f"{name}.csv"
    if not file.exists():
        pytest.skip(f"{file} is not here (set SPARQSIM_SHARED)")
    topology = read_topology(file)
    assert (topology.kind, len(topology.layers)) == (kind, layers)


BATCHED = HEADER.replace("Strides,", "Strides, Batch Size,")


def test_a_column_of_batch_sizes_is_taken(read) -> None:
    topology = read(BATCHED + "c1, 16, 16, 3, 3, 8, 16, 1, 4,\nc2, 16, 16, 3, 3, 8, 16, 1, 1,\n")
    assert [layer.activations for layer in topology.layers] == [(4, 16, 16, 8), (1, 16, 16, 8)]
    assert topology.notes == ()


def test_a_batch_of_products_is_more_rows_and_said(read) -> None:
    topology = read("Layer,M,N,K,Batch,\ng, 8, 12, 20, 3,\n")
    assert topology.kind == "products"
    assert topology.layers[0].activations == (1, 24, 20)
    assert "batch of 3: M = 3 x 8 rows, all with the same weights" in topology.notes[0]


def test_a_sparsity_beside_a_batch_size(read) -> None:
    text = HEADER.replace("Strides,", "Strides, Sparsity, Batch Size,")
    topology = read(text + "c1, 16, 16, 3, 3, 8, 16, 1, 2:4, 4,\n")
    assert topology.layers[0].activations[0] == 4
    assert topology.notes == ("line 2, layer 'c1': sparsity 2:4 is not applied: weights are dense",)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ", ", "\t", ";"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n"])
def test_other_separators_ends_of_lines_and_marks(end, separator, start, tmp_path: Path) -> None:
    rows = (
        ("Layer", "IH", "IW", "FH", "FW", "C", "N", "S", ""),
        ("c1", "16", "15", "3", "2", "8", "4", "1", ""),
    )
    text = start + end.join(separator.join(row) for row in rows) + end
    (tmp_path / "net.csv").write_bytes(text.encode())
    topology = read_topology(tmp_path / "net.csv")
    assert (topology.kind, topology.notes) == ("convolutions", ())
    assert topology.layers[0].activations == (1, 16, 15, 8)
    assert topology.layers[0].weights == (4, 6, 8)


@pytest.mark.parametrize(
    "label", ["MyNetwork,", "MyNetwork,,,,,,,,", "MyNetwork", '"My, Network",']
)
def test_a_row_with_a_name_alone_is_a_label(read, label: str) -> None:
    topology = read(HEADER + label + "\nc1, 16, 16, 3, 3, 8, 16, 1,\n")
    assert [layer.record.name for layer in topology.layers] == ["c1"]
    assert "has no numbers: taken for a label, skipped" in topology.notes[0]


@pytest.mark.parametrize("separator", [", ", ","])
def test_names_in_quotes(read, separator: str) -> None:
    topology = read("Layer,M,N,K,\n" + separator.join(['"a, b"', "8", '"12"', "20", ""]) + "\n")
    assert topology.layers[0].record.name == "a, b"
    assert topology.layers[0].activations == (1, 8, 20)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('Layer,M,N,K,\n"g1, 8, 12, 20,\ng2, 3, 4, 5,\n', ("line 2", "unexpected end")),
        ('Layer,M,N,K,\na,1,2,3,\n"g"1, 8, 12, 20,\n', ("line 3",)),
        (BATCHED + "c1, 16, 16, 3, 3, 8, 16, 1, 0,\n", ("line 2", "batch size is '0'")),
        (BATCHED + "c1, 16, 16, 3, 3, 8, 16, 1,\n", ("line 2", "batch size is ''")),
        ("Layer,Batch,M,N,K,\ng,3,8,12,20,\n", ("line 1", "column 2 is 'Batch'", "after M, N, K")),
        ("Layer,M,N,K,\ng,+8,12,20,\n", ("line 2", "M is '+8'")),
        ("Layer,M,N,K,\ng,\u0663,12,20,\n", ("line 2", "M is '\u0663'")),
        ("Layer,M,N,K,\ng," + "9" * 5_000 + ",12,20,\n", ("line 2", "M is '999")),
        ("Layer,M,N,K,\n\x1b[31m,8,12,20,\n", ("line 2", "the name holds U+001B")),
        ("Layer,M,N,K,\n\u202e,\n\ng,8,12,20,\n", ("line 2", "the name holds U+202E")),
        ("Layer,M,N,K,\n" + "a" * 600 + ",8,12,20,\n", ("line 2", "has 600 characters")),
        ("\n\n\n", ("no layers after the header line",)),
        ("a", ("no layers after the header line",)),
        (HEADER + "c1, conv, 16, 3, 3, 8, 16, 1,\n", ("line 2", "ifmap height is 'conv'")),
    ],
)
def test_odd_files_are_named_by_line_and_field(read, text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert all(word in str(caught.value) for word in ("net.csv", *words)), caught.value
    assert len(str(caught.value)) < 400


def test_names_stay_unique_whatever_they_are(read) -> None:
    rows = "".join(f"{name},1,2,3,\n" for name in ("a", "b", "a", "a#2", "a#4"))
    names = [layer.record.name for layer in read("Layer,M,N,K,\n" + rows).layers]
    assert len(set(names)) == 5
    assert names[3:] == ["a#2", "a#4"]


def test_what_notes_repeat_is_printable(read) -> None:
    topology = read("Layer,M,N,K,\ng, 8, 12, 20, \x1b]0;PWNED\x07\x1b[2J:4,\n")
    assert topology.notes
    assert all(note.isprintable() for note in topology.notes)


@pytest.mark.parametrize(
    ("heading", "value", "neutral"),
    [("Stride W", "3", "2"), ("Groups", "8", "1"), ("Padding", "1", "0"), ("Dilation", "2", "1")],
)
def test_a_column_that_would_make_another_layer_is_refused(read, heading, value, neutral) -> None:
    header = HEADER.rstrip(",\n") + f", {heading},\n"
    row = "c1, 16, 16, 3, 3, 8, 16, 2, "
    with pytest.raises(InputError) as refused:
        read(f"{header}{row}{value},\n")
    for part in ("line 2", "'c1'", f"'{heading}' is '{value}'", f"expected {neutral}"):
        assert part in str(refused.value)
    for harmless in (neutral, ""):
        (layer,) = read(f"{header}{row}{harmless},\n").layers
        assert layer.record.geometry.stride == (2, 2)


def test_a_column_of_remarks_is_left_out_and_said(read) -> None:
    topology = read(HEADER.rstrip(",\n") + ", Remark,\nc1, 16, 16, 3, 3, 8, 16, 1, first one,\n")
    assert "1 more fields after the last one known (first one) left out" in topology.notes[0]
