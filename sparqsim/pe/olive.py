"""OliVe: 4-bit codes in outlier-victim pairs, on both operands.

What the circuit does: operands come as pairs of 4-bit codes, 8 or 9 bits. A code is normal, or
the pair holds an outlier and a mark in its victim's place. **Decoders** at the array's edges make
of each code an integer of 4 bits, and of each pair a shift (an outlier 1.m * 2^e is the integer and
the shift of its exponent; a victim is 0, whatever it is shifted by). A PE has **four multipliers**
of 4 bits by 4, for each pair of products an adder and a **shift** by the sum of both shifts, and an
**adder**: two pairs of activations meet two pairs of weights, four products, in one cycle, whatever
the values. Unsigned codes leave none to mark a victim: their pairs have a ninth bit, in the RTL and
in memory, and count 9 bits where a layer's activations have no value below 0.

What a step is given are decoded codes in units of one normal step (`sparqsim.quantise.olive`), here
any integer of 8 bits, which becomes the nearest code; pairs are (2i, 2i + 1) along K, for
activations as for weights.

**On a trace of 8-bit codes** the design quantises what they stand for, code less zero point times
scale, by OliVe's own rule: the scale of activations one for the tensor, found on the activations of
the trace (pairs: adjacent channels as they are stored), that of weights one per output channel. A
tensor, or channel, that consists of OliVe codes as it is stays as it is, at scale 1: so a trace
whose weights the quantiser `olive:4` chose is run on just those. We let the rule see the trace's
codes, not the values before they were rounded to 8 bits: a trace has no others, all designs of a
comparison start from the same operands, and 8-bit steps are a sixth of OliVe's or less. Scales are
found on the pictures of the trace themselves, which favours OliVe a little; where a network answers
in this arithmetic they are found on the calibration inputs, and a value below 0 where those had
none becomes 0. A second operand that is activations too has its scales where it stands. Sums are
brought to real values outside the array, one multiplication per output.

Layers that stay at 8 bits run nibble by nibble in four passes, as on `mac-4b4b`: high nibbles are
an integer and a shift of 4. A low nibble is unsigned, as codes of unsigned tensors are.

Source: Guo et al., OliVe, ISCA 2023; codes, pair rule and scales as the authors' quantiser has
them. Ours (the paper was not at hand): four lanes in a PE, decoders at the edge with a register
(`edge_cycles` = 1), one shift for a pair, a cycle per step, how layers stay at 8 bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, reduce
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparqsim.pe.base import Array, LayerFacts, PEDesign, Step
from sparqsim.pe.encoded import EncodedLayer
from sparqsim.pe.kept import KeptMode
from sparqsim.pe.layout import blocks_can_be_stored, mask_examples, nonzero_masks
from sparqsim.pe.mac import nibble_passes
from sparqsim.pe.trimming import Trimming
from sparqsim.quantise.olive import (
    BITS,
    SIGNED,
    PairCodes,
    PairCounts,
    coded,
    codes_for,
    in_pairs,
    pair_bits,
    weight_scales,
)
from sparqsim.trace.layer import Layer
from sparqsim.trace.lowering import LoweredLayer


class TensorScale(NamedTuple):
    """The real value of one normal step of a tensor, in units of its 8-bit codes; which codes."""

    scale: float
    signed: bool


class KnownScales(NamedTuple):
    """The scales of a layer's weights, and a digest of the weights that they were found on."""

    digest: bytes
    scales: NDArray[np.float64]

    @classmethod
    def of(cls, by_filter: NDArray[np.int16]) -> KnownScales:
        """Find them: of real weights int16 (groups, N, K), float64 (groups, N)."""
        scales = np.stack([weight_scales(filters) for filters in by_filter])
        return cls(digest_of(by_filter), scales)


@dataclass(frozen=True)
class Olive4b(PEDesign):
    """Two outlier-victim pairs of 4-bit codes of each operand per cycle."""

    name: ClassVar[str] = "olive-4b"
    lanes: ClassVar[int] = 4
    multipliers: ClassVar[int] = 4
    weight_bits: ClassVar[int] = 4
    edge_cycles: ClassVar[int] = 1
    real_valued: ClassVar[bool] = True
    tensor_scales: ClassVar[bool] = True

    #: Of a layer's activations, where it was found before.
    found: TensorScale | None = field(default=None, metadata={"key": False})
    #: Of the layer's weights, where they were found before; other weights have theirs found.
    known: KnownScales | None = field(default=None, compare=False, metadata={"key": False})

    @property
    def trimming(self) -> Trimming:
        """The nearest codes in pairs; the mark of an outlier is a code, in its victim's place, or
        the ninth bit of an unsigned pair.
        """
        rule = (
            "pairs (2i, 2i + 1) of both operands: an outlier makes its neighbour a zero; metadata "
            "is that of activations without negatives, a bit a pair, others have none"
        )
        return Trimming("nearest code", rule, pair_bits(signed=False) / 2 - BITS, 0.0)

    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Decode the pairs of both operands, multiply, shift and add."""
        used_x = [*decoded(xs[0], xs[1], signed), *decoded(xs[2], xs[3], signed)]
        used_w = [*decoded(ws[0], ws[1], True), *decoded(ws[2], ws[3], True)]
        products = [x * w for x, w in zip(used_x, used_w, strict=True)]
        working = [lane for lane, product in enumerate(products) if product]
        active = {f"multiplier_{lane}": 1 for lane in working}
        if working:
            active["pe"] = 1
        if len(working) > 1:
            active["adder"] = 1
        controls = {f"x{lane}": x for lane, x in enumerate(used_x)}
        return Step(sum(products), 1, active, controls)

    def used_activations(self, x: Array) -> Array:
        """Return the nearest codes, victims at 0."""
        return in_pairs_of(
            x, nearest_table(x.dtype == np.int8), codes_for(signed=x.dtype == np.int8)
        )

    def used_weights(self, w: Array) -> Array:
        """Return the nearest codes, victims at 0; pairs along K, the last axis but one."""
        by_filter = in_pairs_of(w.swapaxes(-1, -2), nearest_table(True), SIGNED)
        return by_filter.swapaxes(-1, -2)

    def activation_states(self, x: Array) -> NDArray[np.uint8]:
        """Return which lanes have an activation other than zero."""
        return nonzero_masks(self.used_activations(x), self.lanes)

    def state_weights(self, w: Array) -> Array:
        """Return the used weights."""
        return self.used_weights(w)

    def state_examples(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Return masks of normal codes."""
        return mask_examples(self.lanes, 1), mask_examples(self.lanes, 1)

    def activation_pair_bits(self, storage: str) -> int:
        """Return those of two signed codes, or of two nibbles of a layer that stays at 8 bits."""
        return 2 * BITS

    def pair_bits_of(self, layer: Layer) -> Callable[[str], int]:
        """Return 8 where codes of the layer may be below 0, else 9, however it is stored; those of
        the trace's codes where pairs straddle kernel positions.
        """
        if not blocks_can_be_stored(layer, 2):
            return super().activation_pair_bits
        signed = has_negatives(layer) if self.found is None else self.found.signed
        bits = pair_bits(signed=signed)
        return lambda _: bits

    def kept_8bit(self, facts: LayerFacts) -> KeptMode[PEDesign]:
        """Return a pass over K for each pair of nibbles."""
        return nibble_passes(self, facts)

    def with_tensor_scale(self, seen: Iterable[LoweredLayer]) -> Olive4b:
        """Return the design with the scale that the pairs of all batches have.

        Weights are those of the first: scales of other ones, which are activations, stand where
        they do.
        """
        layers = iter(seen)
        first = next(layers)
        counts = reduce(PairCounts.plus, map(stored_pairs, layers), stored_pairs(first))
        found = TensorScale(counts.scale(), counts.signed)
        return replace(self, found=found, known=KnownScales.of(filters_of(first)))

    def encoded(self, layer: LoweredLayer) -> EncodedLayer:
        """Return the layer as OliVe codes, at the scales that the module's docstring tells."""
        scale, signed = self.found or found_on(layer)
        codes = codes_for(signed=signed)
        dtype = np.int8 if signed else np.uint8  # which the largest codes fit

        table = codes.nearest(stored_values(layer) / scale)
        if not signed:
            table = np.maximum(table, 0)

        def activations(x: Array) -> Array:
            """Return the codes of stored activations."""
            return in_pairs_of(x, table, codes).astype(dtype)

        by_filter = filters_of(layer)
        scales = self._scales_of(by_filter)
        weights = coded(by_filter / scales[..., None], SIGNED).astype(np.int8)
        return EncodedLayer(
            layer,
            np.ascontiguousarray(weights.swapaxes(1, 2)),
            activations,
            scale * scales[:, None, :],
            signed=signed,
        )

    def _scales_of(self, by_filter: NDArray[np.int16]) -> NDArray[np.float64]:
        """Return the scales of real weights (groups, N, K), float64 (groups, N)."""
        if self.known is not None and self.known.digest == digest_of(by_filter):
            return self.known.scales
        return KnownScales.of(by_filter).scales


def filters_of(layer: LoweredLayer) -> NDArray[np.int16]:
    """Return the real weights of each filter, int16 (groups, N, K)."""
    return layer.real_weights.swapaxes(1, 2)


def digest_of(weights: NDArray[np.int16]) -> bytes:
    """Return what tells weights from others, shape included."""
    return hashlib.sha256(repr(weights.shape).encode() + weights.tobytes()).digest()


def has_negatives(layer: Layer) -> bool:
    """Return whether an activation of the layer is below 0; read only where one can be."""
    zero, source = layer.record.activation_zero_point, layer.activations_source
    if not layer.signed and zero == 0:
        return False
    return any(bool((block < zero).any()) for block in source.blocks())


@cache
def nearest_table(signed: bool) -> NDArray[np.int16]:
    """Return the nearest code of all 256 bit patterns, int16 (256,)."""
    table = codes_for(signed=signed).nearest(every_byte(signed))
    table.flags.writeable = False
    return table


def every_byte(signed: bool) -> Array:
    """Return the values of all 256 bit patterns, uint8 or int8 (256,)."""
    patterns = np.arange(256, dtype=np.uint8)
    return patterns.view(np.int8) if signed else patterns


def in_pairs_of(x: Array, table: NDArray[np.int16], codes: PairCodes) -> NDArray[np.int16]:
    """Return bytes (..., K) through a table of codes, victims at 0, int16."""
    return in_pairs(np.take(table, x.view(np.uint8)), codes)


def decoded(first: int, second: int, signed: bool) -> tuple[int, int]:
    """Return the codes of one pair of integers, the plain definition: an outlier's victim is 0."""
    codes = codes_for(signed=signed)
    one, other = _nearest(first, codes), _nearest(second, codes)
    if abs(one) > codes.highest:
        return one, 0
    if abs(other) > codes.highest:
        return 0, other
    return one, other


@cache
def _nearest(value: int, codes: PairCodes) -> int:
    magnitudes: list[int] = [*range(codes.highest + 1), *codes.outliers]
    found = min(magnitudes, key=lambda magnitude: (abs(abs(value) - magnitude), magnitude))
    return -found if value < 0 else found


def found_on(layer: LoweredLayer) -> TensorScale:
    """Return the scale that a layer's own activations have."""
    counts = stored_pairs(layer)
    return TensorScale(counts.scale(), counts.signed)


def stored_values(layer: LoweredLayer) -> NDArray[np.float64]:
    """Return what each of the 256 bit patterns of stored activations stands for, in steps."""
    zero = layer.activation_zero_point
    return every_byte(layer.stored_signed).astype(np.float64) - zero


def stored_pairs(layer: LoweredLayer) -> PairCounts:
    """Count the pairs of adjacent values of a layer's activations as they are stored, less the zero
    point: along channels, or along K of a product.
    """
    counts, zero = np.zeros(65_536, np.int64), layer.activation_zero_point
    for block in layer.stored_activations():
        flat = block.reshape(-1, block.shape[-1])
        if flat.shape[1] % 2:
            padding = np.array(zero, flat.dtype)
            flat = np.pad(flat, ((0, 0), (0, 1)), constant_values=padding)
        pairs = np.ascontiguousarray(flat).view("<u2")
        counts += np.bincount(pairs.ravel(), minlength=len(counts))
    by_first = counts.reshape(256, 256).T  # a pair is first + 256 * second
    return PairCounts(stored_values(layer), by_first)
