"""Which ONNX operators multiply and accumulate, which are read here, and which cannot be told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sparqsim.networks.images import needed
from sparqsim.networks.onnx.opening import messages

STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
#: Operators that become matrix products of the array.
CONVOLUTIONS = frozenset({"Conv", "QLinearConv", "ConvInteger"})
PRODUCTS = frozenset({"Gemm", "MatMul", "MatMulInteger", "QLinearMatMul", "QGemm"})
MAC_OPS = CONVOLUTIONS | PRODUCTS
#: Whose operands stand with their scales: first operand, its scale, its zero point, second, ...
QLINEAR_OPS = frozenset({"QLinearConv", "QLinearMatMul", "QGemm"})
#: Whose output are the integer sums themselves.
INTEGER_OPS = frozenset({"ConvInteger", "MatMulInteger"})
#: Operators that multiply and accumulate in ways that are not read here.
OTHER_MAC_OPS = frozenset(
    {
        "Attention",
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
#: Operators that move elements and change none: of the first input's elements, some or all.
MOVES = frozenset(
    {
        "Cast",
        "Flatten",
        "Gather",
        "Identity",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
#: Operators whose outputs are values of their input, or zero.
PICKS = MOVES | {"DepthToSpace", "MaxPool", "Relu", "SpaceToDepth"}
#: ONNX's numbers of the floating-point types: float, float16, double, bfloat16.
FLOATS = frozenset({1, 10, 11, 16})


def unsupported(node: Any) -> str | None:
    """Return why a node cannot be left to others: it has MACs, or nodes that do; else None."""
    if node.op_type in OTHER_MAC_OPS:
        return f"operator {node.op_type} multiplies and accumulates, and is not supported"
    if node.domain not in STANDARD_DOMAINS and node.op_type not in KNOWN_OTHERS | MAC_OPS:
        return (
            f"operator {node.domain}.{node.op_type} is unknown: whether it multiplies and "
            "accumulates cannot be told"
        )
    inner = [hidden.op_type for hidden in hidden_nodes(node) if _hides(hidden)]
    return (
        f"operator {node.op_type} holds {inner[0]} in a subgraph, which is not supported"
        if inner
        else None
    )


def _hides(node: Any) -> bool:
    foreign = node.domain not in STANDARD_DOMAINS and node.op_type not in KNOWN_OTHERS
    return node.op_type in MAC_OPS | OTHER_MAC_OPS or foreign


def hidden_nodes(node: Any) -> Iterator[Any]:
    """Yield the nodes of the graphs in a node's attributes (If, Loop, Scan), however deep."""
    kind = needed("onnx", "onnx").NodeProto
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from (each for each in messages(graph) if isinstance(each, kind))


def has_graphs(node: Any) -> bool:
    """Return whether a node holds graphs."""
    return any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)


def attributes(node: Any) -> dict[str, Any]:
    """Return a node's attributes as Python values."""
    helper = needed("onnx.helper", "onnx")
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
