"""An ONNX network that answers pictures, as it is and under a design's arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from sparqsim.base.wording import counted
from sparqsim.engine.simulation import KEPT
from sparqsim.networks.images import Pictures
from sparqsim.networks.onnx.direct import DirectRun
from sparqsim.networks.onnx.dump import trace_of
from sparqsim.networks.onnx.feeds import feeds_of
from sparqsim.networks.onnx.graph import Array, Graph
from sparqsim.networks.onnx.native import native_fault, native_model
from sparqsim.networks.onnx.network import Network
from sparqsim.networks.onnx.quantised import DOMAIN, quantised_model
from sparqsim.networks.onnx.session import Session
from sparqsim.pe import PEDesign, get_pe
from sparqsim.trace.trace import Trace


class OnnxNetwork:
    """See `sparqsim.networks.accuracy.Answering`.

    Parameters
    ----------
    network : Network
        Calibrated.
    native : bool
        Whether onnxruntime may run designs by itself; else numpy computes every layer's sums.
    """

    def __init__(self, network: Network, *, native: bool = True) -> None:
        self._network, self._native = network, native

    @property
    def name(self) -> str:
        """The model's file name."""
        return Path(self._network.graph.path).name

    @property
    def calibrator(self) -> str:
        """How scales were found."""
        return self._network.calibrator

    @property
    def reference_name(self) -> str:
        """What the network's own arithmetic is."""
        own = any(node.codes is not None for node in self._network.nodes)
        return "ONNX, own 8 bits" if own else "float network"

    @cached_property
    def pictures_per_run(self) -> int:
        """The batch that the graph fixes, else 1."""
        return Session(self._network.graph).fixed_batch or 1

    @property
    def outputs(self) -> tuple[str, ...]:
        """Outputs of the graph."""
        return tuple(self._network.graph.outputs)

    @property
    def skipped(self) -> tuple[str, ...]:
        """Nodes left out."""
        return self._network.skipped

    @cached_property
    def _quantised(self) -> Any:
        return quantised_model(self._network)

    def reference(self, pictures: Pictures) -> Iterable[Array]:
        """Yield outputs of the network as it is."""
        session = Session(Graph.load(self._network.graph.path))
        return map(self._scores, session.batches(pictures, self._network.batch))

    def under(self, pe: PEDesign, pictures: Pictures, *, keep_8bit: bool = True) -> Iterable[Array]:
        """Yield outputs under `pe`."""
        designs = self._designs(pe, keep_8bit)
        model = (
            native_model(self._quantised, self._network, designs)
            if self._native
            else self._quantised
        )
        if all(node.domain != DOMAIN for node in model.graph.node):
            session = Session(Graph(model, self._network.graph.path))
            return map(self._scores, session.batches(pictures, self._network.batch))
        return self._directly(DirectRun(model, self._network), pictures, designs)

    def _directly(
        self, direct: DirectRun, pictures: Pictures, designs: dict[str, PEDesign]
    ) -> Iterable[Array]:
        graph = self._network.graph
        ports = Session(graph).ports
        for feeds in feeds_of(ports, pictures, self._network.batch, graph.path):
            outputs = direct.run(feeds, designs)
            yield self._scores(dict(zip(graph.outputs, outputs, strict=True)))

    def route(self, pe: PEDesign, *, keep_8bit: bool = True) -> str:
        """Return 'onnxruntime', or which layers numpy computes and why."""
        if not self._native:
            return "numpy"
        designs = self._designs(pe, keep_8bit)
        faults = [
            native_fault(self._network, mac, designs[mac.name]) for mac in self._network.nodes
        ]
        reasons = sorted({fault for fault in faults if fault})
        if not reasons:
            return "onnxruntime"
        return f"onnxruntime; numpy for {counted(sum(map(bool, faults)), 'layer')} ({'; '.join(reasons)})"

    def trace(self, pictures: Pictures) -> Trace:
        """Return the trace of a few pictures."""
        return trace_of(self._network, pictures)

    def _designs(self, pe: PEDesign, keep_8bit: bool) -> dict[str, PEDesign]:
        kept = self._network.kept if keep_8bit else frozenset()
        return {mac.name: get_pe(KEPT) if mac.name in kept else pe for mac in self._network.nodes}

    def _scores(self, values: dict[str, Array]) -> Array:
        return values[self._network.graph.outputs[0]]
