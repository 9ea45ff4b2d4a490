"""Multiply-accumulates of nodes that are not in a trace, from the shapes of their tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparqsim.networks.onnx.graph import Array, Graph
from sparqsim.networks.onnx.guard import elements
from sparqsim.networks.onnx.operators import STANDARD_DOMAINS, attributes
from sparqsim.networks.onnx.session import shape_key
from sparqsim.trace.coverage import LeftOut

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Shapes:
    """What a rule counts from.

    inputs, outputs: shapes, None where absent or unknown. attributes: of the node.
    """

    inputs: Sequence[Any]
    outputs: Sequence[Any]
    attributes: dict[str, Any]


Rule = Callable[[Shapes], int | None]


@dataclass(frozen=True)
class SkippedNode:
    """A node left out. name: unique in its graph."""

    name: str
    node: Any

    @property
    def label(self) -> str:
        """'name (operator)'."""
        return f"{self.name} ({self.node.op_type})"

    @property
    def tensors(self) -> tuple[str, ...]:
        """Its inputs and outputs, if a rule counts them."""
        names = (*self.node.input, *self.node.output)
        return tuple(filter(None, names)) if self.node.op_type in RULES else ()

    def macs(self, shapes: Mapping[str, Shape | None]) -> int | None:
        """Return the multiply-accumulates for tensors of these shapes, None where unknown."""
        foreign = self.node.domain not in STANDARD_DOMAINS
        table = FOREIGN_RULES if foreign and self.node.op_type in FOREIGN_RULES else RULES
        rule = table.get(self.node.op_type)
        inputs = [shapes.get(name) for name in self.node.input]
        outputs = [shapes.get(name) for name in self.node.output]
        if rule is None:
            return None
        try:
            return rule(Shapes(inputs, outputs, attributes(self.node)))
        except (
            TypeError,
            IndexError,
            KeyError,
            ValueError,
        ):  # a shape is absent or of another rank
            return None

    @property
    def reason(self) -> str:
        """Why it is not in a trace."""
        return f"operator {self.node.op_type} left out by --skip"

    def macs_of_batch(self, values: Mapping[str, Array]) -> int | None:
        """Return the multiply-accumulates of one batch, from a session's shapes."""
        shapes = {
            name: tuple(int(size) for size in values[shape_key(name)]) for name in self.tensors
        }
        return self.macs(shapes)

    def entry(self, macs: int | None) -> LeftOut:
        """Return what a trace says of it."""
        return LeftOut(name=self.name, reason=self.reason, macs=macs)


def skipped_nodes(graph: Graph, skip: frozenset[str]) -> tuple[SkippedNode, ...]:
    """Return the nodes with multiply-accumulates that `skip` leaves out."""
    return tuple(SkippedNode(graph.names[at], graph.nodes[at]) for at in graph.skipped_nodes(skip))


def _convolution(weights_at: int) -> Rule:
    """Return the rule of convolutions: an output sums a group's channels over the kernel."""
    return lambda node: elements(node.outputs[0]) * elements(node.inputs[weights_at][1:])


def _transposed_convolution(node: Shapes) -> int:
    """Count a group's kernels for every input element; products that are cropped away count."""
    return elements(node.inputs[0]) * elements(node.inputs[1][1:])


def _product(node: Shapes) -> int:
    """Count K for every output: the left operand's last axis, its first where transposed."""
    axis = -2 if node.attributes.get("transA", 0) else -1
    return elements(node.outputs[0]) * int(node.inputs[0][axis])


def _packed_product(node: Shapes) -> int:
    return elements(node.outputs[0]) * int(node.attributes["K"])


def _einsum(node: Shapes) -> int | None:
    """Return the product of all sizes for two operands; a chain of more depends on its order."""
    equation = node.attributes["equation"].decode().replace(" ", "")
    terms = equation.partition("->")[0].split(",")
    if len(terms) == 1:
        return 0
    if len(terms) != 2:
        return None
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, node.inputs, strict=True):
        named = len(term.replace("...", ""))
        first, _, last = term.partition("...")
        batch = [f".{len(shape) - named - at}" for at in range(len(shape) - named)]
        for label, size in zip([*first, *batch, *last], shape, strict=True):
            sizes[label] = max(sizes.get(label, 1), size)
    return elements(tuple(sizes.values()))


def _attention(node: Shapes) -> int:
    """Count queries x keys and weights x values: each query meets every key, earlier ones too."""
    query, key = node.inputs[:2]
    keys = int(key[-2]) + _earlier(node, 4)
    return keys * (elements(query) + elements(node.outputs[0]))


def _earlier(node: Shapes, at: int) -> int:
    """Return how many keys of earlier runs an optional input (..., keys, size) holds."""
    past = node.inputs[at] if len(node.inputs) > at else None
    return 0 if past is None else int(past[-2])


def _attention_with_projection(node: Shapes) -> int | None:
    """Count onnxruntime's operator: queries, keys, values are products of input and weights."""
    if len(node.inputs) > 4 and node.inputs[4] is not None:
        return None
    batch, length, _ = node.inputs[0]
    projection = int(batch * length) * elements(node.inputs[1])
    return projection + 2 * int(length) * elements(node.outputs[0])


def _multi_head(node: Shapes) -> int | None:
    """Count attention of separate operands; packed ones are not known here."""
    query, key = node.inputs[:2]
    if len(query) != 3 or len(key) != 3:
        return None
    keys = int(key[1]) + _earlier(node, 6)
    return keys * (elements(query) + elements(node.outputs[0]))


def _recurrent(node: Shapes) -> int:
    """Count all weights, of inputs and of the state, for every step of every sequence."""
    steps = int(node.inputs[0][0] * node.inputs[0][1])
    return steps * (elements(node.inputs[1]) + elements(node.inputs[2]))


RULES: dict[str, Rule] = {
    "Attention": _attention,
    "Conv": _convolution(1),
    "ConvInteger": _convolution(1),
    "ConvTranspose": _transposed_convolution,
    "DeformConv": _convolution(1),
    "DynamicQuantizeMatMul": _product,
    "Einsum": _einsum,
    "FusedConv": _convolution(1),
    "FusedGemm": _product,
    "FusedMatMul": _product,
    "GRU": _recurrent,
    "Gemm": _product,
    "LSTM": _recurrent,
    "MatMul": _product,
    "MatMulBnb4": _packed_product,
    "MatMulInteger": _product,
    "MatMulIntegerToFloat": _product,
    "MatMulNBits": _packed_product,
    "MultiHeadAttention": _multi_head,
    "QGemm": _product,
    "QLinearConv": _convolution(3),
    "QLinearMatMul": _product,
    "RNN": _recurrent,
    "TransposeMatMul": _product,
}
#: Operators of other domains that share a name with a standard one.
FOREIGN_RULES: dict[str, Rule] = {"Attention": _attention_with_projection}
