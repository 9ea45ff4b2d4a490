"""An ONNX graph to ask: who makes a tensor, who uses it, what is constant, what has MACs."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.base.limits import ONNX_ELEMENTS
from sparqsim.networks.images import needed
from sparqsim.networks.onnx.guard import elements, evaluated, is_array, library_errors
from sparqsim.networks.onnx.opening import load_model, uses
from sparqsim.networks.onnx.operators import MAC_OPS, STANDARD_DOMAINS, has_graphs, unsupported
from sparqsim.networks.onnx.sizes import TensorSizes

Array = NDArray[Any]

#: Characters of a node's name that are kept: a trace's names are not longer than 500.
LONGEST_NAME = 300
#: Operators of this opset are added for accuracy runs; QuantizeLinear, Unsqueeze and others changed
#: before.
MODERN_OPSET = 13


class Graph:
    """The main graph of a model, as a lookup.

    Parameters
    ----------
    model : onnx.ModelProto
    path : str or Path
        Named in errors.
    sizes : TensorSizes or None
        Of a graph with the same tensors, where they are known.
    """

    def __init__(
        self, model: Any, path: str | Path = "model", sizes: TensorSizes | None = None
    ) -> None:
        self.model, self.path, self.proto = model, path, model.graph
        self.nodes: list[Any] = list(self.proto.node)
        self.initializers = {tensor.name: tensor for tensor in self.proto.initializer}
        self.outputs: list[str] = [value.name for value in self.proto.output]
        self._sizes = sizes
        self._values: dict[str, Array | None] = {}

    @classmethod
    def load(cls, path: str | Path) -> Graph:
        """Read a model file, and check what it would cost. Raises InputError naming it."""
        graph = cls(load_model(path), path)
        _ = graph.sizes
        return graph

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
        """Return the graph at `MODERN_OPSET` or later; as it is where onnx cannot convert it."""
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
            for name in uses(node):
                found.setdefault(name, []).append(at)
        return found

    @cached_property
    def names(self) -> list[str]:
        """A unique name for every node: its own where it has one, else operator and number."""
        plain = [
            node.name.strip("/")[:LONGEST_NAME] or f"{node.op_type}_{at}"
            for at, node in enumerate(self.nodes)
        ]
        counts, taken = Counter(plain), set(plain)
        names = []
        for at, name in enumerate(plain):
            while counts[name] > 1 or (name != plain[at] and name in taken):
                name = f"{name}#{at}"  # noqa: PLW2901 - made longer until it is free
            taken.add(name)
            names.append(name)
        return names

    def producer(self, tensor: str) -> Any | None:
        """Return the node that makes `tensor`, or None for inputs and initializers."""
        at = self.producers.get(tensor)
        return None if at is None else self.nodes[at]

    @cached_property
    def sizes(self) -> TensorSizes:
        """Shapes and types of tensors, as far as the graph alone gives them."""
        return TensorSizes(self) if self._sizes is None else self._sizes

    @cached_property
    def constants(self) -> frozenset[str]:
        """Tensors that no input changes. What loops and branches make is not among them."""
        constants = set(self.initializers)
        for node in self.nodes:
            if (
                node.domain in STANDARD_DOMAINS
                and not node.op_type.startswith("Random")
                and not has_graphs(node)
                and all(name in constants for name in node.input if name)
            ):
                constants.update(filter(None, node.output))
        return frozenset(constants)

    def constant(self, tensor: str) -> Array | None:
        """Return the value of a tensor that no input changes, or None."""
        if tensor not in self.constants:
            return None
        if tensor not in self._values:
            known = tensor in self.initializers
            self._values[tensor] = self.initializer(tensor) if known else self._computed(tensor)
        return self._values[tensor]

    def initializer(self, name: str) -> Array:
        """Return an initializer's values.

        Raises InputError where its data is not in the file (or beside it).
        """
        tensor = self.initializers[name]
        ONNX_ELEMENTS.check(elements(tensor.dims), f"{self.path}: initializer {name!r}")
        with library_errors(f"{self.path}: initializer {name!r} has no usable data"):
            value: Array = needed("onnx.numpy_helper", "onnx").to_array(tensor)
        return value

    def _computed(self, tensor: str) -> Array | None:
        """Return a constant that nodes compute, in one run of all that it needs."""
        needs, waiting = set(), [self.producers[tensor]]
        while waiting:
            at = waiting.pop()
            if at not in needs:
                needs.add(at)
                makers = (self.producers.get(name) for name in self.nodes[at].input if name)
                waiting.extend(maker for maker in makers if maker is not None)
        nodes = [self.nodes[at] for at in sorted(needs)]
        names = dict.fromkeys(name for node in nodes for name in node.input)
        feeds = [self.initializers[name] for name in names if name in self.initializers]
        what = f"{self.path}: node {self.names[self.producers[tensor]]!r} on constants"
        value = evaluated(nodes, feeds, tensor, self.model, what)
        return value if is_array(value) else None

    def mac_nodes(self, skip: frozenset[str] = frozenset()) -> list[int]:
        """Return the indices of the nodes that the array runs, in order.

        Parameters
        ----------
        skip : set of str
            Node names and operator types to leave out.

        Raises
        ------
        InputError
            Naming a node that multiplies and accumulates in a way that is not read here, unless it
            is skipped.
        """
        found = []
        for at, node in enumerate(self.nodes):
            if (
                self.names[at] in skip
                or node.name in skip
                or node.op_type in skip
                or (any(node.output) and self._is_constant(node))
            ):
                continue
            if node.op_type in MAC_OPS:
                if not any(node.output):
                    raise InputError(
                        f"{self.path}: node {self.names[at]!r} ({node.op_type}) has no output, "
                        f"expected one {skip_hint(node.op_type)}"
                    )
                found.append(at)
            elif (fault := unsupported(node)) is not None:
                raise InputError(
                    f"{self.path}: node {self.names[at]!r}: {fault}; expected "
                    f"{', '.join(sorted(MAC_OPS))} {skip_hint(node.op_type)}"
                )
        return found

    def skipped_nodes(self, skip: frozenset[str]) -> list[int]:
        """Return the indices of the nodes with multiply-accumulates that `skip` leaves out."""
        return [
            at
            for at, node in enumerate(self.nodes)
            if (node.op_type in MAC_OPS or unsupported(node) is not None)
            and {self.names[at], node.name, node.op_type} & skip
            and not (any(node.output) and self._is_constant(node))
        ]

    def _is_constant(self, node: Any) -> bool:
        return all(name in self.constants for name in node.output if name)


def skip_hint(name: str) -> str:
    """Return how a user goes on without a node or operator."""
    return f"(--skip {name} leaves it out, and says so)"
