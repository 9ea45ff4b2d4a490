"""Traces whose file says how values are drawn: the same values as stored ones, and honest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import sparqsim
from sparqsim import InputError, check_trace, load_trace
from sparqsim.base.known import read
from sparqsim.trace import lowering, synthetic
from sparqsim.trace.drawn import DrawnTrace, save_synthetic, synthetic_trace
from sparqsim.trace.schema import ConvGeometry, TraceDocument
from sparqsim.trace.synthetic import Distribution, LayerShape

SHAPES = (
    LayerShape.conv2d(
        "conv", (6, 5), 4, 6, ConvGeometry(kernel=(3, 3), padding=(1, 0, 1, 0)), groups=2, batch=3
    ),
    LayerShape.gemm("gemm", 5, 6, 7, groups=3),
)
HUGE = LayerShape.gemm("huge", 10**6, 4096, 4096)


def document_of(path: Path) -> dict:
    content = path.read_bytes()
    header = json.loads(content[8:])
    assert list(header) == ["__metadata__"]
    return json.loads(header["__metadata__"]["sparqsim"])


def write(path: Path, document: object, tensors: dict | None = None, data: bytes = b"") -> Path:
    """Write a safetensors file by hand."""
    text = document if isinstance(document, str) else json.dumps(document)
    header = json.dumps({"__metadata__": {"sparqsim": text}} | (tensors or {})).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


@pytest.fixture
def drawn_path(tmp_path: Path) -> Path:
    path = tmp_path / "drawn.safetensors"
    save_synthetic(path, SHAPES, Distribution(0.4, 0.5, 9), network="net", provenance={"a": [1]})
    return path


@pytest.fixture
def nothing_is_drawn(monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("values were drawn")

    monkeypatch.setattr(synthetic.DrawnTensor, "read", refuse)


@st.composite
def layer_shapes(draw) -> LayerShape:
    sizes = st.integers(1, 5)
    if draw(st.booleans()):
        return LayerShape.gemm("layer", draw(sizes), draw(sizes), draw(sizes), draw(sizes))
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    pad = tuple(draw(st.integers(0, 2)) for _ in range(4))
    geometry = ConvGeometry(kernel=kernel, padding=pad, stride=(draw(sizes), draw(sizes)))
    groups = draw(st.integers(1, 3))
    size = (draw(st.integers(3, 6)), draw(st.integers(3, 6)))
    channels, filters = groups * draw(sizes), groups * draw(sizes)
    return LayerShape.conv2d(
        "layer", size, channels, filters, geometry, groups=groups, batch=draw(sizes)
    )


@settings(deadline=None, max_examples=25)
@given(
    shapes=st.lists(layer_shapes(), min_size=1, max_size=3),
    zeros=st.floats(0, 1, exclude_max=True),
    correlation=st.floats(-1, 1, exclude_min=True, exclude_max=True),
    seed=st.integers(0, 2**63 - 1),
    block=st.integers(1, 300),
)
def test_drawn_and_stored_values_are_the_same(
    shapes, zeros, correlation, seed, block, tmp_path_factory
) -> None:
    folder = tmp_path_factory.mktemp("traces")
    named = [
        LayerShape(
            each.record.model_copy(update={"name": f"l{at}"}), each.activations, each.weights
        )
        for at, each in enumerate(shapes)
    ]
    distribution = Distribution(zeros, correlation, seed)
    for values in ("stored", "drawn"):
        save_synthetic(folder / values, named, distribution, values=values, network="net")
    stored = load_trace(folder / "stored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "BLOCK_ELEMENTS", block)
        drawn = load_trace(folder / "drawn")
        assert isinstance(drawn, DrawnTrace)
        assert not isinstance(stored, DrawnTrace)
        assert drawn.metadata == stored.metadata
        for one, other in zip(drawn.layers, stored.layers, strict=True):
            assert one.record == other.record
            for name in ("activations", "weights"):
                mine, theirs = getattr(one, name), getattr(other, name)
                assert mine.dtype == theirs.dtype
                assert np.array_equal(mine, theirs)


def without_digest_and_seed(report: sparqsim.Report) -> sparqsim.Report:
    quantisation = report.card.quantisation.with_facts(seeds=read(None))
    card = report.card.model_copy(update={"quantisation": quantisation})
    provenance = report.provenance.model_copy(update={"trace_sha256": ""})
    unseeded = report.model_copy(update={"stored_card": card})
    return unseeded.model_copy(update={"provenance": provenance})


@pytest.mark.parametrize("engine", ["fast", "event"])
def test_reports_are_equal_but_for_the_file_s_digest_and_the_seed_in_it(
    engine, drawn_path, tmp_path
) -> None:
    stored_path = tmp_path / "stored.safetensors"
    save_synthetic(stored_path, SHAPES, Distribution(0.4, 0.5, 9), values="stored", network="net")
    array = sparqsim.ArrayConfig(rows=2, cols=3)
    pes = ["mac-8b8b", "sparq-5opt", "sparq-exact"]
    drawn, stored = (
        sparqsim.compare(path, pes, array, engine=engine) for path in (drawn_path, stored_path)
    )
    for name in pes:
        one, other = drawn.reports[name], stored.reports[name]
        assert without_digest_and_seed(one) == without_digest_and_seed(other)
        assert one.card.quantisation.seeds == "values drawn with seed 9"
        assert other.card.quantisation.seeds is None
        assert drawn.reports[name].provenance.trace_sha256 == load_trace(drawn_path).sha256
    assert load_trace(drawn_path).sha256 != load_trace(stored_path).sha256


def test_the_digest_is_that_of_the_file_and_tells_what_is_drawn(drawn_path, tmp_path) -> None:
    content = drawn_path.read_bytes()
    loaded = load_trace(drawn_path)
    assert loaded.sha256 == hashlib.sha256(content).hexdigest()
    assert loaded.elements == 3 * 6 * 5 * 4 + 6 * 9 * 2 + 3 * 5 * 6 + 3 * 7 * 6
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == content
    digests = {
        synthetic_trace(SHAPES, Distribution(*values)).sha256
        for values in ((0.4, 0.5, 9), (0.4, 0.5, 8), (0.4, 0.4, 9), (0.3, 0.5, 9))
    }
    assert len(digests) == 4


def test_a_layer_keeps_its_values_wherever_it_stands(drawn_path, tmp_path) -> None:
    """The number, not the place, seeds a layer."""
    document = document_of(drawn_path)
    document["layers"] = document["layers"][1:]
    alone = load_trace(write(tmp_path / "alone", document)).layers[0]
    together = load_trace(drawn_path).layers[1]
    assert np.array_equal(alone.activations, together.activations)
    assert np.array_equal(alone.weights, together.weights)


def test_a_reader_of_stored_operands_refuses_it_by_its_format(drawn_path) -> None:
    """What an older sparqsim does with the file: its document is `TraceDocument`."""
    with pytest.raises(ValidationError) as refused:
        TraceDocument.model_validate(document_of(drawn_path))
    first = refused.value.errors()[0]
    assert first["loc"] == ("format",)
    assert first["input"] == "sparqsim.trace.drawn/1"


@pytest.mark.usefixtures("nothing_is_drawn")
def test_looking_at_a_large_trace_draws_nothing(tmp_path, capsys) -> None:
    path = tmp_path / "huge.safetensors"
    save_synthetic(path, [HUGE], Distribution(seed=3), network="huge.csv")
    assert path.stat().st_size < 2_000
    assert check_trace(path) == []
    for command in ("check", "info"):
        with pytest.raises(SystemExit) as ended:
            sparqsim.cli.main(["trace", command, str(path)])
        assert ended.value.code == 0
        out = " ".join(capsys.readouterr().out.split())
        assert "none was drawn for this" in out
        assert "4,112,777,216" in out
        assert "seed=3" in out
    with pytest.raises(SystemExit):
        sparqsim.cli.main(["trace", "info", str(path), "--format", "json"])
    found = json.loads(capsys.readouterr().out)
    assert found["format"] == "sparqsim.trace.drawn/1"
    assert found["drawn"]["seed"] == 3
    assert found["layers"][0]["zero_activation_share"] is None


def changed(document: dict, path: tuple, value: object) -> dict:
    copy = json.loads(json.dumps(document))
    *places, last = path
    holder = copy
    for place in places:
        holder = holder[place]
    if value is None:
        del holder[last]
    else:
        holder[last] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("drawn", "zeros"), 1.5, ("drawn: zeros=1.5", "expected a share")),
        (("drawn", "zeros"), "0.5", ("drawn.zeros", "'0.5'")),
        (("drawn", "zeros"), None, ("drawn.zeros", "required")),
        (("drawn", "correlation"), -1, ("drawn: correlation=-1",)),
        (("drawn", "seed"), -1, ("drawn: seed=-1",)),
        (("drawn", "seed"), 2**63, ("drawn: seed=9223372036854775808",)),
        (("drawn", "stream"), "another/1", ("drawn.stream", "numpy-pcg64-ziggurat-float32/1")),
        (("drawn",), None, ("drawn", "required")),
        (("synthetic",), "measured", ("synthetic", "measured")),
        (("format",), "sparqsim.trace/1", ("not permitted",)),
        (("layers",), [], ("layers is empty",)),
        (("layers", 0, "number"), 1, ("layer 'gemm'", "number=1 is used twice")),
        (("layers", 0, "number"), None, ("layers[0].number", "required")),
        (("layers", 0, "weights"), [6, 9], ("layers[0].weights[2]",)),
        (("layers", 0, "weights"), [6, 9, -2], ("layers[0].weights[2]", "-2")),
        (("layers", 0, "weights"), [6, 8, 2], ("layer 'conv'", "8 kernel positions")),
        (("layers", 0, "activations"), [3, 6, 5], ("layer 'conv'", "shape (3, 6, 5)")),
        (("layers", 0, "activations"), [], ("layers[0].activations", "at least 3")),
        (("layers", 1, "activations"), [3, 5, 2**31], ("layer 'gemm'", "K=2147483648")),
        (("layers", 0, "activations", 0), 2**31, ("SPARQSIM_MAX_DRAWN_ELEMENTS=",)),
        (("layers", 1, "activations", 1), 0, ("layers[1].activations[1]",)),
        (("layers", 1, "name"), "conv", ("'conv' is used 2 times",)),
    ],
)
@pytest.mark.usefixtures("nothing_is_drawn")
def test_a_damaged_document_is_named(path, value, words, drawn_path, tmp_path) -> None:
    bad = write(tmp_path / "bad", changed(document_of(drawn_path), path, value))
    with pytest.raises(InputError) as refused:
        load_trace(bad)
    assert str(refused.value).startswith(f"{bad}: ")
    faults = check_trace(bad)
    for said in (str(refused.value), "\n".join(faults)):
        assert all(word in said for word in words), said


def test_a_number_that_json_does_not_hold_is_refused(drawn_path, tmp_path) -> None:
    text = json.dumps(document_of(drawn_path)).replace('"zeros": 0.4', '"zeros": NaN')
    with pytest.raises(InputError, match="NaN"):
        load_trace(write(tmp_path / "bad", text))


def test_drawn_values_beside_stored_ones_are_refused(drawn_path, tmp_path) -> None:
    entry = {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}
    for name in ("conv/activations", "other", "arrays/labels"):
        bad = write(tmp_path / "bad", document_of(drawn_path), {name: entry}, b"ab")
        with pytest.raises(InputError, match=f"'{name}' stands in the file"):
            load_trace(bad)
        assert len(check_trace(bad)) == 1


def test_what_must_be_held_at_once_is_bounded(tmp_path) -> None:
    one_picture = ConvGeometry(kernel=(1, 1), padding=(2**14, 0, 0, 0))
    for shape in (
        LayerShape.gemm("g", 1, 2**15, 2**15),
        LayerShape.conv2d("g", (2**15, 2**15), 1, 1, ConvGeometry(kernel=(1, 1))),
        LayerShape.conv2d("g", (2**14, 2**14), 2, 1, one_picture),
    ):
        with pytest.raises(InputError, match=r"t: layer 'g': .*DRAWN_ELEMENTS_AT_ONCE=1073741824"):
            save_synthetic(tmp_path / "t", [shape], Distribution())


def test_another_random_stream_is_refused(drawn_path, monkeypatch) -> None:
    """A NumPy that draws other numbers gives no values rather than other ones."""
    trace = load_trace(drawn_path)
    monkeypatch.setattr(synthetic, "STREAM_BEGINNING", "00" * 32)
    synthetic._check_stream.cache_clear()
    with pytest.raises(InputError, match="another random stream than 'numpy-pcg64-zig"):
        _ = trace.layers[0].activations
    monkeypatch.undo()
    synthetic._check_stream.cache_clear()
    assert trace.layers[0].activations.shape == (3, 6, 5, 4)


def test_parts_of_many_groups_are_drawn_once(monkeypatch) -> None:
    """Rows of every group are read in turn, as a product of many groups is."""
    monkeypatch.setattr(synthetic, "BLOCK_ELEMENTS", 64)
    drawn = []
    draw = synthetic.DrawnTensor.block
    monkeypatch.setattr(
        synthetic.DrawnTensor, "block", lambda tensor, at: drawn.append(at) or draw(tensor, at)
    )
    source = Distribution().activation_source((6, 20, 8), 0)
    for start in range(0, 20, 5):
        source.read((slice(None), slice(start, start + 5)))
    assert sorted(drawn) == list(range(6 * 20 * 8 // 64))


def test_what_was_read_can_be_written_to(drawn_path) -> None:
    """A caller who changes an array changes no later reading."""
    layer = load_trace(drawn_path).layers[1]
    before = layer.activations
    layer.activations[:] = 0
    assert np.array_equal(layer.activations, before)
    assert before.any()


def test_rows_of_many_pictures_are_read_in_parts(drawn_path, monkeypatch) -> None:
    lowered = load_trace(drawn_path).layers[0].lower()
    whole, part = lowered.rows(), lowered.rows(7, 60)
    monkeypatch.setattr(lowering, "PICTURE_ELEMENTS", 1)
    assert np.array_equal(lowered.rows(), whole)
    assert np.array_equal(lowered.rows(7, 60), part)


def test_the_command_writes_either_kind(tmp_path, refused) -> None:
    topology = tmp_path / "net.csv"
    topology.write_text("Layer,M,N,K,\ng,3,4,5,\n")
    for values, kind in (("drawn", True), ("stored", False)):
        target = tmp_path / values
        with pytest.raises(SystemExit) as ended:
            sparqsim.cli.main(
                ["trace", "import", str(topology), "-o", str(target), "--values", values]
            )
        assert ended.value.code == 0
        assert isinstance(load_trace(target), DrawnTrace) is kind
    line = refused("trace", "import", topology, "-o", tmp_path / "t", "--values", "none")
    assert "values='none': expected drawn or stored" in line
