"""Multiply-accumulates of PyTorch's basic operations, counted from the shapes of their operands."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

FLOPS_PER_MAC = 2


def product_macs(
    name: str, args: tuple[Any, ...], named: dict[str, Any], output: Any
) -> int | None:
    """Return the multiply-accumulates of one call; None for an operation without a formula.

    Parameters
    ----------
    name : str
        `torch.ops.aten.NAME`, that of its form which writes to no operand.
    args, named
        Its operands.
    output
        What it returned.
    """
    if "dot_product" in name and "attention" in name:
        return _attention(*args[:3])
    sparse = [each for each in args if isinstance(each, Tensor) and each.layout != torch.strided]
    if sparse:
        return _sparse(sparse, output)
    if name in FORMULAS:
        return FORMULAS[name](*args)
    if name.startswith("linear_") and isinstance(output, Tensor):  # by packed weights
        return int(args[0].numel()) * output.shape[-1]
    operation = getattr(torch.ops.aten, name, None)
    if operation in flop_registry:
        read = {key: value for key, value in named.items() if key != "out"}
        return int(flop_registry[operation](*args, **read, out_val=output)) // FLOPS_PER_MAC
    return None


def _attention(query: Tensor, key: Tensor, value: Tensor) -> int:
    """Count both products, masked scores included: query (..., L, D), key (..., S, D)."""
    rows = math.prod(query.shape[:-1])
    return rows * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def _sparse(sparse: Sequence[Tensor], output: Tensor) -> int | None:
    """Count the stored elements of a sparse matrix by a dense one; None for other products."""
    if len(sparse) != 1 or sparse[0].ndim != 2 or output.layout != torch.strided:
        return None
    stored = sparse[0]._nnz()  # noqa: SLF001 - PyTorch has no public name for all layouts
    return int(stored) * math.prod(output.shape[1:])


def _grouped(first: Tensor, second: Tensor, *_: Any) -> int | None:
    """Count rows (M, K) of which each meets one of several matrices (groups, K, N)."""
    whole = first.ndim == 2 and second.ndim == 3
    return _matrices(first, second) if whole else None


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
FORMULAS: dict[str, Callable[..., int | None]] = {
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
    "_grouped_mm": _grouped,
}
