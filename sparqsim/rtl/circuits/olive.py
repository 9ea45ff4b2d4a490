"""Outlier-victim pairs of 4-bit codes on both operands, decoded at the array's edges.

What a code of a pair looks like is ours where the rule leaves it open, and so is the circuit: no
RTL of this design was at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import ClassVar

import numpy as np

from sparqsim.pe.base import Array
from sparqsim.pe.olive import Olive4b, decoded
from sparqsim.quantise.olive import BITS, codes_for, pair_bits
from sparqsim.rtl.circuits.base import (
    Circuit,
    CircuitFamily,
    CodedCircuit,
    Kind,
    Words,
    packed,
)

#: Marks a victim in signed pairs; no normal code.
VICTIM = 0b1000
#: Bits of an outlier's exponent: 1.mantissa * 2^exponent of the largest normal code's power of two.
EXPONENT_BITS = 2
#: Of a decoded pair: two integers and the shift of both.
PAIR_BITS = 2 * BITS + 3


class OliveCircuit(CodedCircuit):
    """Four multipliers of 4 bits, a shifter for each pair of them.

    `x_width`: pairs of signed codes have 8 bits. Without a sign all 16 codes are normal ones, and
    none is left to mark a victim: 256 normal pairs and 30 with an outlier need a ninth bit.
    """

    @property
    def x_width(self) -> int:
        """Bits of the pairs of activations of one step, as memory holds them."""
        return self.lanes // 2 * pair_bits(signed=bool(self.signed))

    @property
    def has_edge_unit(self) -> bool:
        """Whether operands are decoded at the edge."""
        return True


class OliveCircuits(CircuitFamily):
    """`olive-4b`: pairs enter as codes."""

    name: ClassVar[str] = "olive-4b"
    expected: ClassVar[str] = "olive-4b"
    design = Olive4b
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "": ("multipliers", "adder of a pair's products", "shifter", "adder of the pairs"),
        "shift": ("adder of the shifts", "shifter", "adder of the pairs"),
    }
    edge_parts: ClassVar[tuple[str, ...]] = ("search for an outlier", "integers and shift")

    def activation_fields(self, circuit: OliveCircuit) -> tuple[tuple[str, int], ...]:
        """Return the fields of `dot_olive.sv`."""
        return (("integers", 2 * BITS), ("shift", 3)) * (circuit.lanes // 2)

    def circuit(self, design: Olive4b, *, signed: bool) -> OliveCircuit:
        """Return the circuit."""
        return OliveCircuit(Kind.OLIVE, design.lanes, BITS, BITS, int(signed))

    def kept_needs(self, design: Olive4b) -> str:
        """Return what passes over nibbles need."""
        return (
            "nibbles pass the decoders by, high ones with a shift of 4, and low nibbles of weights "
            "are unsigned: a fifth bit for each multiplier's weight"
        )

    def words(self, design: Olive4b, circuit: Circuit, x: Array, w: Array) -> tuple[Words, Words]:
        """Return the pairs as they are stored, of the nearest codes of any integers."""
        return stored(x, signed=x.dtype == np.int8), stored(w, signed=True)

    def weights_in_pe(self, circuit: OliveCircuit, words: Words) -> Words:
        """Return the decoded pairs, {shift, integer 2, integer 1} each."""
        bits = pair_bits(signed=True)
        pairs = range(circuit.lanes // 2)
        total: Words = sum(
            _decoded_words()[(words >> bits * at & (1 << bits) - 1).astype(np.int64)].astype(object)
            << PAIR_BITS * at
            for at in pairs
        )
        return total

    def tried(
        self, design: Olive4b, rng: np.random.Generator, x: Array, w: Array
    ) -> tuple[Array, Array]:
        """Return operands of which three in four are within the normal codes, or near them."""
        small_x, small_w = (rng.random(operand.shape) < 0.75 for operand in (x, w))
        return np.where(small_x, x >> 4, x), np.where(small_w, w >> 4, w)


def stored(values: Array, *, signed: bool) -> Words:
    """Return integers (..., lanes), uint8 or int8, as words of pairs, the first pair lowest."""
    table, bits = _stored_pairs(signed), pair_bits(signed=signed)
    as_bytes = values.view(np.uint8)
    return packed(table[as_bytes[..., ::2], as_bytes[..., 1::2]], bits)


@cache
def _stored_pairs(signed: bool) -> Array:
    """Return the stored form of all pairs of bytes, int64 (256, 256)."""
    values = np.arange(256, dtype=np.uint8).view(np.int8 if signed else np.uint8).tolist()
    by_codes = {
        codes: stored_pair(*codes, signed=signed)
        for codes in {decoded(one, other, signed) for one in values for other in values}
    }
    return np.array([[by_codes[decoded(a, b, signed)] for b in values] for a in values])


@cache
def _decoded_words() -> Array:
    """Return what the decoder sends for every stored pair of signed codes, int64 (256,); 0 for
    what is no pair.
    """
    values = np.arange(256, dtype=np.uint8).view(np.int8).tolist()
    sent = np.zeros(256, np.int64)
    for codes in {decoded(one, other, True) for one in values for other in values}:
        sent[stored_pair(*codes, signed=True)] = decoded_word(*codes)
    return sent


def decoded_word(first: int, second: int) -> int:
    """Return a pair of signed codes as the decoder sends it."""
    largest = max(abs(first), abs(second))
    shift = 0
    if largest > codes_for(signed=True).highest:
        # 1.mantissa * 2^exponent, as an integer of one bit more than the mantissa.
        shift = largest.bit_length() - (BITS - EXPONENT_BITS)
    integers = [(value >> shift) % (1 << BITS) for value in (first, second)]
    return integers[0] | integers[1] << BITS | shift << 2 * BITS


def stored_pair(first: int, second: int, *, signed: bool) -> int:
    """Return one pair of codes as it is stored: {code 2, code 1}, of unsigned ones with a flag
    above them that says whether there is an outlier.
    """
    highest = codes_for(signed=signed).highest
    one, other = (
        outlier_code(value, signed=signed) if abs(value) > highest else value % (1 << BITS)
        for value in (first, second)
    )
    outliers = [abs(value) > highest for value in (first, second)]
    if not any(outliers):
        return one | other << BITS
    if not signed:
        return one | other << BITS | 1 << 2 * BITS
    return one | VICTIM << BITS if outliers[0] else VICTIM | other << BITS


def outlier_code(value: int, *, signed: bool) -> int:
    """Return the code of an outlier: {sign, exponent, mantissa}, without a sign a bit more of
    mantissa.
    """
    codes, mantissas = codes_for(signed=signed), 1 << (BITS - EXPONENT_BITS - signed)
    above = codes.outliers.index(abs(value)) + 1  # code 0 is not an outlier's
    return above | (mantissas << EXPONENT_BITS if value < 0 else 0)
