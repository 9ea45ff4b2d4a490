"""A network at 8 bits: scales from calibration, integer weights, and each site's arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sparqsim.base.errors import InputError, nearest
from sparqsim.networks.torch.integer import Integers, as_float32
from sparqsim.networks.torch.loaders import Inputs, batches, checked, inputs_taken
from sparqsim.networks.torch.network import Network, Operands, Site, naming
from sparqsim.networks.torch.quantise import Quantiser, quantise_weights
from sparqsim.networks.torch.weights import Weights
from sparqsim.quantise.calibrate import Calibrator, Observer, calibrator
from sparqsim.trace.schema import ConvGeometry

#: Which layers stay at 8 bits under every design: the first and the last to run, none, or those named.
Keep = Literal["first-last", "none"] | Sequence[str]


@dataclass
class IntegerLayer:
    """One site at 8 bits.

    `why`: why its activations are signed or not. `weight_scales` float64 (output channels,); for a product of two
    activations the second operand is quantised by `second`, and there are no weights.
    """

    site: Site
    activation: Quantiser
    why: str
    keep_8bit: bool = False
    second: Quantiser | None = None
    clipped: int = 0
    values: int = 0
    weights: Tensor = field(init=False)
    weight_scales: Tensor = field(init=False)

    def __post_init__(self) -> None:
        if self.second is not None:
            self.weight_scales = torch.tensor([self.second.scale], dtype=torch.float64)
            return
        weight, self.weight_scales = quantise_weights(self.site.module.weight.detach())
        channels = weight.shape[0]
        self.weights = (
            weight.permute(0, 2, 3, 1).reshape(channels, -1, weight.shape[1])
            if self.site.op == "conv2d"
            else weight.reshape(channels, 1, -1)
        ).contiguous()

    @cached_property
    def _prepared(self) -> Weights:
        """The weights' matrices, shared by all batches."""
        return Weights(self.weights, self.site.module.groups if self.site.op == "conv2d" else 1)

    @property
    def bias(self) -> Tensor | None:
        """The bias in real units, float32 (output channels,), or None."""
        bias = None if self.site.module is None else self.site.module.bias
        return None if bias is None else bias.detach().float()

    def integers(self, operands: Operands) -> Integers:
        """Return a batch's operands as integers. Counts clipped values. Raises InputError for NaN or infinity."""
        x = self._padded(operands[0]) if self.site.op == "conv2d" else operands[0]
        codes, clipped = self.activation.integers(x)
        self.clipped += clipped
        self.values += codes.numel()
        if self.site.op == "conv2d":
            module = self.site.module
            return Integers(
                codes.permute(0, 2, 3, 1).contiguous(),
                self.weights,
                self.geometry,
                module.groups,
                self._prepared,
            )
        if self.second is None:
            return Integers(
                codes.reshape(1, -1, codes.shape[-1]), self.weights, None, 1, self._prepared
            )
        second, clipped = self.second.integers(operands[1])
        self.clipped += clipped
        self.values += second.numel()
        return self._product(codes, second)

    def _product(self, first: Tensor, second: Tensor) -> Integers:
        shape = _stack_shape(first, second)
        x = first.expand(*shape, *first.shape[-2:]).reshape(-1, *first.shape[-2:])
        w = second.expand(*shape, *second.shape[-2:]).reshape(-1, *second.shape[-2:])
        return Integers(
            x.contiguous(), w.transpose(1, 2).reshape(-1, 1, w.shape[1]).contiguous(), None, len(x)
        )

    def real(self, sums: Tensor, operands: Operands) -> Tensor:
        """Return integer sums, float64 shaped as `Integers.output_shape`, in real units, shaped as the site's output.

        real = sum * (activation scale * weight scale) + bias, in float64, rounded once to the type of the input.
        """
        x = operands[0]
        output = sums * (self.weight_scales * self.activation.scale)
        if self.bias is not None:
            output += self.bias.double()
        if self.site.op == "conv2d":
            return output.permute(0, 3, 1, 2).to(x.dtype).contiguous()
        if self.second is None:
            return output.reshape(*x.shape[:-1], -1).to(x.dtype)
        return output.reshape(*_stack_shape(*operands), *output.shape[1:]).to(x.dtype)

    @property
    def geometry(self) -> ConvGeometry | None:
        """How a convolution walks its input; padding that is not zeros is part of the input and not told here."""
        if self.site.op != "conv2d":
            return None
        module = self.site.module
        top, bottom, left, right = (
            _padding(module) if module.padding_mode == "zeros" else (0, 0, 0, 0)
        )
        return ConvGeometry(
            kernel=tuple(module.kernel_size),
            stride=tuple(module.stride),
            padding=(top, bottom, left, right),
            dilation=tuple(module.dilation),
        )

    def _padded(self, x: Tensor) -> Tensor:
        module = self.site.module
        if module.padding_mode == "zeros":
            return x
        top, bottom, left, right = _padding(module)
        return functional.pad(x, (left, right, top, bottom), mode=module.padding_mode)


def _stack_shape(first: Tensor, second: Tensor) -> tuple[int, ...]:
    """Return the shape of a stack of matrix products, without the matrices' own axes."""
    return np.broadcast_shapes(first.shape[:-2], second.shape[:-2])


def _padding(module: Any) -> tuple[int, int, int, int]:
    """Return (top, bottom, left, right), pixels; 'same' and 'valid' resolved."""
    # PyTorch's own resolution, which every Conv2d carries: (left, right, top, bottom).
    left, right, top, bottom = module._reversed_padding_repeated_twice  # noqa: SLF001
    return top, bottom, left, right


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

    Raises
    ------
    InputError
        For names that do not exist, NaN or infinite activations (naming the layer), or a network without layers.
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
    ) -> None:
        self.calibrator = calibrator(calibrate)
        checked(calibration, "calibration loader")
        self.inputs_taken = inputs_taken(model)
        example = next(self.batches(calibration), None)
        if example is None:
            raise InputError("calibration loader holds no batch, expected at least one")
        self.network = Network(model, example[0], matmuls, fold)
        names = [site.name for site in self.network.sites]
        kept = _kept(names, keep_8bit)
        observed = Observations(self.calibrator)
        for inputs, _ in self.batches(calibration):
            self.network.run(inputs, observed)
        self.layers = {
            name: observed.layer(site, name in kept) for name, site in observed.sites.items()
        }

    def batches(
        self, loader: Iterable[Any], limit: int | None = None
    ) -> Iterator[tuple[Inputs, Tensor | None]]:
        """Yield (inputs, labels or None) of a loader, as this network takes them."""
        return batches(loader, limit, taken=self.inputs_taken)

    def layer(self, site: Site) -> IntegerLayer:
        """Return the layer of a site. Raises InputError for one that calibration did not meet."""
        if site.name not in self.layers:
            raise InputError(
                f"layer {site.name!r} did not run on the calibration data, expected it to"
            )
        return self.layers[site.name]

    def reset_counts(self) -> None:
        """Forget how many values were clipped."""
        for layer in self.layers.values():
            layer.clipped = layer.values = 0


def _kept(names: list[str], keep_8bit: Keep) -> set[str]:
    if isinstance(keep_8bit, str):
        if keep_8bit not in ("first-last", "none"):
            raise InputError(
                f"keep_8bit={keep_8bit!r}, expected 'first-last', 'none' or a list of layer names"
            )
        return {names[0], names[-1]} if keep_8bit == "first-last" else set()
    for name in keep_8bit:
        if name not in names:
            raise InputError(
                f"keep_8bit: layer {name!r} is not in the network{nearest(name, names)}; expected "
                f"some of {', '.join(names)}"
            )
    return set(keep_8bit)


class Observations:
    """The visitor that calibrates: it observes every site's operands and computes in float."""

    def __init__(self, design: Calibrator) -> None:
        self._design = design
        self.sites: dict[str, Site] = {}
        self._observers: dict[str, list[Observer]] = {}

    def __call__(self, site: Site, operands: Operands) -> Tensor:
        """Observe one site's operands; return its float output."""
        if site.name not in self.sites:
            self.sites[site.name] = site
            # The second operand takes the weights' place, which is int8.
            self._observers[site.name] = [
                self._design.observer(signed) for signed in (None, True)[: len(operands)]
            ]
        with naming(site.name):
            for observer, operand in zip(self._observers[site.name], operands, strict=True):
                observer.update(as_float32(operand))
        return site.in_float(operands)

    def layer(self, site: Site, keep_8bit: bool) -> IntegerLayer:
        """Return the site at 8 bits."""
        first, *second = self._observers[site.name]
        why = (
            f"lowest calibration value {first.lowest:.4g}"
            if first.signed
            else "no negative value in the calibration data"
        )
        with naming(site.name):
            return IntegerLayer(
                site,
                Quantiser(first.scale(), first.signed),
                why,
                keep_8bit,
                Quantiser(second[0].scale(), signed=True) if second else None,
            )
