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

    def linear(self, name: str, weight: Tensor, bias: Tensor | None) -> nn.Module:
        """Return the Linear of weights (N, K). Raises InputError for others than before."""
        width, depth = weight.shape
        return self._known(name, nn.Linear(depth, width, bias=False, device="meta"), weight, bias)

    def convolution(
        self, name: str, channels: int, weight: Tensor, bias: Tensor | None, **geometry: Any
    ) -> nn.Module:
        """Return the Conv2d of weights; `channels`: of its input. Raises InputError as above."""
        kernel = (weight.shape[2], weight.shape[3])
        made = nn.Conv2d(channels, len(weight), kernel, bias=False, device="meta", **geometry)
        return self._known(name, made, weight, bias)

    def _known(self, name: str, made: Any, weight: Tensor, bias: Tensor | None) -> nn.Module:
        made.weight = nn.Parameter(weight, requires_grad=False)
        made.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        known: nn.Module = self._layers.setdefault(name, made)
        if not _is_same(known, made):
            raise InputError(
                f"layer {name!r} multiplies by other weights than when it first ran, expected the "
                "same layers for every batch: a network whose layers follow its inputs has no "
                "trace (sequences of one length, or one batch, may have)"
            )
        return known


def _is_same(one: Any, other: Any) -> bool:
    """Whether two layers have equal weights, bias and geometry."""
    if any(getattr(one, key, None) != getattr(other, key, None) for key in GEOMETRY):
        return False
    return _are_equal(one.weight, other.weight) and _are_equal(one.bias, other.bias)


def _are_equal(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    if one.shape != other.shape:
        return False
    same_memory = one.data_ptr() == other.data_ptr() and one.stride() == other.stride()
    return same_memory or torch.equal(one, other)
