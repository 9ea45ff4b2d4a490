"""Files that are not sound traces, cut, altered, foreign or hostile: each is refused in one
line.
"""

from __future__ import annotations

import json
import resource

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sparqsim

ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
DOCUMENT = {"format": "sparqsim.trace/1", "layers": [{"name": "a", "op": "gemm"}]}
X_OF_4 = {"dtype": "U8", "shape": [1, 2, 2], "data_offsets": [0, 4]}
W_OF_4 = {"dtype": "I8", "shape": [2, 1, 2], "data_offsets": [4, 8]}
NOTHING = {"dtype": "U8", "data_offsets": [0, 0]}
DATA = bytes([1, 2, 3, 4, 5, 6, 7, 8])


def header(document=DOCUMENT, **tensors):
    """The header of a trace of one 2x2x2 GEMM, with some entries replaced (None: left out)."""
    text = document if isinstance(document, str) else json.dumps(document)
    entries = {"a/activations": X_OF_4, "a/weights": W_OF_4} | {
        name.replace("__", "/"): entry for name, entry in tensors.items()
    }
    return {"__metadata__": {"sparqsim": text}} | {
        name: entry for name, entry in entries.items() if entry is not None
    }


def layer(**fields):
    return {"format": "sparqsim.trace/1", "layers": [DOCUMENT["layers"][0] | fields]}


def nested(depth):
    return (
        '{"format": "sparqsim.trace/1", "layers": [], "provenance": '
        + '{"a":' * depth
        + "1"
        + "}" * depth
        + "}"
    )


def use(path):
    """Everything that reads a file.

    Return whether it is a sound trace; raises nothing but InputError.
    """
    faults = sparqsim.check_trace(path)
    assert all(fault and len(fault.splitlines()) == 1 for fault in faults), faults
    try:
        sparqsim.simulate(sparqsim.load_trace(path), "sparq-exact").to_json()
    except sparqsim.InputError as error:
        message = str(error)
    else:
        return not faults
    assert str(path) in message or "int8" in message
    assert "\n" not in message
    return False


def test_the_crafted_trace_is_sound(craft):
    """Else the tests below would show nothing."""
    assert use(craft(header(), DATA))


def test_a_missing_file(refused, tmp_path):
    for command in (
        ["compare"],
        ["simulate", "--pe", "sparq-5opt"],
        ["trace", "info"],
        ["trace", "check"],
    ):
        assert "none.safetensors" in refused(*command, tmp_path / "none.safetensors")


def test_a_folder(refused, tmp_path):
    assert str(tmp_path) in refused("compare", tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"\x93NUMPY\x01\0v\0",
        b"PK\x03\x04" + bytes(100),
        b"\x80\x02}q\0.",
        b"{}",
        bytes(8),
        b"GIF89a" * 50,
        bytes(range(256)) * 8,
    ],
)
def test_foreign_files(content, refused, tmp_path):
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(content)
    for command in (["compare"], ["trace", "info"], ["trace", "check"]):
        assert "foreign.safetensors" in refused(*command, path)


@ONE_FOLDER
@given(cut=st.floats(0, 1, exclude_max=True))
def test_truncated_at_any_length(cut, digits_path, refused, tmp_path):
    content = digits_path.read_bytes()
    path = tmp_path / "cut.safetensors"
    path.write_bytes(content[: int(cut * len(content))])
    assert "cut.safetensors" in refused("compare", path)
    assert sparqsim.check_trace(path) != []


@pytest.mark.parametrize("short", [1, 2, 3, 7, 8, 9])
def test_the_last_bytes_missing(short, small_path, refused):
    small_path.write_bytes(small_path.read_bytes()[:-short])
    assert "small.safetensors" in refused("trace", "check", small_path)


def test_bytes_too_many(small_path, refused):
    small_path.write_bytes(small_path.read_bytes() + b"\0")
    assert "small.safetensors" in refused("compare", small_path)


@pytest.mark.parametrize("length", [0, 1, 2**20, 2**31, 2**40, 2**63, 2**64 - 1])
def test_hostile_header_lengths(length, craft, refused):
    assert "crafted" in refused("compare", craft(header(), DATA, length=length))


HOSTILE_HEADERS = {
    "negative offset": header(a__weights=W_OF_4 | {"data_offsets": [-4, 0]}),
    "offset beyond the file": header(a__weights=W_OF_4 | {"data_offsets": [4, 2**40]}),
    "offset of 2^64": header(a__weights=W_OF_4 | {"data_offsets": [2**64, 2**64 + 4]}),
    "overlapping offsets": header(a__weights=W_OF_4 | {"data_offsets": [2, 6]}),
    "same offsets": header(a__weights=W_OF_4 | {"data_offsets": [0, 4]}),
    "offsets backwards": header(a__weights=W_OF_4 | {"data_offsets": [8, 4]}),
    "a hole": header(a__weights=W_OF_4 | {"data_offsets": [5, 9]}),
    "shape larger than its bytes": header(a__weights=W_OF_4 | {"shape": [2**31, 1, 2**31]}),
    "shape that overflows": header(a__weights=W_OF_4 | {"shape": [2**63, 2, 2]}),
    "negative shape": header(a__weights=W_OF_4 | {"shape": [-2, 1, -2]}),
    "fractional shape": header(a__weights=W_OF_4 | {"shape": [2, 1, 2.5]}),
    "unknown dtype": header(a__weights=W_OF_4 | {"dtype": "Q9"}),
    "no dtype": header(a__weights={"shape": [2, 1, 2], "data_offsets": [4, 8]}),
    "tensor is a list": header(a__weights=[]),
    "header is a list": [],
    "header is a number": 1,
    "header is not JSON": b"{not json",
    "header is not UTF-8": b'{"\xff\xfe": 1}',
    "metadata is a list": {"__metadata__": [], "a/activations": X_OF_4, "a/weights": W_OF_4},
    "metadata is not text": {
        "__metadata__": {"sparqsim": {}},
        "a/activations": X_OF_4,
        "a/weights": W_OF_4,
    },
    "metadata missing": {"a/activations": X_OF_4, "a/weights": W_OF_4},
    "metadata of another program": {
        "__metadata__": {"format": "pt"},
        "a/activations": X_OF_4,
        "a/weights": W_OF_4,
    },
    "header nested deeply": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "document missing a field": header({"layers": []}),
    "document is empty": header(""),
    "document is a list": header("[]"),
    "document is not JSON": header("{"),
    "document nested deeply": header(nested(100_000)),
    "document nested": header(nested(300)),
    "unknown version": header(layer() | {"format": "sparqsim.trace/3"}),
    "version is a number": header(layer() | {"format": 1}),
    "field that steers the terminal": header(layer() | {"\x1b[2J\r\u202e": 1}),
    "layers is text": header(layer() | {"layers": "a"}),
    "layer is null": header(layer() | {"layers": [None]}),
    "layer name is a number": header(layer(name=1)),
    "layer name is long": header(layer(name="a" * 10_000)),
    "groups is text": header(layer(groups="1")),
    "groups is true": header(layer(groups=True)),
    "groups is huge": header(layer(groups=10**30)),
    "scale is huge": header(
        json.dumps(layer(activation_scale=1)).replace('scale": 1', 'scale": 1e999')
    ),
    "scale is not a number": header(layer(activation_scale=float("nan"))),
    "provenance is a list": header(layer() | {"provenance": []}),
    "weights missing": header(a__weights=None, arrays__w=W_OF_4),
    "weights are text": header(a__weights=W_OF_4 | {"dtype": "BF16", "shape": [1, 1, 2]}),
    "activations are bool": header(a__activations=X_OF_4 | {"dtype": "BOOL"}),
    "activations are float": header(a__activations=X_OF_4 | {"dtype": "F32", "shape": [1, 1, 1]}),
    "shapes disagree": header(a__weights=W_OF_4 | {"shape": [1, 1, 4]}),
    "a vector": header(a__activations=X_OF_4 | {"shape": [4]}),
    "a scalar": header(
        a__activations=X_OF_4 | {"shape": [], "data_offsets": [0, 1]},
        arrays__x=X_OF_4 | {"shape": [3], "data_offsets": [1, 4]},
    ),
    "a layer of no rows": header(a__activations=NOTHING | {"shape": [1, 0, 2]}, arrays__x=X_OF_4),
    "a layer of no rows and many columns": header(
        a__activations=NOTHING | {"shape": [1, 0, 2**62]}, arrays__x=X_OF_4
    ),
    "bias of another shape": header(a__bias={"dtype": "U8", "shape": [0], "data_offsets": [8, 8]}),
}


@pytest.mark.parametrize("case", HOSTILE_HEADERS)
def test_hostile_headers(case, craft, refused):
    path = craft(HOSTILE_HEADERS[case], DATA)
    assert "crafted" in refused("compare", path)
    assert sparqsim.check_trace(path) != []


@pytest.mark.parametrize(
    "name",
    [
        "[/bold]",
        "[red]",
        "[",
        "\\[",
        "é" * 30,
        "a" * 400,
    ],
)
@pytest.mark.parametrize(
    "command", [["trace", "info"], ["compare"], ["simulate", "--pe", "sparq-5opt"]]
)
def test_names_are_shown_as_they_are_never_as_markup(name, command, craft, run):
    """Names come from a file: they must neither end a command nor steer the terminal."""
    file = header(
        layer(name=name) | {"network": name, "provenance": {name: name}},
        a__activations=None,
        a__weights=None,
    ) | {f"{name}/activations": X_OF_4, f"{name}/weights": W_OF_4}
    ended = run(*command, craft(file, DATA))
    assert ended.code == 0, ended.err
    assert "\x1b" not in ended.out
    if name in ("[/bold]", "[red]", "[", "\\["):
        assert ended.out.count(name) >= 2


UNPRINTABLE = {
    "escape": "\x1b[2J\x1b[31m",
    "NUL": "a\0b",
    "line break": "a\nb",
    "tab": "a\tb",
    "C1 control": "a\x9bb",
    "right to left": "\u202eb",
    "isolate": "a\u2066b",
    "zero width": "a\u200bb",
    "line separator": "a\u2028b",
    "not a character": "a\uffffb",
    "half a surrogate pair": "a\udc80b",
    "empty": "",
    "too long": "a" * 501,
}


@pytest.mark.parametrize("kind", UNPRINTABLE)
def test_names_that_cannot_be_shown_are_refused_where_they_come_in(kind, craft, refused):
    name = UNPRINTABLE[kind]
    tensors = {f"{name}/activations": X_OF_4, f"{name}/weights": W_OF_4}
    path = craft(header(layer(name=name), a__activations=None, a__weights=None) | tensors, DATA)
    assert "crafted" in refused("trace", "info", path)
    x, w = np.ones((1, 2), np.uint8), np.ones((2, 1), np.int8)
    with pytest.raises(sparqsim.InputError):
        sparqsim.Layer.from_gemm(name, x, w)


def test_texts_that_steer_a_terminal_are_made_printable(craft, run):
    """What describes a trace identifies nothing: it is kept, and its control characters told."""
    document = layer() | {"network": "a\x1b[2Jb\u202e", "license_note": "one\ntwo"}
    path = craft(header(document), DATA)
    trace = sparqsim.load_trace(path)
    assert trace.metadata.network == "a\\x1b[2Jb\\u202e"
    assert trace.metadata.license_note == "one\ntwo"
    assert sparqsim.simulate(trace).provenance.network == "a\\x1b[2Jb\\u202e"
    assert "\x1b" not in run("trace", "info", path).out


def limited(path):
    """Try a file within 4 GB of address space."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, hard))
    try:
        return use(path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize(
    "padding", [[2**31, 0, 0, 0], [2**20, 2**20, 2**20, 2**20], [0, 0, 2**31, 2**31]]
)
def test_padding_cannot_claim_all_memory(padding, craft):
    """A few bytes of file that lower to terabytes."""
    doc = layer(op="conv2d", geometry={"kernel": [1, 1], "padding": padding})
    path = craft(header(doc, a__activations=X_OF_4 | {"shape": [1, 1, 2, 2]}), DATA)
    assert not limited(path)
    assert any("padding" in fault for fault in sparqsim.check_trace(path))


@ONE_FOLDER
@given(data=st.data())
def test_flipped_bytes(data, small_trace, tmp_path):
    """Any few bytes changed: a sound trace or one clear refusal, never another exception."""
    path = tmp_path / "flipped.safetensors"
    small_trace.save(path)
    content = bytearray(path.read_bytes())
    text = 8 + int.from_bytes(content[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        # The header decides most, and is a small part of the file: half of the changes go there.
        at = data.draw(st.one_of(st.integers(0, text - 1), st.integers(0, len(content) - 1)))
        content[at] = data.draw(
            st.one_of(st.integers(0, 255), st.sampled_from(list(b'0129"{}[],:.-e \\')))
        )
    path.write_bytes(content)
    use(path)


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-3, 9),
    st.floats(),
    st.text(),
    st.lists(st.integers(0, 3), max_size=4),
    st.dictionaries(st.text(), st.none(), max_size=2),
)


@ONE_FOLDER
@given(data=st.data())
def test_altered_documents(data, small_trace, tmp_path, craft):
    """Any value of the document replaced by any JSON value."""
    path = tmp_path / "source.safetensors"
    small_trace.save(path)
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    head = json.loads(content[8:end])
    doc = json.loads(head["__metadata__"]["sparqsim"])
    part, key = data.draw(st.sampled_from(list(places(doc))))
    part[key] = data.draw(ANYTHING)
    head["__metadata__"]["sparqsim"] = json.dumps(doc)
    use(craft(head, content[end:]))


def places(value):
    """Every (container, key) of a JSON value."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from places(value[key])


def test_a_file_that_shrinks_after_it_was_opened(small_path):
    """Another program cuts the file between opening and reading: refused, not a crash of the
    process.
    """
    trace = sparqsim.load_trace(small_path)
    small_path.write_bytes(small_path.read_bytes()[:-64])
    with pytest.raises(sparqsim.InputError, match=r"small\.safetensors"):
        np.asarray(trace.layers[0].weights)
