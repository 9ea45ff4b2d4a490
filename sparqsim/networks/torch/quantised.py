"""A PyTorch network at 8 bits: its calls as sites, their scales found by calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from sparqsim.base.errors import InputError
from sparqsim.networks.observe import Observations, naming
from sparqsim.networks.recipes import check_one_source_of_bits, followed, recipe_entry
from sparqsim.networks.site import Operands, Site, check_layer_names, with_bits
from sparqsim.networks.stating import calibrated_here
from sparqsim.networks.torch.loaders import Inputs, batches, checked, inputs_taken
from sparqsim.networks.torch.network import Call, Network, Values
from sparqsim.networks.torch.running import CalibrationRun
from sparqsim.networks.torch.sites import (
    as_float32,
    operands_of,
    real_output,
    real_weights,
    sites_of,
)
from sparqsim.quantise.recipe import KEPT_CHOICES, Recipe
from sparqsim.trace.bitlist import BitList

#: Which layers stay at 8 bits under every design: the first and the last to run, none, or those
#: named.
Keep = Literal["first-last", "none"] | Sequence[str]
#: Returns a site's sums; None where it computes in float.
Compute = Callable[[Site, Operands], NDArray[np.int64]]


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
    matmuls : names of modules
        Inside them products of two activations are layers too.
    fold : bool
        Whether batch norms are folded; norms that are not are computed in float.
    bits : BitList, optional
        Of the layers' weights (`sparqsim.networks.site.with_bits`).
    recipe : Recipe or path of a .toml file, optional
        Says all of `calibrate` and `keep_8bit`, and how weights are quantised.

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
        matmuls: Sequence[str] = (),
        fold: bool = True,
        bits: BitList | None = None,
        recipe: Recipe | str | PathLike[str] | None = None,
    ) -> None:
        chosen = Recipe.stated(recipe, activations=calibrate, keep_8bit=_choice(keep_8bit))
        check_one_source_of_bits(recipe, bits)
        #: The recipe, None where calibrator and kept layers alone were given.
        self.recipe = None if recipe is None else chosen
        self.calibrator = chosen.calibrator_title
        checked(calibration, "calibration loader")
        self.inputs_taken = inputs_taken(model)
        pictures = chosen.calibration.pictures
        example = next(self.batches(calibration, pictures), None)
        if example is None:
            raise InputError("calibration loader holds no batch, expected at least one")
        self.network = Network(model, example[0], matmuls, fold)
        names = [call.name for call in self.network.calls]
        kept = _kept(names, chosen.keep_8bit)
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
        for inputs, _ in self.batches(calibration, pictures):
            self.network.run(inputs, observe)
            count += len(inputs)
        chosen.check_pictures(count)
        sites = sites_of(met.values(), seen, kept)
        run = CalibrationRun(
            self.network,
            sites,
            lambda: self.batches(calibration, pictures),
            chosen.calibration.labels,
        )
        made = followed(chosen, tuple(sites.values()), real_weights(met.values()), run)
        #: What a trace's provenance says of the recipe, nothing where none was given.
        self.recipe_entry = {} if recipe is None else recipe_entry(chosen, made)
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
        if bits is not None:
            self.layers = {site.name: site for site in with_bits(self.layers.values(), bits)}

    def batches(
        self, loader: Iterable[Any], limit: int | None = None
    ) -> Iterator[tuple[Inputs, Tensor | None]]:
        """Yield (inputs, labels or None) of a loader, as this network takes them."""
        return batches(loader, limit, taken=self.inputs_taken)

    def run(
        self,
        inputs: Inputs,
        sums: Compute | None = None,
        in_float: Callable[[Site], bool] = lambda _: False,
    ) -> Any:
        """Return the network's output.

        Parameters
        ----------
        inputs : Inputs
        sums : callable, optional
            Returns a site's sums, given its integers (`Site.sums`). None: the float network.
        in_float : callable
            Tells which sites compute in float all the same.

        Raises
        ------
        InputError
            For a layer that calibration did not meet, and NaN or infinite activations, naming it.
        """

        def visitor(call: Call, values: Values) -> Tensor:
            site = self._site(call)
            if sums is None or in_float(site):
                return call.in_float(values)
            with naming(call.name):
                return real_output(site, sums(site, operands_of(call, site, values)), values)

        return self.network.run(inputs, visitor if sums else None)

    def _site(self, call: Call) -> Site:
        if call.name not in self.layers:
            raise InputError(
                f"layer {call.name!r} did not run on the calibration data, expected it to"
            )
        return self.layers[call.name]


def _choice(keep_8bit: Keep) -> str | tuple[str, ...]:
    """Return which layers stay at 8 bits, as a recipe says it. Raises InputError."""
    if not isinstance(keep_8bit, str):
        return tuple(keep_8bit)
    if keep_8bit not in KEPT_CHOICES:
        raise InputError(
            f"keep_8bit={keep_8bit!r}, expected 'first-last', 'none' or a list of layer names"
        )
    return keep_8bit


def _kept(names: list[str], keep_8bit: str | tuple[str, ...]) -> frozenset[str]:
    if isinstance(keep_8bit, str):
        return frozenset((names[0], names[-1]) if keep_8bit == "first-last" else ())
    return check_layer_names(keep_8bit, names, "keep_8bit")
