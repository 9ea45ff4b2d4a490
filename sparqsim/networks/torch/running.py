"""A PyTorch network on its calibration pictures, for weight quantisers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sparqsim.base.errors import InputError
from sparqsim.networks.observe import coded, naming
from sparqsim.networks.rows import rows_of
from sparqsim.networks.site import Site
from sparqsim.networks.torch.kept import KeptOutputs, Setting
from sparqsim.networks.torch.loaders import Inputs
from sparqsim.networks.torch.network import Call, Network, Values, Visitor
from sparqsim.networks.torch.outputs import logits_of
from sparqsim.networks.torch.sites import as_float32, laid_out, padded, shaped
from sparqsim.quantise.codes import LIMITS, ActivationCodes
from sparqsim.quantise.recipe_fields import Labels
from sparqsim.quantise.weights import QuantisedWeights, Rows, RunningNetwork
from sparqsim.quantise.weights.facts import ChosenWeights

#: Yields (inputs, labels or None), batch after batch; can be asked for again.
Batches = Callable[[], Iterator[tuple[Inputs, Tensor | None]]]


@dataclass(frozen=True, eq=False)
class Blocks:
    """The network itself, for methods that learn through its modules.

    model: a copy of the user's, batch norms folded, in evaluation mode; whoever learns on it works
    on a copy. batches: the inputs of the calibration pictures. activations: how each layer's input
    is stored, by name; modules: each layer's module, by name.
    """

    model: nn.Module
    batches: tuple[Inputs, ...]
    activations: Mapping[str, ActivationCodes]
    modules: Mapping[str, nn.Module]


class CalibrationRun(RunningNetwork):
    """Runs a network on its calibration pictures.

    Parameters
    ----------
    network : Network
    sites : mapping
        Its layers by name, calibrated.
    batches : callable
    labels : 'none', 'true' or 'float-network'
        What answers are compared with.
    origin : str
        What says so, for errors.

    Raises
    ------
    InputError
        For true labels that the pictures do not have.
    """

    kind = "PyTorch network"

    def __init__(
        self,
        network: Network,
        sites: Mapping[str, Site],
        batches: Batches,
        labels: Labels,
        origin: str = "recipe",
    ) -> None:
        self._network, self._sites, self._batches = network, sites, batches
        self._labels = labels
        self._kept = KeptOutputs([call.name for call in network.calls])
        self.provides = frozenset({"inputs", "prefix", "answers", "blocks"})
        if labels != "none":
            self.provides |= {"labels"}
        if labels == "true" and any(given is None for _, given in batches()):
            raise InputError(
                f"{origin}: calibration.labels='true', but the calibration pictures have no "
                "labels; expected 'none', 'float-network', or batches of (inputs, labels)"
            )

    def rows(self, layer: str, chosen: ChosenWeights | None = None) -> Iterator[Rows]:
        """Yield a layer's rows (`RunningNetwork.rows`)."""
        for inputs, _ in self._batches():
            ((call, real),) = self._taken(inputs, [layer], {})
            values = real
            if chosen:
                ((_, values),) = self._taken(inputs, [layer], chosen)
            yield from self._rows(call, real, values)

    def rows_of_all(self, layers: Sequence[str]) -> Iterator[tuple[str, Rows]]:
        """Yield rows of several layers, batch by batch (`RunningNetwork.rows_of_all`)."""
        for inputs, _ in self._batches():
            for call, real in self._taken(inputs, layers, {}):
                for rows in self._rows(call, real, real):
                    yield call.name, rows

    def _rows(self, call: Call, real: Tensor, values: Tensor) -> Iterator[Rows]:
        """Yield the rows of one batch; `values`: what codes are given to."""
        site = self._sites[call.name]
        with naming(call.name):
            held = coded(as_float32(values), site.activation)
        yield from rows_of(site, laid_out(call, as_float32(real)), laid_out(call, held.codes))

    def logits(
        self,
        chosen: ChosenWeights | None = None,
        activation_scales: Mapping[str, float] | None = None,
        activation_bits: int = 8,
    ) -> NDArray[np.float32]:
        """Return what the network answers (`RunningNetwork.logits`), computed in float32 on the
        values that codes stand for.
        """
        weights, scales = chosen or {}, activation_scales or {}
        compute = self._visitor(weights, scales, activation_bits)
        self._kept.begin(_settings(weights, scales, activation_bits))
        answers = []
        for number, (inputs, _) in enumerate(self._batches()):
            found = logits_of(self._network.run(inputs, self._kept.visitor(number, compute)))
            if found is None:
                raise InputError("the network's output is not known to be logits, expected some")
            answers.append(as_float32(found))
        return np.concatenate(answers)

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The classes of the calibration pictures: their own, or those that the float network
        answers.
        """
        if self._labels == "none":
            return None
        if self._labels == "float-network":
            return np.asarray(self.logits().argmax(axis=1), np.int64)
        given = [labels for _, labels in self._batches() if labels is not None]
        return np.asarray(torch.cat(given).numpy(), np.int64)

    @cached_property
    def blocks(self) -> Blocks:
        """The network's own modules. Raises InputError for a layer that is none of them."""
        modules = set(self._network.model.modules())
        for call in self._network.calls:
            if call.module is not None and call.module not in modules:
                raise InputError(
                    f"layer {call.name!r} is a function with weights, expected a module: its "
                    "rounding is learned through PyTorch's modules"
                )
        activations = {name: site.activation for name, site in self._sites.items()}
        called = {call.name: call.module for call in self._network.calls if call.module is not None}
        pictures = tuple(inputs for inputs, _ in self._batches())
        return Blocks(self._network.model, pictures, activations, called)

    def _taken(
        self, inputs: Inputs, layers: Collection[str], chosen: ChosenWeights
    ) -> list[tuple[Call, Tensor]]:
        """Return what layers take of a batch, with their own padding where that is not zeros.

        Copies: a network may write to a layer's input when the layer is done.
        """
        taken: list[tuple[Call, Tensor]] = []
        compute = self._visitor(chosen, {})

        def visitor(call: Call, values: Values) -> Tensor:
            """Keep what a layer takes, and compute it."""
            if call.name in layers:
                taken.append((call, padded(call.module, values[0]).clone()))
            return compute(call, values)

        self._network.run(inputs, visitor)
        return taken

    def _visitor(
        self, chosen: ChosenWeights, scales: Mapping[str, float], bits: int = 8
    ) -> Visitor:
        """Return what computes calls: those with chosen weights on what their codes stand for."""
        weights: dict[str, Tensor] = {}

        def visitor(call: Call, values: Values) -> Tensor:
            """Compute a call, on codes where its weights are chosen."""
            if call.name not in chosen:
                return call.in_float(values)
            if call.name not in weights:
                weights[call.name] = _as_weight(call, chosen[call.name])
            codes = self._sites[call.name].activation
            scale = scales.get(call.name, codes.scale)
            used = bits if call.name in scales else 8
            held = _held(padded(call.module, values[0]), scale, signed=codes.signed, bits=used)
            return _computed(call, held, weights[call.name])

        return visitor


def _settings(chosen: ChosenWeights, scales: Mapping[str, float], bits: int) -> dict[str, Setting]:
    """Return how layers of chosen weights compute. The same weights are one object."""
    return {name: (weights, scales.get(name), bits) for name, weights in chosen.items()}


def _as_weight(call: Call, chosen: QuantisedWeights) -> Tensor:
    return torch.from_numpy(shaped(chosen.real, call.module.weight))


def _held(values: Tensor, scale: float, *, signed: bool, bits: int = 8) -> Tensor:
    """Return what the codes of real values stand for: the rule of `sparqsim.quantise.codes`.

    bits: of the codes the top ones, as `mac-4b8b` takes four.
    """
    step = torch.tensor(scale, dtype=torch.float32)
    codes = (values.float() / step).round_().clamp_(*LIMITS[signed])
    if bits == 8:
        return codes.mul_(step)
    unit = 1 << (8 - bits)
    least, most = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    return codes.div_(unit).round_().clamp_(least, most).mul_(unit * step)


def _computed(call: Call, values: Tensor, weight: Tensor) -> Tensor:
    """Return what a layer makes of values that have their padding, if that is not zeros."""
    module = call.module
    if call.op == "linear":
        return functional.linear(values, weight, module.bias)
    if module.padding_mode == "zeros":
        output: Tensor = module._conv_forward(values, weight, module.bias)  # noqa: SLF001
        return output
    return functional.conv2d(
        values,
        weight,
        module.bias,
        stride=module.stride,
        dilation=module.dilation,
        groups=module.groups,
    )
