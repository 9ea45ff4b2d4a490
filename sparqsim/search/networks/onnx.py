"""ONNX networks whose layers can have bits of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from sparqsim.networks.computing import Computing
from sparqsim.networks.images import Pictures
from sparqsim.networks.onnx.evaluate import OnnxNetwork
from sparqsim.networks.onnx.macs import MacNode
from sparqsim.networks.onnx.network import Network, calibrated, sources_of
from sparqsim.networks.onnx.restoring import digest_of
from sparqsim.networks.onnx.running import with_recipe
from sparqsim.networks.onnx.session import Session
from sparqsim.networks.site import Operands, Site
from sparqsim.quantise.recipe import Recipe
from sparqsim.quantise.recipe_fields import ALL_ACTIVATION_BITS
from sparqsim.search.networks.base import Array, BitsOf, SearchedNetwork
from sparqsim.search.rules import Rules
from sparqsim.search.space import Edge, LayerBits
from sparqsim.trace.trace import Trace


class OnnxSearched(SearchedNetwork):
    """A network of real weights in a file.

    Parameters
    ----------
    model : str
        .onnx
    rules, calibration
        As in `SearchedNetwork`.
    batch : int, optional
        Pictures at a time.

    Raises
    ------
    InputError
        For a network that cannot be used.
    """

    def __init__(
        self, model: str, rules: Rules, calibration: Pictures, batch: int | None = None
    ) -> None:
        super().__init__(rules, calibration)
        self._model, self._batch = model, batch

    @cached_property
    def base(self) -> Network:
        """The network at 8 bits."""
        return self._made(self.rules.recipe({}))

    @property
    def name(self) -> str:
        """The file's name."""
        return self.base.name

    @cached_property
    def sha256(self) -> str:
        """Of the file's bytes."""
        return digest_of(self._model)

    @property
    def sites(self) -> tuple[Site, ...]:
        """Its layers at 8 bits."""
        return self.base.sites

    @cached_property
    def reference_name(self) -> str:
        """What answers are compared with."""
        return OnnxNetwork(self.base).reference_name

    @property
    def _free(self) -> list[MacNode]:
        """Nodes whose layers can be given bits."""
        return [
            node
            for node in self.base.nodes
            if node.real_weights is not None
            and node.codes is None
            and node.name not in self.base.kept
        ]

    def edges(self, choices: tuple[int, ...]) -> tuple[Edge, ...]:
        """Return edges: activations by tensor, as layers may share one; weights by layer."""
        names = {node.name for node in self._free}
        edges, taken = [], set()
        for node in self._free:
            sharing = tuple(each.name for each in self.base.nodes if node.source in each.tensors)
            if node.source not in taken and names.issuperset(sharing):
                edges.append(Edge("activations", sharing, choices))
            taken.add(node.source)
            edges.append(Edge("weights", (node.name,), choices))
        return tuple(edges)

    def sites_of_bits(self, bits: int) -> Mapping[str, Site]:
        """Return the layers of the network that has `bits` bits wherever it can."""
        if bits == ALL_ACTIVATION_BITS:
            return {site.name: site for site in self.base.sites}
        layers: dict[str, LayerBits] = {}
        for edge in self.edges((bits,)):
            for name in edge.layers:
                had = layers.get(name, LayerBits())
                layers[name] = had._replace(**{edge.kind: bits})
        return {site.name: site for site in self._made(self.rules.recipe(layers)).sites}

    def network(self, bits: BitsOf) -> Network:
        """Return the network at some layers' bits: the one that `Rules.recipe` makes."""
        codes, nodes = dict(self.base.codes), []
        for node in self.base.nodes:
            if node.name not in bits:
                nodes.append(node)
                continue
            site = self.site(node.name, bits[node.name])
            codes[node.source] = site.activation
            nodes.append(replace(node, weights=site.weights))
        recipe = self.rules.recipe(bits)
        return replace(
            self.base,
            nodes=tuple(nodes),
            codes=codes,
            activation_bits={name: each.activations for name, each in bits.items()},
            recipe=recipe.title,
            recipe_entry={"recipe": recipe.model_dump(mode="json")},
        )

    def reference(self, pictures: Pictures) -> Iterable[Array]:
        """Yield outputs of the float network."""
        return OnnxNetwork(self.base).reference(pictures)

    def answers(self, bits: BitsOf, pe: Computing, pictures: Pictures) -> Iterable[Array]:
        """Yield outputs under a design."""
        return OnnxNetwork(self.network(bits)).under(pe, pictures)

    def trace(self, bits: BitsOf, pictures: Pictures) -> Trace:
        """Return the trace of a few pictures."""
        return OnnxNetwork(self.network(bits)).trace(pictures)

    def taken(self, pictures: Pictures) -> Iterator[Mapping[str, Any]]:
        """Yield tensors by name."""
        session = Session(self.base.graph, sources_of(self.base.nodes))
        yield from session.batches(pictures, self.base.batch)

    def operands(self, site: Site, taken: Mapping[str, Any]) -> Operands:
        """Return a layer's operands."""
        node = next(node for node in self.base.nodes if node.name == site.name)
        codes = {**self.base.codes, node.source: site.activation}
        return replace(self.base, codes=codes).operands_of(node, taken)

    def _made(self, recipe: Recipe) -> Network:
        network = calibrated(self._model, self.calibration, recipe=recipe, batch=self._batch)
        return with_recipe(network, recipe, self.calibration)
