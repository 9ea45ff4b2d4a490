"""An ONNX graph to ask: who makes a tensor, who uses it, what is constant, which nodes multiply and accumulate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sparqsim.errors import InputError
from sparqsim.images import needed

Array = NDArray[Any]

#: Operators that become matrix products of the array.
MAC_OPS = frozenset({"Conv", "Gemm", "MatMul", "QLinearConv", "QLinearMatMul", "QGemm"})
#: Operators that multiply and accumulate in ways that are not read here.
OTHER_MAC_OPS = frozenset(
    {
        "Attention",
        "ConvInteger",
        "ConvTranspose",
        "DeformConv",
        "DynamicQuantizeMatMul",
        "Einsum",
        "FusedConv",
        "FusedGemm",
        "FusedMatMul",
        "GRU",
        "LSTM",
        "MatMulBnb4",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "MatMulNBits",
        "MultiHeadAttention",
        "QAttention",
        "RNN",
        "TransposeMatMul",
        "GroupQueryAttention",
    }
)
#: Operators outside the ONNX standard that are known to need no array.
KNOWN_OTHERS = frozenset(
    {
        "DequantizeLinear",
        "Gelu",
        "QLinearAdd",
        "QLinearAveragePool",
        "QLinearConcat",
        "QLinearGlobalAveragePool",
        "QLinearLeakyRelu",
        "QLinearMul",
        "QLinearReduceMean",
        "QLinearSigmoid",
        "QLinearSoftmax",
        "QLinearWhere",
        "QuantizeLinear",
        "QuickGelu",
    }
)
STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
#: Operators of this opset are added for accuracy runs; QuantizeLinear, Unsqueeze and others changed before.
MODERN_OPSET = 13


class Graph:
    """The main graph of a model, as a lookup.

    Parameters
    ----------
    model : onnx.ModelProto
    path : str or Path
        Named in errors.
    """

    def __init__(self, model: Any, path: str | Path = "model") -> None:
        self.model, self.path, self.proto = model, path, model.graph
        self.nodes: list[Any] = list(self.proto.node)
        self.initializers = {tensor.name: tensor for tensor in self.proto.initializer}
        self.outputs: list[str] = [value.name for value in self.proto.output]
        self._constants: dict[str, Array | None] = {}

    @classmethod
    def load(cls, path: str | Path) -> Graph:
        """Read a model file. Raises InputError naming it."""
        onnx = needed("onnx", "onnx")
        try:
            return cls(onnx.load(str(path)), path)
        except Exception as error:  # noqa: BLE001 - protobuf's DecodeError has no importable home; any failure means the same
            raise InputError(f"{path}: not a readable ONNX model ({error})") from None

    @property
    def opset(self) -> int:
        """The version of the standard operators."""
        return next(
            (
                int(each.version)
                for each in self.model.opset_import
                if each.domain in STANDARD_DOMAINS[:2]
            ),
            0,
        )

    def modern(self) -> Graph:
        """Return the graph at `MODERN_OPSET` or later; as it is where onnx's converter cannot bring it there."""
        if self.opset >= MODERN_OPSET:
            return self
        converter = needed("onnx.version_converter", "onnx")
        try:
            return Graph(converter.convert_version(self.model, MODERN_OPSET), self.path)
        except Exception:  # noqa: BLE001 - RuntimeError and the converter's own kinds: old models still give traces
            return self

    @cached_property
    def inputs(self) -> list[Any]:
        """The inputs that a user feeds (initializers may be listed as inputs too)."""
        return [value for value in self.proto.input if value.name not in self.initializers]

    @cached_property
    def producers(self) -> dict[str, int]:
        """Tensor -> index of the node that makes it."""
        return {name: at for at, node in enumerate(self.nodes) for name in node.output if name}

    @cached_property
    def consumers(self) -> dict[str, list[int]]:
        """Tensor -> indices of the nodes that use it."""
        found: dict[str, list[int]] = {}
        for at, node in enumerate(self.nodes):
            for name in node.input:
                found.setdefault(name, []).append(at)
        return found

    @cached_property
    def names(self) -> list[str]:
        """A unique name for every node: its own where it has one, else operator and number."""
        wanted = [
            node.name.strip("/") or f"{node.op_type}_{at}" for at, node in enumerate(self.nodes)
        ]
        counts = Counter(wanted)
        return [name if counts[name] == 1 else f"{name}#{at}" for at, name in enumerate(wanted)]

    def producer(self, tensor: str) -> Any | None:
        """Return the node that makes `tensor`, or None for inputs and initializers."""
        at = self.producers.get(tensor)
        return None if at is None else self.nodes[at]

    def constant(self, tensor: str) -> Array | None:
        """Return the value of a tensor that no input changes, or None."""
        if tensor not in self._constants:
            self._constants[tensor] = self._constant(tensor)
        return self._constants[tensor]

    def _constant(self, tensor: str) -> Array | None:
        if tensor in self.initializers:
            return initializer_value(self.initializers[tensor], self.path)
        node = self.producer(tensor)
        if node is None or node.domain not in STANDARD_DOMAINS or node.op_type.startswith("Random"):
            return None
        feeds = {name: self.constant(name) for name in node.input if name}
        if any(value is None for value in feeds.values()):
            return None
        return self._evaluated(node, feeds)[list(node.output).index(tensor)]

    def _evaluated(self, node: Any, feeds: dict[str, Array | None]) -> list[Array]:
        helper, numpy_helper = needed("onnx.helper", "onnx"), needed("onnx.numpy_helper", "onnx")
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.output]
        values = [
            numpy_helper.from_array(value, name)
            for name, value in feeds.items()
            if value is not None
        ]
        model = helper.make_model(
            helper.make_graph([node], "constant", [], outputs, values),
            opset_imports=self.model.opset_import,
            ir_version=self.model.ir_version,
        )
        try:
            session = quiet_session(model)
            result: list[Array] = session.run(None, {})
        except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no base class but Exception
            raise InputError(
                f"{self.path}: node {node.name or node.op_type!r} on constants: {error}"
            ) from None
        return result

    def mac_nodes(self, skip: frozenset[str] = frozenset()) -> list[int]:
        """Return the indices of the nodes that the array runs, in order.

        Parameters
        ----------
        skip : set of str
            Node names and operator types to leave out.

        Raises
        ------
        InputError
            Naming a node that multiplies and accumulates in a way that is not read here, unless it is skipped.
        """
        found = []
        for at, node in enumerate(self.nodes):
            if (
                self.names[at] in skip
                or node.name in skip
                or node.op_type in skip
                or self._is_constant(node)
            ):
                continue
            if node.op_type in MAC_OPS:
                found.append(at)
            elif (fault := unsupported(node)) is not None:
                raise InputError(
                    f"{self.path}: node {self.names[at]!r}: {fault}; expected "
                    f"{', '.join(sorted(MAC_OPS))} (--skip {node.op_type} leaves it out, and says so)"
                )
        return found

    def skipped_nodes(self, skip: frozenset[str]) -> list[str]:
        """Return the nodes with multiply-accumulates that `skip` leaves out, 'name (operator)'."""
        return [
            f"{self.names[at]} ({node.op_type})"
            for at, node in enumerate(self.nodes)
            if (node.op_type in MAC_OPS or unsupported(node) is not None)
            and {self.names[at], node.name, node.op_type} & skip
        ]

    def _is_constant(self, node: Any) -> bool:
        return all(self.constant(name) is not None for name in node.output if name)


def quiet_session(model: Any) -> Any:
    """Return an onnxruntime session on the processor; its remarks on graphs stay off standard error."""
    runtime = needed("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    return runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def initializer_value(tensor: Any, path: str | Path) -> Array:
    """Return an initializer's values. Raises InputError where its data is not in the file (or beside it)."""
    helper = needed("onnx.numpy_helper", "onnx")
    try:
        value: Array = helper.to_array(tensor)
    except Exception as error:  # noqa: BLE001 - ValueError, OSError, TypeError: the data is missing or does not fit
        raise InputError(
            f"{path}: initializer {tensor.name!r} has no usable data ({error})"
        ) from None
    return value


def unsupported(node: Any) -> str | None:
    """Return why a node cannot be left to others, or None: it multiplies and accumulates, or hides nodes that do."""
    if node.op_type in OTHER_MAC_OPS:
        return f"operator {node.op_type} multiplies and accumulates, and is not supported"
    if node.domain not in STANDARD_DOMAINS and node.op_type not in KNOWN_OTHERS | MAC_OPS:
        return f"operator {node.domain}.{node.op_type} is unknown: whether it multiplies and accumulates cannot be told"
    inner = [
        hidden.op_type
        for graph in subgraphs(node)
        for hidden in graph.node
        if hidden.op_type in MAC_OPS or unsupported(hidden) is not None
    ]
    return (
        f"operator {node.op_type} holds {inner[0]} in a subgraph, which is not supported"
        if inner
        else None
    )


def subgraphs(node: Any) -> Iterator[Any]:
    """Yield the graphs in a node's attributes (If, Loop, Scan)."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def attributes(node: Any) -> dict[str, Any]:
    """Return a node's attributes as Python values."""
    helper = needed("onnx.helper", "onnx")
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
