"""Layers that are no modules: functions with constant weights, as modules made here."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import torch
from torch import Tensor, nn

from sparqsim.base.errors import InputError

GEOMETRY = ("stride", "padding", "dilation", "groups")


class FunctionLayers:
    """A module for each function, by the layer's name: the same object in every run."""

    def __init__(self) -> None:
        self._layers: dict[str, Any] = {}

    @property
    def names(self) -> Container[str]:
        """The names of layers that ran."""
        return self._layers.keys()

    def linear(self, name: str, weight: Tensor, bias: Tensor | None) -> Any:
        """Return the Linear of weights (N, K). Raises InputError for others than before."""
        width, depth = weight.shape
        return self._known(name, nn.Linear(depth, width, bias=False, device="meta"), weight, bias)

    def convolution(
        self, name: str, channels: int, weight: Tensor, bias: Tensor | None, **geometry: Any
    ) -> Any:
        """Return the Conv2d of weights; `channels`: of its input. Raises InputError as above."""
        kernel = (weight.shape[2], weight.shape[3])
        made = nn.Conv2d(channels, len(weight), kernel, bias=False, device="meta", **geometry)
        return self._known(name, made, weight, bias)

    def _known(self, name: str, made: Any, weight: Tensor, bias: Tensor | None) -> Any:
        made.weight = nn.Parameter(weight, requires_grad=False)
        made.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        known = self._layers.setdefault(name, made)
        if not _is_same(known, made):
            raise InputError(
                f"layer {name!r} multiplies by other weights than when it first ran, expected the "
                "same layers for every batch: a network whose layers follow its inputs has no "
                "trace (sequences of one length, or one batch, may have)"
            )
        return known


def _is_same(one: Any, other: Any) -> bool:
    """Whether two layers have equal weights and geometry, and equal biases where both have one."""
    if any(getattr(one, key, None) != getattr(other, key, None) for key in GEOMETRY):
        return False
    has_both = one.bias is not None and other.bias is not None
    same_bias = not has_both or _are_equal(one.bias, other.bias)
    return same_bias and _are_equal(one.weight, other.weight)


def with_bias(output: Tensor, computed: Tensor | None, meant: Tensor | None) -> Tensor:
    """Return a layer's output (..., channel) with the bias that is meant, in the place of the one
    that was computed.

    PyTorch adds the bias of one function inside or outside of the product, by how the input lies in
    memory: by the batch size, in `nn.MultiheadAttention`.
    """
    if computed is None and meant is not None:
        return output + meant
    if computed is not None and meant is None:
        return output - computed
    return output


def _are_equal(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    same_memory = one.data_ptr() == other.data_ptr() and one.stride() == other.stride()
    return same_memory or torch.equal(one, other)
