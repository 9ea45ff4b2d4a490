"""Mutated ONNX files: a few small sound models, each with one to three things wrong, from a
seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

PICTURES = ("--images", "{folder}", "--preprocess", "resize:8x8")
COMMANDS = (
    ("trace", "import", "{file}", "-o", "{folder}/t.safetensors"),
    ("trace", "dump", "{file}", *PICTURES, "-o", "{folder}/d.safetensors"),
)
Mutation = Callable[[ModelProto, random.Random], None]

NUMBERS = (-(2**63), -(2**31), -7, -1, 0, 1, 2, 3, 7, 255, 256, 4096, 2**20, 2**31, 2**40, 2**62)
TYPES = (*range(24), 99)
NAMES = ("", "x", "y", "w", "n" * 3000, "a\nb", "\x1b[31m", "é", "../w", "q", "c")
OPERATORS = (
    "Conv",
    "MatMul",
    "Gemm",
    "Reshape",
    "Transpose",
    "Relu",
    "QuantizeLinear",
    "DequantizeLinear",
    "QLinearConv",
    "ConvInteger",
    "MatMulInteger",
    "ConstantOfShape",
    "Expand",
    "Tile",
    "Gather",
    "Concat",
    "Identity",
    "BatchNormalization",
    "ConvTranspose",
    "Einsum",
    "Loop",
    "Nonsense",
)


def prepare(folder: Path) -> None:
    """Write a picture beside the file."""
    from PIL import Image

    pixels = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "p.png")


def _model(nodes: list[Any], constants: dict[str, np.ndarray], shape: list[Any]) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.ascontiguousarray(each), name)
            for name, each in constants.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _convolutional() -> ModelProto:
    numbers = np.random.default_rng(1)
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w"], ["c"], name="first", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c", "g", "s", "m", "v"], ["b"], name="norm"),
        node("Relu", ["b"], ["r"], name="relu"),
        node("Conv", ["r", "u", "bias"], ["d"], name="deep", group=2, strides=[2, 2]),
        node("Shape", ["d"], ["shape"], name="measure"),
        node("Gather", ["shape", "zero"], ["rows"], name="pick"),
        node("Concat", ["rows", "rest"], ["target"], name="join", axis=0),
        node("Reshape", ["d", "target"], ["f"], name="flat"),
        node("Gemm", ["f", "k", "last"], ["y"], name="classes", transB=1, alpha=0.5),
    ]
    constants = {
        "w": numbers.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "u": numbers.normal(size=(6, 2, 3, 3)).astype(np.float32),
        "bias": numbers.normal(size=6).astype(np.float32),
        "k": numbers.normal(size=(5, 54)).astype(np.float32),
        "last": numbers.normal(size=5).astype(np.float32),
        "zero": np.array([0]),
        "rest": np.array([-1]),
    }
    constants |= {name: np.ones(4, np.float32) for name in "gsmv"}
    return _model(nodes, constants, ["n", 3, 8, 8])


def _quantised() -> ModelProto:
    numbers = np.random.default_rng(2)
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], name="quantise"),
        node("DequantizeLinear", ["q", "s", "z"], ["d"], name="real"),
        node("DequantizeLinear", ["w", "ws"], ["wd"], name="weights", axis=0),
        node("Transpose", ["wd"], ["wt"], name="turn", perm=[0, 1, 3, 2]),
        node("Conv", ["d", "wt"], ["c"], name="conv"),
        node("GlobalAveragePool", ["c"], ["p"], name="pool"),
        node("Flatten", ["p"], ["y"], name="flat"),
    ]
    constants = {
        "s": np.float32(0.02),
        "z": np.uint8(10),
        "w": numbers.integers(-128, 128, (4, 3, 3, 3)).astype(np.int8),
        "ws": np.full(4, 0.01, np.float32),
    }
    return _model(nodes, constants, ["n", 3, 8, 8])


def _products() -> ModelProto:
    numbers = np.random.default_rng(3)
    node = helper.make_node
    body = helper.make_graph(
        [node("Identity", ["go"], ["on"]), node("Identity", ["a"], ["b"])],
        "body",
        [
            helper.make_tensor_value_info("trip", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        node("Reshape", ["x", "rows"], ["xr"], name="rows"),
        node("MatMul", ["xr", "w"], ["h"], name="project"),
        node("Transpose", ["h"], ["t"], name="turn", perm=[0, 2, 1]),
        node("MatMul", ["h", "t"], ["a0"], name="scores"),
        node("Softmax", ["a0"], ["p"], name="softmax", axis=-1),
        node("Loop", ["two", "", "p"], ["l"], name="loop", body=body),
        node("ConstantOfShape", ["sizes"], ["o"], name="ones"),
        node("Add", ["p", "o"], ["s"], name="sum"),
        node("MatMul", ["s", "h"], ["y"], name="mix"),
    ]
    constants = {
        "w": numbers.normal(size=(32, 4)).astype(np.float32),
        "rows": np.array([0, 6, 32]),
        "two": np.array(2),
        "sizes": np.array([6, 6]),
    }
    return _model(nodes, constants, ["n", 3, 8, 8])


MODELS = (_convolutional, _quantised, _products)


def _tensor(model: ModelProto, random_: random.Random) -> TensorProto:
    return random_.choice(model.graph.initializer)


def _node(model: ModelProto, random_: random.Random) -> Any:
    return random_.choice(model.graph.node)


def _dims(model: ModelProto, random_: random.Random) -> None:
    tensor = _tensor(model, random_)
    if tensor.dims:
        tensor.dims[random_.randrange(len(tensor.dims))] = random_.choice(NUMBERS)
    else:
        tensor.dims.append(random_.choice(NUMBERS))


def _rank(model: ModelProto, random_: random.Random) -> None:
    tensor = _tensor(model, random_)
    if tensor.dims and random_.random() < 0.5:
        del tensor.dims[-1]
    else:
        tensor.dims.append(random_.choice((1, 2)))


def _type(model: ModelProto, random_: random.Random) -> None:
    _tensor(model, random_).data_type = random_.choice(TYPES)


def _data(model: ModelProto, random_: random.Random) -> None:
    tensor = _tensor(model, random_)
    length = random_.choice((0, 1, len(tensor.raw_data) - 1, len(tensor.raw_data) + 4))
    tensor.raw_data = (tensor.raw_data + b"\0" * 8)[: max(0, length)]


def _values(model: ModelProto, random_: random.Random) -> None:
    tensor = _tensor(model, random_)
    special = random_.choice((0.0, -0.5, float("nan"), float("inf"), 1e-45, 1e30))
    if tensor.data_type == TensorProto.FLOAT:
        count = len(tensor.raw_data) // 4
        tensor.raw_data = np.full(count, special, np.float32).tobytes()
    elif tensor.data_type == TensorProto.INT64:
        count = len(tensor.raw_data) // 8
        tensor.raw_data = np.full(count, random_.choice(NUMBERS), np.int64).tobytes()


def _input(model: ModelProto, random_: random.Random) -> None:
    node = _node(model, random_)
    known = [name for each in model.graph.node for name in (*each.input, *each.output)]
    if node.input:
        node.input[random_.randrange(len(node.input))] = random_.choice((*known, *NAMES))


def _fewer(model: ModelProto, random_: random.Random) -> None:
    node = _node(model, random_)
    names = random_.choice((node.input, node.output))
    if names:
        del names[random_.randrange(len(names)) :]


def _more(model: ModelProto, random_: random.Random) -> None:
    node = _node(model, random_)
    random_.choice((node.input, node.output)).extend(random_.choices(NAMES, k=2))


def _operator(model: ModelProto, random_: random.Random) -> None:
    node = _node(model, random_)
    node.op_type = random_.choice(OPERATORS)
    node.domain = random_.choice(("", "", "", "com.microsoft", "own"))


def _name(model: ModelProto, random_: random.Random) -> None:
    random_.choice((_node(model, random_), _tensor(model, random_))).name = random_.choice(NAMES)


def _attribute(model: ModelProto, random_: random.Random) -> None:
    node = _node(model, random_)
    if not node.attribute:
        node.attribute.append(helper.make_attribute("axis", random_.choice(NUMBERS[1:-1])))
        return
    attribute = random_.choice(node.attribute)
    if attribute.ints and random_.random() < 0.6:
        at = random_.randrange(len(attribute.ints))
        attribute.ints[at] = random_.choice(NUMBERS)
    elif attribute.ints:
        del attribute.ints[-1]
    else:
        attribute.i = random_.choice(NUMBERS)
        attribute.f = random_.choice((0.0, -1.0, float("nan"), 1e30))


def _attribute_type(model: ModelProto, random_: random.Random) -> None:
    node = _node(model, random_)
    for attribute in node.attribute:
        attribute.type = random_.randrange(0, 15)


def _added_attribute(model: ModelProto, random_: random.Random) -> None:
    name = random_.choice(
        ("group", "strides", "dilations", "pads", "auto_pad", "transA", "transB", "alpha", "axis",
         "block_size", "perm", "kernel_shape", "equation", "to")
    )  # fmt: skip
    value = random_.choice(
        (0, -1, 3, 2**40, [1, 1], [0, 0], [2, 2, 2, 2], 0.5, b"SAME_UPPER", b"?")
    )
    _node(model, random_).attribute.append(helper.make_attribute(name, value))


def _dropped(model: ModelProto, random_: random.Random) -> None:
    part = random_.choice((model.graph.node, model.graph.initializer, model.graph.output))
    if len(part):
        del part[random_.randrange(len(part))]


def _doubled(model: ModelProto, random_: random.Random) -> None:
    model.graph.node.append(_node(model, random_))


def _cycle(model: ModelProto, random_: random.Random) -> None:
    first, second = _node(model, random_), _node(model, random_)
    if first.input and second.output:
        first.input[0] = second.output[0]


def _order(model: ModelProto, random_: random.Random) -> None:
    nodes = [type(node).FromString(node.SerializeToString()) for node in model.graph.node]
    random_.shuffle(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _beside(model: ModelProto, random_: random.Random) -> None:
    tensor = _tensor(model, random_)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    places = ("missing.bin", "../up.bin", "/etc/hostname", ".", "", "net.onnx")
    for key, value in (
        ("location", random_.choice(places)),
        ("offset", random_.choice(("0", "-1", "x", "9" * 30))),
        ("length", random_.choice(("4", "0", str(2**62)))),
    ):
        tensor.external_data.add(key=key, value=value)


def _versions(model: ModelProto, random_: random.Random) -> None:
    model.ir_version = random_.choice((0, 3, 8, 9, 13, 2**40))
    if random_.random() < 0.5:
        del model.opset_import[:]
    for each in model.opset_import:
        each.version = random_.choice((-1, 0, 1, 7, 11, 21, 23, 999))


def _axes(model: ModelProto, random_: random.Random) -> None:
    axes = model.graph.input[0].type.tensor_type.shape.dim
    axis = axes[random_.randrange(len(axes))]
    if random_.random() < 0.5:
        axis.dim_value = random_.choice(NUMBERS)
    else:
        axis.dim_param = random_.choice(NAMES)


MUTATIONS: tuple[Mutation, ...] = (
    _added_attribute,
    _attribute,
    _attribute_type,
    _axes,
    _beside,
    _cycle,
    _data,
    _dims,
    _doubled,
    _dropped,
    _fewer,
    _input,
    _more,
    _name,
    _operator,
    _order,
    _rank,
    _type,
    _values,
    _versions,
)


def _bytes(content: bytes, random_: random.Random) -> bytes:
    """Return the file with a few bytes changed, cut, or doubled: below what the format's fields
    are.
    """
    changed = bytearray(content)
    for _ in range(random_.randint(1, 8)):
        changed[random_.randrange(len(changed))] = random_.randrange(256)
    kind = random_.random()
    if kind < 0.2:
        return bytes(changed[: random_.randrange(len(changed))])
    return bytes(changed) * 2 if kind < 0.25 else bytes(changed)


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield `count` files: (name that says what was done, content). Equal seeds give equal files.

    The first one of each model is as it was built: 'NUMBER-MODEL-sound.onnx'. All take pictures of
    8 x 8.
    """
    random_ = random.Random(seed)
    for at in range(count):
        if at < len(MODELS):
            yield f"{at}-{MODELS[at].__name__}-sound.onnx", MODELS[at]().SerializeToString()
        else:
            yield _mutated(at, random_)


def _mutated(at: int, random_: random.Random) -> tuple[str, bytes]:
    build = random_.choice(MODELS)
    model, done = build(), [build.__name__.strip("_")]
    if random_.random() < 0.2:
        return f"{at}-{done[0]}-bytes.onnx", _bytes(model.SerializeToString(), random_)
    for mutate in random_.choices(MUTATIONS, k=random_.randint(1, 3)):
        if model.graph.node and model.graph.initializer:
            mutate(model, random_)
            done.append(mutate.__name__.strip("_"))
    return f"{at}-{'-'.join(done)}.onnx", model.SerializeToString()
