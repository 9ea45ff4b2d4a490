"""Broken .tflite files: a sound network with one or two of its parts changed, or bytes of its
file.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _arrays import flipped

#: The folder of the tests' own networks.
TESTS = Path(__file__).parents[1]
IMAGES = ("--images", "{folder}", "--preprocess", "resize:9x8")
COMMANDS = (
    ("trace", "dump", "{file}", *IMAGES, "-o", "{folder}/t.safetensors"),
    ("accuracy", "{file}", *IMAGES, "--pe", "mac-8b8b"),
)
Random = np.random.Generator
#: Numbers that fit badly: none, one too many, limits of types, negative.
NUMBERS = (-(2**31), -129, -2, -1, 0, 1, 2, 3, 5, 127, 255, 256, 65535, 2**31 - 1)
SCALES = (0.0, -0.1, float("nan"), float("inf"), 1e-45, 1e-38, 1e30, 3e38)
NAMES = (b"", b"\xff\xfe", b"\0", b"x" * 2000, b"a;b", b"\x1b[31m", "层".encode())


def prepare(folder: Path) -> None:
    """Write a picture beside the file."""
    from PIL import Image

    pixels = np.random.default_rng(1).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "p.png")


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of `count` broken files."""
    random = np.random.default_rng(seed)
    sound = [_sound(signed) for signed in (False, True)]
    for number, content in enumerate(sound[:count]):
        yield f"sound_{number}.tflite", content
    for number in range(len(sound), count):
        content = sound[number % 2]
        kind = PARTS[int(random.integers(len(PARTS)))]
        yield f"{kind.__name__.strip('_')}_{seed}_{number}.tflite", kind(content, random)


def _sound(signed: bool) -> bytes:
    if str(TESTS) not in sys.path:
        sys.path.append(str(TESTS))
    from tflite_builder import small_network

    with tempfile.TemporaryDirectory() as folder:
        return small_network(Path(folder) / "n.tflite", signed).read_bytes()


def _packed(content: bytes, change: Callable[[Any], None]) -> bytes:
    """Return the file after a change to its objects; the sound file where they cannot be
    written.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    change(model)
    writer = flatbuffers.Builder(1024)
    try:
        writer.Finish(model.Pack(writer), b"TFL3")
    except (TypeError, AttributeError, OverflowError):  # a number beyond the field's type
        return content[: len(content) // 2]
    return bytes(writer.Output())


def _one(random: Random, things: Any) -> Any:
    return things[int(random.integers(len(things)))]


def _changed_list(random: Random, values: Any) -> list[int]:
    """Return a list with an element changed, dropped or doubled."""
    listed = [int(value) for value in ([] if values is None else values)]
    if not listed or random.random() < 0.15:
        return [int(_one(random, NUMBERS)) for _ in range(int(random.integers(0, 6)))]
    at = int(random.integers(len(listed)))
    how = random.random()
    if how < 0.6:
        listed[at] = int(_one(random, NUMBERS))
    elif how < 0.8:
        del listed[at]
    else:
        listed.insert(at, listed[at])
    return listed


def _indices(content: bytes, random: Random) -> bytes:
    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        operator = _one(random, graph.operators)
        owner, field = _one(
            random,
            [(operator, "inputs"), (operator, "outputs"), (graph, "inputs"), (graph, "outputs")],
        )
        setattr(owner, field, _changed_list(random, getattr(owner, field)))

    return _packed(content, change)


def _near_indices(content: bytes, random: Random) -> bytes:
    """Other tensors of the same graph: cycles, wrong order, tensors written twice."""

    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        operator = _one(random, graph.operators)
        field = _one(random, ("inputs", "outputs"))
        listed = [int(value) for value in getattr(operator, field)]
        listed[int(random.integers(len(listed)))] = int(random.integers(len(graph.tensors)))
        setattr(operator, field, listed)

    return _packed(content, change)


def _shapes(content: bytes, random: Random) -> bytes:
    def change(model: Any) -> None:
        tensor = _one(random, model.subgraphs[0].tensors)
        tensor.shape = _changed_list(random, tensor.shape)

    return _packed(content, change)


def _quantisation(content: bytes, random: Random) -> bytes:
    def change(model: Any) -> None:
        table = _one(random, model.subgraphs[0].tensors).quantization
        field = _one(random, ("scale", "zeroPoint", "quantizedDimension"))
        if field == "quantizedDimension":
            table.quantizedDimension = int(_one(random, NUMBERS))
        elif field == "zeroPoint":
            table.zeroPoint = _changed_list(random, table.zeroPoint)
        else:
            scales = [float(scale) for scale in ([] if table.scale is None else table.scale)]
            scales = scales or [0.5]
            scales[int(random.integers(len(scales)))] = _one(random, SCALES)
            table.scale = scales[: int(random.integers(1, len(scales) + 1))]

    return _packed(content, change)


def _options(content: bytes, random: Random) -> bytes:
    def change(model: Any) -> None:
        operator = _one(random, model.subgraphs[0].operators)
        options = operator.builtinOptions
        fields = [] if options is None else list(vars(options))
        if not fields or random.random() < 0.1:
            operator.builtinOptions, operator.builtinOptionsType = None, 0
            return
        setattr(options, _one(random, fields), int(_one(random, NUMBERS)))

    return _packed(content, change)


def _kinds(content: bytes, random: Random) -> bytes:
    def change(model: Any) -> None:
        code = _one(random, model.operatorCodes)
        number = int(_one(random, (*range(210), 127, 100_000, -1)))
        code.builtinCode, code.deprecatedBuiltinCode = number, max(-128, min(number, 127))
        code.version = int(_one(random, (1, 2, 3, 5, 99, -1)))

    return _packed(content, change)


def _tensors(content: bytes, random: Random) -> bytes:
    def change(model: Any) -> None:
        tensor = _one(random, model.subgraphs[0].tensors)
        field = _one(random, ("type", "buffer", "name", "isVariable", "quantization"))
        values = {
            "type": int(random.integers(0, 24)),
            "buffer": abs(int(_one(random, NUMBERS))),
            "name": _one(random, NAMES),
            "isVariable": True,
            "quantization": None,
        }
        setattr(tensor, field, values[field])

    return _packed(content, change)


def _buffers(content: bytes, random: Random) -> bytes:
    def change(model: Any) -> None:
        buffer = _one(random, model.buffers)
        if random.random() < 0.5:
            buffer.offset, buffer.size = (abs(int(_one(random, NUMBERS))) for _ in range(2))
        else:
            buffer.data = np.zeros(int(random.integers(0, 100)), np.uint8)

    return _packed(content, change)


def _two(content: bytes, random: Random) -> bytes:
    first, second = (_one(random, PARTS[:7]) for _ in range(2))
    try:
        return second(first(content, random), random)
    except Exception:  # noqa: BLE001 - what the first change broke may not be read again
        return first(content, random)


def _long_words(content: bytes, random: Random) -> bytes:
    """Four bytes of a length or an offset, set to an extreme."""
    at = 4 * int(random.integers(2, len(content) // 4))
    word = int(_one(random, (0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, len(content))))
    return content[:at] + word.to_bytes(4, "little") + content[at + 4 :]


def _cut(content: bytes, random: Random) -> bytes:
    return content[: int(random.integers(len(content)))]


PARTS = (
    _indices,
    _near_indices,
    _shapes,
    _quantisation,
    _options,
    _tensors,
    _buffers,
    _kinds,
    _two,
    flipped,
    _long_words,
    _cut,
)
