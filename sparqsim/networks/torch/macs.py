"""Multiply-accumulates of PyTorch's basic operations, counted from the shapes of their operands."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils.flop_counter import flop_registry

FLOPS_PER_MAC = 2


def product_macs(
    operation: Any, args: tuple[Any, ...], named: dict[str, Any], output: Any
) -> int | None:
    """Return the multiply-accumulates of one call; None for an operation without a formula.

    Parameters
    ----------
    operation : OpOverloadPacket
        `torch.ops.aten.NAME`.
    args, named
        Its operands.
    output
        What it returned.
    """
    name = operation.__name__
    if "dot_product" in name and "attention" in name:
        return _attention(*args[:3])
    if name in FORMULAS:
        return FORMULAS[name](*args)
    if operation in flop_registry:
        return int(flop_registry[operation](*args, **named, out_val=output)) // FLOPS_PER_MAC
    return None


def _attention(query: Tensor, key: Tensor, value: Tensor) -> int:
    """Count both products, masked scores included: query (..., L, D), key (..., S, D)."""
    rows = math.prod(query.shape[:-1])
    return rows * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def _matrices(first: Tensor, second: Tensor) -> int:
    """Count first (..., M, K) x second (..., K, N)."""
    return first.numel() * second.shape[-1]


def _recurrent(x: Tensor, of_input: Tensor, of_state: Tensor, *_: Any) -> int:
    """Count one layer, one direction of an LSTM: x (steps, batch, inputs); weights (gates, ...)."""
    return math.prod(x.shape[:-1]) * (of_input.numel() + of_state.numel())


def _trilinear(first: Tensor, weight: Tensor, *_: Any) -> int:
    """Count a Bilinear layer: first (batch, 1, I, 1), weight (1, O, I, J): W by J, then by I."""
    return first.shape[0] * (weight.numel() + math.prod(weight.shape[1:3]))


#: What PyTorch's own counter of floating-point operations has no formula for.
FORMULAS: dict[str, Callable[..., int]] = {
    "mv": lambda matrix, _: matrix.numel(),
    "addmv": lambda _, matrix, *__: matrix.numel(),
    "dot": lambda first, _: first.numel(),
    "vdot": lambda first, _: first.numel(),
    "matmul": _matrices,
    "_int_mm": _matrices,
    "linear": lambda x, weight, *_: x.numel() * weight.shape[0],
    "addbmm": lambda _, first, second, *__: _matrices(first, second),
    "_addmm_activation": lambda _, first, second, *__: _matrices(first, second),
    "mkldnn_rnn_layer": _recurrent,
    "_trilinear": _trilinear,
}
