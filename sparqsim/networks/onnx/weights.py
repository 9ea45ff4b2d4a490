"""Reading constant weights: (output channel, kernel position, input channel), with own codes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparqsim.networks.onnx.graph import Array
from sparqsim.networks.onnx.macs import Product
from sparqsim.networks.onnx.nodefacts import NodeFacts, Operand
from sparqsim.networks.onnx.operators import CONVOLUTIONS, INTEGER_OPS, MOVES, QLINEAR_OPS
from sparqsim.networks.onnx.quantisation import Dequantised, dequantised, moved, spread
from sparqsim.quantise.codes import WeightCodes


class ReadWeights(NamedTuple):
    """An operand as weights.

    codes: the network's own, else those of `nearest:8`. real: float32 (output channel, kernel
    position, input channel), None where the codes are the network's own.
    """

    codes: WeightCodes
    real: NDArray[np.float32] | None = None


class WeightReader:
    """Reads one operand of a node as weights.

    Parameters
    ----------
    facts : NodeFacts
    operand : Operand
        A constant.
    mirrored : bool
        Whether it stands on the left of a product.
    """

    def __init__(self, facts: NodeFacts, operand: Operand, mirrored: bool) -> None:
        self._facts, self._operand, self._mirrored = facts, operand, mirrored

    def read(self) -> ReadWeights:
        """Return the weights: the network's own codes where it has some. Raises InputError."""
        facts = self._facts
        if facts.kind in QLINEAR_OPS | INTEGER_OPS:
            return ReadWeights(self._codes_of_node())
        behind = dequantised(facts.graph, self._operand[0], MOVES)
        if behind is not None and facts.is_constant(behind.operands[0]):
            own = self._codes_behind(behind)
            if own is not None:
                return ReadWeights(own)
            facts.notes.append("its weights' own codes are quantised anew: their way is not known")
        return self._real()

    def _real(self) -> ReadWeights:
        value = np.asarray(self._facts.constant(self._operand[0], "weights"), np.float32)
        if not np.isfinite(value).all():
            raise self._facts.fault("weights hold NaN or infinite values, expected finite ones")
        real = self._arranged(value) * self._facts.number("alpha", 1.0)
        return ReadWeights(WeightCodes.of_real(real), np.asarray(real, np.float32))

    def _codes_of_node(self) -> WeightCodes:
        """Return weights whose scale and zero point stand in the node: one, or per channel."""
        facts, (codes, scale, zero_point) = self._facts, self._operand
        arranged = self._arranged(facts.constant(codes, "weights"))
        one = np.ones(1, np.float32)
        scales = facts.constant(scale, "the weights' scale") if scale else one
        points = facts.zero_point(codes, zero_point)
        most = max(scales.size, points.size)
        if not {scales.size, points.size} <= {1, len(arranged)} or (self._mirrored and most > 1):
            raise facts.fault(
                f"weights have {most} scales, expected 1 or {len(arranged)} (output channels)"
            )
        return self._network_codes(arranged, scales, points)

    def _codes_behind(self, behind: Dequantised) -> WeightCodes | None:
        """Return the codes behind real weights, through what moves them; None where not known."""
        facts, (name, scale, zero_point) = self._facts, behind.operands
        codes = facts.constant(name, "weights")
        scales = facts.constant(scale, "the weights' scale")
        points = facts.zero_point(name, zero_point)
        self._check_scales(scales)
        parts = [
            codes,
            spread(behind.node, scales, codes, "the weights' scales"),
            spread(behind.node, points, codes, "the weights' zero points"),
        ]
        placed = moved(facts.graph, behind, parts, f"{facts.graph.path}: weights {name!r}")
        if placed is None:
            return None
        arranged, scales, points = (self._arranged(part) for part in placed)
        return self._network_codes(
            arranged, self._per_channel(scales, "scales"), self._per_channel(points, "zero points")
        )

    def _per_channel(self, values: Array, what: str) -> Array:
        """Return a value per output channel of (output channel, kernel position, input channel)."""
        first = values[:, :1, :1]
        if not np.array_equal(values, np.broadcast_to(first, values.shape)):
            raise self._facts.fault(
                f"the weights' {what} differ inside of an output channel (axis of "
                "DequantizeLinear), expected one per output channel"
            )
        return first.ravel()

    def _network_codes(self, codes: Array, scales: Array, points: Array) -> WeightCodes:
        alpha = self._facts.number("alpha", 1.0)
        self._check_scales(scales)
        if alpha <= 0:
            raise self._facts.fault(
                f"alpha={alpha} with weights that are codes, expected a number above 0"
            )
        return WeightCodes.of_network(codes, np.asarray(scales, np.float64) * alpha, points)

    def _check_scales(self, scales: Array) -> None:
        for each in np.asarray(scales, np.float64).ravel().tolist():
            if not 0 <= each < float("inf"):
                raise self._facts.fault(
                    f"weights have the scale {each}, expected a finite number from 0"
                )

    def _arranged(self, weights: Array) -> Array:
        """Return weights as (output channel, kernel position, input channel)."""
        if self._facts.kind in CONVOLUTIONS:
            if weights.ndim not in (3, 4):
                raise self._facts.fault(
                    f"weights are {weights.shape}: {weights.ndim - 2}-dimensional convolutions are "
                    "not supported, expected 1 or 2 dimensions"
                )
            flat = weights.reshape(*weights.shape[:2], -1)
            return np.ascontiguousarray(flat.transpose(0, 2, 1))
        if weights.ndim == 0 or weights.size == 0 or Product.is_stack(weights.shape):
            raise self._facts.fault(f"weights are {weights.shape}, expected a matrix")
        if weights.ndim == 1:
            return np.ascontiguousarray(weights)[None, None, :]
        matrix = weights.reshape(weights.shape[-2:])
        key = "transA" if self._mirrored else "transB"
        turned = bool(self._facts.attributes.get(key, 0))
        rows = matrix if turned != self._mirrored else matrix.T
        return np.ascontiguousarray(rows)[:, None, :]
