"""`requantise`: fewer bits for codes that are there, as a network of fewer bits would hold them.

For each operand (activations, weights) whose key is below 8, with c its codes::

    z = planes that are zero in every |c|, from the lowest up        (stripped below)
    B = bits that are left, at most 8: of the largest |c| / 2^z, and a sign bit of signed codes
    s = max(0, B - b), b the key
    code' = round-half-even(c / 2^(z + s)), saturated: 0..2^b - 1, signed +-(2^(b-1) - 1)
    scale' = scale * 2^(z + s)

Planes above B are zero, too, and need no work. With B <= b nothing is lost. A tensor of zeros stays
as it is. The layer says its new bits, b; codes stay in their uint8 or int8. An operand that has b
bits or fewer already is left alone. The provenance says `bits`, `bits_left` = B, `planes_stripped`
= z, `scale_factor` = 2^(z + s), `saturated` = codes beyond the limits after rounding.

*Source*: the stripping of bit planes is that of BSQ (Yang et al., ICLR 2021), which also trains the
network; this does not: it is called requantise and strip, never BSQ. Rounding and saturation are
ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from sparqsim.base.errors import InputError
from sparqsim.trace.codebits import ALL_BITS
from sparqsim.trace.layer import Layer
from sparqsim.trace.source import TensorSource
from sparqsim.trace.transforms.base import Transform, Transformed, mapped

Array = NDArray[Any]


@dataclass(frozen=True)
class Requantise(Transform):
    """Codes to their top bits: `weights` and `activations` say how many; 8 leaves an operand alone.

    weights: 2 to 8. activations: 1 to 8, of signed ones 2 to 8. kept: 'skip' leaves layers marked
    keep_8bit as they are, 'include' does not.
    """

    name: ClassVar[str] = "requantise"

    weights: int = field(default=ALL_BITS, metadata={"least": 2})
    activations: int = field(default=ALL_BITS, metadata={"least": 1})
    kept: Literal["skip", "include"] = "skip"

    def __post_init__(self) -> None:
        if not 2 <= self.weights <= ALL_BITS or not 1 <= self.activations <= ALL_BITS:
            raise ValueError(
                f"weights={self.weights}, activations={self.activations}: expected weights of 2 "
                "to 8 bits, activations of 1 to 8"
            )
        if self.weights == self.activations == ALL_BITS:
            raise ValueError("nothing to do, expected weights= or activations= below 8")

    def apply(self, layer: Layer) -> Transformed:
        """Return the layer with codes of fewer bits, and its scales in their units."""
        if layer.keep_8bit and self.kept == "skip":
            return Transformed(layer, {"left_alone": "kept at 8 bits"})
        facts: dict[str, JsonValue] = {}
        if self.weights < layer.record.weight_bits:
            layer, facts["weights"] = self._weights(layer)
        if self.activations < layer.record.activation_bits:
            layer, facts["activations"] = self._activations(layer)
        if not facts:
            return Transformed(layer, {"left_alone": "has no more bits"})
        return Transformed(layer, facts)

    def _weights(self, layer: Layer) -> tuple[Layer, dict[str, JsonValue]]:
        if any(layer.record.weight_zero_points):
            raise _zero_point_fault(layer, "weight_zero_points")
        rule = Rule.of(layer.weights_source, self.weights)
        source = mapped(layer.weights_source, rule.codes)
        scales = layer.record.weight_scales or (1.0,) * source.shape[0]
        changes = {
            "weight_bits": self.weights,
            "weight_scales": tuple(scale * rule.factor for scale in scales),
        }
        record = layer.record.model_copy(update=changes)
        return replace(layer, record=record, weights_source=source), rule.facts(
            layer.weights_source
        )

    def _activations(self, layer: Layer) -> tuple[Layer, dict[str, JsonValue]]:
        if layer.record.activation_zero_point:
            raise _zero_point_fault(layer, "activation_zero_point")
        if layer.signed and self.activations < 2:
            raise InputError(
                f"layer {layer.name!r}: activations are int8, requantise gives them "
                f"{self.activations} bit, expected activations= of at least 2"
            )
        rule = Rule.of(layer.activations_source, self.activations)
        changes = {
            "activation_bits": self.activations,
            "activation_scale": layer.record.activation_scale * rule.factor,
        }
        return replace(
            layer,
            record=layer.record.model_copy(update=changes),
            activations_source=mapped(layer.activations_source, rule.codes),
        ), rule.facts(layer.activations_source)


@dataclass(frozen=True)
class Rule:
    """How the codes of one tensor change.

    bits: asked for. stripped: planes below that are zero everywhere. left: bits without them.
    signed: whether codes are.
    """

    bits: int
    stripped: int
    left: int
    signed: bool

    @classmethod
    def of(cls, source: TensorSource, bits: int) -> Rule:
        """Return the rule for a tensor, which is read once."""
        planes = 0
        for magnitudes in _magnitudes(source):
            planes |= int(np.bitwise_or.reduce(magnitudes, axis=None))
        signed = source.dtype == np.int8
        stripped = (planes & -planes).bit_length() - 1 if planes else 0
        left = (planes >> stripped).bit_length() + signed
        return cls(bits, stripped, min(left, ALL_BITS), signed)

    @property
    def shift(self) -> int:
        """Planes that a code loses at its lower end, stripped or rounded away."""
        return self.stripped + max(0, self.left - self.bits)

    @property
    def factor(self) -> float:
        """What the scale is multiplied by."""
        return float(1 << self.shift)

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and the highest code."""
        highest = (1 << (self.bits - self.signed)) - 1
        return (-highest if self.signed else 0, highest)

    def codes(self, values: Array) -> Array:
        """Return the codes of codes, of any shape."""
        return np.clip(self._rounded(values), *self.limits).astype(values.dtype)

    def facts(self, source: TensorSource) -> dict[str, JsonValue]:
        """Return what the provenance says; the tensor is read for what saturates."""
        lowest, highest = self.limits
        saturated = 0
        for block in source.blocks():
            rounded = self._rounded(block)
            saturated += int(np.count_nonzero((rounded < lowest) | (rounded > highest)))
        return {
            "bits": self.bits,
            "bits_left": self.left,
            "planes_stripped": self.stripped,
            "scale_factor": self.factor,
            "saturated": saturated,
        }

    def _rounded(self, values: Array) -> NDArray[np.int16]:
        """Return codes / 2^shift, half to even: exact, since the quotient is exact in float32."""
        quotients = values.astype(np.float32) / np.float32(self.factor)
        rounded: NDArray[np.int16] = np.rint(quotients).astype(np.int16)
        return rounded


def _magnitudes(source: TensorSource) -> Iterator[NDArray[np.int16]]:
    for block in source.blocks():
        yield np.abs(block.astype(np.int16))


def _zero_point_fault(layer: Layer, field_name: str) -> InputError:
    found = getattr(layer.record, field_name)
    shown = found if isinstance(found, int) else f"{found[:3]}..."
    return InputError(
        f"layer {layer.name!r}: {field_name}={shown}, requantise takes codes around 0 only, "
        "expected 0"
    )
