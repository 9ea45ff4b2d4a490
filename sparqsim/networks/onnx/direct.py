"""The quantised graph with every layer's sums by numpy: any design, any layer, slower."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparqsim.networks.arithmetic import Designs
from sparqsim.networks.images import needed
from sparqsim.networks.onnx.guard import run
from sparqsim.networks.onnx.macs import MacNode
from sparqsim.networks.onnx.network import Network
from sparqsim.networks.onnx.opening import uses
from sparqsim.networks.onnx.quantised import DOMAIN, Array
from sparqsim.networks.onnx.session import session_of
from sparqsim.networks.site import Site
from sparqsim.pe import PEDesign
from sparqsim.quantise.codes import Quantised


@dataclass(frozen=True)
class Segment:
    """Nodes between two layers, as an onnxruntime session.

    `inputs`, `outputs`: tensors in and out.
    """

    session: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class DirectRun:
    """Runs a quantised model segment by segment.

    Parameters
    ----------
    model : onnx.ModelProto
        From `quantised_model`.
    network : Network
    sites : sequence of Site
        Its layers.
    """

    def __init__(self, model: Any, network: Network, sites: Sequence[Site]) -> None:
        self._network = network
        self._macs = {node.name: node for node in network.nodes}
        self._sites = {site.name: site for site in sites}
        self._outputs = [value.name for value in model.graph.output]
        self._steps = list(_steps(model, network.graph.path))

    def run(self, feeds: dict[str, Array], designs: Designs) -> list[Array]:
        """Return the graph's outputs for one batch; `designs`: layer name -> its design."""
        values = dict(feeds)
        for step in self._steps:
            if isinstance(step, Segment):
                feeds = {name: values[name] for name in step.inputs}
                computed = run(step.session, step.outputs, feeds, str(self._network.graph.path))
                values.update(zip(step.outputs, computed, strict=True))
                continue
            mac = self._macs[step.attribute[0].s.decode()]
            codes = [values[name] for name in step.input]
            values[step.output[0]] = self._sums(mac, codes, designs[mac.name])
        return [values[name] for name in self._outputs]

    def _sums(self, mac: MacNode, codes: list[Array], pe: PEDesign) -> Array:
        """Return one layer's sums, int32, in the axes of the node's output."""
        parts = [
            Quantised(_stored(self._network, name, value), chosen=False)
            for name, value in zip(mac.tensors, codes, strict=True)
        ]
        sums = self._sites[mac.name].sums(mac.operands(parts), pe)
        return mac.in_graph(sums.astype(np.int32), *codes)


def _stored(network: Network, tensor: str, codes: Array) -> Array:
    """Return the quantised graph's uint8 codes as a trace stores them."""
    return (codes ^ np.uint8(128)).view(np.int8) if network.codes[tensor].stored_signed else codes


def _steps(model: Any, path: object) -> Iterator[Segment | Any]:
    """Yield segments and `Sums` nodes in order."""
    helper = needed("onnx.helper", "onnx")
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    last_uses = _last_uses(model)
    waiting: list[Any] = []
    for at, node in enumerate([*model.graph.node, None]):
        if node is not None and node.domain != DOMAIN:
            waiting.append(node)
            continue
        if waiting:
            segment = _segment(
                model,
                waiting,
                types=types,
                initializers=initializers,
                last_uses=last_uses,
                end=at,
                path=path,
            )
            types |= {each.name: _element_type(each.type) for each in segment.session.get_outputs()}
            yield segment
            waiting = []
        if node is not None:
            types[node.output[0]] = helper.np_dtype_to_tensor_dtype(np.dtype(np.int32))
            yield node


def _last_uses(model: Any) -> dict[str, int]:
    """Return tensor -> number of the last node that uses it; graph outputs are used at the end."""
    last = {name: at for at, node in enumerate(model.graph.node) for name in uses(node)}
    return last | {value.name: len(model.graph.node) + 1 for value in model.graph.output}


def _segment(
    model: Any,
    nodes: list[Any],
    *,
    types: dict[str, int],
    initializers: dict[str, Any],
    last_uses: dict[str, int],
    end: int,
    path: object,
) -> Segment:
    helper = needed("onnx.helper", "onnx")
    made = {name for node in nodes for name in node.output if name}
    used = dict.fromkeys(name for node in nodes for name in sorted(uses(node)))
    inputs = [name for name in used if name not in made and name not in initializers]
    outputs = [name for node in nodes for name in node.output if last_uses.get(name, -1) >= end]
    given = [helper.make_tensor_value_info(name, types[name], None) for name in inputs]
    wanted = list(map(helper.make_empty_tensor_value_info, outputs))
    stored = [initializers[name] for name in used if name in initializers]
    graph = helper.make_graph(nodes, "segment", given, wanted, stored)
    part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    return Segment(session_of(part, outputs, path), tuple(inputs), tuple(outputs))


def _element_type(name: str) -> int:
    """Return the ONNX element type of onnxruntime's 'tensor(float)'."""
    proto = needed("onnx", "onnx").TensorProto
    return int(getattr(proto, name.removeprefix("tensor(").removesuffix(")").upper()))
