"""Arrays of operands whose scales are of groups of 32 along K: MX, and 4-bit weights as Q4_1.

What the circuits have in common: products of a group are added in an integer accumulator, exactly.
At a group's end its sum is scaled and added to the output's own accumulator, while the next group
begins: a register more behind the multipliers (`stage_cycles` = 1, one cycle at the end of a sum),
and no cycle per group. That accumulator is taken to lose nothing, as one of fixed point wide enough
does; float32 would round, which is not modelled. K is not padded to whole groups.

| design | operands | a group's end |
|---|---|---|
| `mac-mxint8` | both in blocks of MXINT8, one product a cycle | sum shifted by both exponents |
| `mac-mxfp4` | both in blocks of MXFP4, four products a cycle | the same |
| `mac-w4a8` | Q4_1 weights, 8-bit activations, two products a cycle | sum * scale + sum(x) * min |

**On a trace of 8-bit codes** real values, code less zero point times scale, are quantised along K
as the layer is lowered (kernel positions, the input channel innermost). MX needs no calibration: an
exponent is its block's. What a step is given are integers that hold element and exponent, or code,
scale and minimum: value over the least unit of the layer's activations, or of the filter. So the
step multiplies and adds, and every sum is exact.

Layers that stay at 8 bits: `mac-mxint8` as integers with exponents of 0, its multipliers one bit
wider for uint8 (ours); `mac-w4a8` in a pass for each nibble of the weights; `mac-mxfp4` has no
8-bit way, so `mac-8b8b` runs them.

Error counts each output in units of its own filter's least bit, as for all designs. So a filter of
weights near 0 (a channel that is dead once batch norms are folded) counts as any other, and float16
has no numbers below 6e-8: one such filter, lost, can take a layer's SQNR under `mac-w4a8` below 0
dB, while real outputs hardly change.

Source: the formats in `sparqsim.quantise.mx` and `sparqsim.quantise.q4_1`. The circuits are
reconstructions of ours: lanes, where groups end, what accumulates. Not counted in memory: shared
exponents, a quarter of a bit for each value of MX.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.pe.base import Array, LayerFacts, PEDesign, Step
from sparqsim.pe.encoded import EncodedLayer
from sparqsim.pe.kept import KeptMode
from sparqsim.pe.layout import blocks_can_be_stored, mask_examples, nonzero_masks
from sparqsim.pe.mac import MacPass, parts
from sparqsim.pe.mx_codes import MxCodes, every_code
from sparqsim.pe.trimming import Trimming
from sparqsim.quantise.mx import BLOCK, LOWEST_EXPONENT, MXFP4, MXINT8, MxFormat
from sparqsim.quantise.q4_1 import GROUP, grouped
from sparqsim.trace.layer import Layer
from sparqsim.trace.lowering import LoweredLayer

#: Bits of a block's exponent (MX), and of a group's scale and minimum (Q4_1).
EXPONENT_BITS, SCALE_BITS = 8, 32


@dataclass(frozen=True)
class GroupedScales(PEDesign):
    """Multipliers and an adder tree, and what scales a group's sum."""

    real_valued: ClassVar[bool] = True
    stage_cycles: ClassVar[int] = 1

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Multiply each pair of operands and add."""
        products = [x * w for x, w in zip(xs, ws, strict=True)]
        working = [lane for lane, product in enumerate(products) if product]
        active = {f"multiplier_{lane}": 1 for lane in working}
        if working:
            active["pe"] = 1
        if len(working) > 1:
            active["adder"] = 1
        return Step(sum(products), 1, active, {f"x{lane}": x for lane, x in enumerate(xs)})

    def activation_states(self, x: Array) -> NDArray[np.uint8]:
        """Return which lanes have an activation other than zero."""
        return nonzero_masks(x, self.lanes)

    def state_examples(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Return masks of operands."""
        return mask_examples(self.lanes, 1), mask_examples(self.lanes, 1)


@dataclass(frozen=True)
class MacMx(GroupedScales):
    """Both operands in blocks of an MX format."""

    format: ClassVar[MxFormat]

    @property
    def trimming(self) -> Trimming:
        """Elements in blocks; each value has its share of the block's exponent."""
        rule = f"blocks of {BLOCK} along K share an exponent, both operands"
        shared_bits = EXPONENT_BITS / BLOCK
        return Trimming("nearest, half away from zero", rule, shared_bits, shared_bits)

    def encoded(self, layer: LoweredLayer) -> EncodedLayer:
        """Return the layer in blocks of the format."""
        scale, zero = layer.activation_scale, layer.activation_zero_point
        least = int(_least_exponent(self.format, np.array(scale)))
        of_types = {
            np.dtype(kind): MxCodes.of(self.format, (every_code(kind) - float(zero)) * scale, least)
            for kind in (np.uint8, np.int8)
        }
        real = layer.real_weights.swapaxes(1, 2) * layer.weight_scales[..., None]
        least_of = _least_exponent(self.format, layer.weight_scales)
        weights = _fixed_point(self.format, real, least_of[..., None]).swapaxes(1, 2)
        in_units = np.ldexp(1 / scale, least - self.format.unit_bits)
        of_filters = np.ldexp(1 / layer.weight_scales, least_of - self.format.unit_bits)
        unit = in_units * of_filters[:, None, :]
        return EncodedLayer(
            layer,
            np.ascontiguousarray(weights),
            lambda x: of_types[x.dtype].of_rows(x),
            unit,
            signed=layer.has_negatives,
        )


def _least_exponent(format_: MxFormat, scales: Array) -> NDArray[np.int64]:
    """Return the least exponent that a block of integers other than 0 times a scale has."""
    exponents: NDArray[np.int64] = np.frexp(scales)[1] - 1 - format_.largest_exponent
    return np.maximum(exponents, LOWEST_EXPONENT).astype(np.int64)


def _fixed_point(
    format_: MxFormat, values: NDArray[np.float64], least: Array | int
) -> NDArray[np.int64]:
    """Return values (..., K) as elements shifted by how far exponents lie above the least."""
    elements, exponents = format_.quantised(values)
    shifts = np.where(elements == 0, 0, exponents - least)
    return elements << shifts


@dataclass(frozen=True)
class MacMxint8(MacMx):
    """8-bit elements of both operands, blocks of 32 with an exponent: one product per cycle."""

    name: ClassVar[str] = "mac-mxint8"
    lanes: ClassVar[int] = 1
    format: ClassVar[MxFormat] = MXINT8

    def kept_8bit(self, facts: LayerFacts) -> KeptMode[PEDesign]:
        """Return the layer's integers through the same multipliers."""
        return KeptMode((MacPass(self),), "as integers, exponents of 0")


@dataclass(frozen=True)
class MacMxfp4(MacMx):
    """4-bit floats (e2m1) of both, blocks of 32 with an exponent: four products per cycle."""

    name: ClassVar[str] = "mac-mxfp4"
    lanes: ClassVar[int] = 4
    multipliers: ClassVar[int] = 4
    weight_bits: ClassVar[int] = 4
    format: ClassVar[MxFormat] = MXFP4

    def activation_pair_bits(self, storage: str) -> int:
        """Return those of two elements; shared exponents are not counted."""
        return 8

    def pair_bits_of(self, layer: Layer) -> Callable[[str], int]:
        """Return those of the trace's codes where blocks straddle kernel positions."""
        if not blocks_can_be_stored(layer, BLOCK):
            return super().activation_pair_bits
        return self.activation_pair_bits


@dataclass(frozen=True)
class MacW4a8(GroupedScales):
    """4-bit weights with scale and minimum per 32, 8-bit activations: two products per cycle."""

    name: ClassVar[str] = "mac-w4a8"
    lanes: ClassVar[int] = 2
    multipliers: ClassVar[int] = 2
    #: Four of the code, and one of scale and minimum, 32 bits for 32 weights.
    weight_bits: ClassVar[int] = 5

    @property
    def trimming(self) -> Trimming:
        """Weights in groups, activations as they are."""
        rule = f"groups of {GROUP} weights along K share a scale and a minimum"
        return Trimming("nearest, half up, of weights", rule, 0.0, SCALE_BITS / GROUP)

    def kept_8bit(self, facts: LayerFacts) -> KeptMode[PEDesign]:
        """Return a pass over K for each nibble of the weights."""
        of_w = parts(facts.weight_bits)
        passes = tuple(MacPass(self, "whole", part) for part in of_w)
        words = "two passes over K (nibbles of weights), sums added outside the array"
        return KeptMode(passes, words if of_w[1:] else "")

    def encoded(self, layer: LoweredLayer) -> EncodedLayer:
        """Return the layer with its weights in Q4_1. Raises InputError where float16 overflows."""
        zero = layer.activation_zero_point
        weights_of_filters = layer.real_weights.swapaxes(1, 2) * layer.weight_scales[..., None]
        try:
            real = grouped(weights_of_filters).real
        except InputError as error:
            raise InputError(f"layer {layer.name!r}: {error}") from None
        least = _least_bit(real)
        weights = np.ldexp(real, -least[..., None]).astype(np.int64).swapaxes(1, 2)
        unit = np.ldexp(1 / layer.weight_scales, least)[:, None, :]

        def activations(x: Array) -> Array:
            """Return stored activations less their zero point."""
            return x.astype(np.int16) - zero

        return EncodedLayer(
            layer, np.ascontiguousarray(weights), activations, unit, signed=layer.has_negatives
        )


def _least_bit(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each (..., K) an exponent of which all values are whole multiples."""
    mantissas, exponents = np.frexp(values)
    whole = np.ldexp(mantissas, 53).astype(np.int64)
    lowest_set = np.where(whole == 0, 1, whole & -whole)
    trailing = np.log2(lowest_set.astype(np.float64))
    places = np.where(whole == 0, np.iinfo(np.int32).max, exponents - 53 + trailing)
    least = places.min(axis=-1).astype(np.int64)
    return np.where(least == np.iinfo(np.int32).max, 0, least)
