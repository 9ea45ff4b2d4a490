"""An ONNX network ready for 8 bits: layers, scales found on pictures, what is left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sparqsim.base.errors import InputError
from sparqsim.networks.chosen_layers import kept_layers
from sparqsim.networks.images import Pictures
from sparqsim.networks.observe import Observations, check_finite, coded, naming
from sparqsim.networks.onnx.batching import batching
from sparqsim.networks.onnx.einsum import with_products
from sparqsim.networks.onnx.fold import folded
from sparqsim.networks.onnx.graph import Array, Graph
from sparqsim.networks.onnx.macs import MacNode
from sparqsim.networks.onnx.operators import INTEGER_OPS, QLINEAR_OPS
from sparqsim.networks.onnx.reader import read_nodes
from sparqsim.networks.onnx.session import Session
from sparqsim.networks.onnx.skipped import SkippedNode, skipped_nodes
from sparqsim.networks.recipes import (
    calibration_pictures,
    check_own_activations,
    chosen_kept,
    kept_option,
    stated_kept,
)
from sparqsim.networks.site import Operands, Site
from sparqsim.networks.stating import OWN_CODES, beside_own_codes, calibrated_here
from sparqsim.quantise.codes import OWN_SCALES, ActivationCodes, Quantised
from sparqsim.quantise.recipe import ACCUMULATOR_BITS, Recipe
from sparqsim.trace.codebits import ALL_BITS
from sparqsim.trace.coverage import Tally
from sparqsim.trace.stated import Stated


@dataclass(frozen=True)
class Network:
    """An ONNX network ready to run at 8 bits.

    `graph`: batch normalisation folded. `folded`: (layer, norm), by name. `nodes`: those the array
    runs. `codes`, `shapes`, `dtypes`: of every tensor that a node takes. `kept`: names of layers
    that stay at 8 bits. `left_out`: nodes with multiply-accumulates that are not run.
    `calibrator`: its name. `batch`: pictures at a time. `notes`: what a user must know of all this.
    `accumulator_bits`: of every layer. `activation_bits`: of layers that say it, by name.
    `recipe`: its title, '' where none was given; `recipe_entry`: what a trace's provenance says of
    it.
    `stated`: for the quantization card of its traces.
    """

    graph: Graph
    folded: tuple[tuple[str, str], ...]
    nodes: tuple[MacNode, ...]
    codes: dict[str, ActivationCodes]
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, np.dtype[Any]]
    kept: frozenset[str]
    left_out: tuple[SkippedNode, ...]
    calibrator: str
    batch: int
    notes: tuple[str, ...] = ()
    accumulator_bits: int = ACCUMULATOR_BITS
    activation_bits: Mapping[str, int] = field(default_factory=dict)
    recipe: str = ""
    recipe_entry: Mapping[str, Any] = field(default_factory=dict)
    stated: Stated = OWN_CODES

    origin: ClassVar[str] = "sparqsim trace dump (onnxruntime)"

    @property
    def name(self) -> str:
        """The model's file name."""
        return Path(self.graph.path).name

    @property
    def skipped(self) -> tuple[str, ...]:
        """The nodes left out, as reports name them."""
        return tuple(node.label for node in self.left_out)

    @property
    def provenance(self) -> dict[str, Any]:
        """What a trace's provenance gets: notes, the batch norm that is part of each layer, what
        its quantization card is told, the recipe.
        """
        about = {"notes": list(self.notes), "folded_batch_norms": dict(self.folded)}
        return about | self.stated.entry() | dict(self.recipe_entry)

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        """The layers that the array runs."""
        return tuple(map(self.site, self.nodes))

    def site(self, node: MacNode) -> Site:
        """Return a node as a layer of the array."""
        codes, reason = self.codes[node.source], self._reason(node)
        return Site(
            name=node.name,
            op=node.op,
            activation=codes,
            weights=node.weights,
            second=None if node.weights is not None else self.codes[node.other],
            geometry=node.geometry(self.shapes[node.source]),
            groups=node.groups,
            bias=node.bias,
            reason=reason,
            keep_8bit=node.name in self.kept,
            note=reason,
            accumulator_bits=self.accumulator_bits,
            activation_bits=self.activation_bits.get(node.name, ALL_BITS),
        )

    def _reason(self, node: MacNode) -> str:
        """Return why a layer's activations are signed or unsigned."""
        codes = self.codes[node.source]
        if node.codes is not None:
            reason = codes.reason
        elif codes.signed:
            reason = "signed: its input has negative values"
        else:
            reason = "unsigned: its input has no negative value"
        return f"{reason}; {node.note}" if node.note else reason

    @cached_property
    def own(self) -> frozenset[str]:
        """Tensors with the network's own codes."""
        return frozenset(own_codes(self.nodes))

    def stored(self, tensor: str, values: Array) -> Quantised:
        """Return a tensor's values as the trace stores them: 8-bit integers in the same axes."""
        codes = self.codes[tensor]
        if values.dtype.kind != "f":
            return Quantised(codes.stored(values), chosen=False)
        if tensor in self.own:
            check_finite(values)
            return Quantised(codes.stored(_own_code(values, codes)), chosen=False)
        return coded(values, codes)

    def operands(self, pictures: Pictures, left_out: Tally) -> Iterator[dict[str, Operands]]:
        """Yield every layer's operands in the network as it is, batch after batch."""
        measured = [name for node in self.left_out for name in node.tensors]
        session = Session(self.graph, sources_of(self.nodes), measured)
        for values in session.batches(pictures, self.batch):
            for node in self.left_out:
                left_out.add(node.name, node.reason, node.macs_of_batch(values))
            yield {node.name: self.operands_of(node, values) for node in self.nodes}

    def operands_of(self, node: MacNode, values: Mapping[str, Array]) -> Operands:
        """Return a layer's operands, given the tensors that it takes, by name."""
        with naming(node.name):
            parts = [self.stored(name, values[name]) for name in node.tensors]
        return node.operands(parts)


def _own_code(values: Array, codes: ActivationCodes) -> Array:
    """Return the own codes of real values that stand for them, as QuantizeLinear does."""
    limits = np.iinfo(np.int8 if codes.signed else np.uint8)
    steps = np.asarray(values, np.float32) / np.float32(codes.scale)
    shifted = np.rint(steps) + codes.zero_point
    own: Array = np.clip(shifted, limits.min, limits.max).astype(limits.dtype)
    return own


def sources_of(nodes: Sequence[MacNode]) -> list[str]:
    """Return every tensor that `nodes` take, each once."""
    return list(dict.fromkeys(name for node in nodes for name in node.tensors))


def own_codes(nodes: Sequence[MacNode]) -> dict[str, ActivationCodes]:
    """Return the network's own codes, by tensor.

    Raises InputError where two nodes read one tensor differently.
    """
    own: dict[str, ActivationCodes] = {}
    for node in nodes:
        for tensor, codes in ((node.source, node.codes), (node.other, node.other_codes)):
            if codes is not None and own.setdefault(tensor, codes) != codes:
                raise InputError(
                    f"layer {node.name!r}: it reads {tensor!r} as {codes}, another layer as "
                    f"{own[tensor]}; expected one scale and zero point"
                )
    return own


def calibrated(
    path: str | Path,
    pictures: Pictures,
    calibrate: str = "mean-max",
    *,
    skip: Collection[str] = (),
    keep_8bit: Collection[str] | None = None,
    batch: int | None = None,
    recipe: Recipe | None = None,
) -> Network:
    """Read a network, fold it, and find the scales of its activations on `pictures`.

    Parameters
    ----------
    path : str or Path
        ONNX file.
    pictures : Pictures
    calibrate : str
        See `sparqsim.quantise.calibrate`; networks with their own 8-bit codes need none.
    skip : names of nodes or operators to leave out
    keep_8bit : layers that stay at 8 bits
        Default: the first convolution and the last layer.
    batch : int or None
        Pictures at a time; default: as many as the graph fixes, else 8 where that mixes none, else
        1.
    recipe : Recipe, optional
        Says all of `calibrate` and `keep_8bit`, and how real weights are quantised.

    Raises
    ------
    InputError
        Naming the node or layer at fault: unsupported, NaN or infinite activations, unknown names,
        what a recipe asks for and the network cannot take.
    """
    chosen = Recipe.stated(recipe, activations=calibrate, keep_8bit=stated_kept(keep_8bit))
    pictures = calibration_pictures(chosen, pictures)
    left_out = frozenset(skip)
    without_norms = folded(with_products(Graph.load(path).modern(), left_out))
    graph = without_norms.graph
    nodes = tuple(read_nodes(graph, left_out))
    chosen.check_layers([node.name for node in nodes])
    batches = batching(graph, pictures, [*sources_of(nodes), *graph.outputs], batch)
    own = own_codes(nodes)
    _check_calibrators(chosen, nodes, own)
    seen = _observed(graph, nodes, pictures, chosen, batches.size)
    return Network(
        graph=graph,
        folded=without_norms.pairs,
        nodes=nodes,
        codes=own | seen.observations.codes(),
        shapes=seen.shapes,
        dtypes=seen.dtypes,
        kept=kept_layers(
            [(node.name, node.op) for node in nodes],
            chosen_kept(chosen),
            kept_option(None if recipe is None else chosen),
        ),
        left_out=skipped_nodes(graph, left_out),
        calibrator=chosen.calibrator_title if seen.observations else OWN_SCALES,
        batch=batches.size,
        notes=(batches.note,) if batches.note else (),
        stated=_stated(graph, nodes, chosen, seen, len(pictures), by_recipe=recipe is not None),
    )


def _check_calibrators(
    recipe: Recipe, nodes: Sequence[MacNode], own: Mapping[str, ActivationCodes]
) -> None:
    """Raise InputError for calibrators that no tensor takes, and for two of one tensor."""
    taking = [node.name for node in nodes if node.source in own]
    tensors = sources_of(nodes)
    check_own_activations(recipe, taking, all_own=all(name in own for name in tensors))
    for tensor in tensors:
        layers = [node.name for node in nodes if tensor in node.tensors]
        specs = {recipe.calibrator(layer).spec: layer for layer in layers}
        if len(specs) > 1:
            (one, first), (other, second), *_ = specs.items()
            raise InputError(
                f"{recipe.origin}: layers {first!r} and {second!r} take the same tensor "
                f"{tensor!r}, with activations {one} and {other}; expected one calibrator for both"
            )


def _stated(
    graph: Graph,
    nodes: Sequence[MacNode],
    recipe: Recipe,
    seen: Seen,
    inputs: int,
    *,
    by_recipe: bool,
) -> Stated:
    """Return what is stated for quantization cards: of a float network how it was calibrated."""
    sha256 = seen.observations.sha256
    here = calibrated_here(recipe, inputs=inputs, sha256=sha256, by_recipe=by_recipe)
    if not holds_codes(graph):
        return here
    some_real = any(node.real_weights is not None for node in nodes)
    return beside_own_codes(recipe) if some_real else OWN_CODES


def holds_codes(graph: Graph) -> bool:
    """Return whether a network has codes of its own, of some tensors at least."""
    kinds = {node.op_type for node in graph.nodes}
    own = INTEGER_OPS | QLINEAR_OPS
    return any("quantize" in kind.lower() or kind in own for kind in kinds)


@dataclass(frozen=True)
class Seen:
    """What layers take: real values observed; shape and type of each tensor, in one batch."""

    observations: Observations
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, np.dtype[Any]]


def _observed(
    graph: Graph, nodes: Sequence[MacNode], pictures: Pictures, recipe: Recipe, batch: int
) -> Seen:
    own = own_codes(nodes)
    layer_with = {name: node.name for node in reversed(nodes) for name in node.tensors}
    # The second of two tensors takes the place of weights, which are int8.
    second = {node.other for node in nodes if node.other}
    both = second & {node.source for node in nodes}
    if both and recipe.kv_bits < ALL_BITS:
        raise InputError(
            f"{recipe.origin}: kv={recipe.kv!r}, but tensor {min(both)!r} is the first operand of "
            "one product and the second of another; expected 'nearest:8'"
        )
    seen = Seen(Observations(recipe), {}, {})
    for values in Session(graph, list(layer_with)).batches(pictures, batch):
        for name, value in values.items():
            seen.shapes.setdefault(name, value.shape)
            seen.dtypes.setdefault(name, value.dtype)
            if name not in own:
                real = _real(value, layer_with[name])
                seen.observations.see(name, layer_with[name], real, second=name in second)
        if not seen.observations:
            break
    return seen


def _real(value: Array, layer: str) -> Array:
    """Return real values as float32."""
    if not value.size or value.dtype.kind != "f":
        raise InputError(
            f"layer {layer!r}: activations are {value.dtype} {value.shape}, expected real values"
        )
    return np.asarray(value, np.float32)
