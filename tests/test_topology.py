"""SCALE-Sim topologies: what they say, and what a user is told about how they were read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sparqsim import InputError, check_trace, load_trace
from sparqsim.trace.synthetic import Distribution, save_synthetic
from sparqsim.trace.topology import Topology, read_topology

SHARED = Path(os.environ.get("SPARQSIM_SHARED", Path(__file__).parents[2] / "shared"))
HEADER = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"


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
