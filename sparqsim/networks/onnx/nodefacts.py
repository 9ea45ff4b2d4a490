"""One node to ask: its attributes, its constants, the codes of an operand; faults that name it."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparqsim.base.errors import InputError
from sparqsim.networks.images import needed
from sparqsim.networks.onnx.graph import Array, Graph, skip_hint
from sparqsim.networks.onnx.operators import INTEGER_OPS, QLINEAR_OPS, attributes
from sparqsim.quantise.codes import ActivationCodes

#: Names of one operand's tensors: values, scale, zero point; '' where there is none.
Operand = tuple[str, str, str]


class NodeFacts:
    """One node of a graph, as a lookup.

    Parameters
    ----------
    graph : Graph
    at : int
        Index of the node.
    """

    def __init__(self, graph: Graph, at: int) -> None:
        self.graph, self.at, self.node = graph, at, graph.nodes[at]
        self.kind: str = self.node.op_type
        self.attributes: dict[str, Any] = attributes(self.node)
        self.inputs = [*self.node.input, *[""] * 9]
        #: What of the network's own arithmetic is not kept.
        self.notes: list[str] = []

    @property
    def name(self) -> str:
        """The node's unique name."""
        return self.graph.names[self.at]

    def fault(self, text: str) -> InputError:
        """Return the error that names the node, and how to go on without it."""
        return InputError(
            f"{self.graph.path}: node {self.name!r} ({self.kind}): {text} {skip_hint(self.name)}"
        )

    def operands(self) -> tuple[Operand, Operand]:
        """Return both operands' tensors, in the order of the node."""
        names = self.inputs
        if self.kind in QLINEAR_OPS:
            pair = (names[0], names[1], names[2]), (names[3], names[4], names[5])
        elif self.kind in INTEGER_OPS:
            pair = (names[0], "", names[2]), (names[1], "", names[3])
        else:
            pair = (names[0], "", ""), (names[1], "", "")
        if not pair[0][0] or not pair[1][0]:
            raise self.fault("it has one operand, expected two")
        return pair

    def number(self, name: str, default: float) -> float:
        """Return an attribute that is one number."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int | float) or not np.isfinite(value):
            raise self.fault(f"{name} is {value!r}, expected a finite number")
        return float(value)

    def is_constant(self, tensor: str) -> bool:
        """Return whether no input changes a tensor."""
        return tensor in self.graph.constants

    def constant(self, name: str, what: str) -> Array:
        """Return a tensor's value. Raises InputError where it is computed at run time."""
        value = self.graph.constant(name)
        if value is None:
            raise self.fault(f"{what} {name!r} is computed at run time, expected a constant")
        return value

    def constant_shape(self, name: str, what: str) -> tuple[int, ...]:
        """Return a constant's shape; its values are not computed where the graph says it."""
        shape = self.graph.sizes.shape(name)
        return self.constant(name, what).shape if shape is None else shape

    def zero_point(self, source: str, name: str) -> Array:
        """Return a zero point; a missing one is 0, of the codes' type."""
        if name:
            return self.constant(name, "a zero point")
        kind = self.graph.sizes.element_type(source)
        if not kind:
            return np.zeros((), np.uint8)
        return np.zeros((), needed("onnx.helper", "onnx").tensor_dtype_to_np_dtype(kind))

    def codes(self, operand: Operand) -> ActivationCodes:
        """Return how activations are stored.

        Raises InputError unless they have one scale and 8 bits.
        """
        source, scale, zero_point = operand
        value = self.constant(scale, "the activations' scale") if scale else np.ones(1, np.float32)
        point = self.zero_point(source, zero_point)
        if value.size != 1 or point.size != 1:
            raise self.fault(
                f"activations have {max(value.size, point.size)} scales, expected one per tensor"
            )
        if point.dtype not in (np.uint8, np.int8):
            raise self.fault(f"activations are {point.dtype} codes, expected 8-bit ones")
        number = float(value.item())
        if not 0 < number < float("inf"):
            raise self.fault(
                f"activations have the scale {number}, expected a finite number above 0"
            )
        return ActivationCodes(number, int(point.item()), point.dtype == np.int8)
