"""Einsums of two operands that are matrix products, written as such before nodes are read.

Labels of both operands and of the output number a stack of products, those of both alone are summed
over, those of one are rows or columns. One label of each, or one matrix for all rows: MatMul, axes
put in order around it. Constant weights may have several axes of columns or to sum over, which are
joined to one. All else stays an Einsum: labels that are repeated or summed in one operand, '...',
stacks of products with several axes of rows, products without rows or columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from sparqsim.networks.images import needed
from sparqsim.networks.onnx.graph import Graph
from sparqsim.networks.onnx.operators import STANDARD_DOMAINS, attributes

EQUATION = re.compile(r"([A-Za-z]+),([A-Za-z]+)(?:->([A-Za-z]+))?")


@dataclass(frozen=True)
class Equation:
    """An einsum's labels: of both operands, and of the output."""

    left: str
    right: str
    output: str

    @classmethod
    def of(cls, text: str) -> Equation | None:
        """Return the equation of a product; None for others."""
        found = EQUATION.fullmatch(text.replace(" ", ""))
        if found is None:
            return None
        left, right, output = found.groups()
        if output is None:
            output = "".join(sorted(set(left) ^ set(right)))
        made = cls(left, right, output)
        return made if made._is_product else None

    @property
    def _is_product(self) -> bool:
        terms = (self.left, self.right, self.output)
        distinct = all(len(set(term)) == len(term) for term in terms)
        labels = set(self.left) | set(self.right)
        alone = (set(self.left) ^ set(self.right)) <= set(self.output)
        return distinct and alone and set(self.output) <= labels

    @property
    def swapped(self) -> Equation:
        """The same with its operands in the other order."""
        return Equation(self.right, self.left, self.output)

    @property
    def stack(self) -> str:
        """Labels of both operands and of the output, in its order."""
        return self._of_output(set(self.left) & set(self.right))

    @property
    def rows(self) -> str:
        """Labels of the left operand alone, in the output's order."""
        return self._of_output(set(self.left) - set(self.right))

    @property
    def columns(self) -> str:
        """Labels of the right operand alone, in the output's order."""
        return self._of_output(set(self.right) - set(self.left))

    @property
    def summed(self) -> str:
        """Labels that the output does not have, in the right operand's order."""
        return "".join(label for label in self.right if label not in self.output)

    @property
    def is_plain(self) -> bool:
        """Whether MatMul does it once axes are in order."""
        one = len(self.columns) == len(self.summed) == 1
        return one and (len(self.rows) == 1 or (not self.stack and bool(self.rows)))

    @property
    def is_joined(self) -> bool:
        """Whether MatMul does it once axes of constant weights are joined, too."""
        return not self.stack and all((self.rows, self.columns, self.summed))

    def _of_output(self, labels: set[str]) -> str:
        return "".join(label for label in self.output if label in labels)


def with_products(graph: Graph, skip: frozenset[str] = frozenset()) -> Graph:
    """Return a graph whose einsums are matrix products, as far as they are and `skip` does not name
    them. Such a product has the name of its einsum.
    """
    written = {
        at: list(_Written(graph, at).nodes())
        for at, node in enumerate(graph.nodes)
        if node.op_type == "Einsum"
        and node.domain in STANDARD_DOMAINS
        and node.output[:1] not in ([], [""])
        and not {"Einsum", node.name, graph.names[at]} & skip
        and not graph.constants.issuperset(node.input)
    }
    if not any(written.values()):
        return graph
    model = type(graph.model)()
    model.CopyFrom(graph.model)
    del model.graph.node[:]
    for at, node in enumerate(graph.nodes):
        for part in written.get(at) or [node]:
            if not isinstance(part, type(node)):
                model.graph.initializer.append(part)
            else:
                model.graph.node.append(part)
    return Graph(model, graph.path)


class _Written:
    """One einsum, and the nodes that do the same."""

    def __init__(self, graph: Graph, at: int) -> None:
        self._graph, self._node, self._name = graph, graph.nodes[at], graph.names[at]
        self._made = 0

    def nodes(self) -> Iterator[Any]:
        """Yield nodes and initializers, in order; none where MatMul does not do it."""
        node = self._node
        text = attributes(node).get("equation", b"").decode(errors="replace")
        equation = Equation.of(text) if len(node.input) == 2 else None
        if equation is None:
            return
        left, right = node.input
        if left in self._graph.constants:
            left, right, equation = right, left, equation.swapped
        if equation.is_plain:
            yield from self._plain(equation, left, right)
        elif equation.is_joined and right in self._graph.initializers:
            sizes = tuple(self._graph.initializers[right].dims)
            if len(sizes) == len(equation.right):
                of_label = dict(zip(equation.right, sizes, strict=True))
                yield from self._joined(equation, left, right, of_label)

    def _plain(self, equation: Equation, left: str, right: str) -> Iterator[Any]:
        """Axes of both in the order of a matrix product: (stack, rows, K) @ (stack, K, columns)."""
        stack, rows, columns = equation.stack, equation.rows, equation.columns
        left_axes = stack + rows + equation.summed
        right_axes = stack + equation.summed + columns
        first = yield from self._turned(left, equation.left, left_axes)
        second = yield from self._turned(right, equation.right, right_axes)
        yield from self._product(first, second, stack + rows + columns, equation.output)

    def _joined(
        self, equation: Equation, left: str, right: str, sizes: dict[str, int]
    ) -> Iterator[Any]:
        """Rows as they are, axes of K and of columns joined."""
        rows, columns, summed = equation.rows, equation.columns, equation.summed
        as_rows = [0] * len(rows)  # 0: as it is
        depth, width = (prod(sizes[label] for label in labels) for labels in (summed, columns))
        first = yield from self._turned(left, equation.left, rows + summed)
        first = yield from self._reshaped(first, [*as_rows, depth])
        second = yield from self._turned(right, equation.right, summed + columns)
        second = yield from self._reshaped(second, [depth, width])
        shape = [*as_rows, *(sizes[label] for label in columns)]
        yield from self._product(first, second, rows + columns, equation.output, shape)

    def _product(
        self, first: str, second: str, labels: str, output: str, shape: list[int] | None = None
    ) -> Iterator[Any]:
        """Multiply, and put the product's axes in the output's order."""
        name, goal = self._name, self._node.output[0]
        last = goal if shape is None and labels == output else self._tensor()
        yield self._node_of("MatMul", [first, second], last, name=name)
        if shape is not None:
            last = yield from self._reshaped(last, shape, "" if labels != output else goal)
        if labels != output:
            order = [labels.index(label) for label in output]
            yield self._node_of("Transpose", [last], goal, perm=order)

    def _turned(self, tensor: str, labels: str, wanted: str) -> Any:
        """Yield what puts axes in order; return the tensor's name."""
        if labels == wanted:
            return tensor
        turned = self._tensor()
        order = [labels.index(label) for label in wanted]
        yield self._node_of("Transpose", [tensor], turned, perm=order)
        return turned

    def _reshaped(self, tensor: str, shape: list[int], goal: str = "") -> Any:
        sizes, reshaped = self._tensor(), goal or self._tensor()
        yield needed("onnx.numpy_helper", "onnx").from_array(np.array(shape, np.int64), sizes)
        yield self._node_of("Reshape", [tensor, sizes], reshaped)
        return reshaped

    def _node_of(self, kind: str, inputs: list[str], output: str, **keys: Any) -> Any:
        return needed("onnx.helper", "onnx").make_node(kind, inputs, [output], **keys)

    def _tensor(self) -> str:
        self._made += 1
        return f"{self._node.output[0]}.einsum{self._made}"
