"""ONNX files that nobody should write: refused in one line by every command that reads them, or
right.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparqsim import InputError, load_trace

onnx = pytest.importorskip("onnx", reason="needs the extra 'onnx'")
pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
pytest.importorskip("PIL", reason="needs the extra 'onnx' (pillow)")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

Node = helper.make_node
Change = Callable[[Any], None]


def sound() -> Any:
    """Return a model of one layer that everything else is made from."""
    graph = helper.make_graph(
        [Node("Conv", ["x", "w"], ["y"], name="only")],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((2, 3, 3, 3), np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def add(model: Any, *nodes: Any, **constants: np.ndarray) -> None:
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items()
    )


def loop(trips: str, going: str) -> Any:
    body = helper.make_graph(
        [Node("Identity", ["on"], ["still"]), Node("Identity", ["a"], ["b"])],
        "body",
        [
            helper.make_tensor_value_info("trip", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, None),
        ],
    )
    return Node("Loop", [trips, going, "y"], ["l"], name="long", body=body)


def cycle(model: Any) -> None:
    add(model, Node("Relu", ["b"], ["a"], name="there"), Node("Relu", ["a"], ["b"], name="back"))


def own_output(model: Any) -> None:
    add(model, Node("Add", ["b", "b"], ["b"], name="itself"))


def two_makers(model: Any) -> None:
    add(model, Node("Relu", ["x"], ["y"], name="second"))


def no_maker(model: Any) -> None:
    model.graph.node[0].input[1] = "nowhere"


def no_such_output(model: Any) -> None:
    model.graph.output[0].name = "nowhere"


def large_constant(model: Any) -> None:
    add(model, Node("ConstantOfShape", ["s"], ["big"], name="large"), s=np.array([2**31, 2**31]))


def large_by_steps(model: Any) -> None:
    """No single number is large; their products are."""
    steps = [Node("Mul", [f"s{at}", f"s{at}"], [f"s{at + 1}"]) for at in range(3)]
    add(model, *steps, Node("Expand", ["one", "s3"], ["big"], name="large"))
    add(model, s0=np.array([40, 40]), one=np.ones(1, np.float32))


def long_loop(model: Any) -> None:
    add(model, loop("trips", "yes"), trips=np.array(2**62), yes=np.array(True))


def dims_beyond(model: Any) -> None:
    model.graph.initializer[0].dims[0] = 2**40


def negative_dims(model: Any) -> None:
    model.graph.initializer[0].dims[0] = -2


def short_data(model: Any) -> None:
    model.graph.initializer[0].raw_data = b"\0" * 7


def unknown_type(model: Any) -> None:
    model.graph.initializer[0].data_type = 77


def wrong_attribute(model: Any) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("strides", [0, 2**40]))


def attribute_of_no_type(model: Any) -> None:
    model.graph.node[0].attribute.add(name="strides", ints=[1, 1])


def group_of_none(model: Any) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("group", 0))


def no_output(model: Any) -> None:
    add(model, Node("Conv", ["x", "w"], [], name="nothing"))


def one_operand(model: Any) -> None:
    del model.graph.node[0].input[1:]


def no_operand_before_a_norm(model: Any) -> None:
    """Folding looks at the layer that a norm follows."""
    del model.graph.node[0].input[:]
    add(model, Node("BatchNormalization", ["y", "g", "s", "m", "v"], ["z"], name="norm"))
    for name in "gsmv":
        model.graph.initializer.append(numpy_helper.from_array(np.ones(2, np.float32), name))


def no_nodes(model: Any) -> None:
    del model.graph.node[:]


def functions_in_a_circle(model: Any) -> None:
    for name, other in (("f", "g"), ("g", "f")):
        model.functions.append(
            helper.make_function(
                "own",
                name,
                ["a"],
                ["b"],
                [Node(other, ["a"], ["b"], domain="own")],
                [helper.make_opsetid("own", 1)],
            )
        )
    model.opset_import.append(helper.make_opsetid("own", 1))
    add(model, Node("f", ["y"], ["z"], domain="own", name="call"))


def functions_that_multiply(model: Any) -> None:
    """Each calls the one before ten times: 10^12 nodes once they are written out."""
    for at in range(12):
        call = "Relu" if at == 0 else f"f{at - 1}"
        domain = "" if at == 0 else "own"
        names = ["a", *(f"t{step}" for step in range(9)), "b"]
        body = [Node(call, [left], [right], domain=domain) for left, right in pairwise(names)]
        model.functions.append(
            helper.make_function(
                "own",
                f"f{at}",
                ["a"],
                ["b"],
                body,
                [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)],
            )
        )
    model.opset_import.append(helper.make_opsetid("own", 1))
    add(model, Node("f11", ["y"], ["z"], domain="own", name="call"))


def sparse_index_beyond(model: Any) -> None:
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.ones(1, np.float32), "w"),
        numpy_helper.from_array(np.array([54 + 9]), "at"),
        [2, 3, 3, 3],
    )
    del model.graph.initializer[:]
    model.graph.sparse_initializer.append(sparse)


def large_sparse(model: Any) -> None:
    sparse_index_beyond(model)
    model.graph.sparse_initializer[0].dims[0] = 2**50


HOSTILE: dict[Change, str] = {
    cycle: "node 'there' needs its own output",
    own_output: "node 'itself' needs its own output",
    two_makers: "tensor 'y' is made twice",
    no_maker: "takes 'nowhere'",
    no_such_output: "output 'nowhere'",
    large_constant: "node 'large' (ConstantOfShape): 4,611,686,018,427,387,904 elements",
    large_by_steps: "node 'large' (Expand)",
    long_loop: "node 'long' (Loop): a loop with a fixed number of trips",
    dims_beyond: "initializer 'w'",
    negative_dims: "",
    short_data: "",
    unknown_type: "",
    wrong_attribute: "strides",
    attribute_of_no_type: "strides",
    group_of_none: "group is 0",
    no_output: "node 'nothing' (Conv) has no output",
    one_operand: "has 1 input, expected at least 2",
    no_operand_before_a_norm: "has 0 inputs, expected at least 2",
    no_nodes: "no nodes",
    functions_in_a_circle: "in a circle",
    functions_that_multiply: "nodes, expected at most 1,000,000",
    sparse_index_beyond: "sparse initializer 'w'",
    large_sparse: "sparse initializer 'w'",
}
#: What shapes alone do not need: values.
ONLY_VALUES = (short_data, unknown_type)


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    path = tmp_path / "pictures.npy"
    np.save(path, np.random.default_rng(0).normal(size=(2, 3, 6, 6)).astype(np.float32))
    return path


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__)
def test_refused_in_one_line_by_every_reader(
    change: Change, tmp_path: Path, shown: Path, refused: Callable[..., str]
) -> None:
    model = sound()
    change(model)
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    commands: list[tuple[object, ...]] = [
        ("trace", "dump", path, "--images", shown, "-o", tmp_path / "t.safetensors"),
        ("accuracy", path, "--images", shown, "--pe", "mac-8b8b"),
    ]
    if change not in ONLY_VALUES:
        commands.append(("trace", "import", path, "-o", tmp_path / "i.safetensors"))
    for command in commands:
        line = refused(*command)
        assert HOSTILE[change] in line
        assert "net.onnx" in line
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize(
    "text", [b"first", b"Conv", b"kernel_shape", b"net"], ids=lambda text: text.decode()
)
def test_text_that_is_not_utf8(
    text: bytes, tmp_path: Path, shown: Path, refused: Callable[..., str]
) -> None:
    model = sound()
    model.graph.node[0].name = "first"
    model.graph.node[0].attribute.append(helper.make_attribute("kernel_shape", [3, 3]))
    content = model.SerializeToString()
    path = tmp_path / "net.onnx"
    path.write_bytes(content.replace(text, b"\xff" + text[1:]))
    assert "expected UTF-8 text" in refused("trace", "import", path, "-o", tmp_path / "t")
    assert "expected UTF-8 text" in refused(
        "trace", "dump", path, "--images", shown, "-o", tmp_path / "t"
    )


def beside(location: str, offset: str = "0", length: str = "216") -> Any:
    model = sound()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=value)
    return model


@pytest.mark.parametrize(
    ("location", "offset", "length", "words"),
    [
        ("../outside.bin", "0", "216", "outside of the model's folder"),
        ("link.bin", "0", "216", "outside of the model's folder"),
        ("/etc/passwd", "0", "216", "outside of the model's folder"),
        ("", "0", "216", "outside of the model's folder"),
        ("missing.bin", "0", "216", "are missing"),
        ("data.bin", "-1", "216", "offset='-1'"),
        ("data.bin", "0", "9" * 4999, "length='999"),
        ("data.bin", "8", "216", "end at byte 224"),
        ("data.bin", "0", "12", ""),
    ],
)
def test_data_beside_the_model_stay_in_its_folder(
    location: str,
    offset: str,
    length: str,
    words: str,
    tmp_path: Path,
    shown: Path,
    refused: Callable[..., str],
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for place in (tmp_path / "outside.bin", folder / "data.bin"):
        place.write_bytes(np.ones(54, np.float32).tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    (folder / "net.onnx").write_bytes(beside(location, offset, length).SerializeToString())
    line = refused(
        "trace", "dump", folder / "net.onnx", "--images", shown, "-o", tmp_path / "t.safetensors"
    )
    assert words in line
    assert "'w'" in line


def test_data_beside_the_model_are_read(
    tmp_path: Path, shown: Path, run: Callable[..., Any]
) -> None:
    (tmp_path / "data.bin").write_bytes(b"1234" + np.ones(54, np.float32).tobytes())
    (tmp_path / "net.onnx").write_bytes(beside("data.bin", "4").SerializeToString())
    target = tmp_path / "t.safetensors"
    assert run("trace", "dump", tmp_path / "net.onnx", "--images", shown, "-o", target).code == 0
    assert (load_trace(target).layers[0].weights == 127).all()


def test_chains_of_thousands(tmp_path: Path, shown: Path, run: Callable[..., Any]) -> None:
    """Constants behind 3,000 nodes, last node first: neither recursion nor the order in the file
    matter.
    """
    model = sound()
    model.graph.initializer[0].name = "w0"
    chain = [Node("Identity", [f"w{at}"], [f"w{at + 1}"]) for at in range(3000)]
    model.graph.node[0].input[1] = "w3000"
    model.graph.node.extend(reversed(chain))
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    target = tmp_path / "t.safetensors"
    assert run("trace", "dump", path, "--images", shown, "-o", target).code == 0
    assert (load_trace(target).layers[0].weights == 127).all()
    assert run("trace", "import", path, "-o", target).code == 0


def test_bounds_can_be_raised(
    tmp_path: Path,
    shown: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., str],
    run: Callable[..., Any],
) -> None:
    """The message names the variable; an endless loop then meets the bound on seconds."""
    model = sound()
    long_loop(model)
    model.graph.output[0].name = "l"
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    command = ("trace", "dump", path, "--images", shown, "-o", tmp_path / "t.safetensors")
    assert f"SPARQSIM_MAX_ONNX_TRIPS={2**62}" in refused(*command)
    monkeypatch.setenv("SPARQSIM_MAX_ONNX_TRIPS", str(2**62))
    monkeypatch.setenv("SPARQSIM_MAX_ONNX_SECONDS", "1")
    assert "SPARQSIM_MAX_ONNX_SECONDS allows more" in refused(*command)
    monkeypatch.setenv("SPARQSIM_MAX_ONNX_ELEMENTS", "many")
    assert "SPARQSIM_MAX_ONNX_ELEMENTS='many'" in refused(*command)
    monkeypatch.delenv("SPARQSIM_MAX_ONNX_ELEMENTS")
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.array(3), "trips"))
    path.write_bytes(model.SerializeToString())
    monkeypatch.setenv("SPARQSIM_MAX_ONNX_SECONDS", "600")
    assert run(*command).code == 0


def test_runs_that_fail_name_the_node(
    tmp_path: Path, shown: Path, refused: Callable[..., str]
) -> None:
    """By the node's own name: onnxruntime's optimised graph has others."""
    model = sound()
    model.graph.node[0].attribute.extend(
        [
            helper.make_attribute("dilations", [2, 2]),
            helper.make_attribute("auto_pad", "SAME_LOWER"),
        ]
    )
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    line = refused("trace", "dump", path, "--images", shown, "-o", tmp_path / "t.safetensors")
    assert "Conv node. Name:'only'" in line


@pytest.mark.parametrize("value", [1e39, -1e300])
def test_numbers_beyond_the_inputs_type_name_the_input(
    value: float, tmp_path: Path, refused: Callable[..., str]
) -> None:
    (tmp_path / "net.onnx").write_bytes(sound().SerializeToString())
    pictures = np.zeros((2, 3, 6, 6))
    pictures[1, 2, 3, 4] = value
    np.save(tmp_path / "p.npy", pictures)
    target = tmp_path / "t.safetensors"
    line = refused(
        "trace", "dump", tmp_path / "net.onnx", "--images", tmp_path / "p.npy", "-o", target
    )
    assert "net.onnx: input 'x': float32 (?, 3, 6, 6) is fed float64 values" in line


def test_names_are_unique_whatever_the_file_says() -> None:
    from sparqsim.networks.onnx.graph import Graph

    model = sound()
    names = ("a", "a#1", "a", "a#2", "", "Relu_4", "a#1")
    add(model, *(Node("Relu", ["x"], [f"t{at}"], name=name) for at, name in enumerate(names)))
    assert len(set(Graph(model).names)) == len(names) + 1


def test_what_is_no_model_names_the_file(tmp_path: Path) -> None:
    from sparqsim.networks.onnx.shapes import read_shapes

    for path in (tmp_path, tmp_path / "none.onnx", Path("a\0b.onnx")):
        with pytest.raises(InputError, match="expected an ONNX model"):
            read_shapes(path)
