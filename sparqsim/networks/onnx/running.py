"""An ONNX network on its calibration pictures, and what a recipe makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.networks.arithmetic import Designs
from sparqsim.networks.images import Pictures, needed
from sparqsim.networks.observe import naming
from sparqsim.networks.onnx.direct import DirectRun
from sparqsim.networks.onnx.feeds import feeds_of
from sparqsim.networks.onnx.graph import Array
from sparqsim.networks.onnx.macs import MacNode
from sparqsim.networks.onnx.native import native_model
from sparqsim.networks.onnx.network import Network
from sparqsim.networks.onnx.quantised import quantised_model
from sparqsim.networks.onnx.session import Session
from sparqsim.networks.recipes import calibration_pictures, followed, recipe_entry, weight_codes
from sparqsim.networks.rows import as_real, rows_of
from sparqsim.networks.site import Site
from sparqsim.networks.topbits import TopBits
from sparqsim.quantise.codes import ActivationCodes, Quantised
from sparqsim.quantise.recipe import Recipe
from sparqsim.quantise.recipe_fields import Labels
from sparqsim.quantise.weights import QuantisedWeights, Rows, RunningNetwork
from sparqsim.quantise.weights.facts import ChosenWeights, Progress, silent
from sparqsim.trace.codebits import ALL_BITS

NO_SCALES: Mapping[str, float] = MappingProxyType({})


class CalibrationRun(RunningNetwork):
    """Runs a network on its calibration pictures: in float, or with some layers on integers.

    Parameters
    ----------
    network : Network
        Calibrated.
    pictures : Pictures
    labels : 'none', 'true' or 'float-network'
        What answers are compared with.
    origin : str
        What says so, for errors.

    Raises
    ------
    InputError
        For true labels that the pictures do not have.
    """

    kind = "ONNX network"

    def __init__(
        self,
        network: Network,
        pictures: Pictures,
        labels: Labels = "none",
        origin: str = "recipe",
    ) -> None:
        self._network, self._pictures, self._labels = network, pictures, labels
        self._nodes = {node.name: node for node in network.nodes}
        self.provides = frozenset({"inputs", "prefix", "answers"})
        if labels != "none":
            self.provides |= {"labels"}
        if labels == "true" and pictures.labels is None:
            raise InputError(
                f"{origin}: calibration.labels='true', but the calibration pictures have no "
                "labels; expected 'none', 'float-network', or pictures with labels (.npz, --labels)"
            )

    def rows(self, layer: str, chosen: ChosenWeights | None = None) -> Iterator[Rows]:
        """Yield a layer's rows (`RunningNetwork.rows`)."""
        node = self._nodes[layer]
        held = self._values(node.source, chosen) if chosen else None
        for real in self._values(node.source, {}):
            yield from self._rows(node, real, real if held is None else next(held))

    def rows_of_all(self, layers: Sequence[str]) -> Iterator[tuple[str, Rows]]:
        """Yield rows of several layers, batch by batch (`RunningNetwork.rows_of_all`)."""
        nodes = [self._nodes[layer] for layer in layers]
        session = Session(self._network.graph, [node.source for node in nodes])
        for values in session.batches(self._pictures, self._network.batch):
            for node in nodes:
                for rows in self._rows(node, values[node.source], values[node.source]):
                    yield node.name, rows

    def _rows(self, node: MacNode, real: Array, values: Array) -> Iterator[Rows]:
        """Yield the rows of one batch; `values`: what codes are given to."""
        with naming(node.name):
            codes = self._network.stored(node.source, values).codes
        laid_out = _laid_out(node, _real(real, self._network, node))
        yield from rows_of(self._network.site(node), laid_out, _laid_out(node, codes))

    def logits(
        self,
        chosen: ChosenWeights | None = None,
        activation_scales: Mapping[str, float] | None = None,
        activation_bits: int = ALL_BITS,
    ) -> NDArray[np.float32]:
        """Return what the network answers (`RunningNetwork.logits`): chosen layers on integers."""
        output, scales = self._network.graph.outputs[0], activation_scales or {}
        batches = list(self._values(output, chosen or {}, scales, activation_bits))
        answers = np.concatenate(batches)
        return np.asarray(answers.reshape(len(answers), -1), np.float32)

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The classes of the calibration pictures: their own, or those that the float network
        answers.
        """
        if self._labels == "float-network":
            return np.asarray(self.logits().argmax(axis=1), np.int64)
        return self._pictures.labels if self._labels == "true" else None

    def _values(
        self,
        tensor: str,
        chosen: ChosenWeights,
        scales: Mapping[str, float] = NO_SCALES,
        bits: int = ALL_BITS,
    ) -> Iterator[Array]:
        """Yield a tensor's values, batch by batch, with chosen layers on integers.

        scales: of what layers take; those have `bits` bits of their codes.
        """
        if not chosen:
            session = Session(self._network.graph, [tensor])
            for values in session.batches(self._pictures, self._network.batch):
                yield values[tensor]
            return
        nodes = [
            _with_weights(node, chosen[node.name])
            for node in self._network.nodes
            if node.name in chosen
        ]
        activations = _with_scales(self._network, nodes, scales)
        part = replace(self._network, nodes=tuple(nodes), codes=activations)
        designs = {node.name: TopBits(bits if node.name in scales else ALL_BITS) for node in nodes}
        yield from _run(part, tensor, self._pictures, dict(designs))


def _run(network: Network, tensor: str, pictures: Pictures, designs: Designs) -> Iterator[Array]:
    """Yield a tensor's values, batch by batch, with the nodes of `network` on integers."""
    model = native_model(quantised_model(network), network, designs)
    del model.graph.output[:]
    helper = needed("onnx.helper", "onnx")
    model.graph.output.append(helper.make_empty_tensor_value_info(tensor))
    direct = DirectRun(model, network, network.sites)
    ports = Session(network.graph).ports
    for feeds in feeds_of(ports, pictures, network.batch, network.graph.path):
        (values,) = direct.run(feeds, designs)
        yield values


def _with_weights(node: MacNode, chosen: QuantisedWeights) -> MacNode:
    if chosen.channels is not None:
        raise _columns_fault(node)
    return replace(node, weights=weight_codes(chosen))


def _columns_fault(node: MacNode) -> InputError:
    return InputError(
        f"layer {node.name!r}: its output channels have several columns of weights, which an "
        "ONNX graph has no place for; expected a weight quantiser with one (PyTorch takes it)"
    )


def _with_scales(
    network: Network, nodes: Sequence[MacNode], scales: Mapping[str, float]
) -> dict[str, ActivationCodes]:
    """Return how tensors are stored where some layers choose the scale of what they take.

    Raises InputError for layers that choose different scales of one tensor.
    """
    codes, choosers = dict(network.codes), dict[str, str]()
    for node in nodes:
        if node.name not in scales:
            continue
        scale = float(scales[node.name])
        other = choosers.setdefault(node.source, node.name)
        if other != node.name and codes[node.source].scale != scale:
            raise InputError(
                f"layers {other!r} and {node.name!r} take the same tensor {node.source!r}, and "
                "were given different activation scales; expected one"
            )
        codes[node.source] = replace(codes[node.source], scale=scale)
    return codes


def _laid_out(node: MacNode, values: Array) -> Array:
    """Return a node's input as a trace has it."""
    return node.operands([Quantised(values)]).activations


def _real(values: Array, network: Network, node: MacNode) -> Array:
    """Return a tensor's real values, float32, where it may hold the network's own codes."""
    if values.dtype.kind == "f":
        return np.asarray(values, np.float32)
    stored = network.stored(node.source, values)
    return as_real(stored.codes, network.codes[node.source])


def with_recipe(
    network: Network, recipe: Recipe, pictures: Pictures, progress: Progress = silent
) -> Network:
    """Return a network whose weights, biases and accumulators are as a recipe says.

    Parameters
    ----------
    network : Network
        Calibrated with the recipe.
    recipe : Recipe
    pictures : Pictures
        Those that `calibrated` was given.
    progress : callable
        As in `sparqsim.networks.recipes.followed`.

    Raises
    ------
    InputError
        For what the network cannot take or does not give, naming it.
    """
    real = {node.name: node.real_weights for node in network.nodes if node.real_weights is not None}
    measured_on = calibration_pictures(recipe, pictures)
    run = CalibrationRun(network, measured_on, recipe.calibration.labels, recipe.origin)
    made = followed(recipe, network.sites, real, run, progress)
    with recipe.named():
        chosen = with_sites(network, made.sites)
    return replace(
        chosen,
        codes=_with_scales(network, chosen.nodes, made.activation_scales),
        accumulator_bits=recipe.accumulator_bits,
        activation_bits={site.name: site.activation_bits for site in made.sites},
        notes=(*network.notes, *made.notes),
        recipe=recipe.title,
        recipe_entry=recipe_entry(recipe, made),
    )


def with_sites(network: Network, sites: Sequence[Site]) -> Network:
    """Return a network with the weights and biases of its layers. Raises InputError for several
    columns of an output channel.
    """
    pairs = zip(network.nodes, sites, strict=True)
    return replace(network, nodes=tuple(_node(node, site) for node, site in pairs))


def _node(node: MacNode, site: Site) -> MacNode:
    """Return a node with the weights and the bias of its layer."""
    if site.column_channels is not None:
        raise _columns_fault(node)
    return replace(node, weights=site.weights, bias=site.bias)
