"""An ONNX network that answers pictures, as it is and under a design's arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from sparqsim.base.wording import counted
from sparqsim.networks.arithmetic import Designs
from sparqsim.networks.computing import Computing
from sparqsim.networks.evaluate import AnsweringNetwork
from sparqsim.networks.images import Pictures
from sparqsim.networks.onnx.direct import DirectRun
from sparqsim.networks.onnx.feeds import feeds_of
from sparqsim.networks.onnx.graph import Array, Graph
from sparqsim.networks.onnx.native import native_fault, native_model
from sparqsim.networks.onnx.network import Network
from sparqsim.networks.onnx.quantised import DOMAIN, quantised_model
from sparqsim.networks.onnx.session import Session
from sparqsim.networks.topbits import TopBits
from sparqsim.quantise.recipe import ACCUMULATOR_BITS
from sparqsim.trace.bitlist import BitList


class OnnxNetwork(AnsweringNetwork):
    """Onnxruntime answers, numpy where it cannot.

    Parameters
    ----------
    network : Network
        Calibrated.
    native : bool
        Whether onnxruntime may run designs by itself; else numpy computes every layer's sums, as
        where weights lose bits, or an accumulator can overflow.
    bits : BitList, optional
        Of the layers' weights.
    """

    def __init__(
        self, network: Network, *, native: bool = True, bits: BitList | None = None
    ) -> None:
        super().__init__(network, bits)
        # Onnxruntime's accumulators have the usual bits.
        usual = network.accumulator_bits == ACCUMULATOR_BITS
        fits = usual or not any(site.can_overflow for site in self.sites)
        self._onnx, self._native = network, native and bits is None and fits

    @property
    def reference_name(self) -> str:
        """What the network's own arithmetic is."""
        own = any(node.codes is not None for node in self._onnx.nodes)
        return "ONNX, own 8 bits" if own else "float network"

    @cached_property
    def pictures_per_run(self) -> int:
        """The batch that the graph fixes, else 1."""
        return Session(self._onnx.graph).fixed_batch or 1

    @property
    def outputs(self) -> tuple[str, ...]:
        """Outputs of the graph."""
        return tuple(self._onnx.graph.outputs)

    @cached_property
    def _quantised(self) -> Any:
        return quantised_model(self._onnx)

    def reference(self, pictures: Pictures) -> Iterable[Array]:
        """Yield outputs of the network as it is."""
        session = Session(Graph.load(self._onnx.graph.path))
        return map(self._scores, session.batches(pictures, self._onnx.batch))

    def computed(self, pictures: Pictures, designs: Designs) -> Iterable[Array]:
        """Yield outputs with every layer under its design."""
        model = self._quantised
        narrowed = self._narrowed(designs)
        if self._native and narrowed is not None:
            model = native_model(model, self._onnx, narrowed)
        if all(node.domain != DOMAIN for node in model.graph.node):
            session = Session(Graph(model, self._onnx.graph.path))
            return map(self._scores, session.batches(pictures, self._onnx.batch))
        return self._directly(DirectRun(model, self._onnx, self.sites), pictures, designs)

    def _narrowed(self, designs: Designs) -> Designs | None:
        """Return designs that take 8-bit codes and use the top bits that layers have; None where
        that is another arithmetic than a layer's own design.
        """
        narrow = {site.name: site for site in self.sites if site.lost_activation_bits}
        if not all(designs[name].exact for name in narrow):
            return None
        return designs | {name: TopBits(site.activation_bits) for name, site in narrow.items()}

    def _directly(self, direct: DirectRun, pictures: Pictures, designs: Designs) -> Iterable[Array]:
        graph = self._onnx.graph
        ports = Session(graph).ports
        for feeds in feeds_of(ports, pictures, self._onnx.batch, graph.path):
            outputs = direct.run(feeds, designs)
            yield self._scores(dict(zip(graph.outputs, outputs, strict=True)))

    def route(self, pe: Computing, *, keep_8bit: bool = True) -> str:
        """Return 'onnxruntime', or which layers numpy computes and why."""
        designs = self._narrowed(self.designs(pe, keep_8bit=keep_8bit))
        if not self._native or designs is None:
            return super().route(pe, keep_8bit=keep_8bit)
        faults = [native_fault(self._onnx, mac, designs[mac.name]) for mac in self._onnx.nodes]
        reasons = sorted({fault for fault in faults if fault})
        if not reasons:
            return "onnxruntime"
        layers = counted(sum(map(bool, faults)), "layer")
        return f"onnxruntime; numpy for {layers} ({'; '.join(reasons)})"

    def _scores(self, values: dict[str, Array]) -> Array:
        return values[self._onnx.graph.outputs[0]]
