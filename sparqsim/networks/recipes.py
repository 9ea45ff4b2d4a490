"""What a recipe makes of a network's layers, whatever framework runs it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError, shown
from sparqsim.base.wording import counted
from sparqsim.networks.images import Pictures
from sparqsim.networks.site import Site
from sparqsim.quantise.bias import bias_shifts
from sparqsim.quantise.codes import WeightCodes
from sparqsim.quantise.recipe import Recipe
from sparqsim.quantise.weights import (
    Chosen,
    LayerFacts,
    NetworkFacts,
    QuantisedWeights,
    RunningNetwork,
    WeightQuantiser,
)
from sparqsim.quantise.weights.facts import Progress, silent
from sparqsim.trace.codebits import ALL_BITS

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Followed:
    """A network's layers as a recipe makes them.

    activation_scales: by layer, where a weight quantiser chose them. facts: what weight quantisers
    say of themselves, by name and keys. notes: what of the recipe some layers did not take, in
    words.
    """

    sites: tuple[Site, ...]
    activation_scales: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def followed(
    recipe: Recipe,
    sites: Sequence[Site],
    real: Mapping[str, NDArray[np.float32]],
    network: RunningNetwork,
    progress: Progress = silent,
) -> Followed:
    """Return layers with weights, biases and accumulators as a recipe says.

    Parameters
    ----------
    recipe : Recipe
    sites : sequence of Site
        All layers, in the order they run, their activations calibrated.
    real : mapping
        The real weights of those that have some, as `LayerFacts.weights`. Other layers keep the
        codes that the network brings.
    network : RunningNetwork
        On the calibration pictures.
    progress : callable
        Told of how far a weight quantiser is: what it works on, steps done, steps in all.

    Raises
    ------
    InputError
        For a layer that is not there, for what a layer or the whole network cannot take, and for
        what a quantiser needs and the network does not give.
    """
    check_recipe(recipe, sites, real, network.kind)
    layers = {
        site.name: LayerFacts(site.name, real[site.name], site.groups, network)
        for site in sites
        if site.name in real
    }
    kept = {site.name: site.keep_8bit for site in sites}
    quantisers = {name: recipe.quantiser(name, kept=kept[name]) for name in layers}
    with recipe.named():
        for quantiser in dict.fromkeys(quantisers.values()):
            quantiser.check_needs(network)
    chosen = _chosen(quantisers, layers, network, progress)
    scales = chosen.activation_scales
    shifts: Mapping[str, NDArray[np.float64]] = {}
    if recipe.bias_correction:
        shifts = bias_shifts(tuple(layers.values()), chosen.weights, network)
    made = []
    for site in sites:
        new = replace(site, accumulator_bits=recipe.accumulator_bits)
        if site.name in layers:
            bits = recipe.bits_of_activations(site.name, kept=site.keep_8bit)
            new = replace(new, activation_bits=bits)
        if site.name in scales:
            activation = replace(site.activation, scale=float(scales[site.name]))
            new = replace(new, activation=activation)
        if site.name in layers:
            with recipe.named():
                new = _with_weights(new, layers[site.name], chosen.weights[site.name])
        if site.name in shifts:
            bias = shifts[site.name] if site.bias is None else site.bias + shifts[site.name]
            new = replace(new, bias=bias.astype(np.float32))
        made.append(new)
    own = [site.name for site in sites if site.weights is not None and site.name not in real]
    return Followed(tuple(made), scales, chosen.facts, _notes(recipe, own))


def stated_kept(keep_8bit: Collection[str] | None) -> tuple[str, ...] | None:
    """Return the layers of a file's network that a user keeps at 8 bits, as a recipe says it."""
    return None if keep_8bit is None else tuple(keep_8bit)


def kept_option(recipe: Recipe | None, flag: str = "--keep-8bit") -> str:
    """Return what names the layers that stay at 8 bits, for messages: a recipe, or a flag."""
    return flag if recipe is None else f"{recipe.origin}: keep_8bit"


def chosen_kept(recipe: Recipe) -> Collection[str] | None:
    """Return which layers a recipe keeps at 8 bits, for `sparqsim.networks.site.kept_layers`."""
    if recipe.keep_8bit == "first-last":
        return None
    return () if recipe.keep_8bit == "none" else recipe.keep_8bit


def calibration_pictures(recipe: Recipe, pictures: Pictures) -> Pictures:
    """Return the pictures that a network is measured on. Raises InputError for too few."""
    recipe.check_pictures(len(pictures))
    return pictures.first(recipe.calibration.pictures)


def with_own_codes(recipe: Recipe, sites: Sequence[Site], kind: str) -> Followed:
    """Return the layers of a network that is codes already, as a recipe makes them.

    It says which layers stay at 8 bits and how wide accumulators are.

    Raises
    ------
    InputError
        For whatever else it says, naming it.
    """
    names = [site.name for site in sites]
    check_recipe(recipe, sites, {}, kind)
    check_own_activations(recipe, names, all_own=True)
    if "calibration" in recipe.model_fields_set:
        raise InputError(
            f"{recipe.origin}: calibration, but the {kind} is codes already and measured on no "
            "pictures; expected a recipe without it"
        )
    bits = recipe.accumulator_bits
    return Followed(tuple(replace(site, accumulator_bits=bits) for site in sites))


def check_no_overflow(sites: Sequence[Site], origin: str) -> None:
    """Raise InputError for a layer whose sums its accumulator may not hold, where no sums are
    computed; `origin`: what says how wide it is.
    """
    for site in sites:
        if site.can_overflow:
            raise InputError(
                f"{origin}: accumulator_bits={site.accumulator_bits}, in which sums of layer "
                f"{site.name!r} can overflow; a trace of this kind of network takes layers' inputs "
                "from the network as it is, where no sums are computed: expected more bits, or "
                "sparqsim accuracy, which computes them"
            )


def recipe_entry(recipe: Recipe, made: Followed) -> dict[str, Any]:
    """Return what a trace's provenance says of a recipe, as JSON values.

    recipe: its fields. weight_quantisers: what they say of themselves. can_overflow: layers whose
    sums the accumulator cannot hold for all activations.
    """
    entry: dict[str, Any] = {"recipe": recipe.model_dump(mode="json")}
    if made.facts:
        entry["weight_quantisers"] = dict(made.facts)
    overflowing = [site.name for site in made.sites if site.can_overflow]
    return entry | ({"can_overflow": overflowing} if overflowing else {})


def check_recipe(
    recipe: Recipe, sites: Sequence[Site], real: Mapping[str, Any], kind: str = "network"
) -> None:
    """Raise InputError for what a recipe says and no layer can take, naming it.

    A layer that brings its own codes takes neither weights nor a correction of its bias; what a
    recipe says of all layers needs one that does.
    """
    recipe.check_layers([site.name for site in sites])
    for site in sites:
        choice = recipe.layers.get(site.name)
        if choice is None or site.name in real:
            continue
        for field_name in ("weights", "activation_bits"):
            value = getattr(choice, field_name)
            if value is None:
                continue
            what = "two activations" if site.weights is None else "its own codes"
            raise InputError(
                f"{recipe.origin}: layers.{shown(site.name)}: {field_name}={shown(value)}, but "
                f"the layer multiplies {what}; expected a layer with real weights"
            )
    _check_kv(recipe, sites)
    if real:
        return
    for name in ("weights", "bias_correction", "activation_bits"):
        if name in recipe.model_fields_set and getattr(recipe, name):
            raise InputError(
                f"{recipe.origin}: {name}={shown(getattr(recipe, name))}, but the {kind} has no "
                f"layer with real weights: they are codes already; expected a recipe without {name}"
            )


def _check_kv(recipe: Recipe, sites: Sequence[Site]) -> None:
    """Raise InputError for bits of keys and values that nothing is stored by."""
    if recipe.kv_bits == ALL_BITS:
        return
    seconds = {site.name: site.second for site in sites if site.second is not None}
    own = [name for name, codes in seconds.items() if codes.bits != recipe.kv_bits]
    if own or not seconds:
        what = f"layer {own[0]!r} takes the network's own codes" if own else "there are none"
        raise InputError(
            f"{recipe.origin}: kv={shown(recipe.kv)}, but of products of two activations, whose "
            f"second operand it says, {what}; expected a recipe without kv"
        )


def check_whole_kv(sites: Sequence[Site], where: str) -> None:
    """Raise InputError for keys and values of fewer bits where they have no place: `where`."""
    for site in sites:
        if site.second is not None and site.second.bits < ALL_BITS:
            raise InputError(
                f"recipe: kv='nearest:{site.second.bits}' (layer {site.name!r}) in {where}; "
                "expected 'nearest:8', or sparqsim trace dump"
            )


def check_one_source_of_bits(recipe: object, bits: object) -> None:
    """Raise InputError for a list of bits beside a recipe."""
    if recipe is not None and bits is not None:
        raise InputError(
            "a list of bits beside a recipe: both say how many bits weights have; expected one of "
            "the two (in a recipe: a table for a layer, with weights = 'nearest:4')"
        )


def check_all_activation_bits(recipe: Recipe, where: str) -> None:
    """Raise InputError for fewer bits of activations where they have no place: `where`."""
    if recipe.narrows_activations:
        raise InputError(
            f"{recipe.origin}: activation_bits below 8 in {where}; expected 8, or the "
            "network and the recipe themselves wherever it is used"
        )


def narrow_in_file(site: Site) -> InputError:
    """Return the error for activations of fewer bits in a file of a quantised network."""
    return InputError(
        f"layer {site.name!r}: activations of {site.activation_bits} bits, which a file of a "
        "quantised network does not hold; expected 8, or the network and the recipe themselves "
        "wherever it is used"
    )


def check_own_activations(recipe: Recipe, own: Sequence[str], *, all_own: bool) -> None:
    """Raise InputError for calibrators of layers whose activations have codes of their own.

    Parameters
    ----------
    recipe : Recipe
    own : names of those layers
    all_own : bool
        Whether there is no layer to calibrate.
    """
    for name in own:
        choice = recipe.layers.get(name)
        if choice is not None and choice.activations is not None:
            raise InputError(
                f"{recipe.origin}: layers.{shown(name)}: activations={shown(choice.activations)}, "
                "but the layer takes the network's own codes; expected a layer that is calibrated"
            )
    if all_own and "activations" in recipe.model_fields_set:
        raise InputError(
            f"{recipe.origin}: activations={shown(recipe.activations)}, but every layer takes the "
            "network's own codes; expected a recipe without activations"
        )


def _chosen(
    quantisers: Mapping[str, WeightQuantiser],
    layers: Mapping[str, LayerFacts],
    network: RunningNetwork,
    progress: Progress,
) -> Chosen:
    """Return what each quantiser chooses for the layers that are its own, one after another."""
    weights: dict[str, QuantisedWeights] = {}
    scales: dict[str, float] = {}
    facts: dict[str, Any] = {}
    for quantiser in dict.fromkeys(quantisers.values()):
        own = tuple(layers[name] for name, each in quantisers.items() if each == quantiser)
        found = quantiser.quantise_network(
            NetworkFacts(own, network, dict(weights), progress=progress)
        )
        weights |= found.weights
        scales |= found.activation_scales
        if found.facts:
            facts[quantiser.spec] = found.facts
    return Chosen(weights, scales, facts)


def weight_codes(chosen: QuantisedWeights) -> WeightCodes:
    """Return chosen weights as a layer holds them."""
    points = np.zeros(len(chosen.codes), np.int64)
    return WeightCodes(chosen.codes, chosen.scales.astype(np.float64), points, chosen.bits)


def _with_weights(site: Site, layer: LayerFacts, chosen: QuantisedWeights) -> Site:
    """Return a layer with weights as they were chosen."""
    codes = weight_codes(chosen)
    if chosen.channels is None:
        return replace(site, weights=codes)
    each = len(layer.weights) // site.groups
    columns = np.bincount(chosen.channels // each, minlength=site.groups)
    if len(set(columns.tolist())) > 1:
        raise InputError(
            f"layer {site.name!r}: its groups have {columns.min()} to {columns.max()} columns, "
            "expected equally many in each group"
        )
    return replace(site, weights=codes, column_channels=chosen.channels)


def _notes(recipe: Recipe, own: Sequence[str]) -> tuple[str, ...]:
    if not own or "weights" not in recipe.model_fields_set:
        return ()
    layers = counted(len(own), "layer")
    return (f"{layers} with the network's own weights: the recipe's are of the others",)
