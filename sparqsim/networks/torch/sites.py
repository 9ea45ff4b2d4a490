"""Calls of a PyTorch network as sites: operands as integers, sums as the network's values."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sparqsim.networks.observe import coded, naming
from sparqsim.networks.site import Operands, Site
from sparqsim.networks.stacks import stacked
from sparqsim.networks.torch.network import Call, Values
from sparqsim.quantise.codes import ActivationCodes, WeightCodes
from sparqsim.trace.schema import ConvGeometry

STACKED_NOTE = "product of two activations; the second takes the weights' place"


class KnownCodes(Protocol):
    """How operands are stored, by (call's name, 0 or 1): observed, or read from a file."""

    def codes(self) -> dict[Any, ActivationCodes]:
        """Return the codes of each operand."""

    def lowest(self, key: Hashable) -> float:
        """Return the smallest value seen of an operand, at most 0."""


def sites_of(calls: Iterable[Call], seen: KnownCodes, kept: Collection[str]) -> dict[str, Site]:
    """Return calls at 8 bits, by name, their scales as the calibrator found them.

    Parameters
    ----------
    calls : iterable of Call
    seen : KnownCodes
    kept : names of layers that stay at 8 bits

    Raises
    ------
    InputError
        For NaN or infinite weights, naming the layer.
    """
    codes = seen.codes()
    sites = {}
    for call in calls:
        first, second = codes[call.name, 0], codes.get((call.name, 1))
        reason = "no negative value in the calibration data"
        if first.signed:
            reason = f"lowest calibration value {seen.lowest((call.name, 0)):.4g}"
        site = Site(call.name, call.op, first, None, second, reason=reason, note=STACKED_NOTE)
        if call.module is not None:
            with naming(call.name):
                site = replace(site, note="", **_module_fields(call.op, call.module))
        sites[call.name] = replace(site, keep_8bit=call.name in kept)
    return sites


def _module_fields(op: str, module: Any) -> dict[str, Any]:
    """Return the fields of a site that a layer's module decides."""
    weights = WeightCodes.of_real(arranged(module.weight))
    bias = None if module.bias is None else as_float32(module.bias)
    if op != "conv2d":
        return {"weights": weights, "bias": bias}
    geometry = geometry_of(module)
    return {"weights": weights, "bias": bias, "geometry": geometry, "groups": module.groups}


def real_weights(calls: Iterable[Call]) -> dict[str, NDArray[np.float32]]:
    """Return the real weights of calls that have some, by name, arranged."""
    return {call.name: arranged(call.module.weight) for call in calls if call.module is not None}


def arranged(weight: Tensor) -> NDArray[np.float32]:
    """Return real weights as (output channel, kernel position, input channel of the group)."""
    values = as_float32(weight)
    if values.ndim == 2:
        return values[:, None, :]
    channels, depth = values.shape[:2]
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1)).reshape(channels, -1, depth)


def shaped(weights: NDArray[np.float32], like: Tensor) -> NDArray[np.float32]:
    """Return weights that are arranged (`arranged`) in the axes of a module's own."""
    if like.ndim == 2:
        return weights[:, 0]
    channels, depth, *kernel = like.shape
    return np.ascontiguousarray(weights.reshape(channels, *kernel, depth).transpose(0, 3, 1, 2))


def operands_of(call: Call, site: Site, values: Values) -> Operands:
    """Return a batch's operands as integers. Raises InputError for NaN or infinity."""
    first = coded(as_float32(padded(call.module, values[0])), site.activation)
    if site.second is None:
        return Operands.of([first], laid_out(call, first.codes))
    second = coded(as_float32(values[1]), site.second)
    activations, weights = stacked(first.codes, second.codes)
    return Operands.of([first, second], activations, weights)


def laid_out(call: Call, values: NDArray[Any]) -> NDArray[Any]:
    """Return a layer's input, padded, as a trace has it: channels innermost, or (1, M, K)."""
    if call.op == "conv2d":
        return values.transpose(0, 2, 3, 1)
    return values.reshape(1, -1, values.shape[-1])


def real_output(site: Site, sums: NDArray[np.int64], values: Values) -> Tensor:
    """Return a site's sums as the network's own values, shaped as the call's output.

    `Site.real`, rounded once to the type of the input.
    """
    x = values[0]
    output = torch.from_numpy(site.real(sums)).to(x.dtype)
    if site.op == "conv2d":
        return output.permute(0, 3, 1, 2).contiguous()
    if site.second is None:
        return output.reshape(*x.shape[:-1], -1)
    matrices = output.shape[1:]
    front = np.broadcast_shapes(x.shape[:-2], values[1].shape[:-2])
    return output.reshape(*front, *matrices)


def geometry_of(module: Any) -> ConvGeometry:
    """Return how a convolution walks its input.

    Padding that is not zeros is part of the input (`padded`) and not told here.
    """
    zeros = module.padding_mode == "zeros"
    return ConvGeometry(
        kernel=tuple(module.kernel_size),
        stride=tuple(module.stride),
        padding=_padding(module) if zeros else (0, 0, 0, 0),
        dilation=tuple(module.dilation),
    )


def padded(module: Any, x: Tensor) -> Tensor:
    """Return a layer's input, that of a convolution with its padding where that is not zeros."""
    if getattr(module, "padding_mode", "zeros") == "zeros":
        return x
    top, bottom, left, right = _padding(module)
    return functional.pad(x, (left, right, top, bottom), mode=module.padding_mode)


def _padding(module: Any) -> tuple[int, int, int, int]:
    """Return (top, bottom, left, right), pixels; 'same' and 'valid' resolved."""
    # PyTorch's own resolution, which every Conv2d carries: (left, right, top, bottom).
    left, right, top, bottom = module._reversed_padding_repeated_twice  # noqa: SLF001
    return top, bottom, left, right


def as_float32(values: Tensor) -> NDArray[np.float32]:
    """Return real values of any PyTorch type, bfloat16 included, as a float32 array."""
    array: NDArray[np.float32] = values.detach().float().numpy()
    return array


def as_array(values: Tensor) -> NDArray[Any]:
    """Return a tensor as a C-contiguous array."""
    return np.ascontiguousarray(values.numpy())
