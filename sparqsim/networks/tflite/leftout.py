"""Multiply-accumulates of operators that stay out of a trace, from the shapes in the file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from sparqsim.networks.tflite.model import Model, Operator, Tensor

#: Inputs (or None) and outputs of an operator.
Counted = Callable[[Operator, list[Tensor | None], list[Tensor]], int]


def macs_of(model: Model, operator: Operator) -> int | None:
    """Return the multiply-accumulates of one run; None where shapes do not say.

    A transposed convolution counts every product of an input pixel with a tap, also those that fall
    outside of the output.
    """
    count = COUNTS.get(operator.kind)
    sources = [None if at < 0 else model.tensors[at] for at in operator.inputs]
    targets = [model.tensors[at] for at in operator.outputs]
    if count is None:
        return None
    try:
        return count(operator, sources, targets)
    except IndexError:  # fewer tensors or axes than the kind has
        return None


def _size(tensor: Tensor | None, first: int, last: int | None = None) -> int:
    return math.prod(_present(tensor).shape[first:last])


def _present(tensor: Tensor | None) -> Tensor:
    if tensor is None:
        raise IndexError("an input that is not there")
    return tensor


def _convolution(_: Operator, sources: list[Tensor | None], targets: list[Tensor]) -> int:
    """Return output pixels x weights; depthwise ones are (1, height, width, channels)."""
    return _size(targets[0], 0, 3) * _size(sources[1], 0)


def _convolution_3d(_: Operator, sources: list[Tensor | None], targets: list[Tensor]) -> int:
    return _size(targets[0], 0, 4) * _size(sources[1], 0)


def _transposed(_: Operator, sources: list[Tensor | None], __: list[Tensor]) -> int:
    """Return input pixels times weights; inputs are the output's shape, weights, activations."""
    return _size(sources[2], 0, -1) * _size(sources[1], 0)


def _fully_connected(_: Operator, sources: list[Tensor | None], targets: list[Tensor]) -> int:
    return _size(targets[0], 0) * _present(sources[1]).shape[1]


def _batch_matmul(operator: Operator, sources: list[Tensor | None], targets: list[Tensor]) -> int:
    axis = -2 if operator.options.get("adjX") else -1
    return _size(targets[0], 0) * _present(sources[0]).shape[axis]


COUNTS: Mapping[str, Counted] = {
    "BATCH_MATMUL": _batch_matmul,
    "CONV_2D": _convolution,
    "CONV_3D": _convolution_3d,
    "CONV_3D_TRANSPOSE": _transposed,
    "DEPTHWISE_CONV_2D": _convolution,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transposed,
}
