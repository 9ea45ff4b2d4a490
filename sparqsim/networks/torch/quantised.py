"""A PyTorch network at 8 bits: its calls as sites, their scales found by calibration."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparqsim.base.errors import InputError
from sparqsim.networks.chosen_layers import check_layer_names, with_bits
from sparqsim.networks.observe import Observations, naming
from sparqsim.networks.recipes import (
    check_one_source_of_bits,
    followed,
    kept_option,
    narrow_in_file,
    recipe_entry,
)
from sparqsim.networks.saved import SavedNetwork, save
from sparqsim.networks.site import Operands, Site
from sparqsim.networks.stating import calibrated_here
from sparqsim.networks.torch.direct import DirectForms
from sparqsim.networks.torch.loaders import Inputs, batches, checked, inputs_taken, prepared
from sparqsim.networks.torch.network import Call, Network, Values
from sparqsim.networks.torch.running import CalibrationRun
from sparqsim.networks.torch.sites import (
    as_float32,
    operands_of,
    real_output,
    real_weights,
    sites_of,
)
from sparqsim.quantise.recipe import Recipe
from sparqsim.quantise.recipe_fields import KEPT_CHOICES
from sparqsim.quantise.weights.facts import Progress, silent
from sparqsim.trace.bitlist import BitList

#: Which layers stay at 8 bits under every design: the first and the last to run, none, or those
#: named.
Keep = Literal["first-last", "none"] | Sequence[str]
#: Returns a site's sums.
Compute = Callable[[Site, Operands], NDArray[np.int64]]
#: Returns a site's output; None where it has to be made of its sums.
Direct = Callable[[Call, Site, Values], Tensor | None]


class Origin(NamedTuple):
    """What a quantised network was made of: fields of a file's document."""

    source_sha256: str
    matmuls: tuple[str, ...] | None
    fold: bool
    pictures: int | None


class Hooks(NamedTuple):
    """How batches become what a network takes, and what is called in its place."""

    inputs: Callable[[Any], Any] | None
    forward: Callable[..., Any] | None


class QuantisedNetwork:
    """A network with integer weights and calibrated activation scales.

    Parameters
    ----------
    model : nn.Module
        Not modified.
    calibration : iterable of batches
        Tensors or (inputs, labels); read once and again.
    calibrate : str
        The calibrator, see `sparqsim.quantise.calibrate`.
    keep_8bit : 'first-last', 'none' or names
        Layers that run as `mac-8b8b` under every design.
    matmuls : names of modules, optional
        Inside them products of two activations are layers; by default wherever they are.
    fold : bool
        Whether batch norms are folded; norms that are not are computed in float.
    inputs : callable, optional
        Makes what the network takes (any kind of batch) of a batch of the loader.
    forward : callable, optional
        Called in the place of the network, with it and its arguments: `forward(model, x)`.
    bits : BitList, optional
        Of the layers' weights (`sparqsim.networks.site.with_bits`).
    recipe : Recipe or path of a .toml file, optional
        Says all of `calibrate` and `keep_8bit`, and how weights are quantised.
    progress : callable
        Told of how far a weight quantiser is: what it works on, steps done, steps in all.

    Raises
    ------
    InputError
        For names that do not exist, NaN or infinite activations (naming the layer), a network
        without layers, or what a recipe asks for and the network cannot take.
    """

    def __init__(
        self,
        model: nn.Module,
        calibration: Iterable[Any],
        *,
        calibrate: str = "mean-max",
        keep_8bit: Keep = "first-last",
        matmuls: Sequence[str] | None = None,
        fold: bool = True,
        bits: BitList | None = None,
        recipe: Recipe | str | PathLike[str] | None = None,
        inputs: Callable[[Any], Any] | None = None,
        forward: Callable[..., Any] | None = None,
        progress: Progress = silent,
    ) -> None:
        chosen = Recipe.stated(recipe, activations=calibrate, keep_8bit=_choice(keep_8bit))
        check_one_source_of_bits(recipe, bits)
        #: The recipe in a line, '' where calibrator and kept layers alone were given.
        self.recipe_title = "" if recipe is None else chosen.title
        self.calibrator = chosen.calibrator_title
        checked(calibration, "calibration loader")
        self.hooks = Hooks(inputs, forward)
        self.inputs_taken = inputs_taken(model, forward)
        pictures = chosen.calibration.pictures
        example = next(self.batches(calibration, pictures), None)
        if example is None:
            raise InputError("calibration loader holds no batch, expected at least one")
        self.network = Network(model, example[0], matmuls, fold)
        names = [call.name for call in self.network.calls]
        option = kept_option(None if recipe is None else chosen, "keep_8bit")
        kept = _kept(names, chosen.keep_8bit, option)
        chosen.check_layers(names)
        seen = Observations(chosen)
        met: dict[str, Call] = {}

        def observe(call: Call, values: Values) -> Tensor:
            """Look at a call's operands, and compute it in float."""
            met.setdefault(call.name, call)
            for place, value in enumerate(values):
                seen.see((call.name, place), call.name, as_float32(value), second=place > 0)
            return call.in_float(values)

        count = 0
        for given, _ in self.batches(calibration, pictures):
            self.network.run(given, observe)
            count += len(given)
        chosen.check_pictures(count)
        #: What a file of it says of where it comes from.
        named = None if matmuls is None else tuple(matmuls)
        self.origin = Origin(digest_of(model), named, fold, count)
        sites = sites_of(met.values(), seen, kept)
        run = CalibrationRun(
            self.network,
            sites,
            lambda: self.batches(calibration, pictures),
            chosen.calibration.labels,
            chosen.origin,
        )
        real = real_weights(met.values())
        made = followed(chosen, tuple(sites.values()), real, run, progress)
        #: What a trace's provenance says of the recipe, nothing where none was given.
        self.recipe_entry: dict[str, Any] = {} if recipe is None else recipe_entry(chosen, made)
        #: For the quantization card of its traces.
        self.stated = calibrated_here(
            chosen,
            inputs=count,
            sha256=seen.sha256,
            bits="" if bits is None else bits.title,
            by_recipe=recipe is not None,
        )
        #: The network's layers, by name, in the order they ran.
        self.layers = {site.name: site for site in made.sites}
        #: Their fast forms, which designs share.
        self.direct = DirectForms()
        if bits is not None:
            self.layers = {site.name: site for site in with_bits(self.layers.values(), bits)}

    def save(self, path: str | PathLike[str]) -> None:
        """Write integers and scales to a file (.safetensors), whole or not at all.

        `load` makes the same network of it and the model, without calibration or quantisers.

        Raises
        ------
        InputError
            When the path cannot be written, a layer has a name that no file can hold, or
            activations of fewer than 8 bits.
        """
        for site in self.layers.values():
            if site.lost_activation_bits:
                raise narrow_in_file(site)
        save(
            path,
            self.layers.values(),
            source=type(self.network.model).__name__,
            calibrator=self.calibrator,
            recipe=self.recipe_entry,
            recipe_title=self.recipe_title,
            stated=self.stated,
            **self.origin._asdict(),
        )

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        model: nn.Module,
        loader: Iterable[Any],
        *,
        inputs: Callable[[Any], Any] | None = None,
        forward: Callable[..., Any] | None = None,
    ) -> QuantisedNetwork:
        """Return the network that `save` wrote.

        Parameters
        ----------
        path : str or path
        model : nn.Module
            The one that was quantised: what is no layer runs as it does in it. Not modified.
        loader : iterable of batches
            One batch is run, to find the layers; nothing is measured on it.
        inputs, forward : callable, optional
            As those that it was made with.

        Raises
        ------
        InputError
            For a file that is no such network, and for another model.
        """
        saved = SavedNetwork.load(path)
        about = saved.document
        made = cls.__new__(cls)
        made.hooks = Hooks(inputs, forward)
        made.inputs_taken = inputs_taken(model, forward)
        example = next(made.batches(checked(loader, "loader")), None)
        if example is None:
            raise InputError("loader holds no batch, expected at least one")
        made.network = Network(model, example[0], about.matmuls, about.fold)
        made.origin = Origin(digest_of(model), about.matmuls, about.fold, about.pictures)
        saved.check_source(made.origin.source_sha256, f"this {type(model).__name__}")
        saved.check_layers([call.name for call in made.network.calls])
        saved.check_chosen(saved.codes())
        made.calibrator = about.calibrator
        made.recipe_title, made.recipe_entry = about.recipe_title, dict(about.recipe)
        made.stated = about.stated
        made.direct = DirectForms()
        sites = sites_of(made.network.calls, saved, saved.kept)
        made.layers = {site.name: site for site in saved.restored(sites.values())}
        return made

    def batches(
        self, loader: Iterable[Any], limit: int | None = None
    ) -> Iterator[tuple[Inputs, Tensor | None]]:
        """Yield (inputs, labels or None) of a loader, as this network takes them."""
        given = prepared(loader, self.hooks.inputs)
        for inputs, labels in batches(given, limit, taken=self.inputs_taken):
            yield replace(inputs, forward=self.hooks.forward), labels

    def run(
        self,
        inputs: Inputs,
        sums: Compute | None = None,
        in_float: Callable[[Site], bool] = lambda _: False,
        direct: Direct = lambda *_: None,
    ) -> Any:
        """Return the network's output.

        Parameters
        ----------
        inputs : Inputs
        sums : callable, optional
            Returns a site's sums, given its integers (`Site.sums`). None: the float network.
        in_float : callable
            Tells which sites compute in float all the same.
        direct : callable
            Asked before `sums`.

        Raises
        ------
        InputError
            For a layer that calibration did not meet, and NaN or infinite activations, naming it.
        """

        def visitor(call: Call, values: Values) -> Tensor:
            """Compute a call: in float, by its fast form, or from its sums."""
            site = self._site(call)
            if sums is None or in_float(site):
                return call.in_float(values)
            with naming(call.name):
                output = direct(call, site, values)
                if output is not None:
                    return output
                return real_output(site, sums(site, operands_of(call, site, values)), values)

        return self.network.run(inputs, visitor if sums else None)

    def _site(self, call: Call) -> Site:
        if call.name not in self.layers:
            raise InputError(
                f"layer {call.name!r} did not run on the calibration data, expected it to"
            )
        return self.layers[call.name]


def digest_of(model: nn.Module) -> str:
    """Return the SHA-256 of a network's parameters and buffers: names, types, shapes, values."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        if not isinstance(tensor, Tensor):
            continue
        values = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(values.view(torch.uint8).numpy().data if len(values) else b"")
    return digest.hexdigest()


def _choice(keep_8bit: Keep) -> str | tuple[str, ...]:
    """Return which layers stay at 8 bits, as a recipe says it. Raises InputError."""
    if not isinstance(keep_8bit, str):
        return tuple(keep_8bit)
    if keep_8bit not in KEPT_CHOICES:
        raise InputError(
            f"keep_8bit={keep_8bit!r}, expected 'first-last', 'none' or a list of layer names"
        )
    return keep_8bit


def _kept(names: list[str], keep_8bit: str | tuple[str, ...], option: str) -> frozenset[str]:
    if isinstance(keep_8bit, str):
        return frozenset((names[0], names[-1]) if keep_8bit == "first-last" else ())
    return check_layer_names(keep_8bit, names, option)
