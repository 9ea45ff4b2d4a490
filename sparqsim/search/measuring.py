"""What a point of a search answers, and how many cycles it takes.

Layers are quantised one by one here (`nearest:B`, `lp:P:B`), so a network of mixed bits takes each
layer's codes from networks of uniform bits, which are calibrated once each. Cycles of a layer
depend on its own bits alone, so each layer is simulated once for each pair of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.engine.simulation import simulate
from sparqsim.networks.accuracy import best_five
from sparqsim.networks.arithmetic import designs_of
from sparqsim.networks.computing import Computing
from sparqsim.networks.evaluate import hits
from sparqsim.networks.images import Pictures
from sparqsim.networks.onnx.evaluate import OnnxNetwork
from sparqsim.networks.onnx.network import Network, calibrated
from sparqsim.networks.onnx.running import with_recipe
from sparqsim.networks.site import Site
from sparqsim.quantise.recipe import ALL_ACTIVATION_BITS, LayerChoice, Recipe
from sparqsim.results.report import Report
from sparqsim.search.log import Trial
from sparqsim.search.space import Edge, LayerBits, Point, Space
from sparqsim.trace.trace import Trace

Array = NDArray[Any]


@dataclass(frozen=True)
class Rules:
    """How layers become integers of some bits.

    calibrator, weights: names that BITS are added to (`mse` and `lp:P` of calibrators; others have
    none). kept: as a recipe's keep_8bit. pictures: calibration pictures.
    """

    calibrator: str
    weights: str
    kept: str | tuple[str, ...]
    accumulator_bits: int
    pictures: int

    def recipe(self, bits: Mapping[str, LayerBits]) -> Recipe:
        """Return the recipe of some layers' bits; the others have 8."""
        return Recipe.model_validate(
            {
                "activations": self._calibrator(ALL_ACTIVATION_BITS),
                "weights": f"{self.weights}:{ALL_ACTIVATION_BITS}",
                "keep_8bit": self.kept,
                "accumulator_bits": self.accumulator_bits,
                "calibration": {"pictures": self.pictures},
                "layers": {name: self._layer(each) for name, each in bits.items()},
            }
        )

    def _layer(self, bits: LayerBits) -> LayerChoice:
        return LayerChoice(
            weights=f"{self.weights}:{bits.weights}",
            activations=self._calibrator(bits.activations),
            activation_bits=bits.activations,
        )

    def _calibrator(self, bits: int) -> str:
        takes_bits = self.calibrator == "mse" or self.calibrator.startswith("lp:")
        return f"{self.calibrator}:{bits}" if takes_bits else self.calibrator


@dataclass
class Measuring:
    """A network, its pictures, and a design on an array."""

    model: str
    rules: Rules
    calibration: Pictures
    pictures: Pictures
    labels: NDArray[np.int64] | None
    traced: Pictures
    pe: Computing
    array: ArrayConfig
    batch: int | None = None
    _uniform: dict[int, Network] = field(default_factory=dict)
    _cycles: dict[tuple[str, LayerBits], int] = field(default_factory=dict)

    @cached_property
    def base(self) -> Network:
        """The network at 8 bits."""
        return self._made(self.rules.recipe({}))

    @property
    def sites(self) -> tuple[Site, ...]:
        """Its layers."""
        return self.base.sites

    def space(self, limit: int, least: int) -> Space:
        """Return the edges of the layers that are not kept, activations before weights.

        Activations that a kept layer takes too, or that are the network's own codes, stay.
        """
        choices = tuple(range(limit, least - 1, -1))
        free = [
            node
            for node in self.base.nodes
            if node.real_weights is not None and node.name not in self.base.kept
        ]
        names = {node.name for node in free}
        edges, taken = [], set()
        for node in free:
            sharing = tuple(each.name for each in self.base.nodes if node.source in each.tensors)
            if node.source not in taken and node.codes is None and names.issuperset(sharing):
                edges.append(Edge("activations", sharing, choices))
            taken.add(node.source)
            edges.append(Edge("weights", (node.name,), choices))
        return Space(tuple(edges))

    def recipe(self, space: Space, point: Point) -> Recipe:
        """Return a point as a recipe."""
        return self.rules.recipe(space.layer_bits(point))

    def network(self, bits: Mapping[str, LayerBits]) -> OnnxNetwork:
        """Return the network at some layers' bits: the one that `Rules.recipe` makes."""
        codes, nodes = dict(self.base.codes), []
        for node in self.base.nodes:
            own = bits.get(node.name)
            if own is None:
                nodes.append(node)
                continue
            codes[node.source] = self._of_bits(own.activations).codes[node.source]
            nodes.append(replace(node, weights=self._weights(node.name, own.weights)))
        recipe = self.rules.recipe(bits)
        made = replace(
            self.base,
            nodes=tuple(nodes),
            codes=codes,
            activation_bits={name: each.activations for name, each in bits.items()},
            recipe=recipe.title,
            recipe_entry={"recipe": recipe.model_dump(mode="json")},
        )
        return OnnxNetwork(made)

    def trial(self, space: Space, point: Point) -> Trial:
        """Return what a point gives."""
        bits = space.layer_bits(point)
        network = self.network(bits)
        answers = best_five(network.under(self.pe, self.pictures), self.labels)
        found = hits(answers, self._reference, self.labels)
        return Trial(point, found.agree, found.top1, self.cycles(space, point))

    def cycles(self, space: Space, point: Point) -> int:
        """Return the cycles of all layers, on the traced pictures."""
        chosen = space.layer_bits(point)
        bits = {site.name: chosen.get(site.name, LayerBits()) for site in self.sites}
        missing = [name for name, each in bits.items() if (name, each) not in self._cycles]
        if missing:
            trace = self.network(chosen).trace(self.traced)
            layers = [layer for layer in trace.layers if layer.name in missing]
            for layer in self._simulated(Trace(layers)).layers:
                self._cycles[layer.name, bits[layer.name]] = layer.cycles.total
        return sum(self._cycles[name, each] for name, each in bits.items())

    def report(self, space: Space, point: Point) -> Report:
        """Return the report of a point on the traced pictures."""
        return self._simulated(self.network(space.layer_bits(point)).trace(self.traced))

    def check_signed(self) -> None:
        """Raise InputError for a layer whose activations the design cannot take, naming it."""
        designs_of(self.sites, self.pe)

    @cached_property
    def reference_name(self) -> str:
        """What answers are compared with."""
        return OnnxNetwork(self.base).reference_name

    @cached_property
    def _reference(self) -> NDArray[np.int64]:
        return best_five(OnnxNetwork(self.base).reference(self.pictures), self.labels)

    def _simulated(self, trace: Trace) -> Report:
        return simulate(trace, self.pe, self.array)

    def _weights(self, layer: str, bits: int) -> Any:
        nodes: Sequence[Any] = self._of_bits(bits).nodes
        return next(node.weights for node in nodes if node.name == layer)

    def _of_bits(self, bits: int) -> Network:
        """Return the network with `bits` bits in all layers that are not kept."""
        if bits == ALL_ACTIVATION_BITS:
            return self.base
        if bits not in self._uniform:
            free = [node for node in self.base.nodes if node.name not in self.base.kept]
            # Activations of a layer that shares a tensor with a kept one stay as they are.
            kept = {name for node in self.base.nodes if node not in free for name in node.tensors}
            layers = {
                node.name: LayerBits(
                    ALL_ACTIVATION_BITS if kept.intersection(node.tensors) else bits, bits
                )
                for node in free
                if node.real_weights is not None and node.codes is None
            }
            self._uniform[bits] = self._made(self.rules.recipe(layers))
        return self._uniform[bits]

    def _made(self, recipe: Recipe) -> Network:
        network = calibrated(self.model, self.calibration, recipe=recipe, batch=self.batch)
        return with_recipe(network, recipe, self.calibration)
