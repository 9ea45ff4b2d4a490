"""The one guarded way into a .tflite file: whatever it holds, a graph whose parts fit, or one line.

Every offset of the file is followed by the format's own reader, which raises where one leaves the
file; every index (of tensors, buffers, operator codes) is checked here. A file whose offsets all
point to the same large piece stays small on disk and grows without bound in memory: what is copied
out of the file is counted, and bounded by the file's own size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError, unreadable
from sparqsim.networks.images import needed

Array = NDArray[Any]

#: The type of two codes a byte, which have no dtype of their own: the first in the low nibble.
PACKED = "INT4"
#: By the name of a type in the file format. Types that are not here (INT4, RESOURCE, ...) have
#: no dtype.
DTYPES: Mapping[str, type[np.generic]] = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "FLOAT64": np.float64,
    "INT32": np.int32,
    "UINT32": np.uint32,
    "UINT8": np.uint8,
    "INT64": np.int64,
    "UINT64": np.uint64,
    "BOOL": np.bool_,
    "INT16": np.int16,
    "UINT16": np.uint16,
    "INT8": np.int8,
}
#: Bytes 4 to 8 of a .tflite file.
MAGIC = b"TFL3"
#: Copies of names and lists that a file may ask for, as a multiple of its size.
COPIED_PER_BYTE = 8
COPIED_AT_LEAST_BYTES = 1 << 16
#: No framework makes tensors of more axes; numpy takes 64.
MOST_AXES = 16
#: Values of `Buffer.offset` up to this say that a buffer's bytes are in the table itself.
NO_OFFSET = 1


@dataclass(frozen=True)
class Tensor:
    """One tensor.

    kind: its type in the file format, such as 'INT8'. scales, zero_points: one for all or one per
    slice of axis `axis`; empty where not quantised. constant: whether the file holds it; value: of
    a constant that is stored dense, else None; of `PACKED` codes their bytes. variable: whether it
    keeps its value between runs.
    """

    index: int
    name: str
    kind: str
    shape: tuple[int, ...]
    scales: NDArray[np.float64]
    zero_points: NDArray[np.int64]
    axis: int
    value: Array | None
    constant: bool
    variable: bool
    sparse: bool

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The numpy type of its elements."""
        return np.dtype(DTYPES[self.kind]) if self.kind in DTYPES else None

    @property
    def scale(self) -> float:
        """The one scale of an activation tensor."""
        return float(self.scales[0])

    @property
    def zero_point(self) -> int:
        """The one zero point of an activation tensor."""
        return int(self.zero_points[0])


@dataclass(frozen=True)
class Operator:
    """One operator.

    kind: such as 'CONV_2D'. options: by the file format's names, {} where it has none. inputs,
    outputs: tensors by index (-1: an optional input that is not there).
    """

    kind: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class FileGraph:
    """The main graph. Tensors are computed before they are read, and only once."""

    content: bytes
    tensors: Sequence[Tensor]
    operators: Sequence[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_graph(path: Path) -> FileGraph:
    """Return the main graph of a .tflite file.

    Raises
    ------
    InputError
        When it cannot be read, or its parts do not fit together.
    """
    schema = needed("ai_edge_litert.schema_py_generated", "tflite")
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"{unreadable(path, error)}; expected a TFLite model") from None
    try:
        graph = _Reader(content, schema).graph()
        _check_order(graph)
    except MemoryError:
        raise InputError(f"{path}: not a readable TFLite model (out of memory)") from None
    except Exception as error:  # noqa: BLE001 - the format's accessors fail in many ways on a foreign file
        kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
        raise InputError(f"{path}: not a readable TFLite model ({kind}{error})") from None
    return graph


class _Reader:
    """Reads one file through the accessors that the format's compiler generated."""

    def __init__(self, content: bytes, schema: Any) -> None:
        if content[4:8] != MAGIC:
            raise ValueError(f"bytes 4 to 8 are {content[4:8]!r}, expected {MAGIC!r}")
        self._content, self._schema = content, schema
        self._model = schema.Model.GetRootAs(content, 0)
        self._kinds = _names_by_number(schema.BuiltinOperator)
        self._types = _names_by_number(schema.TensorType)
        self._option_tables = _names_by_number(schema.BuiltinOptions)
        self._copied_bytes = 0

    def graph(self) -> FileGraph:
        """Return the main graph. Raises ValueError, and whatever the accessors raise."""
        if self._model.SubgraphsLength() < 1:
            raise ValueError("it holds no graph")
        graph = self._model.Subgraphs(0)
        self._count(4 * (graph.TensorsLength() + graph.OperatorsLength()))
        tensors = [self._tensor(at, graph.Tensors(at)) for at in range(graph.TensorsLength())]
        operators = [
            self._operator(at, graph.Operators(at), tensors)
            for at in range(graph.OperatorsLength())
        ]
        inputs = self._indices("the graph's input", graph.InputsAsNumpy(), len(tensors))
        outputs = self._indices("the graph's output", graph.OutputsAsNumpy(), len(tensors))
        return FileGraph(self._content, tensors, operators, inputs, outputs)

    def _count(self, copied_bytes: int) -> None:
        """Count bytes copied out of the file."""
        self._copied_bytes += copied_bytes
        most = max(COPIED_AT_LEAST_BYTES, COPIED_PER_BYTE * len(self._content))
        if self._copied_bytes > most:
            raise ValueError(
                f"its lists and names, followed one by one, are more than {most} bytes long in a "
                f"file of {len(self._content)}: they overlap"
            )

    def _list(self, values: Any) -> NDArray[Any]:
        """Return a vector of the file; the accessors give 0 where there is none."""
        listed = np.zeros(0, np.int64) if isinstance(values, int) else np.asarray(values)
        self._count(listed.nbytes)
        return listed

    def _indices(
        self, what: str, values: Any, count: int, *, optional: bool = False
    ) -> tuple[int, ...]:
        """Return indices below `count`; -1, 'not there', only where `optional`."""
        indices = tuple(int(index) for index in self._list(values))
        lowest = -1 if optional else 0
        for index in indices:
            if not lowest <= index < count:
                raise ValueError(f"{what} is tensor {index}, expected one of {count}")
        return indices

    def _name(self, raw: bytes | None, otherwise: str) -> str:
        text = (raw or b"").decode("utf-8", "backslashreplace")
        self._count(len(raw or b""))
        return text or otherwise

    def _tensor(self, at: int, tensor: Any) -> Tensor:
        name = self._name(tensor.Name(), f"tensor {at}")
        shape = tuple(int(size) for size in self._list(tensor.ShapeAsNumpy()))
        if len(shape) > MOST_AXES or any(size < 0 for size in shape):
            raise ValueError(f"tensor {name!r} has shape {shape[: MOST_AXES + 1]}")
        if tensor.ExternalBuffer():
            raise ValueError(f"tensor {name!r} is stored in another file, expected one whole file")
        scales, points, axis = self._quantisation(name, tensor.Quantization())
        kind = self._types.get(tensor.Type(), f"type {tensor.Type()}")
        data = self._data(name, tensor.Buffer())
        sparse = tensor.Sparsity() is not None
        return Tensor(
            index=at,
            name=name,
            kind=kind,
            shape=shape,
            scales=scales,
            zero_points=points,
            axis=axis,
            value=None if data is None or sparse else _value(name, kind, shape, data),
            constant=data is not None,
            variable=tensor.IsVariable(),
            sparse=sparse,
        )

    def _quantisation(
        self, name: str, table: Any
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
        if table is None:
            return np.zeros(0), np.zeros(0, np.int64), 0
        with np.errstate(invalid="ignore"):  # a signalling NaN
            scales = np.asarray(self._list(table.ScaleAsNumpy()), np.float64)
        points = np.asarray(self._list(table.ZeroPointAsNumpy()), np.int64)
        if not len(points):
            points = np.zeros(len(scales), np.int64)
        if len(points) not in (1, len(scales)):
            raise ValueError(f"tensor {name!r} has {len(scales)} scales, {len(points)} zero points")
        # NaN fails the comparison too.
        wrong = [scale for scale in scales if not 0 <= scale < math.inf]
        if wrong:
            raise ValueError(
                f"tensor {name!r} has scale {wrong[0]}, expected finite numbers from 0"
            )
        return scales, np.broadcast_to(points, len(scales)), int(table.QuantizedDimension())

    def _data(self, name: str, at: int) -> memoryview | None:
        """Return the bytes of a tensor's buffer, without a copy; None where it has none."""
        count = self._model.BuffersLength()
        if not 0 <= at < max(count, 1):
            raise ValueError(f"tensor {name!r} is in buffer {at}, expected one of {count}")
        if at == 0 or at >= count:
            return None
        buffer = self._model.Buffers(at)
        if buffer.Offset() > NO_OFFSET:
            start, size = buffer.Offset(), buffer.Size()
            if start + size > len(self._content):
                raise ValueError(f"tensor {name!r} ends {start + size} bytes into the file")
            return memoryview(self._content)[start : start + size]
        data = buffer.DataAsNumpy()
        # Tensors that are computed may have a buffer of their own, which is empty.
        return None if isinstance(data, int) or not len(data) else memoryview(data)

    def _operator(self, at: int, operator: Any, tensors: Sequence[Tensor]) -> Operator:
        kind = self._kind(operator.OpcodeIndex())
        what, count = f"operator {at} ({kind}): ", len(tensors)
        inputs = self._indices(what + "an input", operator.InputsAsNumpy(), count, optional=True)
        outputs = self._indices(what + "an output", operator.OutputsAsNumpy(), count)
        # A fused operator's tensor may be named 'a;b': the first is the operator's own.
        name = tensors[outputs[0]].name.partition(";")[0] if outputs else f"operator {at}"
        return Operator(kind, name, inputs, outputs, self._options(operator))

    def _kind(self, at: int) -> str:
        if not 0 <= at < self._model.OperatorCodesLength():
            raise ValueError(
                f"an operator has code {at}, expected one of {self._model.OperatorCodesLength()}"
            )
        code = self._model.OperatorCodes(at)
        return self._kinds.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "UNKNOWN")

    def _options(self, operator: Any) -> Mapping[str, Any]:
        """Return the options, and 'table': the name of their table in the file format."""
        table = operator.BuiltinOptions()
        options = self._schema.BuiltinOptionsCreator(operator.BuiltinOptionsType(), table)
        if options is None:
            return {}
        lists = [value for value in vars(options).values() if isinstance(value, (list, np.ndarray))]
        self._count(sum(8 * len(each) for each in lists))
        return {**vars(options), "table": self._option_tables[operator.BuiltinOptionsType()]}


def _names_by_number(table: Any) -> dict[int, str]:
    return {
        number: name
        for name, number in vars(table).items()
        if isinstance(number, int) and not name.startswith("_")
    }


def _value(name: str, kind: str, shape: tuple[int, ...], data: memoryview) -> Array | None:
    """Return a constant, without a copy; its bytes where codes are packed, None for other types
    that numpy does not have.

    Raises ValueError where its bytes are not those of its shape.
    """
    if kind not in DTYPES and kind != PACKED:
        return None
    dtype = np.dtype(DTYPES.get(kind, np.uint8))
    held = (-(-math.prod(shape) // 2),) if kind == PACKED else shape
    expected = math.prod(held) * dtype.itemsize
    if data.nbytes != expected:
        raise ValueError(
            f"tensor {name!r}, {kind} {shape}, has {data.nbytes} bytes, expected {expected}"
        )
    return np.frombuffer(data, dtype).reshape(held)


def _check_order(graph: FileGraph) -> None:
    """Raise ValueError where a tensor is read before it is computed, or computed twice."""
    given = {*graph.inputs, *(tensor.index for tensor in graph.tensors if tensor.constant)}
    # Variables and tensors without elements may be read at any time.
    ready = given | {
        tensor.index for tensor in graph.tensors if tensor.variable or 0 in tensor.shape
    }
    computed: set[int] = set()
    for operator in graph.operators:
        what = f"operator {operator.name!r} ({operator.kind})"
        early = [at for at in operator.inputs if at >= 0 and at not in ready]
        if early:
            name = graph.tensors[early[0]].name
            raise ValueError(f"{what} reads tensor {name!r}, which nothing before it computes")
        again = [at for at in operator.outputs if at in given or at in computed]
        if again:
            name = graph.tensors[again[0]].name
            raise ValueError(f"{what} computes tensor {name!r}, which is there already")
        computed |= set(operator.outputs)
        ready |= set(operator.outputs)
    missing = [at for at in graph.outputs if at not in ready]
    if missing:
        raise ValueError(f"nothing computes the output {graph.tensors[missing[0]].name!r}")
