"""An ONNX network on its calibration pictures, and what a recipe makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from sparqsim.base.errors import InputError
from sparqsim.networks.images import Pictures
from sparqsim.networks.observe import naming
from sparqsim.networks.onnx.graph import Array
from sparqsim.networks.onnx.macs import MacNode
from sparqsim.networks.onnx.network import Network
from sparqsim.networks.onnx.session import Session
from sparqsim.networks.recipes import calibration_pictures, followed, recipe_entry
from sparqsim.networks.rows import as_real, rows_of
from sparqsim.networks.site import Site
from sparqsim.quantise.codes import Quantised
from sparqsim.quantise.recipe import Recipe
from sparqsim.quantise.weights import Rows, RunningNetwork
from sparqsim.quantise.weights.facts import ChosenWeights


class CalibrationRun(RunningNetwork):
    """Gives what layers take in the network as it is.

    Parameters
    ----------
    network : Network
        Calibrated.
    pictures : Pictures
    """

    kind = "ONNX network"
    provides = frozenset({"inputs"})

    def __init__(self, network: Network, pictures: Pictures) -> None:
        self._network, self._pictures = network, pictures
        self._nodes = {node.name: node for node in network.nodes}

    def rows(self, layer: str, chosen: ChosenWeights | None = None) -> Iterator[Rows]:
        """Yield a layer's rows (`RunningNetwork.rows`)."""
        if chosen:
            raise InputError(f"layer {layer!r}: an ONNX network gives the float network's inputs")
        network, node = self._network, self._nodes[layer]
        site = network.site(node)
        session = Session(network.graph, [node.source])
        for values in session.batches(self._pictures, network.batch):
            with naming(layer):
                codes = network.stored(node.source, values[node.source])
            real = _real(values[node.source], codes.codes, site)
            laid_out = [
                node.operands([Quantised(each)]).activations for each in (real, codes.codes)
            ]
            yield from rows_of(site, *laid_out)


def _real(values: Array, codes: Array, site: Site) -> Array:
    """Return a tensor's real values, float32, where it may hold the network's own codes."""
    if values.dtype.kind == "f":
        return np.asarray(values, np.float32)
    return as_real(codes, site.activation)


def with_recipe(network: Network, recipe: Recipe, pictures: Pictures) -> Network:
    """Return a network whose weights, biases and accumulators are as a recipe says.

    Parameters
    ----------
    network : Network
        Calibrated with the recipe.
    recipe : Recipe
    pictures : Pictures
        Those that `calibrated` was given.

    Raises
    ------
    InputError
        For what the network cannot take or does not give, naming it.
    """
    if recipe.calibration.labels != "none":
        raise InputError(
            f"recipe: calibration.labels={recipe.calibration.labels!r}, but no answers of an ONNX "
            "network are looked at; expected 'none'"
        )
    real = {node.name: node.real_weights for node in network.nodes if node.real_weights is not None}
    run = CalibrationRun(network, calibration_pictures(recipe, pictures))
    made = followed(recipe, network.sites, real, run)
    nodes = [_node(node, site) for node, site in zip(network.nodes, made.sites, strict=True)]
    return replace(
        network,
        nodes=tuple(nodes),
        accumulator_bits=recipe.accumulator_bits,
        notes=(*network.notes, *made.notes),
        recipe=recipe.title,
        recipe_entry=recipe_entry(recipe, made),
    )


def _node(node: MacNode, site: Site) -> MacNode:
    """Return a node with the weights and the bias of its layer."""
    if site.column_channels is not None:
        raise InputError(
            f"layer {node.name!r}: its output channels have several columns of weights, which an "
            "ONNX graph has no place for; expected a weight quantiser with one (PyTorch takes it)"
        )
    return replace(node, weights=site.weights, bias=site.bias)
