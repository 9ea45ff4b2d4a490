"""One quantised layer of a network, whatever framework runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sparqsim.base.errors import InputError
from sparqsim.base.record import faults_of
from sparqsim.networks.sums import WIDEST_BITS, Weights, layer_sums
from sparqsim.pe import PEDesign
from sparqsim.quantise.codes import ActivationCodes, Quantised, WeightCodes, top_bits
from sparqsim.quantise.recipe import ACCUMULATOR_BITS
from sparqsim.trace.codebits import ALL_BITS, CodeRange
from sparqsim.trace.layer import Layer
from sparqsim.trace.schema import ConvGeometry, LayerRecord
from sparqsim.trace.source import TensorSource
from sparqsim.trace.transforms.requantise import Rule

Array = NDArray[Any]
Op = Literal["conv2d", "linear", "gemm"]


class Operands(NamedTuple):
    """One batch of a site's operands, as a trace stores them.

    activations: uint8 or int8 (batch, height, width, channels), or (groups, M, K). weights: int8
    (groups * N, 1, K) where the second operand is activations too, else None. quantised, clipped:
    real values that were given codes, and those outside the code's range.
    """

    activations: Array
    weights: Array | None = None
    quantised: int = 0
    clipped: int = 0

    @classmethod
    def of(
        cls, parts: Sequence[Quantised], activations: Array, weights: Array | None = None
    ) -> Operands:
        """Return operands laid out from `parts`; own codes do not say what clipped."""
        chosen = [part for part in parts if part.chosen]
        quantised = sum(part.codes.size for part in chosen)
        clipped = sum(part.clipped for part in chosen)
        return cls(np.ascontiguousarray(activations), weights, quantised, clipped)


@dataclass(frozen=True, eq=False)
class Site:
    """A layer that the array runs.

    Parameters
    ----------
    name : str
    op : 'conv2d', 'linear' or 'gemm'
    activation : ActivationCodes
    weights : WeightCodes or None
        None for a product of two activations.
    second : ActivationCodes or None
        How its second operand is stored then: int8 around 0.
    geometry : ConvGeometry or None
        Of a convolution.
    groups : int
    bias : float32 (output channel,) or None
        In real units; it never reaches the array.
    reason : str
        Why its activations are signed or unsigned.
    keep_8bit : bool
        Whether it stays at 8 bits under every design.
    note : str
        For the trace's record.
    weight_bits : int
        Weights of more bits are stored by their top ones, as the transform `requantise` has it.
    activation_bits : int
        Activations are multiplied, and stored in traces, by the top ones of their 8-bit codes
        (`sparqsim.quantise.codes.top_bits`).
    accumulator_bits : int
        Sums wrap around at so many bits.
    column_channels : int64 (column,) or None
        Where output channels have several columns of weights, whose real sums add up: each column's
        channel, ascending. None: column n is output channel n.
    """

    name: str
    op: Op
    activation: ActivationCodes
    weights: WeightCodes | None
    second: ActivationCodes | None = None
    geometry: ConvGeometry | None = None
    groups: int = 1
    bias: NDArray[np.float32] | None = None
    reason: str = ""
    keep_8bit: bool = False
    note: str = ""
    weight_bits: int = ALL_BITS
    activation_bits: int = ALL_BITS
    accumulator_bits: int = ACCUMULATOR_BITS
    column_channels: NDArray[np.int64] | None = None

    @cached_property
    def _rule(self) -> Rule | None:
        """How weights lose bits; None where they do not."""
        if self.weights is None or self.weights.bits <= self.weight_bits:
            return None
        return Rule.of(TensorSource.of(self.weights.codes), self.weight_bits)

    @cached_property
    def stored_weights(self) -> WeightCodes | None:
        """The weights that a trace gets and the array multiplies."""
        weights, rule = self.weights, self._rule
        if weights is None or rule is None:
            return weights
        return replace(
            weights,
            codes=rule.codes(weights.codes),
            network_scales=weights.scales * rule.factor,
            bits=rule.bits,
        )

    @cached_property
    def record(self) -> LayerRecord:
        """The trace's record.

        Raises
        ------
        InputError
            For what a trace cannot hold, as a name or a size.
        """
        zero_point = self.activation.stored_zero_point
        corrected = bool(zero_point)
        if self.weights is not None:
            corrected = corrected or bool(self.weights.zero_points.any())
        try:
            return LayerRecord(
                **self._activation_fields,
                name=self.name,
                op=self.op,
                geometry=self.geometry,
                groups=self.groups,
                activation_scale=self.activation.scale * (1 << self.lost_activation_bits),
                activation_zero_point=zero_point,
                zero_point_corrected=corrected,
                keep_8bit=self.keep_8bit,
                note="; ".join(filter(None, [self.note, self._column_note])),
                **self._weight_fields,
            )
        except ValidationError as error:
            raise InputError(f"layer {self.name!r}: {faults_of(error)[0]}") from None

    @property
    def _activation_fields(self) -> dict[str, Any]:
        """What a record says of activations of fewer bits than all; nothing of others."""
        if not self.lost_activation_bits:
            return {}
        return {"activation_bits": self.activation_bits}

    @property
    def _column_note(self) -> str:
        if self.column_channels is None or self.weights is None:
            return ""
        channels = int(self.column_channels[-1]) + 1
        return (
            f"{len(self.weights.codes)} columns for {channels} output channels, the columns of a "
            "channel added in real units"
        )

    @property
    def stored_bias(self) -> NDArray[np.float32] | None:
        """The bias by column, as a trace has it: of a channel's columns the first one's."""
        if self.bias is None or self.column_channels is None:
            return self.bias
        spread = np.zeros(len(self.column_channels), np.float32)
        spread[self._first_columns] = self.bias
        return spread

    @cached_property
    def _first_columns(self) -> NDArray[np.int64]:
        assert self.column_channels is not None  # noqa: S101 - for the type checker
        return np.flatnonzero(np.diff(self.column_channels, prepend=-1))

    @property
    def can_overflow(self) -> bool:
        """Whether some activations make a sum of its products leave the accumulator.

        Of two activations, whose K is not known here, below 32 bits.
        """
        if self.accumulator_bits == WIDEST_BITS:
            return False
        if self.stored_weights is None:
            return self.accumulator_bits < ACCUMULATOR_BITS
        sizes = np.abs(self.stored_weights.codes.astype(np.int64)).sum(axis=(1, 2))
        codes = CodeRange.of(self.activation_bits, signed=self.activation.stored_signed)
        largest = max(codes.highest, -codes.lowest)
        return int(sizes.max()) * largest >= 1 << (self.accumulator_bits - 1)

    @property
    def _weight_fields(self) -> dict[str, Any]:
        if self.stored_weights is not None:
            return self.stored_weights.fields
        scales = {"weight_scales": tuple(self._second_scale.tolist())}
        if self.second is None or self.second.bits == ALL_BITS:
            return scales
        return scales | {"weight_bits": self.second.bits}

    @property
    def _second_scale(self) -> NDArray[np.float64]:
        return np.array([1.0 if self.second is None else self.second.scale])

    @property
    def unit(self) -> NDArray[np.float64]:
        """The real value of 1 in its sums, float64 (output channel,), (1,) for two activations."""
        scales = self._second_scale if self.weights is None else self.weights.scales
        return self.activation.scale * scales

    @property
    def lost_bits(self) -> int:
        """Planes that its weights lost: a sum counts 2^lost_bits of the weights before."""
        return 0 if self._rule is None else self._rule.shift

    @property
    def lost_activation_bits(self) -> int:
        """Lowest bits of activations that are not multiplied: a sum counts 2^bits as many steps."""
        return ALL_BITS - self.activation_bits

    def held(self, activations: Array) -> Array:
        """Return a batch's 8-bit codes as the array takes them."""
        if not self.lost_activation_bits:
            return activations
        return top_bits(activations, self.activation_bits)

    @cached_property
    def matrices(self) -> Weights | None:
        """The weights' matrices, shared by all batches."""
        weights = self.stored_weights
        return None if weights is None else Weights(weights.codes, self.groups)

    def layer(self, batches: Sequence[Operands]) -> Layer:
        """Return the layer in memory.

        Rows of a product with weights grow along M, pictures and stacked products along the first
        axis.
        """
        by_row = self.op != "conv2d" and self.weights is not None
        parts = [self.held(batch.activations) for batch in batches]
        activations = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=int(by_row))
        record = self.record
        if self.stored_weights is not None:
            weights: Array = self.stored_weights.codes
        else:
            weights = np.concatenate([part.weights for part in batches if part.weights is not None])
            scales = record.weight_scales * len(weights)
            record = record.model_copy(update={"groups": len(activations), "weight_scales": scales})
        bias = None if self.stored_bias is None else TensorSource.of(self.stored_bias)
        return Layer(record, TensorSource.of(activations), TensorSource.of(weights), bias)

    def sums(
        self, operands: Operands, pe: PEDesign, *, overflows: bool = True
    ) -> NDArray[np.int64]:
        """Return one batch's sums in a design's arithmetic, zero points corrected.

        In units of weights and activations as they were before they lost bits: whoever brings
        sums back to real ones needs not know of it.

        Parameters
        ----------
        operands : Operands
        pe : PEDesign
        overflows : bool
            Whether sums wrap around at the accumulator's bits; False: as if it had all.

        Returns
        -------
        int64 (batch, height, width, columns) of a convolution, else (groups, M, N)
        """
        bits = self.accumulator_bits if overflows else WIDEST_BITS
        sums = layer_sums(self.layer([operands]), pe, self.matrices, bits)
        lost = self.lost_bits + self.lost_activation_bits
        return sums << lost if lost else sums

    def real(self, sums: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return sums in real units: sum * (activation scale * weight scale) + bias, in float64.

        The columns of an output channel are added up: float64 (..., output channel).
        """
        output = sums * self.unit
        if self.column_channels is not None:
            output = np.add.reduceat(output, self._first_columns, axis=-1)
        if self.bias is not None:
            output += self.bias.astype(np.float64)
        return output
